//! `proxy_pass` and how requests are handed on.

use limpet_syntax as syntax;

use super::headers::{append, header_name};
use super::http::milliseconds;
use crate::builder::{Builder, Fault, arg, fault, template, text};
use crate::directive::prelude::{Directive, HTTP, LOCATION, LOCATION_IF, MORE1, N1, N2, SERVER, works};
use crate::model::{Content, HttpVersion, Matcher, NextUpstream, PassUri, ProxyPass};

pub(crate) const ROWS: &[Directive] = &[
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
        proxy_connect_timeout,
    ),
    works(
        "proxy_read_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two reads from a backend. Default: 60s.",
        proxy_read_timeout,
    ),
    works(
        "proxy_send_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two writes to a backend. Default: 60s.",
        proxy_send_timeout,
    ),
    works(
        "proxy_next_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "What sends a request to another server: `error`, `timeout`, `non_idempotent`, `off`. Default: error timeout.",
        proxy_next_upstream,
    ),
];

fn proxy_pass(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    if matches!(builder.locations.last().map(|location| &location.content), Some(Content::Proxy(_))) {
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
        location.content = Content::Proxy(ProxyPass { target, uri, authority: authority.to_owned(), host, port });
    }
    Ok(())
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
    let header = (header_name(arg(directive, 0)?)?, template(arg(directive, 1)?)?);
    append(&mut builder.settings().proxy_set_header, header);
    Ok(())
}

fn proxy_http_version(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let version = match word.bytes.as_slice() {
        b"1.0" => HttpVersion::Http10,
        b"1.1" => HttpVersion::Http11,
        b"2" => return fault(word, "\"proxy_http_version 2\" is not supported by limpet"),
        _ => return fault(word, format!("invalid value \"{}\"", word.text())),
    };
    builder.settings().proxy_http_version = Some(version);
    Ok(())
}

fn proxy_connect_timeout(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.settings().proxy_connect_timeout = Some(milliseconds(directive)?);
    Ok(())
}

fn proxy_read_timeout(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.settings().proxy_read_timeout = Some(milliseconds(directive)?);
    Ok(())
}

fn proxy_send_timeout(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.settings().proxy_send_timeout = Some(milliseconds(directive)?);
    Ok(())
}

fn proxy_next_upstream(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let mut next = NextUpstream::default();
    let mut off = false;
    for word in &directive.args {
        match word.bytes.as_slice() {
            b"error" => next.error = true,
            b"timeout" => next.timeout = true,
            b"non_idempotent" => next.non_idempotent = true,
            b"off" => off = true,
            b"invalid_header" | b"denied" | b"updating" | b"http_500" | b"http_502" | b"http_503" | b"http_504"
            | b"http_403" | b"http_404" | b"http_429" => {
                let condition = word.text();
                return fault(word, format!("\"{condition}\" in \"proxy_next_upstream\" is not supported by limpet"));
            }
            _ => return fault(word, format!("invalid value \"{}\"", word.text())),
        }
    }
    builder.settings().proxy_next_upstream = Some(if off { NextUpstream::default() } else { next });
    Ok(())
}
