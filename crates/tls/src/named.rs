//! Certificates whose files are named by the name that a client asks for: read in the handshake, and kept for a while.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::pkey::{PKey, Private};
use openssl::ssl::SslRef;
use openssl::x509::X509;
use parking_lot::Mutex;

use crate::settings::Credentials;
use crate::{Error, failed, files};

/// A text with `$ssl_server_name` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameText(Vec<Option<String>>);

impl NameText {
    /// `Err`: another variable, which can't be had in a handshake.
    ///
    /// # Errors
    /// Its name.
    pub fn parse(text: &str) -> Result<NameText, String> {
        let mut pieces = Vec::new();
        let mut parts = text.split('$');
        pieces.extend(parts.next().map(|first| Some(first.to_owned())));
        for part in parts {
            let end = |rest: &str| rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (name, rest) = match part.strip_prefix('{').and_then(|part| part.split_once('}')) {
                Some(both) => both,
                None => part.split_at(end(part)),
            };
            if name != "ssl_server_name" {
                return Err(name.to_owned());
            }
            pieces.extend([None, Some(rest.to_owned())]);
        }
        Ok(NameText(pieces))
    }

    fn with(&self, name: &str) -> String {
        self.0.iter().map(|piece| piece.as_deref().unwrap_or(name)).collect()
    }
}

/// `ssl_certificate_cache`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheTerms {
    /// The most pairs that are kept.
    pub most: usize,
    /// How long one is kept that nobody asks for.
    pub inactive: Duration,
    /// How long one counts without being read again.
    pub valid: Duration,
}

/// The certificates of a server that has them by name.
pub(crate) struct Named {
    pairs: Vec<(NameText, NameText)>,
    prefix: PathBuf,
    passwords: Vec<Vec<u8>>,
    cache: Option<Cache>,
}

struct Cache {
    terms: CacheTerms,
    kept: Mutex<HashMap<Credentials, Kept>>,
}

struct Kept {
    pair: Arc<Pair>,
    read: Instant,
    used: Instant,
}

/// A certificate with its chain, and its key.
struct Pair {
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl Named {
    pub(crate) fn new(
        pairs: Vec<(NameText, NameText)>,
        prefix: PathBuf,
        passwords: Vec<Vec<u8>>,
        terms: Option<CacheTerms>,
    ) -> Named {
        let cache = terms.map(|terms| Cache { terms, kept: Mutex::default() });
        Named { pairs, prefix, passwords, cache }
    }

    /// Gives a connection its certificates. `name`: what the client asks for; empty: nothing.
    pub(crate) fn apply(&self, ssl: &mut SslRef, name: &str, now: Instant) -> Result<(), Error> {
        for (certificate, key) in &self.pairs {
            let credentials = Credentials { certificate: certificate.with(name), key: key.with(name) };
            let pair = self.pair(credentials, now)?;
            if let Some((leaf, rest)) = pair.chain.split_first() {
                ssl.set_certificate(leaf).map_err(|stack| failed("SSL_use_certificate()", &stack))?;
                for certificate in rest {
                    let added = ssl.add_chain_cert(certificate.clone());
                    added.map_err(|stack| failed("SSL_set0_chain()", &stack))?;
                }
            }
            ssl.set_private_key(&pair.key).map_err(|stack| failed("SSL_use_PrivateKey()", &stack))?;
        }
        Ok(())
    }

    fn pair(&self, credentials: Credentials, now: Instant) -> Result<Arc<Pair>, Error> {
        let Some(cache) = &self.cache else { return self.read(&credentials) };
        if let Some(pair) = cache.find(&credentials, now) {
            return Ok(pair);
        }
        let pair = self.read(&credentials)?;
        cache.keep(credentials, Arc::clone(&pair), now);
        Ok(pair)
    }

    fn read(&self, credentials: &Credentials) -> Result<Arc<Pair>, Error> {
        let (_, chain) = files::chain(&credentials.certificate, &self.prefix)?;
        let (_, key) = files::key(&credentials.key, &self.prefix, &self.passwords)?;
        Ok(Arc::new(Pair { chain, key }))
    }
}

impl Cache {
    fn find(&self, credentials: &Credentials, now: Instant) -> Option<Arc<Pair>> {
        let mut all = self.kept.lock();
        let kept = all.get_mut(credentials).filter(|kept| now.duration_since(kept.read) < self.terms.valid)?;
        kept.used = now;
        Some(Arc::clone(&kept.pair))
    }

    /// Whoever was asked for longest ago makes room.
    fn keep(&self, credentials: Credentials, pair: Arc<Pair>, now: Instant) {
        let mut all = self.kept.lock();
        all.retain(|_, kept| now.duration_since(kept.used) < self.terms.inactive);
        if all.len() >= self.terms.most
            && let Some(oldest) = all.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone())
        {
            all.remove(&oldest);
        }
        all.insert(credentials, Kept { pair, read: now, used: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_servers_in_it() {
        let with = |text: &str| NameText::parse(text).map(|text| text.with("a.example"));
        assert_eq!(with("x.crt"), Ok("x.crt".to_owned()));
        assert_eq!(with("c/$ssl_server_name.crt"), Ok("c/a.example.crt".to_owned()));
        assert_eq!(with("${ssl_server_name}_$ssl_server_name"), Ok("a.example_a.example".to_owned()));
        assert_eq!(with("$host.crt"), Err("host".to_owned()));
        assert_eq!(with("a$"), Err(String::new()));
    }
}
