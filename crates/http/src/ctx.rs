//! One request: what is known about it, from its first byte to its log line.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use limpet_balance::Tried;
use limpet_log::clock::Moment;
use limpet_log::{LogLevel, clock};
use limpet_message::body::Body;
use limpet_message::field::Known;
use limpet_message::host::host_name;
use limpet_message::request::Head;
use limpet_message::response::ResponseHead;
use limpet_upstream::{Members, StoredBody, Upstream};
use parking_lot::{Mutex, MutexGuard};

use super::accel::HandedBack;
use super::attempt::{Attempt, Try};
use super::reply::Reply;
use super::sticky::Stickiness;
use crate::front::outgoing::Buffering;
use crate::front::{Conn, Exchange};
use crate::phase::BodyFilter;
use crate::runtime::{Location, Runtime, Server};

/// A request. Its server is of the configuration that it began with, and keeps that alive.
pub struct Request {
    pub conn: Arc<Conn>,
    /// What passes between the steps and the client's side of the connection.
    pub exchange: Arc<Mutex<Exchange>>,
    pub head: Head,
    pub server: Arc<Server>,
    pub location: Arc<Location>,
    /// The normal path, which an internal redirect changes.
    pub uri: Vec<u8>,
    pub args: Option<Vec<u8>>,
    /// The path is not the client's any more.
    pub redirected: bool,
    /// Internal redirects so far.
    pub redirects: usize,
    /// A backend has named the URI (`X-Accel-Redirect`): it is served whatever the method.
    pub served_for_any_method: bool,
    /// A backend has handed the request back.
    pub handed_back: Option<Box<HandedBack>>,
    pub captures: Captures,
    pub started: Moment,
    /// The connection may serve another request after this one.
    pub keepalive: bool,
    /// What was answered; 0: nothing yet.
    pub status: u16,
    pub reply: Option<Reply>,
    /// Bytes of the response's body that were handed on.
    pub body_bytes: u64,
    /// Bytes of the response's head.
    pub head_bytes: u64,
    /// What the response's body is put through on its way to the client.
    pub filters: Vec<Box<dyn BodyFilter>>,
    /// The response went out whole.
    pub complete: bool,
    /// The largest body, by the location that the URI has led to; 0: any.
    pub max_body_size: u64,
    /// Bytes of the request's body that were handed on, its framing not among them.
    pub body_received: u64,
    /// The data of the request's body, as far as it has come, where a variable asks for it and it is small enough.
    pub body: Option<Vec<u8>>,
    /// The same where all of it came with the head, until somebody wants it.
    pub early_body: Option<Vec<u8>>,
    /// All of the body, where it was read before a server was asked.
    pub stored: Option<Arc<StoredBody>>,
    id: std::sync::OnceLock<String>,

    pub sticky: Stickiness,
    pub upstream: Option<Arc<Upstream>>,
    /// The upstream's servers as of the first try.
    pub members: Option<Arc<Members>>,
    /// What the upstream's method chooses by, once it has been asked.
    pub key: Option<Vec<u8>>,
    /// When the first server was asked.
    pub first_try: Option<Moment>,
    /// The head for the backend, once it is made.
    pub upstream_head: Option<Bytes>,
    /// The Cookie headers without the session's cookie, if that is hidden; set only while the backend's head is made.
    pub shown_cookies: Option<Vec<Vec<u8>>>,
    pub tries: Vec<Try>,
    pub tried: Tried,
    pub attempt: Option<Attempt>,
    /// The server to ask again over a new connection, after an idle one turned out dead.
    pub again: Option<usize>,
    /// The head of the backend's response.
    pub response: Option<Arc<ResponseHead>>,
}

/// PCRE gave up on a match, and why. It must not be taken for "no match": the pattern may guard access.
pub struct Undecided(pub(crate) String);

/// The groups of the last regular expression that matched.
#[derive(Default)]
pub struct Captures {
    subject: Vec<u8>,
    groups: Vec<Option<(usize, usize)>>,
}

impl Captures {
    /// Matches a text; `None` when it does not.
    ///
    /// # Errors
    /// PCRE gave up.
    pub fn of(regex: &limpet_text::Regex, subject: &[u8]) -> Result<Option<Captures>, Undecided> {
        let Some(found) = regex.captures(subject).map_err(|error| Undecided(error.to_string()))? else {
            return Ok(None);
        };
        let groups = (0..found.len()).map(|group| found.get(group).map(|m| (m.start(), m.end()))).collect();
        Ok(Some(Captures { subject: subject.to_vec(), groups }))
    }

    pub fn get(&self, group: usize) -> Option<&[u8]> {
        let (start, end) = (*self.groups.get(group)?)?;
        self.subject.get(start..end)
    }
}

impl Request {
    /// The values of the Cookie headers, as far as they are shown.
    pub fn cookies(&self) -> Vec<&[u8]> {
        match &self.shown_cookies {
            Some(shown) => shown.iter().map(Vec::as_slice).collect(),
            None => self.head.values(Known::Cookie).collect(),
        }
    }

    pub fn new(conn: Arc<Conn>, exchange: Arc<Mutex<Exchange>>, runtime: &Runtime, mut head: Head) -> Self {
        let server = server_for(&conn, runtime, &head.host);
        let location = Arc::clone(&server.outside);
        Request {
            uri: std::mem::take(&mut head.uri),
            args: head.args().map(<[u8]>::to_vec),
            keepalive: head.keepalive,
            started: clock::tick(),
            conn,
            exchange,
            head,
            server,
            location,
            redirected: false,
            redirects: 0,
            served_for_any_method: false,
            handed_back: None,
            captures: Captures::default(),
            status: 0,
            reply: None,
            body_bytes: 0,
            head_bytes: 0,
            filters: Vec::new(),
            complete: false,
            max_body_size: 0,
            body_received: 0,
            body: None,
            early_body: None,
            stored: None,
            id: std::sync::OnceLock::new(),
            sticky: Stickiness::default(),
            upstream: None,
            members: None,
            key: None,
            first_try: None,
            upstream_head: None,
            shown_cookies: None,
            tries: Vec::new(),
            tried: Tried::default(),
            attempt: None,
            again: None,
            response: None,
        }
    }

    /// How the body goes to a backend.
    pub fn body_for_backend(&self) -> Body {
        self.stored.as_ref().map_or(self.head.body, |stored| match (self.head.body, stored.len()) {
            (Body::None, 0) => Body::None,
            (_, length) => Body::Length(length),
        })
    }

    /// What is still to come of the body from the client.
    pub fn body_to_come(&self) -> Body {
        if self.stored.is_some() { Body::None } else { self.head.body }
    }

    pub fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock()
    }

    /// A request whose head could not be read: enough of one for an error page and a log line.
    pub fn rejected(conn: Arc<Conn>, runtime: &Runtime, mut head: Head) -> Self {
        // nginx chooses by a Host that it has read, whatever came behind it.
        if head.host.is_empty() {
            head.host = head.value(Known::Host).and_then(host_name).unwrap_or_default();
        }
        let mut request = Request::new(conn, Arc::default(), runtime, head);
        request.keepalive = false;
        request
    }

    /// The location's `proxy_pass`, if it has one.
    pub fn pass(&self) -> Option<&crate::pass::Pass> {
        match &self.location.content {
            crate::runtime::Content::Upstream(pass) => Some(pass),
            _ => None,
        }
    }

    /// Whether it is a call of gRPC to a server of that: a page would be no answer to it.
    pub fn is_grpc(&self) -> bool {
        let is_call =
            |value: &[u8]| value.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"));
        self.pass().is_some_and(|pass| pass.terms.tells_of_trailers)
            && self.head.value(Known::ContentType).is_some_and(is_call)
    }

    /// How the response is buffered; `None`: it is passed on as it comes.
    pub fn buffering(&self) -> Option<&Buffering> {
        let terms = &self.pass()?.terms;
        let said = self.response.as_ref().and_then(|response| response.fields.value(Known::XAccelBuffering));
        let buffers = match said.filter(|_| terms.heeds_accel_buffering) {
            Some(said) if said.eq_ignore_ascii_case(b"no") => false,
            Some(said) if said.eq_ignore_ascii_case(b"yes") => true,
            _ => terms.buffers,
        };
        Some(&terms.buffering).filter(|_| buffers)
    }

    /// `$host`: what the client asked for, else the server's own name.
    pub fn host(&self) -> &[u8] {
        if self.head.host.is_empty() { self.server.name.as_bytes() } else { &self.head.host }
    }

    /// The file of a path, by `root` or `alias`.
    pub fn file_path(&self, uri: &[u8]) -> Vec<u8> {
        let settings = &self.location.settings;
        let mut path = settings.root.render(self);
        if !settings.alias {
            path.extend_from_slice(uri);
        } else if self.location.regex.is_none() {
            path.extend_from_slice(uri.get(self.location.prefix_length..).unwrap_or_default());
        }
        path
    }

    /// A path made into a URL of this server.
    pub fn absolute(&self, path: &[u8]) -> Vec<u8> {
        let mut url = format!("{}://", self.conn.scheme()).into_bytes();
        let usual = if self.conn.is_secure() { 443 } else { 80 };
        if self.head.host.is_empty() {
            url.extend_from_slice(self.conn.local_addr().as_bytes());
        } else {
            url.extend_from_slice(&self.head.host);
        }
        if let Some(port) = self.conn.local_port_number().filter(|port| *port != usual) {
            url.push(b':');
            url.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        }
        url.extend_from_slice(path);
        url
    }

    /// `$request_id`: 32 hex digits.
    pub fn id(&self) -> &str {
        self.id.get_or_init(|| {
            let mut bytes = [0_u8; 16];
            // Without random bytes the time and the connection tell requests apart well enough.
            if getrandom::fill(&mut bytes).is_err() {
                bytes = (u128::from(self.conn.number) << 64 | clock::unix_time().as_nanos()).to_be_bytes();
            }
            bytes.iter().fold(String::with_capacity(32), |mut id, byte| {
                let _ = write!(id, "{byte:02x}");
                id
            })
        })
    }

    /// Bytes sent to the client without the head, the framing of chunks included.
    pub fn body_bytes_sent(&self) -> u64 {
        match self.conn.is_stream() {
            // A stream has chunks only inside of the program.
            true => self.body_bytes,
            false => self.conn.bytes_sent().saturating_sub(self.head_bytes),
        }
    }

    /// Writes to the error log of the location, with what nginx tells of a request.
    pub fn log_error(&self, level: LogLevel, message: &str) {
        let log = &self.location.settings.error_log;
        if !log.takes(level) {
            return;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut line = format!("{message}, client: {}, server: {}", self.conn.remote_addr(), self.server.name);
        if !self.head.line().is_empty() {
            let _ = write!(line, ", request: \"{}\"", text(self.head.line()));
        }
        if let Some(url) = self.upstream_url() {
            let _ = write!(line, ", upstream: \"{url}\"");
        }
        for (name, header) in [("host", Known::Host), ("referrer", Known::Referer)] {
            if let Some(value) = self.head.value(header) {
                let _ = write!(line, ", {name}: \"{}\"", text(value));
            }
        }
        log.write(level, Some(self.conn.number), line.as_bytes());
    }

    /// What the backend is asked for, as a URL.
    fn upstream_url(&self) -> Option<String> {
        // Nobody is to be asked before a server is chosen.
        let upstream = self.upstream.as_ref().filter(|_| self.members.is_some())?;
        let name = match &self.attempt {
            Some(attempt) => &attempt.dial.backend.name,
            None if self.tries.last().is_none_or(|last| !last.is_server()) => &upstream.name,
            None => return None,
        };
        let uri = self.upstream_head.as_ref().map(|head| {
            let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
            let uri = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            String::from_utf8_lossy(uri).into_owned()
        });
        let separator = if name.starts_with("unix:") { ":" } else { "" };
        let scheme = self.pass().map_or("http", |pass| pass.scheme);
        Some(format!("{scheme}://{name}{separator}{}", uri.unwrap_or_default()))
    }

    pub fn log_access(&self) {
        for log in &self.location.logs {
            log.write(self);
        }
    }

    /// Whether a file or page is to be served: the method is GET or HEAD, or a backend has named the URI.
    pub fn wants_content(&self) -> bool {
        self.served_for_any_method || matches!(self.head.method(), b"GET" | b"HEAD")
    }

    /// The media type for the present URI's extension, or what a backend has said that handed the request back.
    pub fn media_type(&self) -> Cow<'_, [u8]> {
        if let Some(content_type) = self.handed_back.as_ref().and_then(|handed_back| handed_back.content_type()) {
            return Cow::Owned(content_type.to_vec());
        }
        let settings = &self.location.settings;
        let name = self.uri.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let extension = name.iter().rposition(|byte| *byte == b'.').and_then(|dot| name.get(dot + 1..));
        let found = extension.filter(|extension| !extension.is_empty()).and_then(|extension| {
            match settings.types.get(extension) {
                None => settings.types.get(&extension.to_ascii_lowercase()),
                found => found,
            }
        });
        Cow::Borrowed(found.unwrap_or(&settings.default_type))
    }
}

fn server_for(conn: &Conn, runtime: &Runtime, host: &[u8]) -> Arc<Server> {
    let found = runtime.listening(conn).and_then(|listening| match listening.hosts.find(host) {
        Some(index) => runtime.servers.get(index),
        None if host.is_empty() => runtime.first_server(conn),
        None => runtime.servers.get(listening.default),
    });
    match found {
        Some(server) => Arc::clone(server),
        // The address was taken out of the configuration while the connection waited.
        None => runtime.servers.first().map_or_else(|| Arc::new(Server::nowhere()), Arc::clone),
    }
}
