//! Access and error logs.

use std::path::PathBuf;

use limpet_http::Escape;
use limpet_log::LogLevel;
use limpet_text::Template;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorLogTarget {
    Stderr,
    /// As written; a relative one is taken from the prefix.
    File(PathBuf),
}

/// One `error_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLog {
    pub target: ErrorLogTarget,
    /// This level and graver ones are written.
    pub level: LogLevel,
}

/// One `log_format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    pub name: String,
    pub escape: Escape,
    pub line: Template,
}

/// One `access_log` that is not `off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// As written; a relative one is taken from the prefix.
    pub path: PathBuf,
    /// The name of a [`LogFormat`], `combined` among them.
    pub format: String,
    /// `if=`: an empty value or `0` leaves the request out.
    pub condition: Option<Template>,
}

/// The access logs of one level; empty for `off`.
pub type AccessLogs = Vec<AccessLog>;
