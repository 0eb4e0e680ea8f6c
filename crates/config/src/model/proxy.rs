//! How requests are handed to backends.

/// `proxy_http_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    Http10,
    Http11,
}

/// `proxy_next_upstream`: what makes a request go to another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NextUpstream {
    pub error: bool,
    pub timeout: bool,
    /// Also requests that change something (POST, LOCK, PATCH) once they were sent.
    pub non_idempotent: bool,
}

impl NextUpstream {
    /// `error timeout`
    pub const DEFAULT: NextUpstream = NextUpstream { error: true, timeout: true, non_idempotent: false };
}
