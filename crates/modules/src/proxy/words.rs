//! What the words of the directives say.

use std::sync::Arc;

use limpet_http::{Condition, HttpVersion, NextUpstream};
use limpet_kernel::builder::{Fault, fault, unknown};
use limpet_kernel::directive::prelude::LOCATION;
use limpet_kernel::setters::{arg, header_name, number, temp_path, text};
use limpet_kernel::{Level, value};
use limpet_syntax as syntax;

use super::pass::{PassUri, ProxyPass};
use super::{BackendHeader, BindAddress, ProxyBind, ProxyRedirect};
use crate::model::Matcher;
use crate::reading::{Blocks, Builder};

pub(super) fn proxy_pass(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    if passes(builder) {
        return Err(Fault::Directive("is duplicate"));
    }
    if word.bytes.contains(&b'$') {
        return fault(word, "variables in \"proxy_pass\" are not supported by limpet");
    }
    let url = text(word)?;
    let scheme = |name: &str| url.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let (scheme, default_port) = match () {
        () if scheme("https://") => ("https", 443),
        () if scheme("http://") => ("http", 80),
        () => return fault(word, "invalid URL prefix"),
    };
    let rest = url.get(scheme.len() + "://".len()..).unwrap_or_default();
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
    let target = match builder.upstream_of(authority, default_port, directive) {
        Ok(target) => target,
        Err(message) => return fault(word, message),
    };
    let (host, port) = shown(authority, default_port);
    if let Some(location) = builder.locations.last_mut() {
        let authority = authority.to_owned();
        location.content = Some(Arc::new(ProxyPass { scheme, target, uri, authority, host, port }));
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

pub(super) fn proxy_set_header(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let value = builder.template(arg(directive, 1)?)?;
    let name = header_name(builder, directive)?;
    let headers = builder.settings().proxy.proxy_set_header.get_or_insert_default();
    if let Some(name) = name {
        Arc::make_mut(headers).push((name, value));
    }
    Ok(())
}

pub(super) fn proxy_redirect(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
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

pub(super) fn proxy_http_version(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
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

pub(super) fn proxy_next_upstream(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
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

pub(super) fn proxy_next_upstream_tries(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let tries = number(directive)?;
    if builder.settings().proxy.proxy_next_upstream_tries.replace(tries).is_some() {
        // Two names for one setting.
        return Err(Fault::Directive("is duplicate"));
    }
    Ok(())
}

pub(super) fn proxy_bind(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
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

pub(super) fn proxy_buffer_size(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.settings().proxy.proxy_buffer_size = Some(limpet_kernel::setters::size(directive)?);
    Ok(())
}

pub(super) fn proxy_allow_upstream(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let texts = directive.args.iter().map(|word| builder.template(word)).collect::<Result<Vec<_>, _>>()?;
    builder.settings().proxy.proxy_allow_upstream = Some(Arc::new(texts));
    Ok(())
}

pub(super) fn proxy_buffers(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let invalid = || Fault::Directive("invalid value");
    let number = value::number(&arg(directive, 0)?.bytes).filter(|number| *number > 0).ok_or_else(invalid)?;
    let size = value::size(&arg(directive, 1)?.bytes).filter(|size| *size > 0).ok_or_else(invalid)?;
    builder.settings().proxy.proxy_buffers = Some((number, size));
    Ok(())
}

pub(super) fn proxy_temp_path(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let (folder, _) = temp_path(directive)?;
    builder.settings().proxy.proxy_temp_path = Some(folder);
    Ok(())
}

pub(super) fn proxy_ignore_headers(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
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
        let ignored = builder.settings().proxy.proxy_ignore_headers.get_or_insert_default();
        if ignored.contains(&header) {
            builder.notice(Level::Warn, format!("duplicate value \"{}\"", word.text()), directive);
        } else {
            ignored.push(header);
        }
    }
    Ok(())
}
