//! The client's side of TLS, towards backends.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use openssl::ex_data::Index;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslRef, SslSession, SslSessionCacheMode,
    SslVerifyMode,
};
use parking_lot::Mutex;

use crate::{Error, In, Protocols, Settings, Trust, failed, files, server};

/// The most sessions that are kept for servers of one location.
const MOST_SESSIONS: usize = 10_000;

/// What a file says of connections to backends.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    pub common: Settings,
    pub verify: bool,
    pub trust: Trust,
    pub reuses_sessions: bool,
    /// Servers are told that HTTP/2 is spoken (ALPN).
    pub speaks_http2: bool,
}

/// The client's side of TLS, as a location has it.
pub struct Client {
    context: SslContext,
    verify: bool,
    /// By the address of the server and the name that it was asked by.
    sessions: Option<Arc<Sessions>>,
}

type Sessions = Mutex<HashMap<Peer, SslSession>>;

/// Whose session it is: an address, and the name that is asked for.
pub type Peer = (String, Option<String>);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TLS towards backends")
    }
}

impl Default for ClientSettings {
    /// TLS with whoever is there.
    fn default() -> Self {
        ClientSettings {
            common: Settings {
                credentials: Vec::new(),
                password_file: None,
                protocols: Protocols::DEFAULT,
                ciphers: "DEFAULT".to_owned(),
                commands: Vec::new(),
                prefix: PathBuf::new(),
            },
            verify: false,
            trust: Trust { depth: 1, ..Trust::default() },
            reuses_sessions: true,
            speaks_http2: false,
        }
    }
}

impl Client {
    /// Puts what a file says to work.
    ///
    /// # Errors
    /// What can't be, in nginx's words.
    pub fn new(settings: &ClientSettings) -> Result<Client, Error> {
        let mut context =
            SslContextBuilder::new(SslMethod::tls_client()).map_err(|stack| failed("SSL_CTX_new()", &stack))?;
        context
            .set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION | SslOptions::IGNORE_UNEXPECTED_EOF);
        context.set_mode(SslMode::RELEASE_BUFFERS);
        context.set_read_ahead(true);
        files::apply(&mut context, &settings.common)?;
        let Trust { trusted, crl, depth, .. } = &settings.trust;
        // What is wrong with a certificate is looked at after the handshake, to say what it is.
        context
            .set_verify_callback(if settings.verify { SslVerifyMode::PEER } else { SslVerifyMode::NONE }, |_, _| true);
        context.set_verify_depth(*depth);
        if let Some(file) = trusted {
            for authority in files::authorities(&settings.common.prefix.join(file)).within("trusted_certificate")? {
                let _ = context.cert_store_mut().add_cert(authority);
            }
        }
        if let Some(file) = crl {
            server::revoked(&mut context, &settings.common.prefix.join(file)).within("crl")?;
        }
        if settings.speaks_http2 {
            context.set_alpn_protos(b"\x02h2").map_err(|stack| failed("SSL_CTX_set_alpn_protos()", &stack))?;
        }
        let sessions = settings.reuses_sessions.then(Arc::<Sessions>::default);
        if let Some(sessions) = &sessions {
            let sessions = Arc::clone(sessions);
            context.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
            context.set_new_session_callback(move |ssl, session| {
                let Some(peer) = peer_index().and_then(|index| ssl.ex_data(index)) else { return };
                let mut sessions = sessions.lock();
                if sessions.len() >= MOST_SESSIONS {
                    sessions.clear();
                }
                sessions.insert(peer.clone(), session);
            });
        }
        files::commands(&mut context, &settings.common.commands, &settings.common.prefix)?;
        Ok(Client { context: context.build(), verify: settings.verify, sessions })
    }

    /// A connection's TLS, before its handshake. `name`: what the server is asked for by (SNI).
    ///
    /// # Errors
    /// OpenSSL has no memory, or the name can't be sent.
    pub fn begin(&self, address: &str, name: Option<&str>) -> Result<Ssl, Error> {
        let mut ssl = Ssl::new(&self.context).map_err(|stack| failed("SSL_new()", &stack))?;
        // Addresses are no names (RFC 6066).
        if let Some(name) = name.filter(|name| name.trim_matches(['[', ']']).parse::<IpAddr>().is_err()) {
            ssl.set_hostname(name).map_err(|stack| failed(format!("SSL_set_tlsext_host_name(\"{name}\")"), &stack))?;
        }
        let peer = (address.to_owned(), name.map(str::to_owned));
        if let Some(session) = self.sessions.as_ref().and_then(|sessions| sessions.lock().get(&peer).cloned()) {
            crate::ffi::set_session(&mut ssl, &session);
        }
        if let Some(index) = peer_index() {
            ssl.set_ex_data(index, peer);
        }
        Ok(ssl)
    }

    /// Whether what the server has shown is to be believed.
    ///
    /// # Errors
    /// Why not, in nginx's words.
    pub fn check(&self, ssl: &SslRef, name: &str) -> Result<(), String> {
        if !self.verify {
            return Ok(());
        }
        let result = ssl.verify_result();
        if result != openssl::x509::X509VerifyResult::OK {
            return Err(format!(
                "upstream SSL certificate verify error: ({}:{})",
                result.as_raw(),
                result.error_string()
            ));
        }
        match ssl.peer_certificate() {
            Some(certificate) if crate::ffi::certificate_names(&certificate, name) => Ok(()),
            _ => Err(format!("upstream SSL certificate does not match \"{name}\"")),
        }
    }

    /// Gives up what is known of a server's session, since a handshake with it has failed.
    pub fn forget(&self, address: &str, name: Option<&str>) {
        if let Some(sessions) = &self.sessions {
            sessions.lock().remove(&(address.to_owned(), name.map(str::to_owned)));
        }
    }
}

fn peer_index() -> Option<Index<Ssl, Peer>> {
    static INDEX: OnceLock<Option<Index<Ssl, Peer>>> = OnceLock::new();
    *INDEX.get_or_init(|| Ssl::new_ex_index().ok())
}
