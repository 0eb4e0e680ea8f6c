//! `listen`: addresses, and the options of their sockets.

use std::collections::HashSet;

use limpet_kernel::builder::{Fault, fault, unknown};
use limpet_kernel::setters::{arg, text};
use limpet_kernel::{Diagnostic, Level, value};
use limpet_syntax as syntax;
use limpet_wire::listen::ListenOptions;

use crate::address;
use crate::model::{Http, Listen};
use crate::reading::Builder;

/// What may stand behind the address of a `listen`.
const LISTEN_PARAMETERS: &[&str] = &[
    "default_server",
    "backlog=",
    "rcvbuf=",
    "sndbuf=",
    "ipv6only=",
    "bind",
    "reuseport",
    "deferred",
    "fastopen=",
    "so_keepalive=",
    "ssl",
    "http2",
    "quic",
    "proxy_protocol",
];

/// `on`, `off`, or `[seconds]:[seconds]:[probes]` with at least one of them.
fn is_so_keepalive(value: &str) -> bool {
    if matches!(value, "on" | "off") {
        return true;
    }
    let parts: Vec<&[u8]> = value.split(':').map(str::as_bytes).collect();
    let is_number = |number: &[u8]| number.is_empty() || value::number(number).is_some_and(|number| number > 0);
    let is_time = |time: &[u8]| time.is_empty() || value::seconds(time).is_some_and(|seconds| seconds > 0);
    let fits = match parts.as_slice() {
        [idle, interval] => is_time(idle) && is_time(interval),
        [idle, interval, probes] => is_time(idle) && is_time(interval) && is_number(probes),
        _ => false,
    };
    fits && parts.iter().any(|part| !part.is_empty())
}

pub(super) fn listen(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let addresses = match address::listen(text(word)?, builder.outside) {
        Ok(addresses) => addresses,
        Err(wrong) => return fault(word, format!("{wrong} in \"{}\" of the \"listen\" directive", word.text())),
    };
    let mut default_server = false;
    let mut options = ListenOptions::default();
    let mut has_options = false;
    let (mut ssl, mut http2) = (false, false);
    for word in directive.args.iter().skip(1) {
        let parameter = text(word)?;
        let (name, value) = parameter.split_once('=').map_or((parameter, None), |(name, value)| (name, Some(value)));
        let bytes = value.unwrap_or_default().as_bytes();
        let invalid = |what: &str| fault::<()>(word, format!("invalid {what} \"{parameter}\""));
        has_options |= !matches!(name, "default_server" | "default" | "ssl" | "http2" | "quic" | "proxy_protocol");
        match (name, value) {
            ("default_server" | "default", None) => default_server = true,
            ("backlog", Some(_)) => match value::number(bytes).and_then(|n| u32::try_from(n).ok()) {
                Some(backlog) if backlog > 0 => options.backlog = Some(backlog),
                _ => invalid("backlog")?,
            },
            ("rcvbuf", Some(_)) => match value::size(bytes) {
                Some(size) => options.rcvbuf = Some(size),
                None => invalid("rcvbuf")?,
            },
            ("sndbuf", Some(_)) => match value::size(bytes) {
                Some(size) => options.sndbuf = Some(size),
                None => invalid("sndbuf")?,
            },
            ("ipv6only", Some("on")) => options.ipv6only = Some(true),
            ("ipv6only", Some("off")) => options.ipv6only = Some(false),
            ("fastopen", Some(_)) if value::number(bytes).is_none() => invalid("fastopen")?,
            ("so_keepalive", Some(value)) if !is_so_keepalive(value) => {
                return fault(word, format!("invalid so_keepalive value: \"{value}\""));
            }
            // How the kernel hands connections over; limpet's workers share one socket.
            ("bind" | "reuseport" | "deferred", None) | ("fastopen" | "so_keepalive", Some(_)) => {
                builder.notice(
                    Level::Notice,
                    format!("the \"{name}\" parameter of \"listen\" has no effect in limpet"),
                    directive,
                );
            }
            ("ssl", None) => ssl = true,
            ("http2", None) => {
                http2 = true;
                let message = "the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead";
                builder.notice(Level::Warn, message.to_owned(), directive);
            }
            ("quic", None) => {
                let message = format!(
                    "limpet does not speak HTTP/3: \"listen {} ... quic\" is left out",
                    arg(directive, 0)?.text()
                );
                builder.notice(Level::Warn, message, directive);
                return Ok(());
            }
            ("proxy_protocol" | "multipath" | "xquic", None) | ("setfib" | "accept_filter", Some(_)) => {
                return fault(word, format!("the \"{name}\" parameter of \"listen\" is not supported by limpet"));
            }
            _ => return unknown(word, parameter, LISTEN_PARAMETERS),
        }
    }
    let place = builder.place(directive);
    for address in addresses {
        if builder.server.listens.iter().any(|other| other.address == address) {
            return fault(word, format!("a duplicate listen {address}"));
        }
        let listen =
            Listen { address, default_server, options: options.clone(), ssl, http2, has_options, place: place.clone() };
        builder.server.listens.push(listen);
    }
    Ok(())
}

/// Checks that an address has its options from one line, and one default server.
pub(super) fn check(http: &Http) -> Result<(), Diagnostic> {
    let mut options = HashSet::new();
    let has_options = |listen: &&Listen| listen.has_options;
    for listen in http.servers.iter().flat_map(|server| &server.listens).filter(has_options) {
        if !options.insert(&listen.address) {
            return Err(listen.place.error(format!("duplicate listen options for {}", listen.address)));
        }
    }
    let mut defaults = HashSet::new();
    for listen in http.servers.iter().flat_map(|server| &server.listens).filter(|listen| listen.default_server) {
        if !defaults.insert(&listen.address) {
            return Err(listen.place.error(format!("a duplicate default server for {}", listen.address)));
        }
    }
    Ok(())
}
