//! Directives that limpet knows by name and does not act on: accepted without effect, or refused.
//!
//! A row leaves these files for one with an `apply` beside it when what it says is built.

pub(super) mod core;
pub(super) mod http_access;
pub(super) mod http_content;
pub(super) mod http_core;
pub(super) mod http_gateways;
pub(super) mod http_log;
pub(super) mod http_proxy;
pub(super) mod http_rewrite;
pub(super) mod http_ssl;
pub(super) mod mail;
pub(super) mod stream;
pub(super) mod upstream;
