//! `grpc_pass`: requests are handed on to gRPC servers, over HTTP/2.

use std::sync::Arc;

use limpet_http::HttpVersion;
use limpet_http::pass::{Pass, Terms};
use limpet_http::runtime;
use limpet_kernel::builder::{Fault, fault};
use limpet_kernel::directive::prelude::{LOCATION, LOCATION_IF, N1, works};
use limpet_kernel::setters::{arg, text};
use limpet_syntax as syntax;

use crate::gateway;
use crate::model::PassTarget;
use crate::module::{Content, Module, Spot};
use crate::reading::{Builder, Directive};
use crate::site::{BuildError, BuiltUpstream, Site};

/// nginx's `ngx_http_grpc_module`.
pub(crate) struct Grpc;

impl Module for Grpc {
    const TITLE: &'static str = "gRPC";
    const ROWS: &'static [Directive] = &gateway::joined::<{ OWN.len() + COMMON.len() }>(OWN, COMMON);
    type Settings = gateway::Settings;
    type Main = ();
}

/// `grpc_pass`
#[derive(Debug, Clone, PartialEq, Eq)]
struct GrpcPass {
    upstream: PassTarget,
    is_secure: bool,
    /// What servers are asked by where nothing else is said.
    host: String,
    port: String,
}

impl Content for GrpcPass {
    fn build(&self, site: &Site<'_>, spot: &Spot<'_>) -> Result<runtime::Content, BuildError> {
        let Some(BuiltUpstream { upstream, key, slices }) = site.upstreams.get(self.upstream.0) else {
            return Err(BuildError(format!("no upstream for the location at {}", spot.place)));
        };
        let tls = match self.is_secure {
            true => Some(gateway::tls::pass(&spot.settings.grpc_ssl, "grpc_ssl_", site, &self.host, true)?),
            false => None,
        };
        Ok(runtime::Content::Upstream(Box::new(Pass {
            upstream: Arc::clone(upstream),
            key: Arc::clone(key),
            slices: slices.clone(),
            hides: None,
            redirect: None,
            uri: None,
            scheme: if self.is_secure { "grpcs" } else { "grpc" },
            tls,
            host: self.host.clone(),
            port: self.port.clone(),
            terms: Terms {
                http_version: HttpVersion::Http2,
                tells_of_trailers: true,
                passes_trailers: true,
                ..spot.settings.grpc.terms(site)
            },
        })))
    }

    fn target(&self) -> Option<PassTarget> {
        Some(self.upstream)
    }
}

const COMMON: &[Directive] = gateway::rows!("grpc", grpc);

const OWN: &[Directive] = &[works(
    "grpc_pass",
    LOCATION | LOCATION_IF,
    N1,
    "The upstream or address of gRPC servers to hand requests to, over TLS behind `grpcs://`.",
    grpc_pass,
)];

fn grpc_pass(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    if gateway::passes(builder) {
        return Err(Fault::Directive("is duplicate"));
    }
    if word.bytes.contains(&b'$') {
        return fault(word, "variables in \"grpc_pass\" are not supported by limpet");
    }
    let url = text(word)?;
    let behind = |scheme: &str| {
        url.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).and_then(|_| url.get(scheme.len()..))
    };
    let (is_secure, rest) = match (behind("grpc://"), behind("grpcs://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => (false, url),
    };
    if !gateway::uri_of(rest).is_empty() {
        return fault(word, format!("invalid host in upstream \"{rest}\""));
    }
    let gateway::Target { upstream, host, port, .. } = gateway::target(builder, directive, word, rest, 0)?;
    if let Some(location) = builder.locations.last_mut() {
        location.content = Some(Arc::new(GrpcPass { upstream, is_secure, host, port }));
    }
    Ok(())
}
