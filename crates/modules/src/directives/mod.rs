//! The table: one file an nginx module, and in `known` what is not acted on.

mod balance;
mod charset;
mod check;
mod core;
mod headers;
mod http;
mod known;
mod location;
mod log;
mod proxy;
mod resolve;
mod rewrite;
mod sticky;
mod upstream;

use crate::reading::Directive;

/// The sections of `docs/directives.md`, in its order.
pub(crate) const SECTIONS: &[(&str, &[Directive])] = &[
    ("Core", core::ROWS),
    ("HTTP: servers and connections", http::ROWS),
    ("HTTP: locations and files", location::ROWS),
    ("Headers", headers::ROWS),
    ("Character sets", charset::ROWS),
    ("Rewrite", rewrite::ROWS),
    ("Proxy", proxy::ROWS),
    ("Upstream", upstream::ROWS),
    ("Upstream: choosing a server", balance::ROWS),
    ("Upstream: checking servers", check::ROWS),
    ("Upstream: looking names up", resolve::ROWS),
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
    ("Contents, Tengine's, not acted on", known::http_tengine::ROWS),
    ("FastCGI, not acted on", known::http_fastcgi::ROWS),
    ("uwsgi, not acted on", known::http_uwsgi::ROWS),
    ("SCGI, not acted on", known::http_scgi::ROWS),
    ("Other gateways, not acted on", known::http_gateways::ROWS),
    ("HTTP/2 and HTTP/3, not acted on", known::http_v2_v3::ROWS),
    ("Scripting, not acted on", known::http_scripts::ROWS),
    ("Stream, not acted on", known::stream::ROWS),
    ("Mail, not acted on", known::mail::ROWS),
    ("Third parties, not acted on", known::third_party::ROWS),
    ("NGINX Plus, not acted on", known::nginx_plus::ROWS),
];
