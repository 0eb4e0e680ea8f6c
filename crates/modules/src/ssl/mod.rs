//! `ssl_certificate` and its like: TLS for clients.

pub(crate) mod words;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use limpet_http::Request;
use limpet_http::runtime;
use limpet_http::variables::text;
use limpet_kernel::directive::prelude::{FLAG, HTTP, MORE1, N1, N2, N12, N123, SERVER, works};
use limpet_kernel::setters::{flag, size};
use limpet_kernel::{Diagnostic, Inherit, Place};
use limpet_log::LogLevel;
use limpet_text::Registry;
use limpet_tls::server::{Server, ServerSettings, Stapling};
use limpet_tls::{Credentials, NameText, Protocols, SslRef, Trust, Verify, peer};

use crate::model::{self, Http};
use crate::module::{Module, Verifying};
use crate::reading::Directive;
use crate::site::{BuildError, Site};

/// nginx's `ngx_http_ssl_module`.
pub(crate) struct Tls;

impl Module for Tls {
    const TITLE: &'static str = "TLS";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = Main;

    fn variables(registry: &mut Registry<Request>) {
        for (name, value) in VARIABLES {
            registry.add(*name, move |request: &Request, out: &mut Vec<u8>| {
                let Some(tls) = request.conn.tls().filter(|tls| !tls.is_plain()) else { return false };
                tls.with(*value).is_some_and(|value| text(out, value.as_bytes()))
            });
        }
    }

    fn verify(http: &mut Http, _: &mut Verifying<'_>) -> Result<(), Diagnostic> {
        for server in &http.servers {
            check(&server.settings.ssl)?;
        }
        certificates_of_listens(http)
    }

    fn install_in_server(
        site: &Site<'_>,
        settings: &model::Settings,
        server: &mut runtime::Server,
    ) -> Result<(), BuildError> {
        let own = &settings.ssl;
        if !own.is_used() {
            return Ok(());
        }
        let made = Server::new(&to_server(own, &site.environment.conf_prefix, settings.http2.on), &site.shared.tls);
        let made = made.map_err(|error| own.said.error("ssl_", &error))?;
        for warning in &made.warnings {
            site.remark(LogLevel::Warn, warning.clone());
        }
        server.tls = Some(Arc::new(made));
        Ok(())
    }
}

/// What the http block says once for all.
#[derive(Debug, Clone, Default)]
pub struct Main {
    /// The sizes of the zones that sessions are shared in.
    pub zones: HashMap<String, usize>,
}

/// What blocks inherit of this module.
pub type Settings = Told<values::Settings>;

/// Values that blocks inherit, and where they stand.
#[derive(Debug, Clone, Default)]
pub struct Told<V> {
    pub values: V,
    pub said: Said,
}

mod values {
    use std::path::PathBuf;
    use std::sync::Arc;

    use limpet_tls::server::SessionCache;
    use limpet_tls::{CacheTerms, Protocols, Verify};

    limpet_kernel::settings! {
        certificates: Arc<Vec<String>>,
        keys: Arc<Vec<String>>,
        /// `None` inside: off.
        certificate_cache: Option<CacheTerms>,
        password_file: PathBuf,
        protocols: Protocols,
        ciphers: String,
        prefers_own_ciphers: bool,
        commands: Arc<Vec<(String, String)>>,
        dh_parameters: PathBuf,
        curves: String,
        cache: SessionCache,
        /// Seconds.
        session_timeout: u64,
        tickets: bool,
        ticket_keys: Arc<Vec<PathBuf>>,
        verify: Verify,
        depth: u64,
        client_certificate: PathBuf,
        trusted_certificate: PathBuf,
        crl: PathBuf,
        early_data: bool,
        rejects: bool,
        stapling: bool,
        stapling_file: PathBuf,
        stapling_responder: String,
        stapling_verify: bool,
        /// Bytes.
        buffer_size: u64,
    }
}

impl<V: Inherit> Inherit for Told<V> {
    fn inherit(&mut self, outer: &Self) {
        self.values.inherit(&outer.values);
        self.said.inherit(&outer.said);
    }
}

impl Settings {
    /// Whether there is anything to speak TLS with.
    fn is_used(&self) -> bool {
        self.values.certificates.is_some() || self.values.rejects == Some(true)
    }
}

/// Where each directive stands, so that what is wrong with a file it names can be told with its place.
#[derive(Debug, Clone, Default)]
pub struct Said(Arc<Vec<(String, Place)>>);

impl Said {
    pub(crate) fn add(&mut self, name: &str, place: Place) {
        Arc::make_mut(&mut self.0).push((name.to_owned(), place));
    }

    pub(crate) fn inherit(&mut self, outer: &Said) {
        Arc::make_mut(&mut self.0).extend(outer.0.iter().cloned());
    }

    /// Where a directive stands; of several the first of the innermost block.
    pub(crate) fn place(&self, name: &str) -> Option<&Place> {
        self.0.iter().find(|(said, _)| said == name).map(|(_, place)| place)
    }

    /// What can't be put to work, with its place. `prefix` is what the directives' names begin with.
    pub(crate) fn error(&self, prefix: &str, error: &limpet_tls::Error) -> BuildError {
        let place = self.place(&format!("{prefix}{}", error.directive));
        BuildError(match place {
            Some(place) => format!("{} in {place}", error.message),
            None => error.message.clone(),
        })
    }
}

/// What can be seen of a server without opening files.
fn check(settings: &Settings) -> Result<(), Diagnostic> {
    let Settings { values, said } = settings;
    let at = |name: &str, message: String| match said.place(name) {
        Some(place) => place.error(message),
        None => Diagnostic::nowhere(message),
    };
    let (certificates, keys) = (values.certificates.as_deref(), values.keys.as_deref());
    let (certificates, keys) = (certificates.map_or(&[][..], Vec::as_slice), keys.map_or(&[][..], Vec::as_slice));
    if let Some(lone) = certificates.get(keys.len()..).and_then(<[String]>::last) {
        let message = format!("no \"ssl_certificate_key\" is defined for certificate \"{lone}\"");
        return Err(at("ssl_certificate", message));
    }
    let verifies = matches!(values.verify, Some(Verify::On | Verify::Optional));
    if settings.is_used()
        && verifies
        && given(&values.client_certificate).is_none()
        && given(&values.trusted_certificate).is_none()
    {
        let message = "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client".to_owned();
        return Err(at("ssl_verify_client", message));
    }
    Ok(())
}

/// Each address for TLS has a server by default that can speak it, or rejects; then all others can.
fn certificates_of_listens(http: &Http) -> Result<(), Diagnostic> {
    let listens = || http.servers.iter().flat_map(|server| server.listens.iter().map(move |listen| (server, listen)));
    for (_, ssl) in listens().filter(|(_, listen)| listen.ssl) {
        let here: Vec<_> = listens().filter(|(_, listen)| listen.address == ssl.address).collect();
        let default = here.iter().find(|(_, listen)| listen.default_server).or(here.first());
        let lacks = |server: &model::Server| !server.settings.ssl.is_used();
        let missing = |server: &model::Server| {
            server.place.error("no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive".to_owned())
        };
        let Some((default, _)) = default else { continue };
        if lacks(default) {
            return Err(missing(default));
        }
        if default.settings.ssl.values.certificates.is_none()
            && let Some((other, _)) = here.iter().find(|(server, _)| lacks(server))
        {
            return Err(missing(other));
        }
    }
    Ok(())
}

/// A file that is named; the empty name takes back what is inherited.
pub(crate) fn given(name: &Option<PathBuf>) -> Option<PathBuf> {
    name.clone().filter(|name| !name.as_os_str().is_empty())
}

fn to_server(settings: &Settings, prefix: &std::path::Path, http2: Option<bool>) -> ServerSettings {
    let values = &settings.values;
    let list = |list: &Option<Arc<Vec<String>>>| list.as_deref().cloned().unwrap_or_default();
    let verify = values.verify.unwrap_or_default();
    let pairs = || list(&values.certificates).into_iter().zip(list(&values.keys));
    // As in nginx, one that is named by a variable makes all of them read in the handshake.
    let is_named = pairs().any(|(certificate, key)| certificate.contains('$') || key.contains('$'));
    let name = |text: &str| NameText::parse(text).ok();
    let named = pairs().filter(|_| is_named).filter_map(|(certificate, key)| name(&certificate).zip(name(&key)));
    let fixed = pairs().filter(|_| !is_named).map(|(certificate, key)| Credentials { certificate, key });
    ServerSettings {
        named: named.collect(),
        certificate_cache: values.certificate_cache.flatten(),
        common: limpet_tls::Settings {
            credentials: fixed.collect(),
            password_file: given(&values.password_file),
            protocols: values.protocols.unwrap_or(Protocols::DEFAULT),
            ciphers: values.ciphers.clone().unwrap_or_else(|| "HIGH:!aNULL:!MD5".to_owned()),
            commands: values.commands.as_deref().cloned().unwrap_or_default(),
            prefix: prefix.to_owned(),
        },
        prefers_own_ciphers: values.prefers_own_ciphers.unwrap_or(false),
        dh_parameters: given(&values.dh_parameters),
        curves: values.curves.clone().unwrap_or_else(|| "auto".to_owned()),
        cache: values.cache.clone().unwrap_or_default(),
        session_timeout: Duration::from_secs(values.session_timeout.unwrap_or(300)),
        tickets: values.tickets.unwrap_or(true),
        ticket_keys: values.ticket_keys.as_deref().cloned().unwrap_or_default(),
        verify,
        trust: Trust {
            // As in nginx it is not opened where nobody is asked for a certificate.
            named: given(&values.client_certificate).filter(|_| verify != Verify::Off),
            trusted: given(&values.trusted_certificate),
            crl: given(&values.crl),
            depth: u32::try_from(values.depth.unwrap_or(1)).unwrap_or(u32::MAX),
        },
        early_data: values.early_data.unwrap_or(false),
        rejects: values.rejects.unwrap_or(false),
        stapling: (values.stapling == Some(true)).then(|| Stapling {
            file: given(&values.stapling_file),
            responder: values.stapling_responder.clone().filter(|url| !url.is_empty()),
            verifies: values.stapling_verify.unwrap_or(false),
        }),
        record: usize::try_from(values.buffer_size.unwrap_or(16_384)).unwrap_or(usize::MAX),
        http2: http2.unwrap_or(false),
    }
}

/// What a variable is asked of a connection.
type Value = fn(&SslRef) -> Option<String>;

const VARIABLES: &[(&str, Value)] = &[
    ("ssl_protocol", peer::protocol),
    ("ssl_cipher", peer::cipher),
    ("ssl_ciphers", peer::ciphers),
    ("ssl_curve", peer::curve),
    ("ssl_curves", peer::curves),
    ("ssl_early_data", peer::early_data),
    ("ssl_session_id", peer::session_id),
    ("ssl_session_reused", peer::session_reused),
    ("ssl_server_name", peer::server_name),
    ("ssl_alpn_protocol", peer::alpn_protocol),
    ("ssl_client_cert", peer::certificate),
    ("ssl_client_raw_cert", peer::raw_certificate),
    ("ssl_client_escaped_cert", peer::escaped_certificate),
    ("ssl_client_s_dn", peer::subject),
    ("ssl_client_i_dn", peer::issuer),
    ("ssl_client_s_dn_legacy", peer::subject_legacy),
    ("ssl_client_i_dn_legacy", peer::issuer_legacy),
    ("ssl_client_serial", peer::serial),
    ("ssl_client_fingerprint", peer::fingerprint),
    ("ssl_client_verify", peer::verified),
    ("ssl_client_v_start", peer::valid_from),
    ("ssl_client_v_end", peer::valid_until),
    ("ssl_client_v_remain", peer::days_left),
];

/// The function of a row that does no more than to set a value, and to remember where.
macro_rules! say {
    ($setting:ident, $value:path) => {
        |builder, directive| {
            let value = $value(directive)?;
            words::settings(builder, directive).values.$setting = Some(value);
            Ok(())
        }
    };
}

const ROWS: &[Directive] = &[
    works(
        "ssl_certificate",
        HTTP | SERVER,
        N1,
        "The server's certificate with its chain: a file in PEM, or `data:` and the PEM. Several: RSA and ECDSA. With \
         `$ssl_server_name` in the name it is read in the handshake.",
        words::certificate,
    )
    .repeatable(),
    works(
        "ssl_certificate_key",
        HTTP | SERVER,
        N1,
        "The key of a certificate, in the same order: a file in PEM, or `data:` and the PEM.",
        words::certificate_key,
    )
    .repeatable(),
    works(
        "ssl_certificate_cache",
        HTTP | SERVER,
        N123,
        "How certificates are kept that are named by a variable: `max=N [inactive=TIME] [valid=TIME]`, or `off`. Default: off.",
        say!(certificate_cache, words::certificate_cache),
    ),
    works("ssl_password_file", HTTP | SERVER, N1, "Passphrases for keys, one a line.", say!(password_file, words::path)),
    works(
        "ssl_protocols",
        HTTP | SERVER,
        MORE1,
        "The versions that are spoken. Default: TLSv1.2 TLSv1.3.",
        words::protocols,
    )
    .repeatable(),
    works(
        "ssl_ciphers",
        HTTP | SERVER,
        N1,
        "The ciphers of versions up to 1.2, in OpenSSL's language. Default: HIGH:!aNULL:!MD5.",
        say!(ciphers, words::word),
    ),
    works(
        "ssl_prefer_server_ciphers",
        HTTP | SERVER,
        FLAG,
        "Whether the server's order of ciphers counts, not the client's. Default: off.",
        say!(prefers_own_ciphers, flag),
    ),
    works(
        "ssl_conf_command",
        HTTP | SERVER,
        N2,
        "A command of OpenSSL's own configuration, such as `Ciphersuites` for TLS 1.3.",
        words::command,
    )
    .repeatable(),
    works("ssl_dhparam", HTTP | SERVER, N1, "The file with parameters for DHE.", say!(dh_parameters, words::path)),
    works(
        "ssl_ecdh_curve",
        HTTP | SERVER,
        N1,
        "The curves that keys are exchanged on, with colons between them. Default: auto.",
        say!(curves, words::word),
    ),
    works(
        "ssl_buffer_size",
        HTTP | SERVER,
        N1,
        "Bytes that are encrypted in one piece. Default: 16k.",
        say!(buffer_size, size),
    ),
    works(
        "ssl_session_cache",
        HTTP | SERVER,
        N12,
        "Where sessions are kept: `off`, `none`, `builtin[:N]`, `shared:NAME:SIZE`. Default: none.",
        words::session_cache,
    )
    .repeatable(),
    works(
        "ssl_session_timeout",
        HTTP | SERVER,
        N1,
        "How long a session may be resumed. Default: 5m.",
        say!(session_timeout, words::seconds),
    ),
    works(
        "ssl_session_tickets",
        HTTP | SERVER,
        FLAG,
        "Whether clients keep their sessions, sealed. Default: on.",
        say!(tickets, flag),
    ),
    works(
        "ssl_session_ticket_key",
        HTTP | SERVER,
        N1,
        "A file of 48 or 80 bytes with the key of the tickets. Of several the first seals, and all open. Without any, limpet's own \
         keys change with `ssl_session_timeout`, and stay over a reload.",
        words::ticket_key,
    )
    .repeatable(),
    works(
        "ssl_early_data",
        HTTP | SERVER,
        FLAG,
        "Whether a client that comes again may send its request with its greeting (TLS 1.3). Default: off.",
        say!(early_data, flag),
    ),
    works(
        "ssl_reject_handshake",
        HTTP | SERVER,
        FLAG,
        "Whether handshakes for this server are refused. Default: off.",
        say!(rejects, flag),
    ),
    works(
        "ssl_verify_client",
        HTTP | SERVER,
        N1,
        "Whether clients have to show a certificate: `on`, `optional`, `optional_no_ca`. Default: off.",
        say!(verify, words::verify),
    ),
    works(
        "ssl_verify_depth",
        HTTP | SERVER,
        N1,
        "The longest chain of a client's certificate. Default: 1.",
        say!(depth, limpet_kernel::setters::number),
    ),
    works(
        "ssl_client_certificate",
        HTTP | SERVER,
        N1,
        "The authorities that clients' certificates are from; they are told.",
        say!(client_certificate, words::path),
    ),
    works(
        "ssl_trusted_certificate",
        HTTP | SERVER,
        N1,
        "Further authorities, which clients are not told.",
        say!(trusted_certificate, words::path),
    ),
    works("ssl_crl", HTTP | SERVER, N1, "Certificates that count no more.", say!(crl, words::path)),
    works(
        "ssl_stapling",
        HTTP | SERVER,
        FLAG,
        "Whether what its authority says of the certificate (OCSP) is shown with it: fetched in the background, or from \
         `ssl_stapling_file`. Default: off.",
        say!(stapling, flag),
    ),
    works(
        "ssl_stapling_file",
        HTTP | SERVER,
        N1,
        "The answer of OCSP's about the certificate, in DER.",
        say!(stapling_file, words::path),
    ),
    works(
        "ssl_stapling_responder",
        HTTP | SERVER,
        N1,
        "The URL where the answer is fetched. Default: what the certificate says.",
        say!(stapling_responder, words::word),
    ),
    works(
        "ssl_stapling_verify",
        HTTP | SERVER,
        FLAG,
        "Whether answers are checked against `ssl_trusted_certificate`. Default: off.",
        say!(stapling_verify, flag),
    ),
];
