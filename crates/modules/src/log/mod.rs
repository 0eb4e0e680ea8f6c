//! `error_log`, `access_log` and `log_format`.

mod run;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use limpet_http::runtime::{Location, Shared};
use limpet_kernel::builder::{Fault, fault, unknown};
use limpet_kernel::directive::contexts;
use limpet_kernel::directive::prelude::{HTTP, LOCATION, LOCATION_IF, MAIN, MORE1, MORE2, SERVER, works};
use limpet_kernel::setters::{append, arg, text};
use limpet_kernel::{Level, nearest, value};
use limpet_log::{LogFile, LogLevel};
use limpet_syntax::{self as syntax, Word};
use limpet_text::Template;
use run::{Escape, LineFormat};

use crate::module::{Module, Spot};
use crate::reading::{Blocks, Builder, Directive};
use crate::site::{BuildError, Environment, Site, open_log};

/// nginx's `ngx_http_log_module`, and the error log.
pub(crate) struct Logs;

impl Module for Logs {
    const TITLE: &'static str = "Logs";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = Main;

    fn install(site: &Site<'_>, spot: &Spot<'_>, location: &mut Location) -> Result<(), BuildError> {
        let settings = &spot.settings.log;
        location.settings.error_log = match &settings.error_log {
            Some(logs) => open_error_log(site.shared, site.environment, logs)?,
            None => Arc::clone(&site.default_log),
        };
        let Main { combined, .. } = &site.http.main.log;
        let default = || [AccessLog { path: "logs/access.log".into(), format: Arc::clone(combined), condition: None }];
        let logs = settings.access_log.as_deref().map_or_else(|| Cow::Owned(default().to_vec()), Cow::Borrowed);
        for log in logs.iter() {
            location.logs.push(Box::new(run::AccessLog {
                file: site.open_log(&log.path)?,
                format: log.format.compile(site),
                condition: log.condition.as_ref().map(|condition| site.compile(condition)),
            }));
        }
        Ok(())
    }
}

limpet_kernel::settings! {
    access_log: Arc<AccessLogs>,
    error_log: Arc<Vec<ErrorLog>>,
}

/// What the http block says once for all.
#[derive(Debug, Clone)]
pub(crate) struct Main {
    formats: Vec<Arc<LogFormat>>,
    /// nginx's own format, which is always there.
    combined: Arc<LogFormat>,
}

impl Default for Main {
    fn default() -> Self {
        // The constant parses: its test says so.
        let combined = Template::parse(COMBINED).unwrap_or_default();
        Main { formats: Vec::new(), combined: LogFormat::new("combined".into(), Escape::Default, combined) }
    }
}

impl Main {
    fn format(&self, name: &str) -> Option<&Arc<LogFormat>> {
        self.formats.iter().chain([&self.combined]).find(|format| format.name == name)
    }
}

/// nginx's predefined format.
const COMBINED: &[u8] =
    b"$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

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
#[derive(Debug)]
pub struct LogFormat {
    pub name: String,
    pub escape: Escape,
    pub line: Template,
    /// Made once for all logs that use it.
    compiled: OnceLock<Arc<LineFormat>>,
}

impl LogFormat {
    fn new(name: String, escape: Escape, line: Template) -> Arc<LogFormat> {
        Arc::new(LogFormat { name, escape, line, compiled: OnceLock::new() })
    }

    fn compile(&self, site: &Site<'_>) -> Arc<LineFormat> {
        let make = || Arc::new(LineFormat { line: site.compile(&self.line), escape: self.escape });
        Arc::clone(self.compiled.get_or_init(make))
    }
}

/// One `access_log` that is not `off`.
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// As written; a relative one is taken from the prefix.
    pub path: PathBuf,
    pub format: Arc<LogFormat>,
    /// `if=`: an empty value or `0` leaves the request out.
    pub condition: Option<Template>,
}

/// The access logs of one level; empty for `off`.
pub type AccessLogs = Vec<AccessLog>;

/// Opens the files of an error log.
///
/// # Errors
/// In nginx's words.
pub(crate) fn open_error_log(
    shared: &Shared,
    environment: &Environment,
    logs: &[ErrorLog],
) -> Result<Arc<limpet_log::ErrorLog>, BuildError> {
    let open = |log: &ErrorLog| {
        let file = match &log.target {
            ErrorLogTarget::File(path) => open_log(shared, environment, path)?,
            ErrorLogTarget::Stderr => {
                let file = LogFile::stderr().map_err(|error| BuildError(format!("dup() of stderr failed: {error}")))?;
                Arc::new(file)
            }
        };
        Ok((file, log.level))
    };
    Ok(Arc::new(limpet_log::ErrorLog::new(logs.iter().map(open).collect::<Result<_, BuildError>>()?)))
}

const ROWS: &[Directive] = &[
    works(
        "error_log",
        MAIN | HTTP | SERVER | LOCATION,
        MORE1,
        "A file or `stderr` for messages of a level and graver ones. Default level: error.",
        error_log,
    )
    .repeatable(),
    works(
        "access_log",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        MORE1,
        "A file for a line on each request, its format, and `if=`; or `off`. Default: logs/access.log combined.",
        access_log,
    )
    .repeatable(),
    works(
        "log_format",
        HTTP,
        MORE2,
        "A named format of access log lines, with `escape=default|json|none`.",
        log_format,
    )
    .repeatable(),
];

fn error_log(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let target = match text(word)? {
        "stderr" => ErrorLogTarget::Stderr,
        name if name.starts_with("syslog:") || name.starts_with("memory:") || name.starts_with("pipe:") => {
            let kind = name.split(':').next().unwrap_or_default();
            return fault(word, format!("\"{kind}:\" in \"error_log\" is not supported by limpet"));
        }
        path => ErrorLogTarget::File(path.into()),
    };
    let mut level = None;
    for word in directive.args.iter().skip(1) {
        let name = text(word)?;
        match LogLevel::ALL.into_iter().find(|level| level.name() == name) {
            Some(_) if level.is_some() => return fault(word, format!("duplicate log level \"{name}\"")),
            Some(found) => level = Some(found),
            None => return fault(word, format!("invalid log level \"{name}\"")),
        }
    }
    let log = ErrorLog { target, level: level.unwrap_or(LogLevel::Error) };
    if builder.context() == contexts::MAIN {
        builder.config.main.error_log.get_or_insert_default().push(log);
    } else {
        append(&mut builder.settings().log.error_log, log);
    }
    Ok(())
}

fn access_log(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let path = text(word)?;
    if path == "off" {
        if let Some(word) = directive.args.get(1) {
            return fault(word, format!("invalid parameter \"{}\"", word.text()));
        }
        builder.settings().log.access_log = Some(Arc::default());
        return Ok(());
    }
    if path.starts_with("syslog:") || path.starts_with("pipe:") || path.contains('$') {
        return fault(word, format!("\"{path}\" is not supported by limpet as an \"access_log\", it must be a file"));
    }
    let mut log = AccessLog { path: path.into(), format: Arc::clone(&builder.http.main.log.combined), condition: None };
    let (mut is_buffered, mut flush) = (false, None);
    for (index, word) in directive.args.iter().enumerate().skip(1) {
        let parameter = text(word)?;
        if index == 1 {
            // Whatever it looks like, nginx takes the second word for a format.
            match builder.http.main.log.format(parameter) {
                Some(format) => log.format = Arc::clone(format),
                None => return unknown_format(builder, word, parameter),
            }
            continue;
        }
        match parameter.split_once('=') {
            Some(("if", condition)) => {
                log.condition = Some(builder.template_in(word, condition.as_bytes())?);
            }
            Some(("buffer", size)) => match value::size(size.as_bytes()) {
                Some(1..) => is_buffered = true,
                _ => return fault(word, format!("invalid buffer size \"{size}\"")),
            },
            Some(("flush", time)) => match value::milliseconds(time.as_bytes()) {
                Some(1..) => flush = Some(word),
                _ => return fault(word, format!("invalid flush time \"{time}\"")),
            },
            _ if parameter == "gzip" || parameter.starts_with("gzip=") => {
                return fault(word, "\"gzip\" in \"access_log\" is not supported by limpet");
            }
            _ => return unknown(word, parameter, &["if=", "buffer=", "flush=", "gzip", "gzip="]),
        }
    }
    match (is_buffered, flush) {
        (false, Some(word)) => return fault(word, format!("no buffer is defined for access_log \"{path}\"")),
        // Lines are written at once, so none is ever late.
        (true, _) => note_buffering(builder, directive),
        (false, None) => {}
    }
    append(&mut builder.settings().log.access_log, log);
    Ok(())
}

fn unknown_format(builder: &Builder<'_>, word: &Word, name: &str) -> Result<(), Fault> {
    let names = builder.http.main.log.formats.iter().map(|format| format.name.as_str()).chain(["combined"]);
    Err(Fault::Unknown {
        message: format!("unknown log format \"{name}\""),
        span: word.span,
        meant: nearest(name, names).map(str::to_owned),
    })
}

fn note_buffering(builder: &mut Builder<'_>, directive: &syntax::Directive) {
    let message = "\"buffer\" and \"flush\" of \"access_log\" have no effect in limpet: lines are written at once";
    builder.notice(Level::Notice, message, directive);
}

fn log_format(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let name = text(word)?.to_owned();
    if builder.http.main.log.format(&name).is_some() {
        return fault(word, format!("duplicate \"log_format\" name \"{name}\""));
    }
    let mut escape = Escape::Default;
    let mut line = Template::default();
    for (index, word) in directive.args.iter().enumerate().skip(1) {
        match word.bytes.strip_prefix(b"escape=") {
            Some(way) if index == 1 => {
                escape = match way {
                    b"default" => Escape::Default,
                    b"json" => Escape::Json,
                    b"none" => Escape::None,
                    _ => {
                        let way = String::from_utf8_lossy(way);
                        return fault(word, format!("unknown log format escaping \"{way}\""));
                    }
                };
            }
            _ => {
                let part = Template::parse_without_captures(&word.bytes).or_else(|message| fault(word, message))?;
                builder.uses(&part, word);
                line.parts.extend(part.parts);
            }
        }
    }
    builder.http.main.log.formats.push(LogFormat::new(name, escape, line));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_combined_format_parses() {
        assert!(Template::parse(COMBINED).is_ok());
    }
}
