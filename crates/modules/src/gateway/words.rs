//! What the words of these directives say.

use limpet_http::{Condition, NextUpstream};
use limpet_kernel::Level;
use limpet_kernel::builder::{Fault, fault, unknown};
use limpet_kernel::setters::{arg, header_name, text};
use limpet_syntax::{self as syntax, Word};
use limpet_text::Template;

use super::{BackendHeader, LocalAddress, WrittenAddress};
use crate::model::PassTarget;
use crate::reading::{Blocks, Builder};

/// Where requests are handed on to.
pub(crate) struct Target<'w> {
    pub upstream: PassTarget,
    /// Host and port, or `unix:path`, as written.
    pub authority: &'w str,
    /// The authority without the protocol's own port; `localhost` for a Unix socket.
    pub host: String,
    /// Empty for a Unix socket.
    pub port: String,
}

/// Reads what stands behind the scheme.
pub(crate) fn target<'w>(
    builder: &mut Builder<'_>,
    directive: &syntax::Directive,
    word: &Word,
    rest: &'w str,
    default_port: u16,
) -> Result<Target<'w>, Fault> {
    let (authority, _) = split_authority(rest);
    let upstream = match builder.upstream_of(authority, default_port, directive) {
        Ok(upstream) => upstream,
        Err(message) => return fault(word, message),
    };
    let (host, port) = shown(authority, default_port);
    Ok(Target { upstream, authority, host, port })
}

/// What stands behind the authority.
pub(crate) fn uri_of(rest: &str) -> &str {
    split_authority(rest).1
}

/// Whether the location being read hands its requests on already.
pub(crate) fn passes(builder: &Builder<'_>) -> bool {
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
fn shown(authority: &str, default_port: u16) -> (String, String) {
    if authority.starts_with("unix:") {
        return ("localhost".into(), String::new());
    }
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    let default_port = default_port.to_string();
    match port {
        Some(port) if port == default_port => {
            (authority.trim_end_matches(&format!(":{port}")).to_owned(), default_port)
        }
        Some(port) => (authority.to_owned(), port.to_owned()),
        None => (authority.to_owned(), default_port),
    }
}

/// A header and its text; `None`: its name can't be one, and that was told.
pub(crate) fn header(
    builder: &mut Builder<'_>,
    directive: &syntax::Directive,
) -> Result<Option<(String, Template)>, Fault> {
    let value = builder.template(arg(directive, 1)?)?;
    Ok(header_name(builder, directive)?.map(|name| (name, value)))
}

/// The name of a header, as it is compared.
pub(crate) fn name(directive: &syntax::Directive) -> Result<String, Fault> {
    Ok(text(arg(directive, 0)?)?.to_ascii_lowercase())
}

/// What sends a request to another server. The directive adds to what the block has said `before`.
pub(crate) fn next_upstream(
    builder: &mut Builder<'_>,
    directive: &syntax::Directive,
    before: Option<NextUpstream>,
) -> Result<NextUpstream, Fault> {
    let mut conditions = before.unwrap_or_default();
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
            b"updating" => continue,
            _ => return fault(word, format!("invalid value \"{}\"", word.text())),
        };
        if !conditions.add(condition) {
            builder.notice(Level::Warn, format!("duplicate value \"{}\"", word.text()), directive);
        }
    }
    Ok(if off { NextUpstream::OFF } else { conditions })
}

/// The local address of connections.
pub(crate) fn bind(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<LocalAddress, Fault> {
    let word = arg(directive, 0)?;
    let transparent = match directive.args.get(1) {
        None => false,
        Some(word) if word.bytes == b"transparent" => true,
        Some(word) => return unknown(word, &word.text(), &["transparent"]),
    };
    let address = if word.bytes == b"off" && !transparent {
        None
    } else if word.bytes.contains(&b'$') {
        Some(WrittenAddress::Variable(builder.template(word)?))
    } else {
        match limpet_wire::address::local(text(word)?) {
            Some(address) => Some(WrittenAddress::Literal(address)),
            None => return fault(word, format!("invalid address \"{}\"", word.text())),
        }
    };
    Ok(LocalAddress { address, transparent })
}

/// Headers that are not acted on. The directive adds to what the block has said before.
pub(crate) fn ignored_headers(
    builder: &mut Builder<'_>,
    directive: &syntax::Directive,
    mut ignored: Vec<BackendHeader>,
) -> Result<Vec<BackendHeader>, Fault> {
    const OTHERS: [&[u8]; 6] =
        [b"X-Accel-Expires", b"X-Accel-Limit-Rate", b"Expires", b"Cache-Control", b"Set-Cookie", b"Vary"];
    for word in &directive.args {
        let other = || OTHERS.iter().position(|name| name.eq_ignore_ascii_case(&word.bytes));
        let header = match () {
            () if word.bytes.eq_ignore_ascii_case(b"X-Accel-Redirect") => BackendHeader::Redirect,
            () if word.bytes.eq_ignore_ascii_case(b"X-Accel-Buffering") => BackendHeader::Buffering,
            () if word.bytes.eq_ignore_ascii_case(b"X-Accel-Charset") => BackendHeader::Charset,
            () => match other() {
                Some(place) => BackendHeader::Other(place),
                None => return fault(word, format!("invalid value \"{}\"", word.text())),
            },
        };
        if ignored.contains(&header) {
            builder.notice(Level::Warn, format!("duplicate value \"{}\"", word.text()), directive);
        } else {
            ignored.push(header);
        }
    }
    Ok(ignored)
}
