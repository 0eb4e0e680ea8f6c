//! `proxy_ssl_…`: TLS towards backends.

use crate::gateway::tls;
use crate::module::Module;
use crate::reading::Directive;

/// The part of nginx's `ngx_http_proxy_module` that is about TLS.
pub(crate) struct ProxySsl;

impl Module for ProxySsl {
    const TITLE: &'static str = "Proxy: TLS";
    const ROWS: &'static [Directive] = tls::rows!("proxy_ssl", proxy_ssl);
    type Settings = tls::Settings;
    type Main = ();
}
