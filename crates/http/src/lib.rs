//! HTTP: clients' connections, the way of a request from its head to its log line, and the carriers that take it there.
//!
//! Nothing here knows a directive: what a file says comes as a [`Runtime`], which the modules make.

mod accel;
pub mod access_log;
mod begin;
mod body;
mod carry;
pub mod charset;
pub mod check_status;
mod choose;
mod ctx;
mod decision;
mod fail;
mod files;
pub mod front;
mod handler;
mod logging;
mod page;
pub mod pass;
mod ranges;
pub mod recode;
mod reply;
mod response;
pub mod route;
mod routing;
pub mod runtime;
mod steps;
mod sticky;
mod upstream_request;
mod variables;
pub mod worker;

pub use access_log::{AccessLog, Escape, LineFormat};
pub use charset::{Charsets, Named};
pub use check_status::StatusFormat;
pub use ctx::{Request, Try};
pub use handler::Handler;
pub use pass::{Condition, HttpVersion, NextUpstream};
pub use recode::CharsetMap;
pub use runtime::{Runtime, ServerTokens, Shared, Types};
pub use variables::registry;

/// A text with variables of requests.
pub type Text = limpet_text::Text<Request>;

/// The name and version in `Server` headers and on error pages.
pub const PRODUCT: &str = concat!("limpet/", env!("CARGO_PKG_VERSION"));
/// The same without the version, for `server_tokens off`.
pub const PRODUCT_NAME: &str = "limpet";
/// The nginx whose behaviour is followed, for `$nginx_version` and `-v`.
pub const NGINX_VERSION: &str = "1.31.3";

/// The names of the variables of requests, for reading a configuration.
pub fn variables() -> &'static dyn limpet_text::Names {
    variables::registry()
}

/// This machine's name in lower case, for `$hostname`, as it was when it was first asked for.
pub fn hostname() -> &'static str {
    static NAME: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim().to_ascii_lowercase()
    });
    &NAME
}
