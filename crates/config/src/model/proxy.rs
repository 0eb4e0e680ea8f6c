//! How requests are handed to backends.

use std::net::SocketAddr;

use limpet_text::Template;

/// `proxy_http_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    Http10,
    Http11,
}

/// `proxy_redirect`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyRedirect {
    Off,
    /// What `proxy_pass` goes to becomes the location.
    Default,
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

/// A header by which a backend tells the proxy what to do, as `proxy_ignore_headers` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendHeader {
    /// `X-Accel-Redirect`: another location answers.
    Redirect,
    /// `X-Accel-Charset`: the character set of the response.
    Charset,
    /// One that nothing here acts on, by its place among nginx's.
    Other(usize),
}

/// `proxy_bind`: the local address of connections to backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyBind {
    /// `None`: `off`.
    pub address: Option<BindAddress>,
    /// Any address, also one that is not the machine's own.
    pub transparent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindAddress {
    /// A port of 0 is any.
    Literal(SocketAddr),
    Variable(Template),
}
