//! `proxy_pass` and how requests are handed on.

mod pass;
mod variables;

use std::net::SocketAddr;
use std::sync::Arc;

use limpet_http::{Condition, HttpVersion, NextUpstream, Request};
use limpet_kernel::builder::{Fault, fault, unknown};
use limpet_kernel::directive::prelude::{FLAG, HTTP, LOCATION, LOCATION_IF, MORE1, N1, N2, N12, SERVER, works};
use limpet_kernel::setters::{arg, flag, header_name, milliseconds, text};
use limpet_kernel::{Level, value};
use limpet_syntax as syntax;
use limpet_text::{Registry, Template};
use pass::{PassUri, ProxyPass};

use crate::model::Matcher;
use crate::module::Module;
use crate::reading::{Blocks, Builder, Directive, set};

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
}

limpet_kernel::settings! {
    proxy_set_header: Arc<Vec<(String, Template)>>,
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
        "Headers of backends that are not acted on. Of those that nginx knows `X-Accel-Redirect` and `X-Accel-Charset` would be.",
        proxy_ignore_headers,
    )
    .repeatable(),
];

fn proxy_pass(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    if passes(builder) {
        return Err(Fault::Directive("is duplicate"));
    }
    if word.bytes.contains(&b'$') {
        return fault(word, "variables in \"proxy_pass\" are not supported by limpet");
    }
    let url = text(word)?;
    let scheme = |name: &str| url.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    if scheme("https://") {
        return fault(word, "\"https://\" in \"proxy_pass\" is not supported by limpet");
    }
    if !scheme("http://") {
        return fault(word, "invalid URL prefix");
    }
    let rest = url.get("http://".len()..).unwrap_or_default();
    let (authority, uri) = split_authority(rest);
    let matcher = builder.locations.last().map(|location| location.matcher.clone());
    if !uri.is_empty() && !matches!(matcher, Some(Matcher::Exact(_) | Matcher::Prefix { .. })) {
        return fault(
            word,
            "\"proxy_pass\" cannot have URI part in location given by regular expression, \
             or inside named location, or inside \"if\" statement, or inside \"limit_except\" block",
        );
    }
    let uri = if uri.is_empty() { PassUri::Original } else { PassUri::Replace(uri.as_bytes().to_vec()) };
    let target = match builder.upstream_of(authority, directive) {
        Ok(target) => target,
        Err(message) => return fault(word, message),
    };
    let (host, port) = shown(authority);
    if let Some(location) = builder.locations.last_mut() {
        location.content = Some(Arc::new(ProxyPass { target, uri, authority: authority.to_owned(), host, port }));
    }
    Ok(())
}

/// Whether the location being read hands its requests on.
fn passes(builder: &Builder<'_>) -> bool {
    let content = builder.locations.last().and_then(|location| location.content.as_ref());
    content.is_some_and(|content| content.target().is_some())
}

/// `host:port` and the URI behind it. The path of a Unix socket ends at the next colon.
fn split_authority(rest: &str) -> (&str, &str) {
    let at = match rest.strip_prefix("unix:") {
        Some(path) => match path.find(':') {
            Some(colon) => {
                let end = "unix:".len() + colon;
                return (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
            }
            None => rest.len(),
        },
        None => rest.find(['/', '?']).unwrap_or(rest.len()),
    };
    rest.split_at_checked(at).unwrap_or((rest, ""))
}

/// What `$proxy_host` and `$proxy_port` are: the port is left out of the host where it is the protocol's own.
fn shown(authority: &str) -> (String, String) {
    if authority.starts_with("unix:") {
        return ("localhost".into(), String::new());
    }
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    match port {
        Some("80") => (authority.trim_end_matches(":80").to_owned(), "80".into()),
        Some(port) => (authority.to_owned(), port.to_owned()),
        None => (authority.to_owned(), "80".into()),
    }
}

fn proxy_set_header(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let value = builder.template(arg(directive, 1)?)?;
    let name = header_name(builder, directive)?;
    let headers = builder.settings().proxy.proxy_set_header.get_or_insert_default();
    if let Some(name) = name {
        Arc::make_mut(headers).push((name, value));
    }
    Ok(())
}

fn proxy_redirect(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let redirect = match (word.bytes.as_slice(), directive.args.get(1)) {
        (b"off", None) => ProxyRedirect::Off,
        (b"default", None) => ProxyRedirect::Default,
        (_, None) => return unknown(word, &word.text(), &["off", "default"]),
        _ => {
            let message = "rewrites of one's own in \"proxy_redirect\" are not supported by limpet, only \"off\" and \
                           \"default\" are";
            return fault(word, message);
        }
    };
    let passes = builder.context() == LOCATION && passes(builder);
    match (redirect, builder.settings().proxy.proxy_redirect) {
        (ProxyRedirect::Off, Some(_)) | (_, Some(ProxyRedirect::Off)) => Err(Fault::Directive("is duplicate")),
        (ProxyRedirect::Default, _) if !passes => {
            Err(Fault::Message("\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive".into()))
        }
        _ => {
            builder.settings().proxy.proxy_redirect = Some(redirect);
            Ok(())
        }
    }
}

fn proxy_http_version(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let version = match word.bytes.as_slice() {
        b"1.0" => HttpVersion::Http10,
        b"1.1" => HttpVersion::Http11,
        b"2" => return fault(word, "\"proxy_http_version 2\" is not supported by limpet"),
        _ => return fault(word, format!("invalid value \"{}\"", word.text())),
    };
    builder.settings().proxy.proxy_http_version = Some(version);
    Ok(())
}

fn proxy_next_upstream(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let mut off = false;
    for word in &directive.args {
        let lower = word.bytes.to_ascii_lowercase();
        let condition = match lower.as_slice() {
            b"error" => Condition::Error,
            b"timeout" => Condition::Timeout,
            b"invalid_header" => Condition::InvalidHeader,
            b"non_idempotent" => Condition::NonIdempotent,
            b"http_500" => Condition::Status(500),
            b"http_502" => Condition::Status(502),
            b"http_503" => Condition::Status(503),
            b"http_504" => Condition::Status(504),
            b"http_403" => Condition::Status(403),
            b"http_404" => Condition::Status(404),
            b"http_429" => Condition::Status(429),
            b"off" => {
                off = true;
                continue;
            }
            b"denied" => Condition::Denied,
            // About caches, and there is none.
            b"updating" => {
                builder.settings().proxy.proxy_next_upstream.get_or_insert_default();
                continue;
            }
            _ => return fault(word, format!("invalid value \"{}\"", word.text())),
        };
        if !builder.settings().proxy.proxy_next_upstream.get_or_insert_default().add(condition) {
            builder.notice(Level::Warn, format!("duplicate value \"{}\"", word.text()), directive);
        }
    }
    if off {
        builder.settings().proxy.proxy_next_upstream = Some(NextUpstream::OFF);
    }
    Ok(())
}

fn proxy_next_upstream_tries(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let tries = value::number(&arg(directive, 0)?.bytes).ok_or(Fault::Directive("invalid number"))?;
    if builder.settings().proxy.proxy_next_upstream_tries.replace(tries).is_some() {
        // Two names for one setting.
        return Err(Fault::Directive("is duplicate"));
    }
    Ok(())
}

fn proxy_bind(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let transparent = match directive.args.get(1) {
        None => false,
        Some(word) if word.bytes == b"transparent" => true,
        Some(word) => return unknown(word, &word.text(), &["transparent"]),
    };
    let address = if word.bytes == b"off" && !transparent {
        None
    } else if word.bytes.contains(&b'$') {
        Some(BindAddress::Variable(builder.template(word)?))
    } else {
        match limpet_wire::address::local(text(word)?) {
            Some(address) => Some(BindAddress::Literal(address)),
            None => return fault(word, format!("invalid address \"{}\"", word.text())),
        }
    };
    builder.settings().proxy.proxy_bind = Some(ProxyBind { address, transparent });
    Ok(())
}

fn proxy_buffer_size(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.settings().proxy.proxy_buffer_size = Some(limpet_kernel::setters::size(directive)?);
    Ok(())
}

fn proxy_allow_upstream(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let texts = directive.args.iter().map(|word| builder.template(word)).collect::<Result<Vec<_>, _>>()?;
    builder.settings().proxy.proxy_allow_upstream = Some(Arc::new(texts));
    Ok(())
}

fn proxy_ignore_headers(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    const OTHERS: [&[u8]; 7] = [
        b"X-Accel-Expires",
        b"X-Accel-Limit-Rate",
        b"X-Accel-Buffering",
        b"Expires",
        b"Cache-Control",
        b"Set-Cookie",
        b"Vary",
    ];
    for word in &directive.args {
        let other = || OTHERS.iter().position(|name| name.eq_ignore_ascii_case(&word.bytes));
        let header = match () {
            () if word.bytes.eq_ignore_ascii_case(b"X-Accel-Redirect") => BackendHeader::Redirect,
            () if word.bytes.eq_ignore_ascii_case(b"X-Accel-Charset") => BackendHeader::Charset,
            () => match other() {
                Some(place) => BackendHeader::Other(place),
                None => return fault(word, format!("invalid value \"{}\"", word.text())),
            },
        };
        let ignored = builder.settings().proxy.proxy_ignore_headers.get_or_insert_default();
        if ignored.contains(&header) {
            builder.notice(Level::Warn, format!("duplicate value \"{}\"", word.text()), directive);
        } else {
            ignored.push(header);
        }
    }
    Ok(())
}
