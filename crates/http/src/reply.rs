//! A response's head as the client gets it, in nginx's order.

use std::sync::Arc;

use bytes::Bytes;
use limpet_log::clock;
use limpet_message::field::Known;

use super::ctx::Request;
use super::page;
use crate::runtime::ServerTokens;

/// How the client knows where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// There is none, and no word about it.
    Unsaid,
    Known(u64),
    /// Chunks for HTTP/1.1 clients, the end of the connection for older ones.
    Open,
}

/// A response's head while it is put together.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// The backend's own words with the blank before them; `None`: nginx's for the status.
    pub reason: Option<Bytes>,
    pub content_type: Option<Bytes>,
    pub length: Length,
    pub last_modified: Option<String>,
    /// A redirect within this server, which goes before `Connection`.
    pub location: Option<Vec<u8>>,
    /// The other lines, each `Name: value` with its line end.
    pub lines: Vec<u8>,
    /// Lines that go behind those of the header filters.
    pub last_lines: Vec<u8>,
    /// The cookie of the upstream's session is among the lines.
    pub sets_session: bool,
    /// The backend's own `Server` or `Date` is among them, so that ours is not sent.
    pub has_server: bool,
    pub has_date: bool,
    upgrade: bool,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Reply {
            status,
            reason: None,
            content_type: None,
            length: Length::Unsaid,
            last_modified: None,
            location: None,
            lines: Vec::with_capacity(256),
            last_lines: Vec::new(),
            sets_session: false,
            has_server: false,
            has_date: false,
            upgrade: status == 101,
        }
    }

    /// The built-in page of a status, and its body.
    pub fn error_page(request: &Request, status: u16) -> (Reply, Vec<u8>) {
        let mut reply = Reply::new(status);
        if request.is_grpc() {
            reply.content_type = Some(Bytes::from_static(b"application/grpc"));
            reply.length = Length::Known(0);
            reply.line(b"grpc-status", page::grpc_status(status).as_bytes());
            reply.line(b"grpc-message", page::reason(status).as_bytes());
            return (reply, Vec::new());
        }
        let Some(mut body) = page::page(status, request.location.settings.server_tokens) else {
            reply.length = Length::Known(0);
            return (reply, Vec::new());
        };
        if status >= 400
            && let Some(padding) = page::padding(request.head.value(Known::UserAgent))
        {
            body.extend_from_slice(&padding);
        }
        reply.content_type = Some(Bytes::from_static(b"text/html"));
        reply.length = Length::Known(body.len() as u64);
        (reply, body)
    }

    pub fn line(&mut self, name: &[u8], value: &[u8]) {
        append_line(&mut self.lines, name, value);
    }

    /// Takes a header back.
    pub fn drop_line(&mut self, name: &[u8]) {
        for lines in [&mut self.lines, &mut self.last_lines] {
            let is_other = |line: &&[u8]| !line.get(..name.len()).is_some_and(|other| other.eq_ignore_ascii_case(name));
            *lines = lines.split_inclusive(|byte| *byte == b'\n').filter(is_other).collect::<Vec<_>>().concat();
        }
    }

    /// Adds the lines of the header filters and hands the head to the request. What goes out is the result.
    pub fn finish(mut self, request: &mut Request) -> Vec<u8> {
        if let Some(handed_back) = &request.handed_back {
            let own = std::mem::take(&mut self.lines);
            let sets = request.upstream.as_ref().filter(|_| self.sets_session);
            handed_back.append_lines(self.status, sets, &mut self.lines);
            self.lines.extend_from_slice(&own);
        }
        request.status = self.status;
        let location = Arc::clone(&request.location);
        if !location.header_filters.is_empty() {
            // Their variables see the response as it is before them.
            let reply = request.reply.insert(self);
            let status = reply.status;
            let mut lines = Vec::new();
            location.header_filters.iter().for_each(|filter| filter.append(request, status, &mut lines));
            self = request.reply.take().unwrap_or_else(|| Reply::new(status));
            self.lines.append(&mut lines);
        }
        self.lines.append(&mut self.last_lines);
        let head = self.to_wire(request);
        request.head_bytes = head.len() as u64;
        request.reply = Some(self);
        head
    }

    /// The bytes, up to the blank line.
    fn to_wire(&self, request: &Request) -> Vec<u8> {
        let settings = &request.location.settings;
        let mut out = Vec::with_capacity(256 + self.lines.len());
        out.extend_from_slice(b"HTTP/1.1 ");
        let status = if (494..=497).contains(&self.status) { 400 } else { self.status };
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(status).as_bytes();
        out.extend_from_slice(b"000".get(digits.len()..).unwrap_or_default());
        out.extend_from_slice(digits);
        match &self.reason {
            Some(reason) => out.extend_from_slice(reason),
            None => {
                out.push(b' ');
                out.extend_from_slice(page::reason(self.status).as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        if !self.has_server {
            let product = match settings.server_tokens {
                ServerTokens::On => crate::PRODUCT,
                ServerTokens::Off => crate::PRODUCT_NAME,
            };
            append_line(&mut out, b"Server", product.as_bytes());
        }
        if !self.has_date {
            clock::with_texts(|texts| append_line(&mut out, b"Date", texts.http.as_bytes()));
        }
        if let Some(content_type) = self.content_type.as_ref().filter(|content_type| !content_type.is_empty()) {
            if content_type.iter().any(|byte| ends_line(*byte)) {
                let content_type: Vec<u8> = content_type.iter().copied().filter(|byte| !ends_line(*byte)).collect();
                append_line(&mut out, b"Content-Type", &content_type);
            } else {
                append_line(&mut out, b"Content-Type", content_type);
            }
        }
        match self.length {
            Length::Known(length) => {
                append_line(&mut out, b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
            }
            Length::Open if request.head.http_1_1 => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Length::Open | Length::Unsaid => {}
        }
        if let Some(last_modified) = &self.last_modified {
            append_line(&mut out, b"Last-Modified", last_modified.as_bytes());
        }
        if let Some(location) = &self.location {
            append_line(&mut out, b"Location", location);
        }
        if self.upgrade {
            out.extend_from_slice(b"Connection: upgrade\r\n");
        } else if request.keepalive {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
            if let Some(seconds) = settings.keepalive_header {
                out.extend_from_slice(b"Keep-Alive: timeout=");
                out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
        } else {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(&self.lines);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The values that were sent under a name, for `$sent_http_NAME`.
    pub fn values(&self, request: &Request, name: &[u8]) -> Vec<Vec<u8>> {
        let head = self.to_wire(request);
        head.split(|byte| *byte == b'\n')
            .skip(1)
            .filter_map(|line| {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let at = line.iter().position(|byte| *byte == b':')?;
                let (key, value) = line.split_at_checked(at)?;
                key.eq_ignore_ascii_case(name).then(|| value.get(1..).unwrap_or_default().trim_ascii().to_vec())
            })
            .collect()
    }
}

/// Bytes that no header value has: what comes behind one could be taken for another header.
pub fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0)
}

pub fn append_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Decides whether the connection is kept after this response, and hands the head over to the carrier.
pub(super) fn send_head(request: &mut Request, reply: Reply) {
    send_head_with(request, reply, &[]);
}

/// The same, with the body right behind the head if there is one at hand: the response ends with it.
pub(super) fn send_head_with(request: &mut Request, reply: Reply, body: &[u8]) {
    let settings = &request.location.settings;
    let is_unsure = is_unsure_of_body(request, &reply);
    let may_be_kept = request.keepalive
        && !settings.keepalive_timeout.is_zero()
        && request.conn.requests() < settings.keepalive_requests
        && clock::now().since(request.conn.accepted) <= settings.keepalive_time
        && !request.conn.is_draining()
        && !is_unsure
        && (reply.length != Length::Open || request.head.http_1_1 || request.head.is_head())
        && reply.status != 101;
    request.keepalive = may_be_kept;
    let mut head = reply.finish(request);
    head.extend_from_slice(body);
    let mut exchange = request.exchange();
    exchange.head = Some(head);
    exchange.ending |= !body.is_empty();
}

/// Whether the client waits for a `100 Continue` that is not sent. Its body may or may not come then, so a next request
/// could not be told from it.
fn is_unsure_of_body(request: &Request, reply: &Reply) -> bool {
    if !request.head.expects_continue {
        return false;
    }
    let mut exchange = request.exchange();
    // As in nginx, it is sent unless the response is an error page of our own.
    exchange.continues = reply.status < 400 || request.response.is_some();
    exchange.awaits_continue && !exchange.continues
}

/// Puts a body that is at hand as a whole through the filters of the location.
pub(super) fn filter_whole(request: &mut Request, reply: &mut Reply, body: Vec<u8>) -> Vec<u8> {
    request.begin_filters(reply);
    if request.filters.is_empty() {
        return body;
    }
    let body = request.filter(body.into(), true);
    reply.length = Length::Known(body.len() as u64);
    body.into()
}

/// Hands over the head of an answer whose body is at hand. The body as it goes out is the result.
pub(super) fn send_head_of(request: &mut Request, mut reply: Reply, body: Vec<u8>) -> Vec<u8> {
    let mut body = filter_whole(request, &mut reply, body);
    if request.head.is_head() || matches!(reply.status, 204 | 304) {
        body.clear();
    }
    send_head(request, reply);
    request.body_bytes = body.len() as u64;
    body
}
