//! `proxy_pass` and how requests are handed on.

mod pass;
mod variables;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use limpet_http::front::outgoing::Buffering;
use limpet_http::pass::{Bind, BindTo, Terms};
use limpet_http::{HttpVersion, NextUpstream, Request};
use limpet_kernel::Diagnostic;
use limpet_kernel::directive::prelude::{FLAG, HTTP, LOCATION, LOCATION_IF, MORE1, N1, N2, N12, N1234, SERVER, works};
use limpet_kernel::setters::{flag, milliseconds, size};
use limpet_message::response::MAX_HEAD;
use limpet_text::{Registry, Template};
use words::{
    proxy_allow_upstream, proxy_bind, proxy_buffer_size, proxy_buffers, proxy_http_version, proxy_ignore_headers,
    proxy_next_upstream, proxy_next_upstream_tries, proxy_pass, proxy_redirect, proxy_set_header, proxy_temp_path,
};

use crate::model::Http;
use crate::module::{Module, Verifying};
use crate::reading::{Directive, set};
use crate::site::{self, BuildError, Site};

/// The number and size of `proxy_buffers` that nginx has on machines with pages of 4k.
const BUFFERS: (u64, u64) = (8, 4096);

/// nginx's `ngx_http_proxy_module`.
pub(crate) struct Proxy;

impl Module for Proxy {
    const TITLE: &'static str = "Proxy";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = ();

    fn variables(registry: &mut Registry<Request>) {
        variables::add(registry);
    }

    fn verify(http: &mut Http, _: &mut Verifying<'_>) -> Result<(), Diagnostic> {
        http.check(|settings| settings.proxy.check_buffers())
    }
}

limpet_kernel::settings! {
    proxy_set_header: Arc<Vec<(String, Template)>>,
    proxy_buffering: bool,
    /// Their number, and the bytes of each.
    proxy_buffers: (u64, u64),
    /// Bytes.
    proxy_busy_buffers_size: u64,
    /// Bytes.
    proxy_max_temp_file_size: u64,
    /// Bytes.
    proxy_temp_file_write_size: u64,
    proxy_temp_path: PathBuf,
    proxy_request_buffering: bool,
    proxy_http_version: HttpVersion,
    proxy_redirect: ProxyRedirect,
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
}

impl Settings {
    /// The settings with nginx's defaults filled in.
    fn terms(&self, site: &Site<'_>) -> Result<Terms, BuildError> {
        let set_header = self.proxy_set_header.iter().flat_map(|headers| headers.iter());
        let mentions_body = |(_, value): &(String, Template)| value.variables().any(|name| name == "request_body");
        let allow = self.proxy_allow_upstream.iter().flat_map(|texts| texts.iter());
        Ok(Terms {
            reads_body: set_header.clone().any(mentions_body),
            set_header: set_header.map(|(name, value)| (name.clone(), site.compile(value))).collect(),
            buffering: self.buffering(site)?,
            buffers: self.proxy_buffering.unwrap_or(true),
            heeds_accel_buffering: !self.ignores(BackendHeader::Buffering),
            request_buffering: self.proxy_request_buffering.unwrap_or(true),
            http_version: self.proxy_http_version.unwrap_or(HttpVersion::Http11),
            connect_timeout: site::milliseconds(self.proxy_connect_timeout, 60_000),
            read_timeout: site::milliseconds(self.proxy_read_timeout, 60_000),
            send_timeout: site::milliseconds(self.proxy_send_timeout, 60_000),
            next_upstream: self.proxy_next_upstream.unwrap_or(NextUpstream::DEFAULT),
            next_tries: match self.proxy_next_upstream_tries {
                None | Some(0) => usize::MAX,
                Some(tries) => usize::try_from(tries).unwrap_or(usize::MAX),
            },
            next_timeout: site::milliseconds(self.proxy_next_upstream_timeout, 0),
            allow: allow.map(|text| site.compile(text)).collect(),
            follows_accel_redirect: !self.ignores(BackendHeader::Redirect),
            bind: self.proxy_bind.as_ref().and_then(|written| bind(site, written)),
            max_head_size: usize::try_from(self.proxy_buffer_size.unwrap_or(0)).unwrap_or(usize::MAX).max(MAX_HEAD),
            socket_keepalive: self.proxy_socket_keepalive.unwrap_or(false),
        })
    }

    fn buffering(&self, site: &Site<'_>) -> Result<Buffering, BuildError> {
        let (number, size) = self.proxy_buffers.unwrap_or(BUFFERS);
        Ok(Buffering {
            memory: usize::try_from(number.saturating_mul(size)).unwrap_or(usize::MAX),
            file: self.proxy_max_temp_file_size.unwrap_or(1 << 30),
            folder: Arc::new(site.temp_folder(self.proxy_temp_path.as_deref(), "proxy_temp")?),
        })
    }

    /// nginx's conditions between the sizes of buffers.
    fn check_buffers(&self) -> Result<(), String> {
        let (number, one) = self.proxy_buffers.unwrap_or(BUFFERS);
        let largest = self.proxy_buffer_size.unwrap_or(BUFFERS.1).max(one);
        let twice = largest.saturating_mul(2);
        let at_least = |name: &str| {
            let text = "must be equal to or greater than the maximum of the value of \"proxy_buffer_size\" and one of the \
                        \"proxy_buffers\"";
            Err(format!("\"{name}\" {text}"))
        };
        let busy = self.proxy_busy_buffers_size.unwrap_or(twice);
        match () {
            () if number < 2 => Err("there must be at least 2 \"proxy_buffers\"".into()),
            () if busy < largest => at_least("proxy_busy_buffers_size"),
            () if busy > number.saturating_sub(1).saturating_mul(one) => {
                Err("\"proxy_busy_buffers_size\" must be less than the size of all \"proxy_buffers\" minus one buffer"
                    .into())
            }
            () if self.proxy_temp_file_write_size.unwrap_or(twice) < largest => at_least("proxy_temp_file_write_size"),
            () => match self.proxy_max_temp_file_size {
                Some(size @ 1..) if size < largest => at_least("proxy_max_temp_file_size").map_err(|text: String| {
                    text.replace(
                        "must be equal",
                        "must be equal to zero to disable temporary files usage or must be equal",
                    )
                }),
                _ => Ok(()),
            },
        }
    }

    /// Whether `proxy_ignore_headers` names a header.
    pub(crate) fn ignores(&self, header: BackendHeader) -> bool {
        self.proxy_ignore_headers.as_ref().is_some_and(|ignored| ignored.contains(&header))
    }
}

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
    /// `X-Accel-Buffering`: whether the response is buffered.
    Buffering,
    /// `X-Accel-Charset`: the character set of the response.
    Charset,
    /// One that is not acted on, by its index in the list of `proxy_ignore_headers`.
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

fn bind(site: &Site<'_>, bind: &ProxyBind) -> Option<Bind> {
    let address = match bind.address.as_ref()? {
        BindAddress::Literal(address) => BindTo::Address(*address),
        BindAddress::Variable(text) => BindTo::Text(site.compile(text)),
    };
    Some(Bind { address, transparent: bind.transparent })
}

const ROWS: &[Directive] = &[
    works(
        "proxy_pass",
        LOCATION | LOCATION_IF,
        N1,
        "The upstream or address to hand requests to, and the URI that takes the place of the location's.",
        proxy_pass,
    ),
    works(
        "proxy_set_header",
        HTTP | SERVER | LOCATION,
        N2,
        "A header for the backend. Default: `Host $proxy_host` and an empty `Connection`.",
        proxy_set_header,
    )
    .repeatable(),
    works(
        "proxy_redirect",
        HTTP | SERVER | LOCATION,
        N12,
        "Rewrites `Location` and `Refresh` of a backend's responses: `default`, what `proxy_pass` goes to becomes the \
         location, or `off`. Other rewrites are not built. Default: default.",
        proxy_redirect,
    )
    .repeatable(),
    works(
        "proxy_http_version",
        HTTP | SERVER | LOCATION,
        N1,
        "The protocol spoken to backends: 1.0 or 1.1. Default: 1.1.",
        proxy_http_version,
    ),
    works(
        "proxy_buffering",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether a response is taken in as fast as the backend sends it, into memory and a file, or as fast as the client takes \
         it. A backend may say otherwise with `X-Accel-Buffering`. Default: on.",
        set!(proxy.proxy_buffering, flag),
    ),
    works(
        "proxy_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for a response that its client does not take yet. Default: 8 4k.",
        proxy_buffers,
    ),
    works(
        "proxy_busy_buffers_size",
        HTTP | SERVER | LOCATION,
        N1,
        "How much of the buffers may be on its way to the client. It is checked against the others; what can be sent is sent.",
        set!(proxy.proxy_busy_buffers_size, size),
    ),
    works(
        "proxy_max_temp_file_size",
        HTTP | SERVER | LOCATION,
        N1,
        "The largest file for what the buffers don't hold; 0: none. Default: 1024m.",
        set!(proxy.proxy_max_temp_file_size, size),
    ),
    works(
        "proxy_temp_file_write_size",
        HTTP | SERVER | LOCATION,
        N1,
        "How much is written to the file at a time. It is checked against the others; what has come is written.",
        set!(proxy.proxy_temp_file_write_size, size),
    ),
    works(
        "proxy_temp_path",
        HTTP | SERVER | LOCATION,
        N1234,
        "The folder for these files, which have no names there. Default: proxy_temp.",
        proxy_temp_path,
    ),
    works(
        "proxy_request_buffering",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether the whole body of a request is read before a server is asked, into memory or a file. Default: on.",
        set!(proxy.proxy_request_buffering, flag),
    ),
    works(
        "proxy_connect_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest time to connect to a backend. Default: 60s.",
        set!(proxy.proxy_connect_timeout, milliseconds),
    ),
    works(
        "proxy_read_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two reads from a backend. Default: 60s.",
        set!(proxy.proxy_read_timeout, milliseconds),
    ),
    works(
        "proxy_send_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two writes to a backend. Default: 60s.",
        set!(proxy.proxy_send_timeout, milliseconds),
    ),
    works(
        "proxy_next_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "What sends a request to another server: `error`, `timeout`, `invalid_header`, `http_500`, `http_502`, `http_503`, \
         `http_504`, `http_403`, `http_404`, `http_429`, `denied`, `non_idempotent`, `off`. Default: error timeout.",
        proxy_next_upstream,
    )
    .repeatable(),
    works(
        "proxy_next_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Most servers that one request is sent to. Default: 0, all.",
        proxy_next_upstream_tries,
    ),
    works(
        "proxy_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Tengine's name of `proxy_next_upstream_tries`.",
        proxy_next_upstream_tries,
    ),
    works(
        "proxy_next_upstream_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Time after which no other server is asked for a request. Default: 0, never.",
        set!(proxy.proxy_next_upstream_timeout, milliseconds),
    ),
    works(
        "proxy_bind",
        HTTP | SERVER | LOCATION,
        N12,
        "Local address of connections to backends, with variables or not; with `transparent` also one that is not the \
         machine's own; or `off`.",
        proxy_bind,
    ),
    works(
        "proxy_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "How large the head of a backend's response may be, where it is more than 64k. Default: 64k.",
        proxy_buffer_size,
    ),
    works(
        "proxy_socket_keepalive",
        HTTP | SERVER | LOCATION,
        FLAG,
        "TCP keepalive probes on connections to backends. Default: off.",
        set!(proxy.proxy_socket_keepalive, flag),
    ),
    works(
        "proxy_allow_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Texts with variables that are looked at before each try: if one of them is empty or `0`, the server is not \
         asked (NGINX Plus).",
        proxy_allow_upstream,
    ),
    works(
        "proxy_ignore_headers",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Headers of backends that are not acted on. Of those that nginx knows `X-Accel-Redirect`, `X-Accel-Charset` and `X-Accel-Buffering` would be.",
        proxy_ignore_headers,
    )
    .repeatable(),
];
