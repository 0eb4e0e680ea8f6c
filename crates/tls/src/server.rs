//! The server's side of TLS.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::hash::MessageDigest;
use openssl::sha::Sha256;
use openssl::ssl::{
    AlpnError, ClientHelloResponse, Ssl, SslAlert, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
    SslRef, SslSession, SslSessionCacheMode, SslVerifyMode, SslVersion, select_next_proto,
};
use openssl::x509::X509;
use openssl::x509::verify::X509VerifyFlags;

use crate::named::Named;
use crate::ocsp::{self, Staple};
use crate::sessions::Zone;
use crate::tickets::{self, Key, Keys};
use crate::{CacheTerms, Error, In, Kept, NameText, Settings, Trust, Verify, errors, failed, ffi, files};

/// nginx's protocols of ALPN, without HTTP/2 and with it.
const HTTP_1: &[u8] = b"\x08http/1.1\x08http/1.0\x08http/0.9";
const HTTP_2: &[u8] = b"\x02h2\x08http/1.1\x08http/1.0\x08http/0.9";
/// `SSL_OP_NO_ANTI_REPLAY`: early data is for requests that may come twice; the application knows by a header.
const NO_ANTI_REPLAY: u64 = 1 << 24;
/// The number of the extension with the name of the server.
const SERVER_NAME: u32 = 0;
/// The most early data of a connection, in bytes (nginx's).
const EARLY_DATA: u32 = 16_384;

/// `ssl_session_cache`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SessionCache {
    /// Clients are told that sessions may be resumed, and none is.
    #[default]
    None,
    Off,
    /// OpenSSL's own, for this server alone.
    Builtin(Option<i32>),
    /// By name and size in bytes, for all servers that name it.
    Shared(String, usize),
}

/// `ssl_stapling on`
#[derive(Debug, Clone)]
pub struct Stapling {
    /// What is shown, in the place of what would be asked for.
    pub file: Option<PathBuf>,
    /// The URL that is asked, in the place of the certificate's own.
    pub responder: Option<String>,
    /// Answers are checked.
    pub verifies: bool,
}

/// What a server's file says.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub common: Settings,
    /// Certificates and keys that are named by what a client asks for; there are no others then.
    pub named: Vec<(NameText, NameText)>,
    /// How these are kept; `None`: not at all.
    pub certificate_cache: Option<CacheTerms>,
    pub prefers_own_ciphers: bool,
    pub dh_parameters: Option<PathBuf>,
    /// `auto`, or names with colons between them.
    pub curves: String,
    pub cache: SessionCache,
    pub session_timeout: Duration,
    pub tickets: bool,
    pub ticket_keys: Vec<PathBuf>,
    pub verify: Verify,
    pub trust: Trust,
    pub early_data: bool,
    pub rejects: bool,
    /// What authorities say of the certificates is shown with them.
    pub stapling: Option<Stapling>,
    /// Bytes in a record.
    pub record: usize,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// A server's side of TLS, as its file has it.
pub struct Server {
    context: SslContext,
    options: SslOptions,
    named: Option<Named>,
    rejects: bool,
    pub verify: Verify,
    /// Bytes in a record.
    pub record: usize,
    /// Early data is taken.
    pub early_data: bool,
    /// What is to be asked for, and again.
    pub staples: Vec<Arc<Staple>>,
    /// What is left out of what the file says.
    pub warnings: Vec<String>,
}

/// Finds the server of a name that a client asks for, and says whether it has that name; without one, or where nobody has it, the
/// server that answers by default. `None`: it has no TLS.
pub type Choose = Box<dyn Fn(Option<&[u8]>) -> Option<(Arc<Server>, bool)> + Send + Sync>;

impl Server {
    /// Puts what a file says to work.
    ///
    /// # Errors
    /// What can't be, in nginx's words.
    pub fn new(settings: &ServerSettings, kept: &Kept) -> Result<Server, Error> {
        let mut context =
            SslContextBuilder::new(SslMethod::tls_server()).map_err(|stack| failed("SSL_CTX_new()", &stack))?;
        context.set_options(SslOptions::SINGLE_DH_USE | SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
        context.set_options(SslOptions::IGNORE_UNEXPECTED_EOF | SslOptions::from_bits_retain(NO_ANTI_REPLAY));
        context.set_mode(SslMode::RELEASE_BUFFERS);
        context.set_read_ahead(true);
        // One ticket for a handshake, where OpenSSL makes two: it may be used again, so it does for any number of connections.
        context.set_num_tickets(1).map_err(|stack| failed("SSL_CTX_set_num_tickets()", &stack))?;
        context.set_client_hello_callback(|ssl, alert| by_name(ssl, alert).map(|()| ClientHelloResponse::SUCCESS));
        // So that the client hears that its name counts.
        context.set_servername_callback(|_, _| Ok(()));
        let protocols = if settings.http2 { HTTP_2 } else { HTTP_1 };
        context.set_alpn_select_callback(move |_, client| {
            select_next_proto(protocols, client).ok_or(AlpnError::ALERT_FATAL)
        });
        let chains = files::apply(&mut context, &settings.common)?;
        if settings.prefers_own_ciphers {
            context.set_options(SslOptions::CIPHER_SERVER_PREFERENCE);
        }
        let authorities = trust(&mut context, settings)?;
        if let Some(file) = &settings.dh_parameters {
            let parameters = files::dh_parameters(&settings.common.prefix.join(file)).within("dhparam")?;
            let set = context.set_tmp_dh(&parameters).map_err(|stack| failed("SSL_CTX_set_tmp_dh()", &stack));
            set.within("dhparam")?;
        }
        if settings.curves != "auto" {
            let call = || format!("SSL_CTX_set1_curves_list(\"{}\")", settings.curves);
            context.set_groups_list(&settings.curves).map_err(|stack| failed(call(), &stack)).within("ecdh_curve")?;
        }
        sessions(&mut context, settings, kept)?;
        if settings.early_data {
            context.set_max_early_data(EARLY_DATA).map_err(|stack| failed("SSL_CTX_set_max_early_data()", &stack))?;
        }
        let (mut staples, mut warnings) = (Vec::new(), Vec::new());
        match &settings.stapling {
            None => {}
            Some(Stapling { file: Some(file), .. }) => {
                staple_file(&mut context, &settings.common.prefix.join(file)).within("stapling_file")?;
            }
            Some(stapling) => {
                for (name, chain) in &chains {
                    let url = stapling.responder.as_deref();
                    match Staple::new(chain, name, &authorities, url, stapling.verifies, &kept.answers) {
                        Ok(staple) => staples.push(Arc::new(staple)),
                        Err(why) => warnings.push(format!("\"ssl_stapling\" ignored, {why}")),
                    }
                }
                let shown = staples.clone();
                let show = move |ssl: &mut SslRef| ocsp::show(&shown, ssl);
                context.set_status_callback(show).map_err(|stack| failed("SSL_CTX_set_tlsext_status_cb()", &stack))?;
            }
        }
        files::commands(&mut context, &settings.common.commands, &settings.common.prefix)?;
        let named = match settings.named.as_slice() {
            [] => None,
            pairs => {
                let prefix = settings.common.prefix.clone();
                let passwords = files::passphrases(&settings.common)?;
                Some(Named::new(pairs.to_vec(), prefix, passwords, settings.certificate_cache))
            }
        };
        let (options, verify, record) = (context.options(), settings.verify, settings.record);
        Ok(Server {
            context: context.build(),
            options,
            named,
            rejects: settings.rejects,
            verify,
            record,
            early_data: settings.early_data,
            staples,
            warnings,
        })
    }

    /// A connection's TLS, before its handshake. The server is chosen again when the client has said a name.
    ///
    /// # Errors
    /// OpenSSL has no memory.
    pub fn begin(&self, choose: Choose) -> Result<Ssl, Error> {
        let mut ssl = Ssl::new(&self.context).map_err(|stack| failed("SSL_new()", &stack))?;
        if let Some(index) = choose_index() {
            ssl.set_ex_data(index, choose);
        }
        Ok(ssl)
    }
}

fn choose_index() -> Option<Index<Ssl, Choose>> {
    static INDEX: OnceLock<Option<Index<Ssl, Choose>>> = OnceLock::new();
    *INDEX.get_or_init(|| Ssl::new_ex_index().ok())
}

/// What came of the client's greeting.
struct Chosen {
    server: Arc<Server>,
    /// It has the name that was asked for.
    is_named: bool,
    /// That name, in lower case; empty: none.
    asked: String,
}

fn server_index() -> Option<Index<Ssl, Chosen>> {
    static INDEX: OnceLock<Option<Index<Ssl, Chosen>>> = OnceLock::new();
    *INDEX.get_or_init(|| Ssl::new_ex_index().ok())
}

/// The server that was chosen for a connection.
pub fn chosen(ssl: &SslRef) -> Option<&Arc<Server>> {
    Some(&ssl.ex_data(server_index()?)?.server)
}

/// The name that the client has asked for in this greeting, whatever its session was made with.
pub fn asked(ssl: &SslRef) -> Option<&str> {
    let chosen = server_index().and_then(|index| ssl.ex_data(index))?;
    Some(chosen.asked.as_str()).filter(|name| !name.is_empty())
}

/// Whether it was chosen because it has the name that the client asked for.
pub fn chosen_by_name(ssl: &SslRef) -> bool {
    server_index().and_then(|index| ssl.ex_data(index)).is_some_and(|chosen| chosen.is_named)
}

/// Whether a handshake has failed because its server wants none (`ssl_reject_handshake`).
pub fn is_rejection(stack: &ErrorStack) -> bool {
    // SSL_R_CALLBACK_FAILED
    stack.errors().iter().any(|error| error.reason() == Some("callback failed"))
}

/// Chooses the server, as the client has said its name or not. This is before anything else is looked at in its greeting, so that
/// also the versions are the server's own.
fn by_name(ssl: &mut SslRef, alert: &mut SslAlert) -> Result<(), ErrorStack> {
    let choose = choose_index().and_then(|index| ssl.ex_data(index));
    let name = ffi::hello_extension(ssl, SERVER_NAME).and_then(host_name);
    let found = choose.and_then(|choose| choose(name));
    let name = name.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).unwrap_or_default();
    let Some((server, is_named)) = found else { return Ok(()) };
    if server.rejects {
        *alert = SslAlert::UNRECOGNIZED_NAME;
        return Err(ErrorStack::get());
    }
    ssl.set_ssl_context(&server.context)?;
    ffi::set_options(ssl, server.options);
    // A context that is changed leaves what the connection has taken from the first one.
    ssl.set_verify_callback(server.context.verify_mode(), |_, _| true);
    if let Some(named) = &server.named {
        // What could be a path is no name.
        let is_name = !name.contains(['/', '\\', '\0']) && !name.starts_with('.') && !name.contains("..");
        let file = if is_name { name.as_str() } else { "" };
        if let Err(error) = named.apply(ssl, file, Instant::now()) {
            if let Some(index) = complaint_index() {
                ssl.set_ex_data(index, error.message);
            }
            *alert = SslAlert::INTERNAL_ERROR;
            return Err(ErrorStack::get());
        }
    }
    if let Some(index) = server_index() {
        ssl.set_ex_data(index, Chosen { server, is_named, asked: name });
    }
    Ok(())
}

fn complaint_index() -> Option<Index<Ssl, String>> {
    static INDEX: OnceLock<Option<Index<Ssl, String>>> = OnceLock::new();
    *INDEX.get_or_init(|| Ssl::new_ex_index().ok())
}

/// Why a handshake could not go on, where that is our own fault.
pub fn complaint(ssl: &SslRef) -> Option<&str> {
    complaint_index().and_then(|index| ssl.ex_data(index)).map(String::as_str)
}

/// The name in the extension of a client's greeting (RFC 6066, section 3).
fn host_name(extension: &[u8]) -> Option<&[u8]> {
    let (length, list) = extension.split_first_chunk::<2>()?;
    let (kind, rest) = list.get(..usize::from(u16::from_be_bytes(*length)))?.split_first()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length))).filter(|_| *kind == 0)
}

/// Whether clients show certificates, and whom those are to be from. What is wrong with one is answered by HTTP, not by an end
/// of the handshake.
fn trust(context: &mut SslContextBuilder, settings: &ServerSettings) -> Result<Vec<X509>, Error> {
    let Trust { named, trusted, crl, depth } = &settings.trust;
    let prefix = &settings.common.prefix;
    let mut hash = Sha256::new();
    hash.update(b"HTTP");
    for credentials in &settings.common.credentials {
        hash.update(credentials.certificate.as_bytes());
    }
    let mode = match settings.verify {
        Verify::Off => SslVerifyMode::NONE,
        _ => SslVerifyMode::PEER,
    };
    context.set_verify_callback(mode, |_, _| true);
    context.set_verify_depth(*depth);
    let mut authorities = Vec::new();
    for file in trusted.iter().chain(named) {
        let is_named = named.as_ref() == Some(file);
        let directive = if is_named { "client_certificate" } else { "trusted_certificate" };
        for authority in files::authorities(&prefix.join(file)).within(directive)? {
            if let Ok(digest) = authority.digest(MessageDigest::sha256()) {
                hash.update(&digest);
            }
            if is_named {
                context.add_client_ca(&authority).map_err(|stack| failed("SSL_CTX_add_client_CA()", &stack))?;
            }
            // One that is there already is no harm.
            let _ = context.cert_store_mut().add_cert(authority.clone());
            authorities.push(authority);
        }
    }
    if let Some(file) = crl {
        revoked(context, &prefix.join(file)).within("crl")?;
    }
    // Sessions are of one identity: a server with other certificates, or other authorities, must not take them over.
    let set = context.set_session_id_context(&hash.finish());
    set.map_err(|stack| failed("SSL_CTX_set_session_id_context()", &stack)).map(|()| authorities)
}

/// Certificates that are not believed any more.
pub(crate) fn revoked(context: &mut SslContextBuilder, path: &std::path::Path) -> Result<(), Error> {
    use openssl::ssl::SslFiletype;
    use openssl::x509::store::X509Lookup;
    let cannot = |reason: String| Error::new(format!("cannot load CRL \"{}\": {reason}", path.display()));
    files::read(path).map_err(cannot)?;
    let store = context.cert_store_mut();
    let lookup = store.add_lookup(X509Lookup::file()).map_err(|stack| failed("X509_STORE_add_lookup()", &stack))?;
    let loaded = lookup.load_crl_file(path, SslFiletype::PEM);
    loaded.map_err(|stack| cannot(format!("PEM_read_bio_X509_CRL() failed{}", errors(&stack))))?;
    store
        .set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL)
        .map_err(|stack| failed("X509_STORE_set_flags()", &stack))
}

fn sessions(context: &mut SslContextBuilder, settings: &ServerSettings, kept: &Kept) -> Result<(), Error> {
    let lifetime = settings.session_timeout;
    ffi::set_session_timeout(context, lifetime);
    match &settings.cache {
        SessionCache::Off => {
            context.set_session_cache_mode(SslSessionCacheMode::OFF);
        }
        SessionCache::None => {
            context.set_session_cache_mode(SslSessionCacheMode::SERVER | SslSessionCacheMode::NO_INTERNAL);
            context.set_session_cache_size(1);
        }
        SessionCache::Builtin(size) => {
            context.set_session_cache_mode(SslSessionCacheMode::SERVER);
            if let Some(size) = size {
                context.set_session_cache_size(*size);
            }
        }
        SessionCache::Shared(name, size) => {
            context.set_session_cache_mode(SslSessionCacheMode::SERVER | SslSessionCacheMode::NO_INTERNAL);
            share(context, &kept.zones.get(name, *size), lifetime);
        }
    }
    if !settings.tickets {
        context.set_options(SslOptions::NO_TICKET);
        return Ok(());
    }
    let keys = match settings.ticket_keys.as_slice() {
        [] => Keys::Own(Arc::clone(&kept.keys), lifetime.max(Duration::from_secs(1))),
        files => {
            let keys = files.iter().map(|file| Key::read(&settings.common.prefix.join(file)));
            Keys::Files(Arc::new(keys.collect::<Result<_, _>>().within("session_ticket_key")?))
        }
    };
    tickets::install(context, keys);
    Ok(())
}

/// Has a context keep its sessions in a zone. With tickets a session of TLS 1.3 is in its ticket, all of it.
fn share(context: &mut SslContextBuilder, zone: &Arc<Zone>, lifetime: Duration) {
    let (put, get, remove) = (Arc::clone(zone), Arc::clone(zone), Arc::clone(zone));
    context.set_new_session_callback(move |ssl, session| {
        // Which server the client has come to, that says its greeting.
        let is_in_ticket = ffi::has_tickets(ssl) && session.protocol_version() == SslVersion::TLS1_3;
        if !is_in_ticket && let Ok(bytes) = session.to_der() {
            put.put(session.id(), bytes, lifetime, Instant::now());
        }
    });
    context.set_remove_session_callback(move |_, session| remove.remove(session.id()));
    #[allow(unsafe_code, reason = "what the callback gives back must be of no other context")]
    // SAFETY: each time it is read anew, and belongs to none.
    unsafe {
        context.set_get_session_callback(move |_, id| SslSession::from_der(&get.get(id, Instant::now())?).ok());
    }
}

/// Shows what a file holds.
fn staple_file(context: &mut SslContextBuilder, path: &std::path::Path) -> Result<(), Error> {
    let name = path.display();
    let named = |reason: String| Error::new(reason.replacen("BIO_new_file()", &format!("BIO_new_file(\"{name}\")"), 1));
    let answer = files::read(path).map_err(named)?;
    openssl::ocsp::OcspResponse::from_der(&answer)
        .map_err(|stack| failed(format!("d2i_OCSP_RESPONSE_bio(\"{name}\")"), &stack))?;
    let staple = move |ssl: &mut SslRef| ssl.set_ocsp_status(&answer).map(|()| true);
    context.set_status_callback(staple).map_err(|stack| failed("SSL_CTX_set_tlsext_status_cb()", &stack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_taken_out_of_a_greeting() {
        assert_eq!(host_name(b"\0\x06\0\0\x03a.b"), Some(&b"a.b"[..]));
        for broken in
            [&b""[..], b"\0", b"\0\x06\0\0\x03a.", b"\0\x05\0\0\x03a.b", b"\0\x06\x01\0\x03a.b", b"\0\x06\0\0\x04a.b"]
        {
            assert_eq!(host_name(broken), None, "{broken:?}");
        }
    }
}
