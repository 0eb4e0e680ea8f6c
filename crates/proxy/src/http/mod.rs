//! The way of a request: the steps from its head to its log line, and the carriers that take it through them.

mod accel;
mod access_log;
mod begin;
mod body;
mod carry;
mod charset;
mod check_status;
mod choose;
mod ctx;
mod decision;
mod fail;
mod files;
mod handler;
mod logging;
mod page;
mod ranges;
mod reply;
mod response;
mod routing;
pub(crate) mod runtime;
mod steps;
mod sticky;
mod upstream_request;
mod variables;

pub(crate) use access_log::{AccessLog, LineFormat};
pub(crate) use charset::{Charsets, Named};
pub(crate) use ctx::{Request, Try};
pub(crate) use handler::Handler;
pub use runtime::{Runtime, Shared};
pub(crate) use variables::registry;

/// A text with variables of requests.
pub(crate) type Text = limpet_text::Text<Request>;
