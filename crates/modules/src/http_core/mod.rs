//! `http`, `server`, `listen`, `server_name`: who is asked, and how connections are kept.

mod listen;
pub(crate) mod location;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use limpet_http::request_body::{InFileOnly, TempPath};
use limpet_http::runtime::{self, Location};
use limpet_http::{Carrier, ServerTokens};
use limpet_kernel::builder::{Fault, fault};
use limpet_kernel::directive::contexts;
use limpet_kernel::directive::prelude::{HTTP, LOCATION, MAIN, MORE1, N0, N1, N2, N12, N1234, SERVER, works};
use limpet_kernel::setters::{arg, check_regex, milliseconds, number, size, temp_path, text};
use limpet_kernel::{Diagnostic, Level, Notice, value};
use limpet_message::request::HeadLimits;
use limpet_syntax as syntax;
use limpet_wire::listen::ListenOptions;

use crate::address;
use crate::model::{self, Http, Listen, Server, ServerName};
use crate::module::{Module, Spot};
use crate::reading::{Blocks, Builder, Directive, set};
use crate::site::{self, BuildError, Site};

/// The part of nginx's `ngx_http_core_module` that is about servers and connections.
pub(crate) struct Servers;

impl Module for Servers {
    const TITLE: &'static str = "HTTP: servers and connections";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = ();

    fn install_in_server(
        _: &Site<'_>,
        settings: &model::Settings,
        server: &mut runtime::Server,
    ) -> Result<(), BuildError> {
        server.client_header_timeout = site::milliseconds(settings.http.client_header_timeout, 60_000);
        server.head_limits = head_limits(&settings.http);
        Ok(())
    }

    fn install(site: &Site<'_>, spot: &Spot<'_>, location: &mut Location) -> Result<(), BuildError> {
        let settings = &spot.settings.http;
        let keepalive = settings.keepalive_timeout;
        let to = &mut location.settings;
        to.keepalive_timeout = site::milliseconds(keepalive.map(|keepalive| keepalive.timeout), 75_000);
        to.keepalive_header = keepalive.and_then(|keepalive| keepalive.header);
        to.keepalive_requests = settings.keepalive_requests.unwrap_or(1000);
        to.keepalive_time = site::milliseconds(settings.keepalive_time, 3_600_000);
        to.client_max_body_size = settings.client_max_body_size.unwrap_or(1 << 20);
        to.body_buffer_size = settings.client_body_buffer_size.unwrap_or(16_384) as usize;
        to.body_in_file_only = settings.client_body_in_file_only.unwrap_or_default();
        let temp_path = settings.client_body_temp_path.as_ref();
        to.body_temp_path = Arc::new(TempPath {
            folder: site.temp_folder(temp_path.map(|(folder, _)| folder.as_path()), "client_body_temp")?,
            levels: temp_path.map_or_else(Vec::new, |(_, levels)| levels.clone()),
        });
        to.client_body_timeout = site::milliseconds(settings.client_body_timeout, 60_000);
        to.send_timeout = site::milliseconds(settings.send_timeout, 60_000);
        to.carrier = settings.carrier.unwrap_or_default();
        to.server_tokens = settings.server_tokens.unwrap_or(ServerTokens::On);
        if site.http.mentions_request_body {
            to.kept_body = settings.client_body_buffer_size.unwrap_or(16_384) as usize;
        }
        Ok(())
    }
}

limpet_kernel::settings! {
    keepalive_timeout: KeepaliveTimeout,
    /// Requests served on one connection.
    keepalive_requests: u64,
    /// Milliseconds after which a connection serves its last request.
    keepalive_time: u64,
    /// Bytes; 0: any size.
    client_max_body_size: u64,
    /// Bytes of a body that are kept in memory.
    client_body_buffer_size: u64,
    /// The folder, and how many digits name each level below it.
    client_body_temp_path: (PathBuf, Vec<usize>),
    client_body_in_file_only: InFileOnly,
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
    carrier: Carrier,
    server_tokens: ServerTokens,
}

/// `keepalive_timeout`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepaliveTimeout {
    /// Milliseconds; 0: connections are closed after each response.
    pub timeout: u64,
    /// Seconds for the `Keep-Alive: timeout=` header; `None`: no such header.
    pub header: Option<u64>,
}

/// A head may have as many bytes as its buffers hold, and the small one that nginx reads first.
fn head_limits(settings: &Settings) -> HeadLimits {
    let first = settings.client_header_buffer_size.unwrap_or(1024);
    let (number, size) = settings.large_client_header_buffers.unwrap_or((4, 8192));
    let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    HeadLimits { line: bytes(size.max(first)), head: bytes(number.saturating_mul(size).saturating_add(first)) }
}

const ROWS: &[Directive] = &[
    works("http", MAIN, N0.block(), "Everything about HTTP.", http),
    works("server", HTTP, N0.block(), "A virtual server.", server).repeatable(),
    works("listen", SERVER, MORE1, "An address to accept connections on.", listen::listen).repeatable(),
    works(
        "server_name",
        SERVER,
        MORE1,
        "The names of a server: exact, `*.x`, `.x`, `x.*` and `~regular expression`.",
        server_name,
    )
    .repeatable(),
    works(
        "keepalive_timeout",
        HTTP | SERVER | LOCATION,
        N12,
        "How long an idle client connection stays open, and what `Keep-Alive` says of it. Default: 75s.",
        keepalive_timeout,
    ),
    works(
        "keepalive_requests",
        HTTP | SERVER | LOCATION,
        N1,
        "Most requests on one client connection. Default: 1000.",
        keepalive_requests,
    ),
    works(
        "keepalive_time",
        HTTP | SERVER | LOCATION,
        N1,
        "Age after which a client connection serves its last request. Default: 1h.",
        set!(http.keepalive_time, milliseconds),
    ),
    works(
        "client_header_timeout",
        HTTP | SERVER,
        N1,
        "Longest time to read a request's head. Default: 60s.",
        set!(http.client_header_timeout, milliseconds),
    ),
    works(
        "client_header_buffer_size",
        HTTP | SERVER,
        N1,
        "The first buffer for a request's head: a request line or a head that fits in it is taken, however small those of \
         `large_client_header_buffers` are. Default: 1k.",
        set!(http.client_header_buffer_size, size),
    ),
    works(
        "large_client_header_buffers",
        HTTP | SERVER,
        N2,
        "How large a head may be: the request line one buffer, all lines together all of them. Default: 4 8k.",
        large_client_header_buffers,
    ),
    works(
        "client_body_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two reads of a request's body. Default: 60s.",
        set!(http.client_body_timeout, milliseconds),
    ),
    works(
        "send_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two writes of a response. Default: 60s.",
        set!(http.send_timeout, milliseconds),
    ),
    works(
        "client_max_body_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Largest request body; 0: any. More is answered with 413. Default: 1m.",
        client_max_body_size,
    ),
    works(
        "client_body_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "The largest request body that `$request_body` shows. Default: 16k.",
        client_body_buffer_size,
    ),
    works(
        "carrier",
        HTTP | SERVER | LOCATION,
        N1,
        "Who moves the bytes of a request: `direct`, the connection's own task, or `pingora`, Pingora's proxy. Default: \
         direct.",
        carrier,
    ),
    works(
        "client_body_temp_path",
        HTTP | SERVER | LOCATION,
        N1234,
        "The folder for bodies that are not kept in memory, and how many digits name each level of folders below it. \
         Default: client_body_temp.",
        client_body_temp_path,
    ),
    works(
        "client_body_in_file_only",
        HTTP | SERVER | LOCATION,
        N1,
        "Whether each body that is read before a server is asked is in a file with a name, which stays (`on`) or goes away with \
         the request (`clean`). Default: off.",
        client_body_in_file_only,
    ),
    works(
        "server_tokens",
        HTTP | SERVER | LOCATION,
        N1,
        "Whether `Server` and error pages show the version. Default: on.",
        server_tokens,
    ),
];

fn http(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.block(directive, contexts::HTTP)?;
    Ok(builder.finish_http()?)
}

fn server(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.server = Server { place: builder.place(directive), ..Server::default() };
    builder.block(directive, contexts::SERVER)?;
    let mut server = std::mem::take(&mut builder.server);
    if server.listens.is_empty() {
        // nginx's default is port 80 for root and 8000 for others; here it is always 80.
        let address = address::listen("80", builder.outside).or(Err(Fault::Directive("has no address")))?;
        let place = server.place.clone();
        server.listens.extend(address.into_iter().map(|address| Listen {
            address,
            default_server: false,
            options: ListenOptions::default(),
            ssl: false,
            http2: false,
            has_options: false,
            place: place.clone(),
        }));
    }
    builder.http.servers.push(server);
    Ok(())
}

fn server_name(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    for word in &directive.args {
        let written = text(word)?;
        if let Some(pattern) = written.strip_prefix('~') {
            if pattern.is_empty() {
                return fault(word, format!("empty regex in server name \"{written}\""));
            }
            check_regex(word, pattern, true)?;
            builder.server.names.push(ServerName::Regex(pattern.to_owned()));
            continue;
        }
        if written.contains('/') {
            builder.notice(Level::Warn, format!("server name \"{written}\" has suspicious symbols"), directive);
        }
        let name = written.to_ascii_lowercase();
        let invalid = || fault(word, format!("server name \"{written}\" is invalid"));
        let parsed = if let Some(suffix) = name.strip_prefix("*.") {
            if suffix.is_empty() || suffix.contains('*') {
                return invalid();
            }
            ServerName::Suffix(format!(".{suffix}"))
        } else if let Some(domain) = name.strip_prefix('.') {
            if domain.is_empty() || domain.contains('*') {
                return invalid();
            }
            ServerName::Domain(domain.to_owned())
        } else if let Some(prefix) = name.strip_suffix(".*") {
            if prefix.is_empty() || prefix.contains('*') {
                return invalid();
            }
            ServerName::Prefix(format!("{prefix}."))
        } else if name.contains('*') {
            return invalid();
        } else if name == "$hostname" {
            ServerName::Exact(builder.outside.hostname())
        } else {
            ServerName::Exact(name)
        };
        builder.server.names.push(parsed);
    }
    Ok(())
}

fn keepalive_timeout(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let invalid = || Fault::Directive("invalid value");
    let timeout = value::milliseconds(&arg(directive, 0)?.bytes).ok_or_else(invalid)?;
    let header = match directive.args.get(1) {
        Some(word) => Some(value::seconds(&word.bytes).ok_or_else(invalid)?),
        None => None,
    };
    builder.settings().http.keepalive_timeout = Some(KeepaliveTimeout { timeout, header });
    Ok(())
}

fn keepalive_requests(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let requests = number(directive)?;
    builder.settings().http.keepalive_requests = Some(requests);
    Ok(())
}

fn large_client_header_buffers(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let invalid = || Fault::Directive("invalid value");
    let number = value::number(&arg(directive, 0)?.bytes).filter(|number| *number > 0).ok_or_else(invalid)?;
    let size = value::size(&arg(directive, 1)?.bytes).filter(|size| *size > 0).ok_or_else(invalid)?;
    builder.settings().http.large_client_header_buffers = Some((number, size));
    Ok(())
}

fn client_max_body_size(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let size = value::offset(&arg(directive, 0)?.bytes).ok_or(Fault::Directive("invalid value"))?;
    builder.settings().http.client_max_body_size = Some(size);
    Ok(())
}

fn client_body_buffer_size(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let size = value::size(&arg(directive, 0)?.bytes).ok_or(Fault::Directive("invalid value"))?;
    builder.settings().http.client_body_buffer_size = Some(size);
    Ok(())
}

fn carrier(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let carrier = match word.bytes.as_slice() {
        b"direct" => Carrier::Direct,
        b"pingora" => Carrier::Pingora,
        _ => return fault(word, format!("invalid value \"{}\", it must be \"direct\" or \"pingora\"", word.text())),
    };
    builder.settings().http.carrier = Some(carrier);
    Ok(())
}

fn client_body_temp_path(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.settings().http.client_body_temp_path = Some(temp_path(directive)?);
    Ok(())
}

fn client_body_in_file_only(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let in_file_only = match word.bytes.to_ascii_lowercase().as_slice() {
        b"off" => InFileOnly::Off,
        b"clean" => InFileOnly::Clean,
        b"on" => InFileOnly::On,
        _ => return fault(word, format!("invalid value \"{}\"", word.text())),
    };
    builder.settings().http.client_body_in_file_only = Some(in_file_only);
    Ok(())
}

fn server_tokens(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let tokens = match word.bytes.to_ascii_lowercase().as_slice() {
        b"on" | b"build" => ServerTokens::On,
        b"off" => ServerTokens::Off,
        _ => return fault(word, format!("invalid value \"{}\"", word.text())),
    };
    builder.settings().http.server_tokens = Some(tokens);
    Ok(())
}

/// Checks the listening addresses of all servers, and their names.
pub(crate) fn verify_servers(http: &Http, notices: &mut Vec<Notice>) -> Result<(), Diagnostic> {
    listen::check(http)?;
    warn_of_conflicting_names(&http.servers, notices);
    Ok(())
}

fn warn_of_conflicting_names(servers: &[Server], notices: &mut Vec<Notice>) {
    let mut seen = HashSet::new();
    for server in servers {
        // A server without names has the empty one.
        let empty = [ServerName::Exact(String::new())];
        let names = if server.names.is_empty() { empty.as_slice() } else { &server.names };
        for listen in &server.listens {
            for name in names.iter().filter(|name| !matches!(name, ServerName::Regex(_))) {
                if !seen.insert((&listen.address, format!("{name:?}"))) {
                    let message = format!("conflicting server name \"{}\" on {}, ignored", name, listen.address);
                    notices.push(server.place.warning(message));
                }
            }
        }
    }
}
