//! What the words of the directives say.

use std::sync::Arc;

use limpet_http::HttpVersion;
use limpet_kernel::builder::{Fault, fault, unknown};
use limpet_kernel::directive::prelude::LOCATION;
use limpet_kernel::setters::{arg, number, temp_path, text};
use limpet_kernel::value;
use limpet_syntax as syntax;

use super::ProxyRedirect;
use super::pass::{PassUri, ProxyPass};
use crate::gateway;
use crate::model::Matcher;
use crate::reading::{Blocks, Builder};

pub(super) fn proxy_pass(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    if gateway::passes(builder) {
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
    let uri = gateway::uri_of(rest);
    let matcher = builder.locations.last().map(|location| location.matcher.clone());
    if !uri.is_empty() && !matches!(matcher, Some(Matcher::Exact(_) | Matcher::Prefix { .. })) {
        return fault(
            word,
            "\"proxy_pass\" cannot have URI part in location given by regular expression, \
             or inside named location, or inside \"if\" statement, or inside \"limit_except\" block",
        );
    }
    let uri = if uri.is_empty() { PassUri::Original } else { PassUri::Replace(uri.as_bytes().to_vec()) };
    let target = gateway::target(builder, directive, word, rest, default_port)?;
    let gateway::Target { upstream: target, authority, host, port, .. } = target;
    if let Some(location) = builder.locations.last_mut() {
        let authority = authority.to_owned();
        location.content = Some(Arc::new(ProxyPass { scheme, target, uri, authority, host, port }));
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
    let passes = builder.context() == LOCATION && gateway::passes(builder);
    match (redirect, builder.settings().proxy.own.redirect) {
        (ProxyRedirect::Off, Some(_)) | (_, Some(ProxyRedirect::Off)) => Err(Fault::Directive("is duplicate")),
        (ProxyRedirect::Default, _) if !passes => {
            Err(Fault::Message("\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive".into()))
        }
        _ => {
            builder.settings().proxy.own.redirect = Some(redirect);
            Ok(())
        }
    }
}

pub(super) fn proxy_http_version(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let version = match word.bytes.as_slice() {
        b"1.0" => HttpVersion::Http10,
        b"1.1" => HttpVersion::Http11,
        b"2" => HttpVersion::Http2,
        _ => return fault(word, format!("invalid value \"{}\"", word.text())),
    };
    builder.settings().proxy.own.http_version = Some(version);
    Ok(())
}

/// Tengine's name of `proxy_next_upstream_tries`.
pub(super) fn proxy_upstream_tries(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    match builder.settings().proxy.common.next_upstream_tries.replace(number(directive)?) {
        Some(_) => Err(Fault::Directive("is duplicate")),
        None => Ok(()),
    }
}

pub(super) fn proxy_allow_upstream(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let texts = directive.args.iter().map(|word| builder.template(word)).collect::<Result<Vec<_>, _>>()?;
    builder.settings().proxy.own.allow_upstream = Some(Arc::new(texts));
    Ok(())
}

pub(super) fn proxy_buffers(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let invalid = || Fault::Directive("invalid value");
    let number = value::number(&arg(directive, 0)?.bytes).filter(|number| *number > 0).ok_or_else(invalid)?;
    let size = value::size(&arg(directive, 1)?.bytes).filter(|size| *size > 0).ok_or_else(invalid)?;
    builder.settings().proxy.own.buffers = Some((number, size));
    Ok(())
}

pub(super) fn proxy_temp_path(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let (folder, _) = temp_path(directive)?;
    builder.settings().proxy.own.temp_path = Some(folder);
    Ok(())
}
