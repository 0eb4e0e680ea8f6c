//! `resolver` and Tengine's `dynamic_resolve`: names that are looked up while requests are served.

use std::net::SocketAddr;

use limpet_kernel::builder::{Fault, fault, unknown};
use limpet_kernel::directive::prelude::{HTTP, MORE1, N0, N1, N12, UPSTREAM, works};
use limpet_kernel::setters::{milliseconds, text};
use limpet_kernel::value;
use limpet_syntax as syntax;
use limpet_upstream::written::{DynamicResolve, Fallback, Resolver};
use limpet_wire::Address;

use crate::address;
use crate::module::Module;
use crate::reading::{Builder, Directive};

/// nginx's `resolver`, and Tengine's `ngx_http_upstream_dynamic_module`.
pub(crate) struct Resolving;

impl Module for Resolving {
    const TITLE: &'static str = "Upstream: looking names up";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = ();
    type Main = Main;
}

/// What the http block says once for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Main {
    pub(crate) resolver: Option<Resolver>,
    /// Milliseconds for a lookup.
    pub(crate) timeout: Option<u64>,
}

const ROWS: &[Directive] = &[
    works(
        "resolver",
        HTTP | UPSTREAM,
        MORE1,
        "DNS servers for the names of servers with `resolve`; `valid=` in place of the answers' own time, `ipv4=off` or \
         `ipv6=off`. Default: those of /etc/resolv.conf.",
        resolver,
    ),
    works("resolver_timeout", HTTP | UPSTREAM, N1, "Longest time for a lookup. Default: 30s.", resolver_timeout),
    works(
        "dynamic_resolve",
        UPSTREAM,
        N0.or(N12),
        "Looks up the names of all servers of the group again when their answers run out (Tengine). \
         While a lookup fails, `fallback=shutdown` answers 502, `stale` asks the last addresses, `next` the next server; \
         `fail_timeout=` is how long after a failure to look up again.",
        dynamic_resolve,
    ),
];

fn resolver(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let mut resolver = Resolver { servers: Vec::new(), valid: None, ipv4: true, ipv6: true };
    for word in &directive.args {
        let parameter = text(word)?;
        let invalid = || Fault::At(format!("invalid parameter: {parameter}"), word.span);
        let switch = |value: &str| match value {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(invalid()),
        };
        match parameter.split_once('=') {
            Some(("valid", value)) => {
                resolver.valid = Some(value::seconds(value.as_bytes()).ok_or_else(invalid)?.saturating_mul(1000));
            }
            Some(("ipv4", value)) => resolver.ipv4 = switch(value)?,
            Some(("ipv6", value)) => resolver.ipv6 = switch(value)?,
            _ => match address::target(parameter).and_then(|target| target.resolve(53, builder.outside)) {
                Ok(found) => resolver.servers.extend(found.into_iter().filter_map(|address| match address {
                    Address::Ip(address) => Some(address),
                    Address::Unix(_) => None,
                })),
                Err(wrong) => return fault(word, format!("{wrong} in resolver \"{parameter}\"")),
            },
        }
    }
    if !resolver.ipv4 && !resolver.ipv6 {
        return Err(Fault::Message("\"ipv4\" and \"ipv6\" cannot both be \"off\"".into()));
    }
    let servers: &[SocketAddr] = &resolver.servers;
    if servers.is_empty() {
        return Err(Fault::Message("no name servers defined".into()));
    }
    *slot(builder) = Some(resolver);
    Ok(())
}

fn slot<'b>(builder: &'b mut Builder<'_>) -> &'b mut Option<Resolver> {
    if builder.context() == UPSTREAM {
        &mut builder.upstream.resolver
    } else {
        &mut builder.http.main.resolver.resolver
    }
}

fn resolver_timeout(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let timeout = Some(milliseconds(directive)?);
    if builder.context() == UPSTREAM {
        builder.upstream.resolver_timeout = timeout;
    } else {
        builder.http.main.resolver.timeout = timeout;
    }
    Ok(())
}

fn dynamic_resolve(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let mut dynamic = DynamicResolve { fallback: Fallback::Next, fail_timeout: 0 };
    for word in &directive.args {
        match text(word)?.split_once('=') {
            Some(("fail_timeout", value)) => {
                let seconds = value::seconds(value.as_bytes()).ok_or(Fault::Directive("invalid fail_timeout"))?;
                dynamic.fail_timeout = seconds.saturating_mul(1000);
            }
            // By their beginnings, as Tengine does.
            Some(("fallback", value)) if value.starts_with("stale") => dynamic.fallback = Fallback::Stale,
            Some(("fallback", value)) if value.starts_with("next") => dynamic.fallback = Fallback::Next,
            Some(("fallback", value)) if value.starts_with("shutdown") => dynamic.fallback = Fallback::Shutdown,
            Some(("fallback", _)) => return Err(Fault::Directive("invalid fallback action")),
            _ => return unknown(word, &word.text(), &["fail_timeout=", "fallback="]),
        }
    }
    builder.upstream.dynamic_resolve = Some(dynamic);
    Ok(())
}
