//! What authorities say of a certificate (OCSP, RFC 6960), to be shown with it: what is asked, and which answers count.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::ocsp::{OcspCertId, OcspCertStatus, OcspFlag, OcspRequest, OcspResponse, OcspResponseStatus};
use openssl::ssl::SslRef;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::{X509, X509Ref, X509VerifyResult};
use parking_lot::Mutex;

use crate::{errors, ffi};

/// How long an answer may be from another time than ours, in seconds (nginx's).
const SLACK: u32 = 300;
/// Before an answer ends, or after one that was none, the next is asked for.
const SOON: Duration = Duration::from_secs(300);
/// The longest time until the next is asked for.
const LATEST: Duration = Duration::from_secs(3600);

/// Where answers are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Responder {
    pub host: String,
    pub port: u16,
    /// With the slash that it begins with.
    pub uri: String,
}

impl Responder {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, in nginx's words.
    pub fn parse(url: &str) -> Result<Responder, &'static str> {
        let behind = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).and_then(|_| url.get(7..));
        let rest = behind.filter(|rest| !rest.is_empty()).ok_or("invalid URL prefix")?;
        let (authority, uri) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0).ok_or("invalid port")?),
            None => (authority, 80),
        };
        if host.is_empty() {
            return Err("no host");
        }
        let uri = if uri.is_empty() { "/" } else { uri };
        Ok(Responder { host: host.to_owned(), port, uri: uri.to_owned() })
    }
}

/// A certificate whose status is shown with it, and what was said of it last.
pub struct Staple {
    certificate: X509,
    issuer: X509,
    /// The certificates that were given with it.
    chain: Vec<X509>,
    /// The file that it is from.
    pub name: String,
    /// Whom answers have to be from; `None`: from anybody.
    authorities: Option<X509Store>,
    pub responder: Responder,
    last: Arc<Mutex<Last>>,
}

/// What was said of a certificate last. It outlives a reload.
#[derive(Default)]
struct Last {
    answer: Option<Arc<[u8]>>,
    /// `None`: for ever.
    valid_until: Option<Instant>,
    /// When to ask again.
    due: Option<Instant>,
}

/// What was said, by the certificate's digest and the URL.
#[derive(Default)]
pub(crate) struct Answers(Mutex<HashMap<(Vec<u8>, String), Said>>);

type Said = Arc<Mutex<Last>>;

impl std::fmt::Debug for Staple {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the status of {}", self.name)
    }
}

/// Why there is nothing to staple, behind `"ssl_stapling" ignored, `.
pub(crate) type Ignored = String;

impl Staple {
    /// `url`: where to ask, in the place of what the certificate says. `others`: certificates among which the issuer may be, and
    /// whom answers have to be from where that is `verified`.
    pub(crate) fn new(
        chain: &[X509],
        name: &str,
        others: &[X509],
        url: Option<&str>,
        verified: bool,
        answers: &Answers,
    ) -> Result<Staple, Ignored> {
        let Some((certificate, chain)) = chain.split_first() else { return Err("no certificate".to_owned()) };
        let is_issuer = |other: &&X509| other.issued(certificate) == X509VerifyResult::OK;
        let issuer = chain.iter().chain(others).find(is_issuer).cloned();
        let issuer = issuer.ok_or_else(|| format!("issuer certificate not found for certificate \"{name}\""))?;
        let own = || certificate.ocsp_responders().ok().and_then(|urls| urls.iter().next().map(|url| url.to_string()));
        let url = url.map(str::to_owned).or_else(own);
        let url = url.ok_or_else(|| format!("no OCSP responder URL in the certificate \"{name}\""))?;
        let responder = Responder::parse(&url)
            .map_err(|wrong| format!("{wrong} in OCSP responder \"{url}\" in the certificate \"{name}\""))?;
        let digest = certificate.digest(MessageDigest::sha256()).map(|digest| digest.to_vec()).unwrap_or_default();
        let last = {
            let mut answers = answers.0.lock();
            answers.retain(|_, said| Arc::strong_count(said) > 1);
            Arc::clone(answers.entry((digest, url)).or_default())
        };
        Ok(Staple {
            certificate: certificate.clone(),
            issuer,
            chain: chain.to_vec(),
            name: name.to_owned(),
            authorities: verified.then(|| store(others)).flatten(),
            responder,
            last,
        })
    }

    fn id(&self) -> Result<OcspCertId, ErrorStack> {
        OcspCertId::from_cert(MessageDigest::sha1(), &self.certificate, &self.issuer)
    }

    /// The request for the responder.
    ///
    /// # Errors
    /// OpenSSL has no memory.
    pub fn request(&self) -> Result<Vec<u8>, String> {
        let der = || {
            let mut request = OcspRequest::new()?;
            request.add_id(self.id()?)?;
            request.to_der()
        };
        let der = der().map_err(|stack| format!("i2d_OCSP_REQUEST() failed{}", errors(&stack)))?;
        let Responder { host, uri, .. } = &self.responder;
        let question = STANDARD.encode(der).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let slash = if uri.ends_with('/') { "" } else { "/" };
        Ok(format!("GET {uri}{slash}{question} HTTP/1.0\r\nHost: {host}\r\n\r\n").into_bytes())
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn take(&self, answer: &[u8], now: Instant) -> Result<(), String> {
        let failed = |call: &str, stack: &ErrorStack| format!("{call} failed{}", errors(stack));
        let response = OcspResponse::from_der(answer).map_err(|stack| failed("d2i_OCSP_RESPONSE()", &stack))?;
        if response.status() != OcspResponseStatus::SUCCESSFUL {
            let number = response.status().as_raw();
            return Err(format!("OCSP response not successful ({number}: {})", status_text(number)));
        }
        let basic = response.basic().map_err(|stack| failed("OCSP_response_get1_basic()", &stack))?;
        let verify = || {
            let mut chain = Stack::new()?;
            self.chain.iter().try_for_each(|certificate| chain.push(certificate.clone()))?;
            match &self.authorities {
                Some(store) => basic.verify(&chain, store, OcspFlag::TRUST_OTHER),
                None => basic.verify(&chain, &X509StoreBuilder::new()?.build(), OcspFlag::NO_VERIFY),
            }
        };
        verify().map_err(|stack| failed("OCSP_basic_verify()", &stack))?;
        let id = self.id().map_err(|stack| failed("OCSP_cert_to_id()", &stack))?;
        let status = basic.find_status(&id).ok_or("certificate status not found in the OCSP response")?;
        status.check_validity(SLACK, None).map_err(|stack| failed("OCSP_check_validity()", &stack))?;
        match status.status {
            OcspCertStatus::GOOD => {}
            OcspCertStatus::REVOKED => return Err("certificate status \"revoked\" in the OCSP response".to_owned()),
            _ => return Err("certificate status \"unknown\" in the OCSP response".to_owned()),
        }
        let left = status.next_update().map(|until| {
            let diff = Asn1Time::days_from_now(0).and_then(|now| now.diff(ffi::time(until)));
            diff.map(|diff| i64::from(diff.days) * 86_400 + i64::from(diff.secs)).unwrap_or_default()
        });
        let left = left.map(|left| Duration::from_secs(u64::try_from(left).unwrap_or_default()));
        let next = left.map_or(LATEST, |left| left.saturating_sub(SOON).clamp(SOON, LATEST));
        let valid_until = left.and_then(|left| now.checked_add(left));
        *self.last.lock() = Last { answer: Some(answer.into()), valid_until, due: now.checked_add(next) };
        Ok(())
    }

    /// There was no answer that counts.
    pub fn put_off(&self, now: Instant) {
        self.last.lock().due = now.checked_add(SOON);
    }

    /// How long until it is to be asked for.
    pub fn due_in(&self, now: Instant) -> Duration {
        self.last.lock().due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }

    /// What is shown with the certificate.
    fn shown(&self, now: Instant) -> Option<Arc<[u8]>> {
        let last = self.last.lock();
        last.answer.clone().filter(|_| last.valid_until.is_none_or(|until| now < until))
    }
}

/// Shows what is known of the certificate that a connection has chosen; `false`: nothing is.
pub(crate) fn show(staples: &[Arc<Staple>], ssl: &mut SslRef) -> Result<bool, ErrorStack> {
    let is_chosen = |chosen: &X509Ref, staple: &Staple| ffi::is_same(chosen, &staple.certificate);
    let chosen = ssl.certificate();
    let staple = chosen.and_then(|chosen| staples.iter().find(|staple| is_chosen(chosen, staple)));
    match staple.and_then(|staple| staple.shown(Instant::now())) {
        Some(answer) => ssl.set_ocsp_status(&answer).map(|()| true),
        None => Ok(false),
    }
}

fn store(authorities: &[X509]) -> Option<X509Store> {
    let mut store = X509StoreBuilder::new().ok()?;
    for authority in authorities {
        // One that is there already is no harm.
        let _ = store.add_cert(authority.clone());
    }
    Some(store.build())
}

/// OpenSSL's words for a status.
fn status_text(number: i32) -> &'static str {
    match number {
        1 => "malformedrequest",
        2 => "internalerror",
        3 => "trylater",
        5 => "sigrequired",
        6 => "unauthorized",
        _ => "(UNKNOWN)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_responder_is_a_url_of_http() {
        let responder = |host: &str, port, uri: &str| Ok(Responder { host: host.into(), port, uri: uri.into() });
        assert_eq!(Responder::parse("http://a.example"), responder("a.example", 80, "/"));
        assert_eq!(Responder::parse("HTTP://127.0.0.1:81/x/"), responder("127.0.0.1", 81, "/x/"));
        assert_eq!(Responder::parse("http://[::1]/"), responder("[::1]", 80, "/"));
        for (url, wrong) in [
            ("https://a", "invalid URL prefix"),
            ("http://", "invalid URL prefix"),
            ("http://a:0/", "invalid port"),
            ("http://a:x/", "invalid port"),
            ("http:///x", "no host"),
        ] {
            assert_eq!(Responder::parse(url), Err(wrong), "{url}");
        }
    }
}
