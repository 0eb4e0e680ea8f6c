//! What goes to the standard error, in nginx's form and under our own name.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use limpet_kernel::{Diagnostic, Level, Notice, Sources};
use limpet_log::LogLevel;

/// A message that ends the program with status 1.
#[derive(Debug, thiserror::Error)]
pub struct Failure {
    level: Option<LogLevel>,
    lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.lines.iter();
        if let Some(first) = lines.next() {
            match self.level {
                Some(level) => write!(f, "limpet: [{}] {first}", level.name())?,
                None => write!(f, "limpet: {first}")?,
            }
        }
        lines.try_for_each(|line| write!(f, "\n{line}"))
    }
}

impl Failure {
    /// `limpet: TEXT`
    pub fn plain(text: impl Into<String>) -> Self {
        Failure { level: None, lines: vec![text.into()] }
    }

    /// `limpet: [level] TEXT`
    pub fn new(level: LogLevel, text: impl Into<String>) -> Self {
        Failure { level: Some(level), lines: vec![text.into()] }
    }

    /// An error of the configuration; on a terminal with the line that it is about.
    pub fn configuration(diagnostic: &Diagnostic, sources: &Sources) -> Self {
        let level = if diagnostic.message.starts_with("pread()") { LogLevel::Crit } else { LogLevel::Emerg };
        let mut failure = Failure::new(level, diagnostic.to_string());
        if std::io::stderr().is_terminal() {
            failure.lines.extend(diagnostic.excerpt(sources));
        }
        failure
    }

    /// The same with another line behind it.
    pub fn and(mut self, line: String) -> Self {
        self.lines.push(line);
        self
    }

    /// The message without name and level, for the error log.
    pub fn text(&self) -> &str {
        self.lines.first().map(String::as_str).unwrap_or_default()
    }
}

/// Says why, and returns 1.
pub fn fail(failure: &Failure) -> ExitCode {
    say(&failure.to_string());
    ExitCode::FAILURE
}

/// Writes a line to the standard error; nobody listening is no reason to stop.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The level of a notice in a log.
pub fn level(notice: &Notice) -> LogLevel {
    match notice.level {
        Level::Warn => LogLevel::Warn,
        Level::Notice => LogLevel::Notice,
    }
}

/// Shows the warnings of a configuration, and its notices unless it is to be `quiet`.
pub fn show_notices(notices: &[Notice], quiet: bool) {
    for notice in notices.iter().filter(|notice| !quiet || notice.level == Level::Warn) {
        say(&format!("limpet: [{}] {}", level(notice).name(), notice.diagnostic));
    }
}
