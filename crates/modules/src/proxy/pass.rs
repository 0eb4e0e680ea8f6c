//! Putting a `proxy_pass` to work.

use std::sync::Arc;

use limpet_http::HttpVersion;
use limpet_http::pass::Pass;
use limpet_http::runtime;

use super::ProxyRedirect;
use crate::gateway;
use crate::model::{Matcher, PassTarget};
use crate::module::{Content, Spot};
use crate::site::{BuildError, BuiltUpstream, Site};

/// `proxy_pass`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyPass {
    /// `http` or `https`
    pub scheme: &'static str,
    pub target: PassTarget,
    pub uri: PassUri,
    /// Host and port, or `unix:path`, as written.
    pub authority: String,
    /// `$proxy_host`: the same without the protocol's own port; `localhost` for a Unix socket.
    pub host: String,
    /// `$proxy_port`
    pub port: String,
}

/// Which URI the server is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassUri {
    /// The client's own, as it came.
    Original,
    /// This text in place of the part that the location matched.
    Replace(Vec<u8>),
}

impl Content for ProxyPass {
    fn build(&self, site: &Site<'_>, spot: &Spot<'_>) -> Result<runtime::Content, BuildError> {
        match pass(self, site, spot)? {
            Some(pass) => Ok(runtime::Content::Upstream(Box::new(pass))),
            None => Err(BuildError(format!("no upstream for the location at {}", spot.place))),
        }
    }

    fn target(&self) -> Option<PassTarget> {
        Some(self.target)
    }
}

fn pass(pass: &ProxyPass, site: &Site<'_>, spot: &Spot<'_>) -> Result<Option<Pass>, BuildError> {
    // A location's URI is put in place of its own prefix only: in the block of an `if` the client's own is passed on.
    let uri = match &pass.uri {
        PassUri::Replace(uri) if spot.matcher != Some(&Matcher::If) => Some(uri.clone()),
        _ => None,
    };
    let Some(BuiltUpstream { upstream, key, slices }) = site.upstreams.get(pass.target.0) else {
        return Ok(None);
    };
    let settings = &spot.settings.proxy;
    Ok(Some(Pass {
        upstream: Arc::clone(upstream),
        key: Arc::clone(key),
        slices: slices.clone(),
        hides: None,
        redirect: match settings.own.redirect {
            Some(ProxyRedirect::Off) => None,
            _ => Some(redirect(pass, spot.matcher)),
        },
        uri,
        scheme: pass.scheme,
        tls: match pass.scheme {
            "https" => {
                let speaks_http2 = settings.own.http_version == Some(HttpVersion::Http2);
                Some(gateway::tls::pass(&spot.settings.proxy_ssl, "proxy_ssl_", site, &pass.host, speaks_http2)?)
            }
            _ => None,
        },
        host: pass.host.clone(),
        port: pass.port.clone(),
        terms: settings.terms(site)?,
    }))
}

/// nginx's `proxy_redirect default`: the URL of the `proxy_pass` for the location's prefix.
fn redirect(pass: &ProxyPass, matcher: Option<&Matcher>) -> (Vec<u8>, Vec<u8>) {
    let mut from = format!("{}://{}", pass.scheme, pass.authority).into_bytes();
    match (&pass.uri, matcher) {
        (PassUri::Replace(uri), Some(Matcher::Exact(prefix) | Matcher::Prefix { prefix, .. })) => {
            from.extend_from_slice(uri);
            (from, prefix.clone())
        }
        _ => {
            from.push(b'/');
            (from, b"/".to_vec())
        }
    }
}
