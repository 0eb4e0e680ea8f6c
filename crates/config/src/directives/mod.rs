//! The table: one file an nginx module, and in `known` what is not acted on.

mod core;
mod headers;
mod http;
mod known;
mod location;
mod log;
mod proxy;
mod rewrite;
mod sticky;
mod upstream;

use crate::directive::Directive;

/// The sections of `docs/directives.md`, in its order.
pub(crate) const SECTIONS: &[(&str, &[Directive])] = &[
    ("Core", core::ROWS),
    ("HTTP: servers and connections", http::ROWS),
    ("HTTP: locations and files", location::ROWS),
    ("Headers", headers::ROWS),
    ("Rewrite", rewrite::ROWS),
    ("Proxy", proxy::ROWS),
    ("Upstream", upstream::ROWS),
    ("Session sticky", sticky::ROWS),
    ("Logs", log::ROWS),
    ("Core, not acted on", known::core::ROWS),
    ("HTTP core, not acted on", known::http_core::ROWS),
    ("Access, not acted on", known::http_access::ROWS),
    ("Rewrite, not acted on", known::http_rewrite::ROWS),
    ("Proxy, not acted on", known::http_proxy::ROWS),
    ("Upstream, not acted on", known::upstream::ROWS),
    ("Logs, not acted on", known::http_log::ROWS),
    ("TLS, not acted on", known::http_ssl::ROWS),
    ("Contents, not acted on", known::http_content::ROWS),
    ("Gateways, HTTP/2 and scripting, not acted on", known::http_gateways::ROWS),
    ("Stream, not acted on", known::stream::ROWS),
    ("Mail, not acted on", known::mail::ROWS),
];
