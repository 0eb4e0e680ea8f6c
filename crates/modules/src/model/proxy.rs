//! How requests are handed to backends.

use std::net::SocketAddr;

use limpet_text::Template;

/// `proxy_redirect`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyRedirect {
    Off,
    /// What `proxy_pass` goes to becomes the location.
    Default,
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
