//! What http, server and location blocks inherit from each other.

use std::sync::Arc;

use limpet_http::{HttpVersion, NextUpstream, ServerTokens, Types};
use limpet_text::Template;

use super::{AccessLogs, BackendHeader, Charset, ErrorLog, ProxyBind, ProxyRedirect};

/// `root` or `alias`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    pub path: Template,
    /// The location's prefix is replaced by the path instead of appended to it.
    pub alias: bool,
}

/// One `add_header`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddHeader {
    pub name: String,
    pub value: Template,
    /// With any status, not only 200, 201, 204, 206, 301, 302, 303, 304, 307 and 308.
    pub always: bool,
}

/// `keepalive_timeout`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepaliveTimeout {
    /// Milliseconds; 0: connections are closed after each response.
    pub timeout: u64,
    /// Seconds for the `Keep-Alive: timeout=` header; `None`: no such header.
    pub header: Option<u64>,
}

macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident: $type:ty,)*) => {
        /// Everything that is inherited; `None` is what no block has set.
        #[derive(Debug, Clone, Default)]
        pub struct Settings {
            $($(#[$attribute])* pub $name: Option<$type>,)*
        }

        impl Settings {
            /// Takes from the block around it what is not set.
            pub fn inherit(&mut self, outer: &Settings) {
                $(if self.$name.is_none() {
                    self.$name.clone_from(&outer.$name);
                })*
            }
        }
    };
}

settings! {
    /// Only internal redirects come to the location.
    internal: bool,
    root: Root,
    index: Arc<Vec<Template>>,
    types: Arc<Types>,
    default_type: Vec<u8>,
    keepalive_timeout: KeepaliveTimeout,
    /// Requests served on one connection.
    keepalive_requests: u64,
    /// Milliseconds after which a connection serves its last request.
    keepalive_time: u64,
    /// Bytes; 0: any size.
    client_max_body_size: u64,
    /// Bytes of a body that are kept in memory.
    client_body_buffer_size: u64,
    /// Bytes of the first buffer for a request's head.
    client_header_buffer_size: u64,
    /// Number and size in bytes of the buffers for a request's head.
    large_client_header_buffers: (u64, u64),
    /// Milliseconds to read a request's head.
    client_header_timeout: u64,
    /// Milliseconds between two reads of a request's body.
    client_body_timeout: u64,
    /// Milliseconds between two writes of a response.
    send_timeout: u64,
    server_tokens: ServerTokens,
    add_header: Arc<Vec<AddHeader>>,
    access_log: Arc<AccessLogs>,
    error_log: Arc<Vec<ErrorLog>>,
    proxy_set_header: Arc<Vec<(String, Template)>>,
    proxy_http_version: HttpVersion,
    proxy_redirect: ProxyRedirect,
    charset: Charset,
    source_charset: Charset,
    override_charset: bool,
    /// Media types in lower case; `*`: any.
    charset_types: Arc<Vec<Vec<u8>>>,
    /// Files that are not there are told to the error log.
    log_not_found: bool,
    /// Bytes of a response's head.
    proxy_buffer_size: u64,
    /// Milliseconds.
    proxy_connect_timeout: u64,
    /// Milliseconds between two reads.
    proxy_read_timeout: u64,
    /// Milliseconds between two writes.
    proxy_send_timeout: u64,
    proxy_next_upstream: NextUpstream,
    /// Most servers that one request is sent to; 0: any number.
    proxy_next_upstream_tries: u64,
    /// Milliseconds after which no other server is asked; 0: never.
    proxy_next_upstream_timeout: u64,
    proxy_bind: ProxyBind,
    /// `proxy_allow_upstream`: texts that must all be true for a server to be asked.
    proxy_allow_upstream: Arc<Vec<Template>>,
    /// `proxy_ignore_headers`: headers of backends that are not acted on.
    proxy_ignore_headers: Vec<BackendHeader>,
    proxy_socket_keepalive: bool,
    /// The upstream that `session_sticky_hide_cookie` names.
    session_sticky_hide_cookie: String,
}
