//! The front's handler: it answers requests, and rejects and logs those whose head could not be read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use limpet_log::LogLevel;
use limpet_message::body::Cursor;
use limpet_message::request::{Head, HeadLimits, LineRead, Rejection};
use limpet_wire::{Address, HandshakeError, Plain, Socket};
use parking_lot::Mutex;

use super::begin;
use super::carry::{PingoraCarrier, direct};
use super::ctx::Request;
use super::decision::Decision;
use super::reply::{self, Reply};
use super::request_body;
use super::secure;
use crate::front::{self, Conn, Exchange, Terms};
use crate::pass::{HttpVersion, Pass};
use crate::runtime::{Carrier, Shared};

/// Answers HTTP requests of one worker by the configuration in place.
pub struct Handler {
    shared: Arc<Shared>,
    carrier: PingoraCarrier,
}

impl Handler {
    pub fn new(shared: Arc<Shared>) -> Self {
        Handler { shared, carrier: PingoraCarrier::new() }
    }

    /// A request whose head could not be read: enough of one for an error page and a log line.
    fn rejected(&self, conn: &Arc<Conn>, head: Head) -> Request {
        Request::rejected(Arc::clone(conn), &self.shared.runtime.load(), head)
    }
}

impl front::Handler for Handler {
    fn secure(&self, plain: Plain, local: Option<SocketAddr>, listen: &Address) -> Option<Socket> {
        secure::begin(self.shared.runtime.load_full(), plain, local, listen)
    }

    fn is_secure(&self, conn: &Conn) {
        secure::settle(conn);
    }

    fn no_handshake(&self, conn: &Conn, error: Option<HandshakeError>) {
        secure::no_handshake(&self.shared.runtime.load(), conn, error);
    }

    fn http2(&self, conn: &Conn) -> Option<Terms> {
        let runtime = self.shared.runtime.load();
        let server = runtime.first_server(conn)?;
        // Over TLS the server of the name counts, which has offered it or not.
        let is_on = conn.is_secure() || server.http2.is_on;
        let settings = &server.outside.settings;
        is_on.then(|| Terms {
            streams: server.http2.streams,
            requests: settings.keepalive_requests.max(1),
            idle: settings.keepalive_timeout,
            begin: server.client_header_timeout,
            head: u32::try_from(server.head_limits.head).unwrap_or(u32::MAX),
            send: settings.send_timeout,
        })
    }

    fn tell(&self, conn: &Conn, level: LogLevel, message: &str) {
        secure::tell(&self.shared.runtime.load(), conn, level, message);
    }

    /// What the server says that answers by default on the connection's address.
    fn bounds(&self, conn: &Conn) -> (Duration, HeadLimits) {
        let runtime = self.shared.runtime.load();
        let server = runtime.first_server(conn);
        server.map_or((Duration::from_secs(60), HeadLimits::default()), |server| {
            (server.client_header_timeout, server.head_limits)
        })
    }

    async fn handle(&self, conn: &Arc<Conn>, exchange: &Arc<Mutex<Exchange>>, head: Head, mut input: Vec<u8>) {
        let mut request = {
            let runtime = self.shared.runtime.load();
            Box::new(Request::new(Arc::clone(conn), Arc::clone(exchange), &runtime, head))
        };
        if request.location.settings.kept_body > 0 {
            request.early_body = whole_body(&request.head, &input);
        }
        let mut decision = begin::begin(&mut request);
        if matches!(decision, Decision::Continue) && request_body::is_wanted(&request) {
            decision = Box::pin(request_body::read(&mut request, &mut input)).await;
        }
        // Pingora's proxy speaks HTTP/1 here, and has no trailers then.
        let is_direct = |pass: &Pass| pass.terms.http_version == HttpVersion::Http2;
        match request.location.settings.carrier {
            Carrier::Pingora if request.pass().is_some_and(is_direct) => direct::carry(request, decision, input).await,
            Carrier::Direct => direct::carry(request, decision, input).await,
            Carrier::Pingora => Box::pin(self.carrier.carry(request, decision, input)).await,
        }
    }

    fn reject(&self, conn: &Arc<Conn>, Rejection { status, reason, head }: Rejection) -> Vec<u8> {
        let mut request = self.rejected(conn, head);
        request.log_error(LogLevel::Info, &reason);
        let (mut reply, mut body) = Reply::error_page(&request, status);
        body = reply::filter_whole(&mut request, &mut reply, body);
        let mut page = reply.finish(&mut request);
        if !request.head.is_head() {
            request.body_bytes = body.len() as u64;
            page.extend_from_slice(&body);
        }
        request.complete = true;
        conn.count_sent(page.len());
        request.log_access();
        page
    }

    fn give_up(&self, conn: &Arc<Conn>, status: u16, reason: &str, head: Head) {
        let part = if head.line_read == LineRead::Whole { "headers" } else { "line" };
        let mut request = self.rejected(conn, head);
        request.log_error(LogLevel::Info, &format!("{reason} while reading client request {part}"));
        request.status = status;
        request.log_access();
    }
}

/// The data of a body that has come with its head, if all of it has.
fn whole_body(head: &Head, input: &[u8]) -> Option<Vec<u8>> {
    let (mut framing, mut bytes) = (Cursor::new(head.body), input.to_vec());
    let (_, kept) = framing.compact(&mut bytes);
    bytes.truncate(kept);
    framing.is_done().then_some(bytes)
}
