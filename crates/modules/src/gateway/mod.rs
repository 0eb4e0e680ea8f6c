//! What modules have in common that hand requests on to servers: `proxy_…` and `grpc_…`.

pub(crate) mod tls;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use limpet_http::front::outgoing::Buffering;
use limpet_http::pass::{Bind, BindTo, ResponseFields, Terms};
use limpet_http::{HttpVersion, NextUpstream};
use limpet_message::response::MAX_HEAD;
use limpet_text::Template;
use limpet_upstream::SocketOptions;

use crate::reading::Directive;
use crate::site::{self, Site};

pub(crate) use words::{Target, bind, header, ignored_headers, name, next_upstream, passes, target, uri_of};

limpet_kernel::settings! {
    set_header: Arc<Vec<(String, Template)>>,
    /// Milliseconds.
    connect_timeout: u64,
    /// Milliseconds between two reads.
    read_timeout: u64,
    /// Milliseconds between two writes.
    send_timeout: u64,
    next_upstream: NextUpstream,
    /// Most servers that one request is sent to; 0: any number.
    next_upstream_tries: u64,
    /// Milliseconds after which no other server is asked; 0: never.
    next_upstream_timeout: u64,
    bind: LocalAddress,
    socket_keepalive: bool,
    /// Bytes of the kernel's buffers for a connection; 0: as many as it likes.
    socket_rcvbuf: u64,
    socket_sndbuf: u64,
    /// Bytes of a response's head.
    buffer_size: u64,
    /// Headers of backends that are not acted on.
    ignore_headers: Vec<BackendHeader>,
    /// Headers of backends that are passed on although they usually are not.
    pass_header: Arc<Vec<String>>,
    /// Headers of backends that are not passed on.
    hide_header: Arc<Vec<String>>,
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
    /// One that is not acted on, by its index in the list of such.
    Other(usize),
}

/// The local address of connections to backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// `None`: `off`.
    pub address: Option<WrittenAddress>,
    /// Any address, also one that is not the machine's own.
    pub transparent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenAddress {
    /// A port of 0 is any.
    Literal(SocketAddr),
    Variable(Template),
}

impl Settings {
    /// The settings with nginx's defaults filled in: those of a module that streams both bodies and has no more to say.
    pub(crate) fn terms(&self, site: &Site<'_>) -> Terms {
        let set_header = self.set_header.iter().flat_map(|headers| headers.iter());
        let mentions_body = |(_, value): &(String, Template)| value.variables().any(|name| name == "request_body");
        Terms {
            reads_body: set_header.clone().any(mentions_body),
            set_header: set_header.map(|(name, value)| (name.clone(), site.compile(value))).collect(),
            buffering: Buffering { memory: 0, file: 0, folder: Arc::new(PathBuf::new()) },
            buffers: false,
            heeds_accel_buffering: false,
            heeds_accel_charset: !self.ignores(BackendHeader::Charset),
            request_buffering: false,
            http_version: HttpVersion::Http11,
            tells_of_trailers: false,
            connect_timeout: site::milliseconds(self.connect_timeout, 60_000),
            read_timeout: site::milliseconds(self.read_timeout, 60_000),
            send_timeout: site::milliseconds(self.send_timeout, 60_000),
            next_upstream: self.next_upstream.unwrap_or(NextUpstream::DEFAULT),
            next_tries: match self.next_upstream_tries {
                None | Some(0) => usize::MAX,
                Some(tries) => usize::try_from(tries).unwrap_or(usize::MAX),
            },
            next_timeout: site::milliseconds(self.next_upstream_timeout, 0),
            allow: Vec::new(),
            follows_accel_redirect: !self.ignores(BackendHeader::Redirect),
            bind: self.bind.as_ref().and_then(|written| to_bind(site, written)),
            max_head_size: usize::try_from(self.buffer_size.unwrap_or(0)).unwrap_or(usize::MAX).max(MAX_HEAD),
            fields: ResponseFields::new(
                self.pass_header.iter().flat_map(|names| names.iter()),
                self.hide_header.iter().flat_map(|names| names.iter()),
            ),
            passes_trailers: false,
            socket: SocketOptions {
                keepalive: self.socket_keepalive.unwrap_or(false),
                receive_buffer: u32::try_from(self.socket_rcvbuf.unwrap_or(0)).unwrap_or(u32::MAX),
                send_buffer: u32::try_from(self.socket_sndbuf.unwrap_or(0)).unwrap_or(u32::MAX),
            },
        }
    }

    /// Whether a header of backends is not to be acted on.
    pub(crate) fn ignores(&self, header: BackendHeader) -> bool {
        self.ignore_headers.as_ref().is_some_and(|ignored| ignored.contains(&header))
    }
}

fn to_bind(site: &Site<'_>, written: &LocalAddress) -> Option<Bind> {
    let address = match written.address.as_ref()? {
        WrittenAddress::Literal(address) => BindTo::Address(*address),
        WrittenAddress::Variable(text) => BindTo::Text(site.compile(text)),
    };
    Some(Bind { address, transparent: written.transparent })
}

/// The rows of one module, from those of its own and those that it has in common with others.
#[expect(clippy::indexing_slicing, reason = "it runs while this is compiled")]
pub(crate) const fn joined<const N: usize>(own: &[Directive], common: &[Directive]) -> [Directive; N] {
    assert!(N == own.len() + common.len(), "the number of rows");
    let mut rows = [own[0]; N];
    let mut at = 0;
    while at < N {
        rows[at] = if at < own.len() { own[at] } else { common[at - own.len()] };
        at += 1;
    }
    rows
}

/// The rows that fill [`Settings`]: what their names begin with, and where the settings of the module stand.
macro_rules! rows {
    ($prefix:literal, $($settings:ident).+) => {{
        use limpet_kernel::directive::prelude::{FLAG, HTTP, LOCATION, MORE1, N1, N2, N12, SERVER, works};
        use limpet_kernel::setters::{append, flag, milliseconds, number, size};
        use $crate::gateway::{self, Settings};
        use $crate::reading::{Blocks, Builder};

        fn own<'b>(builder: &'b mut Builder<'_>) -> &'b mut Settings {
            &mut builder.settings().$($settings).+
        }

        macro_rules! set {
            ($setting:ident, $value:path) => {
                |builder, directive| {
                    own(builder).$setting = Some($value(directive)?);
                    Ok(())
                }
            };
        }

        const ANY: u32 = HTTP | SERVER | LOCATION;
        &[
            works(
                concat!($prefix, "_set_header"),
                ANY,
                N2,
                "A header for the backend. Default: `Host` with the name of the upstream, and an empty `Connection`.",
                |builder, directive| {
                    let header = gateway::header(builder, directive)?;
                    let headers = own(builder).set_header.get_or_insert_default();
                    std::sync::Arc::make_mut(headers).extend(header);
                    Ok(())
                },
            )
            .repeatable(),
            works(
                concat!($prefix, "_connect_timeout"),
                ANY,
                N1,
                "Longest time to connect to a backend. Default: 60s.",
                set!(connect_timeout, milliseconds),
            ),
            works(
                concat!($prefix, "_read_timeout"),
                ANY,
                N1,
                "Longest wait between two reads from a backend. Default: 60s.",
                set!(read_timeout, milliseconds),
            ),
            works(
                concat!($prefix, "_send_timeout"),
                ANY,
                N1,
                "Longest wait between two writes to a backend. Default: 60s.",
                set!(send_timeout, milliseconds),
            ),
            works(
                concat!($prefix, "_next_upstream"),
                ANY,
                MORE1,
                "What sends a request to another server: `error`, `timeout`, `invalid_header`, `http_500`, `http_502`, \
                 `http_503`, `http_504`, `http_403`, `http_404`, `http_429`, `denied`, `non_idempotent`, `off`. Default: error \
                 timeout.",
                |builder, directive| {
                    let before = own(builder).next_upstream;
                    let conditions = gateway::next_upstream(builder, directive, before)?;
                    own(builder).next_upstream = Some(conditions);
                    Ok(())
                },
            )
            .repeatable(),
            works(
                concat!($prefix, "_next_upstream_tries"),
                ANY,
                N1,
                "Most servers that one request is sent to. Default: 0, all.",
                |builder, directive| {
                    let tries = number(directive)?;
                    match own(builder).next_upstream_tries.replace(tries) {
                        // Two names for one setting.
                        Some(_) => Err(limpet_kernel::builder::Fault::Directive("is duplicate")),
                        None => Ok(()),
                    }
                },
            ),
            works(
                concat!($prefix, "_next_upstream_timeout"),
                ANY,
                N1,
                "Time after which no other server is asked for a request. Default: 0, never.",
                set!(next_upstream_timeout, milliseconds),
            ),
            works(
                concat!($prefix, "_bind"),
                ANY,
                N12,
                "Local address of connections to backends, with variables or not; with `transparent` also one that is not the \
                 machine's own; or `off`.",
                |builder, directive| {
                    let address = gateway::bind(builder, directive)?;
                    own(builder).bind = Some(address);
                    Ok(())
                },
            ),
            works(
                concat!($prefix, "_buffer_size"),
                ANY,
                N1,
                "How large the head of a backend's response may be, where it is more than 64k. Default: 64k.",
                set!(buffer_size, size),
            ),
            works(
                concat!($prefix, "_socket_keepalive"),
                ANY,
                FLAG,
                "TCP keepalive probes on connections to backends. Default: off.",
                set!(socket_keepalive, flag),
            ),
            works(
                concat!($prefix, "_socket_rcvbuf"),
                ANY,
                N1,
                "The kernel's buffer for what comes over a connection to a backend; 0: as large as it likes. Default: 0.",
                set!(socket_rcvbuf, size),
            ),
            works(
                concat!($prefix, "_socket_sndbuf"),
                ANY,
                N1,
                "The kernel's buffer for what goes over a connection to a backend; 0: as large as it likes. Default: 0.",
                set!(socket_sndbuf, size),
            ),
            works(
                concat!($prefix, "_pass_header"),
                ANY,
                N1,
                "A header of backends that is passed on although it usually is not: `Date`, `Server`, `X-Pad`, `X-Accel-…`.",
                |builder, directive| {
                    append(&mut own(builder).pass_header, gateway::name(directive)?);
                    Ok(())
                },
            )
            .repeatable(),
            works(
                concat!($prefix, "_hide_header"),
                ANY,
                N1,
                "A header of backends that is not passed on.",
                |builder, directive| {
                    append(&mut own(builder).hide_header, gateway::name(directive)?);
                    Ok(())
                },
            )
            .repeatable(),
            works(
                concat!($prefix, "_ignore_headers"),
                ANY,
                MORE1,
                "Headers of backends that are not acted on. Of those that nginx knows `X-Accel-Redirect`, `X-Accel-Charset` \
                 and `X-Accel-Buffering` would be.",
                |builder, directive| {
                    let before = own(builder).ignore_headers.take().unwrap_or_default();
                    let ignored = gateway::ignored_headers(builder, directive, before)?;
                    own(builder).ignore_headers = Some(ignored);
                    Ok(())
                },
            )
            .repeatable(),
        ]
    }};
}
pub(crate) use rows;
