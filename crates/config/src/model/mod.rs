//! The configuration, typed and merged. Plain data: it decides nothing.

mod charset;
mod check;
mod http;
mod log;
mod main;
mod proxy;
mod rewrite;
mod settings;
mod upstream;

pub use charset::{Charset, CharsetMap};
pub use check::StatusFormat;
pub use http::{Content, Http, Listen, Location, Matcher, PassTarget, PassUri, ProxyPass, Server, ServerName};
pub use log::{AccessLog, AccessLogs, ErrorLog, ErrorLogTarget, Escape, LogFormat};
pub use main::{Main, User, Workers};
pub use proxy::{
    BackendHeader, BindAddress, Condition as NextCondition, HttpVersion, NextUpstream, ProxyBind, ProxyRedirect,
};
pub use rewrite::{Condition, Return, RewriteStep};
pub use settings::{AddHeader, KeepaliveTimeout, Root, ServerTokens, Settings, Types};
pub use upstream::Upstream;

use std::path::PathBuf;
use std::sync::Arc;

/// Where something was written, for messages that come later than reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    pub path: Arc<PathBuf>,
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// Everything that one main file says.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub main: Main,
    pub http: Option<Http>,
}
