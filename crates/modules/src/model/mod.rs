//! The configuration, typed and merged. Plain data: it decides nothing.

mod charset;
mod http;
mod log;
mod main;
mod proxy;
mod rewrite;
mod settings;
mod upstream;

pub use charset::Charset;
pub use http::{Content, Http, Listen, Location, Matcher, PassTarget, PassUri, ProxyPass, Server, ServerName};
pub use log::{AccessLog, AccessLogs, ErrorLog, ErrorLogTarget, LogFormat};
pub use main::{Main, User, Workers};
pub use proxy::{BackendHeader, BindAddress, ProxyBind, ProxyRedirect};
pub use rewrite::{Condition, Return, RewriteStep};
pub use settings::{AddHeader, KeepaliveTimeout, Root, Settings};
pub use upstream::Upstream;

/// Everything that one main file says.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub main: Main,
    pub http: Option<Http>,
}
