//! Putting a `proxy_pass` to work.

use std::sync::Arc;

use limpet_http::pass::{Bind, BindTo, HttpVersion, NextUpstream, Pass};
use limpet_http::runtime;
use limpet_message::response::MAX_HEAD;
use limpet_text::Template;

use super::{BackendHeader, BindAddress, ProxyBind, ProxyRedirect};
use crate::model::{Matcher, PassTarget};
use crate::module::{Content, Spot};
use crate::site::{Balanced, BuildError, Site, milliseconds};

/// `proxy_pass`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyPass {
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
        match pass(self, site, spot) {
            Some(pass) => Ok(runtime::Content::Upstream(Box::new(pass))),
            None => Err(BuildError(format!("no upstream for the location at {}", spot.place))),
        }
    }

    fn target(&self) -> Option<PassTarget> {
        Some(self.target)
    }
}

fn pass(pass: &ProxyPass, site: &Site<'_>, spot: &Spot<'_>) -> Option<Pass> {
    let settings = &spot.settings.proxy;
    let set_header = settings.proxy_set_header.iter().flat_map(|headers| headers.iter());
    // A location's URI is put in place of its own prefix only: in the block of an `if` the client's own is passed on.
    let uri = match &pass.uri {
        PassUri::Replace(uri) if spot.matcher != Some(&Matcher::If) => Some(uri.clone()),
        _ => None,
    };
    let Balanced { upstream, key, slices } = site.upstreams.get(pass.target.0)?;
    let mentions_body = |(_, value): &(String, Template)| value.variables().any(|name| name == "request_body");
    Some(Pass {
        upstream: Arc::clone(upstream),
        key: Arc::clone(key),
        slices: slices.clone(),
        hides: None,
        redirect: match settings.proxy_redirect {
            Some(ProxyRedirect::Off) => None,
            _ => Some(redirect(pass, spot.matcher)),
        },
        uri,
        host: pass.host.clone(),
        port: pass.port.clone(),
        reads_body: set_header.clone().any(mentions_body),
        set_header: set_header.map(|(name, value)| (name.clone(), site.compile(value))).collect(),
        http_version: settings.proxy_http_version.unwrap_or(HttpVersion::Http11),
        connect_timeout: milliseconds(settings.proxy_connect_timeout, 60_000),
        read_timeout: milliseconds(settings.proxy_read_timeout, 60_000),
        send_timeout: milliseconds(settings.proxy_send_timeout, 60_000),
        next_upstream: settings.proxy_next_upstream.unwrap_or(NextUpstream::DEFAULT),
        next_tries: match settings.proxy_next_upstream_tries {
            None | Some(0) => usize::MAX,
            Some(tries) => usize::try_from(tries).unwrap_or(usize::MAX),
        },
        next_timeout: milliseconds(settings.proxy_next_upstream_timeout, 0),
        allow: settings
            .proxy_allow_upstream
            .iter()
            .flat_map(|texts| texts.iter())
            .map(|text| site.compile(text))
            .collect(),
        takes_back: !settings.ignores(BackendHeader::Redirect),
        bind: settings.proxy_bind.as_ref().and_then(|written| bind(site, written)),
        most_head: usize::try_from(settings.proxy_buffer_size.unwrap_or(0)).unwrap_or(usize::MAX).max(MAX_HEAD),
        socket_keepalive: settings.proxy_socket_keepalive.unwrap_or(false),
    })
}

/// nginx's `proxy_redirect default`: the URL of the `proxy_pass` for the location's prefix.
fn redirect(pass: &ProxyPass, matcher: Option<&Matcher>) -> (Vec<u8>, Vec<u8>) {
    let mut from = format!("http://{}", pass.authority).into_bytes();
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

fn bind(site: &Site<'_>, bind: &ProxyBind) -> Option<Bind> {
    let address = match bind.address.as_ref()? {
        BindAddress::Literal(address) => BindTo::Address(*address),
        BindAddress::Variable(text) => BindTo::Text(site.compile(text)),
    };
    Some(Bind { address, transparent: bind.transparent })
}
