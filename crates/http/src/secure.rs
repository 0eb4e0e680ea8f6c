//! TLS on clients' connections: where it begins, which server's it is, and what a request is refused for.

use std::net::SocketAddr;
use std::sync::Arc;

use limpet_log::LogLevel;
use limpet_message::host::host_name;
use limpet_tls::server::{self, Choose};
use limpet_tls::{SslRef, Verify, errors, peer};
use limpet_wire::{Address, HandshakeError, Plain, Socket, Tls};

use super::ctx::Request;
use super::decision::Decision;
use super::routing::error_page;
use crate::front::Conn;
use crate::runtime::Runtime;

/// nginx's statuses of its own: for a certificate that is not believed, for none, and for HTTP where TLS is expected.
const CERTIFICATE_ERROR: u16 = 495;
const NO_CERTIFICATE: u16 = 496;
const PLAIN: u16 = 497;

/// Has a connection begin with TLS, if its address is for that; `None`: it can't, and is closed.
pub(super) fn begin(
    runtime: Arc<Runtime>,
    plain: Plain,
    local: Option<SocketAddr>,
    listen: &Address,
) -> Option<Socket> {
    let local = local.map(Address::Ip);
    let Some(listening) = runtime.listening_on(local.as_ref(), listen).filter(|listening| listening.tls) else {
        return Some(Socket::Plain(plain));
    };
    let first = runtime.servers.get(listening.default)?.tls.clone()?;
    let choose: Choose = {
        let (runtime, listen) = (Arc::clone(&runtime), listen.clone());
        Box::new(move |name| {
            let listening = runtime.listening_on(local.as_ref(), &listen)?;
            let found = name.and_then(host_name).and_then(|name| listening.hosts.find(&name));
            let server = runtime.servers.get(found.unwrap_or(listening.default))?.tls.clone()?;
            Some((server, found.is_some()))
        })
    };
    let begun = first.begin(choose).map_err(|error| error.to_string());
    let tls = begun.and_then(|ssl| Tls::new(plain, ssl, first.record).map_err(|error| error.to_string()));
    match tls {
        Ok(tls) => {
            if first.early_data {
                tls.take_early_data();
            }
            Some(tls.into())
        }
        Err(error) => {
            limpet_log::write_default(LogLevel::Alert, &error);
            None
        }
    }
}

/// The handshake is over: what the server says that the client has asked for counts from now on.
pub(super) fn settle(conn: &Conn) {
    if let Some(tls) = conn.tls()
        && let Some(record) = tls.with(|ssl| server::chosen(ssl).map(|server| server.record))
    {
        tls.set_record(record);
    }
}

/// Logs what is of no request.
pub(super) fn tell(runtime: &Runtime, conn: &Conn, level: LogLevel, message: &str) {
    let Some(server) = runtime.first_server(conn) else { return };
    let log = &server.outside.settings.error_log;
    if log.takes(level) {
        let (client, listen) = (conn.remote_addr(), &conn.listen);
        let line = format!("{message}, client: {client}, server: {listen}");
        log.write(level, Some(conn.number), line.as_bytes());
    }
}

/// Logs a handshake that came to nothing.
pub(super) fn no_handshake(runtime: &Runtime, conn: &Conn, error: Option<HandshakeError>) {
    let complaint = conn.tls().and_then(|tls| tls.with(|ssl| server::complaint(ssl).map(str::to_owned)));
    if let Some(complaint) = complaint {
        return tell(runtime, conn, LogLevel::Error, &format!("{complaint} while SSL handshaking"));
    }
    let (level, message) = match error {
        None => (LogLevel::Info, "client timed out (110: Connection timed out)".to_owned()),
        Some(HandshakeError::Closed) => (LogLevel::Info, "peer closed connection in SSL handshake".to_owned()),
        Some(HandshakeError::Io(error)) => {
            (LogLevel::Info, format!("peer closed connection in SSL handshake ({})", limpet_log::os_error(&error)))
        }
        Some(HandshakeError::Tls(stack)) if server::is_rejection(&stack) => {
            (LogLevel::Info, "handshake rejected".to_owned())
        }
        Some(HandshakeError::Tls(stack)) => (LogLevel::Info, format!("SSL_do_handshake() failed{}", errors(&stack))),
    };
    tell(runtime, conn, level, &format!("{message} while SSL handshaking"));
}

/// What a request is refused for that came over TLS, or should have.
pub(super) fn refuse(request: &mut Request) -> Option<Decision> {
    let conn = Arc::clone(&request.conn);
    let tls = conn.tls()?;
    if tls.is_plain() {
        request.log_error(
            LogLevel::Info,
            "client sent plain HTTP request to HTTPS port while reading client request headers",
        );
        return Some(error_page(request, PLAIN));
    }
    let own = request.server.tls.clone()?;
    if own.verify == Verify::Off {
        return None;
    }
    // What the handshake was about was another name's.
    let asked = |ssl: &SslRef| server::asked(ssl).map(str::to_owned);
    let named = tls.with(|ssl| server::chosen_by_name(ssl).then(|| asked(ssl)).flatten());
    if named.is_some_and(|named| !named.as_bytes().eq_ignore_ascii_case(request.host())) {
        let message = "client attempted to request the server name different from the one that was negotiated";
        request.log_error(LogLevel::Info, &format!("{message} while reading client request headers"));
        return Some(error_page(request, 421));
    }
    let (result, has_certificate) = tls.with(|ssl| (ssl.verify_result(), ssl.peer_certificate().is_some()));
    let is_excused = own.verify == Verify::OptionalNoCa && peer::is_about_authorities(result);
    if result != peer::VALID && !is_excused {
        let (number, text) = (result.as_raw(), result.error_string());
        let message =
            format!("client SSL certificate verify error: ({number}:{text}) while reading client request headers");
        request.log_error(LogLevel::Info, &message);
        return Some(error_page(request, CERTIFICATE_ERROR));
    }
    if own.verify == Verify::On && !has_certificate {
        let message = "client sent no required SSL certificate while reading client request headers";
        request.log_error(LogLevel::Info, message);
        return Some(error_page(request, NO_CERTIFICATE));
    }
    None
}
