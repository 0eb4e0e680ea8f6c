//! How a location hands requests on: to which servers, and by which settings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashSet;
use limpet_sticky::Policy;
use limpet_tls::client::Client;
use limpet_upstream::{SocketOptions, Upstream};

use crate::Text;
use crate::front::outgoing::Buffering;

/// A `proxy_pass` with all that goes with it.
pub struct Pass {
    pub upstream: Arc<Upstream>,
    /// What requests bring to the choice of a server.
    pub key: Arc<HashKey>,
    /// By which requests are told apart that share idle connections.
    pub slices: Option<Arc<Slices>>,
    /// In place of what the location matched; `None`: the client's URI as it came.
    pub uri: Option<Vec<u8>>,
    /// What a `Location` of the backend begins with, and what takes its place (`proxy_redirect default`); `None`: it is
    /// passed on as it is.
    pub redirect: Option<(Vec<u8>, Vec<u8>)>,
    /// `$proxy_host`
    pub host: String,
    /// `$proxy_port`
    pub port: String,
    /// `http`, `https`, `grpc` or `grpcs`, for the error log.
    pub scheme: &'static str,
    /// What connections are encrypted with; `None`: nothing.
    pub tls: Option<PassTls>,
    pub terms: Terms,
    /// The policy whose cookie is kept from the backend (`session_sticky_hide_cookie`).
    pub hides: Option<Policy>,
}

/// `proxy_pass https://…`
pub struct PassTls {
    pub client: Arc<Client>,
    pub name: TlsName,
    /// Servers are told the name (SNI).
    pub tells: bool,
}

/// What a server's certificate has to be for.
pub enum TlsName {
    Fixed(Arc<str>),
    Text(Text),
}

/// How requests are handed on: the settings of a `proxy_pass`.
pub struct Terms {
    pub set_header: Vec<(String, Text)>,
    /// A header for the backend has the request's body in it, which is read first then.
    pub reads_body: bool,
    /// The whole body of a request is read before a server is asked.
    pub request_buffering: bool,
    /// How much of a response is held while its client is slow.
    pub buffering: Buffering,
    /// Whether that is so where the backend does not say (`X-Accel-Buffering`).
    pub buffers: bool,
    /// A backend may say whether its response is buffered.
    pub heeds_accel_buffering: bool,
    /// A backend may say in what characters its response is.
    pub heeds_accel_charset: bool,
    pub http_version: HttpVersion,
    /// A backend is told whether the client takes trailers (`TE`).
    pub tells_of_trailers: bool,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
    pub send_timeout: Duration,
    pub next_upstream: NextUpstream,
    /// Most servers that one request is sent to.
    pub next_tries: usize,
    /// Zero: no bound.
    pub next_timeout: Duration,
    /// Each of them must be true for a server to be asked (`proxy_allow_upstream`).
    pub allow: Vec<Text>,
    /// An answer with `X-Accel-Redirect` hands the request back.
    pub follows_accel_redirect: bool,
    pub bind: Option<Bind>,
    pub socket: SocketOptions,
    /// The longest head of a response, in bytes.
    pub max_head_size: usize,
    /// Which headers of a response are passed on.
    pub fields: ResponseFields,
    /// The trailers of a response are passed on.
    pub passes_trailers: bool,
}

/// Which headers of a backend's response are passed on, other than usual (`proxy_pass_header`, `proxy_hide_header`).
#[derive(Debug, Default)]
pub struct ResponseFields {
    /// In lower case.
    passed: HashSet<Vec<u8>>,
    hidden: HashSet<Vec<u8>>,
}

impl ResponseFields {
    /// From names in lower case. What is both passed and hidden is passed.
    pub fn new<'n>(passed: impl Iterator<Item = &'n String>, hidden: impl Iterator<Item = &'n String>) -> Self {
        let set = |name: &String| name.clone().into_bytes();
        ResponseFields { passed: passed.map(set).collect(), hidden: hidden.map(set).collect() }
    }

    /// Nothing is other than usual.
    pub fn is_empty(&self) -> bool {
        self.passed.is_empty() && self.hidden.is_empty()
    }

    /// Whether a header goes to the client; `usually`: where nothing is said about it.
    pub fn is_passed(&self, name: &[u8], usually: bool) -> bool {
        if self.is_empty() {
            return usually;
        }
        let name = name.to_ascii_lowercase();
        self.passed.contains(&name) || (usually && !self.hidden.contains(&name))
    }
}

/// `proxy_bind`
pub struct Bind {
    pub address: BindTo,
    pub transparent: bool,
}

pub enum BindTo {
    Address(SocketAddr),
    Text(Text),
}

/// Tengine's `keepalive … slice_key=`.
pub struct Slices {
    pub key: Text,
    pub most: SliceSize,
    /// Bytes of the key that count.
    pub key_length: usize,
}

pub enum SliceSize {
    Number(u32),
    Text(Text),
}

/// The text by which a method that hashes chooses.
pub enum HashKey {
    None,
    /// The octets of the client's address.
    Address,
    Text(Text),
}

/// `proxy_http_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    Http10,
    Http11,
    Http2,
}

/// A word of `proxy_next_upstream`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// No connection, or one that broke before the response's head was there.
    Error,
    Timeout,
    /// A head that can't be read.
    InvalidHeader,
    /// `proxy_allow_upstream` forbids to ask the server.
    Denied,
    /// A response with this status.
    Status(u16),
    /// Also requests that change something (POST, LOCK, PATCH) once they were sent.
    NonIdempotent,
}

/// The statuses that `proxy_next_upstream` knows.
const STATUSES: [u16; 7] = [500, 502, 503, 504, 403, 404, 429];

/// `proxy_next_upstream`: what makes a request go to another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NextUpstream(u16);

impl NextUpstream {
    /// `error timeout`
    pub const DEFAULT: NextUpstream = NextUpstream(0b11);
    /// `off`, whatever else is named.
    pub const OFF: NextUpstream = NextUpstream(1 << 15);

    pub fn has(self, condition: Condition) -> bool {
        Self::bit(condition).is_some_and(|bit| self.0 & bit != 0)
    }

    /// `false` when it was there already.
    pub fn add(&mut self, condition: Condition) -> bool {
        if *self == Self::OFF {
            return true;
        }
        let bit = Self::bit(condition).unwrap_or(0);
        let news = self.0 & bit == 0;
        self.0 |= bit;
        news
    }

    fn bit(condition: Condition) -> Option<u16> {
        let place = match condition {
            Condition::Error => 0,
            Condition::Timeout => 1,
            Condition::InvalidHeader => 2,
            Condition::NonIdempotent => 3,
            Condition::Denied => 4,
            Condition::Status(status) => 5 + STATUSES.iter().position(|known| *known == status)?,
        };
        Some(1 << place)
    }
}

/// A host without its port.
pub fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}
