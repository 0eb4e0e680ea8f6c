//! Directives that limpet knows by name and does not act on: accepted without effect, accepted where they ask for what is
//! done anyway, or refused.
//!
//! A row leaves these files for one with an `apply` beside it when what it says is built.

pub(super) mod core;
pub(super) mod http_access;
pub(super) mod http_content;
pub(super) mod http_core;
pub(super) mod http_fastcgi;
pub(super) mod http_gateways;
pub(super) mod http_log;
pub(super) mod http_proxy;
pub(super) mod http_rewrite;
pub(super) mod http_scgi;
pub(super) mod http_scripts;
pub(super) mod http_ssl;
pub(super) mod http_tengine;
pub(super) mod http_uwsgi;
pub(super) mod http_v2_v3;
pub(super) mod mail;
pub(super) mod nginx_plus;
pub(super) mod stream;
pub(super) mod third_party;
pub(super) mod upstream;
