//! Directives that limpet knows by name and does not act on: accepted without effect, accepted where they ask for what is
//! done anyway, or refused.
//!
//! A row leaves these files for one with an `apply` beside it when what it says is built.

mod core;
mod http_access;
mod http_content;
mod http_core;
mod http_fastcgi;
mod http_gateways;
mod http_log;
mod http_proxy;
mod http_rewrite;
mod http_scgi;
mod http_scripts;
mod http_ssl;
mod http_tengine;
mod http_uwsgi;
mod http_v2_v3;
mod mail;
mod nginx_plus;
mod stream;
mod third_party;
mod upstream;
pub(crate) mod variables;

use limpet_kernel::directive::Section;

use crate::reading::Reading;

/// Their sections of `docs/directives.md`, behind those of the modules.
pub(crate) const SECTIONS: &[Section<Reading>] = &[
    ("Core, not acted on", core::ROWS),
    ("HTTP core, not acted on", http_core::ROWS),
    ("Access, not acted on", http_access::ROWS),
    ("Rewrite, not acted on", http_rewrite::ROWS),
    ("Proxy, not acted on", http_proxy::ROWS),
    ("Upstream, not acted on", upstream::ROWS),
    ("Logs, not acted on", http_log::ROWS),
    ("TLS, not acted on", http_ssl::ROWS),
    ("Contents, not acted on", http_content::ROWS),
    ("Contents, Tengine's, not acted on", http_tengine::ROWS),
    ("FastCGI, not acted on", http_fastcgi::ROWS),
    ("uwsgi, not acted on", http_uwsgi::ROWS),
    ("SCGI, not acted on", http_scgi::ROWS),
    ("Other gateways, not acted on", http_gateways::ROWS),
    ("HTTP/2 and HTTP/3, not acted on", http_v2_v3::ROWS),
    ("Scripting, not acted on", http_scripts::ROWS),
    ("Stream, not acted on", stream::ROWS),
    ("Mail, not acted on", mail::ROWS),
    ("Third parties, not acted on", third_party::ROWS),
    ("NGINX Plus, not acted on", nginx_plus::ROWS),
];
