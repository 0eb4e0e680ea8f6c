//! limpet's configuration at work on Pingora.
//!
//! A connection is accepted and its requests are framed and judged in [`front`]; each request is handed to Pingora's
//! `HttpProxy`, which carries it along the hooks of [`http`]; [`upstream`] connects to the backends.
//! Beside requests, [`background`] probes backends ([`check`]) and looks their names up ([`resolve`]). [`build`] turns a
//! configuration into the [`runtime`] that all of them read.

pub mod build;
pub mod front;
mod http;
mod recode;
mod route;
pub mod worker;

pub use http::{Runtime, Shared};

/// The name and version in `Server` headers and on error pages.
pub const PRODUCT: &str = concat!("limpet/", env!("CARGO_PKG_VERSION"));
/// The same without the version, for `server_tokens off`.
pub const PRODUCT_NAME: &str = "limpet";
/// The nginx whose behaviour is followed, for `$nginx_version` and `-v`.
pub const NGINX_VERSION: &str = "1.31.3";

/// The names of the variables of requests, for reading a configuration.
pub fn variables() -> &'static dyn limpet_text::Names {
    http::registry()
}

/// This machine's name in lower case, for `$hostname`, as it was when it was first asked for.
pub fn hostname() -> &'static str {
    static NAME: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim().to_ascii_lowercase()
    });
    &NAME
}
