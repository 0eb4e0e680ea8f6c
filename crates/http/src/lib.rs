//! HTTP: clients' connections, the way of a request from its head to its log line, and the carriers that take it there.
//!
//! Nothing here knows a directive: what a file says comes as a [`Runtime`], which the modules make.

mod accel;
mod attempt;
mod begin;
mod body;
mod carry;
mod choose;
pub mod ctx;
pub mod decision;
mod fail;
pub mod file;
mod finish;
pub mod front;
mod handler;
pub mod page;
pub mod pass;
pub mod phase;
mod ranges;
pub mod reply;
pub mod request_body;
mod response;
pub mod route;
pub mod routing;
pub mod runtime;
mod secure;
mod sticky;
mod upstream_request;
pub mod variables;
pub mod worker;

pub use ctx::Request;
pub use handler::Handler;
pub use pass::{Condition, HttpVersion, NextUpstream};
pub use runtime::{Carrier, Runtime, ServerTokens, Shared, Types};

/// A text with variables of requests.
pub type Text = limpet_text::Text<Request>;

/// The name and version in `Server` headers and on error pages.
pub const PRODUCT: &str = concat!("limpet/", env!("CARGO_PKG_VERSION"));
/// The same without the version, for `server_tokens off`.
pub const PRODUCT_NAME: &str = "limpet";
/// The nginx whose behaviour is followed, for `$nginx_version` and `-v`.
pub const NGINX_VERSION: &str = "1.31.3";

/// This machine's name in lower case, for `$hostname`, as it was when it was first asked for.
pub fn hostname() -> &'static str {
    static NAME: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim().to_ascii_lowercase()
    });
    &NAME
}
