//! `error_log`, `access_log` and `log_format`.

use std::sync::Arc;

use limpet_syntax::{self as syntax, Word};
use limpet_text::Template;

use super::headers::append;
use crate::model::{AccessLog, ErrorLog, ErrorLogTarget, LogFormat};
use crate::reading::Directive;
use crate::reading::{Blocks, Builder};
use limpet_http::Escape;
use limpet_kernel::Level;
use limpet_kernel::builder::{Fault, arg, fault, text, unknown};
use limpet_kernel::directive::contexts;
use limpet_kernel::directive::prelude::{HTTP, LOCATION, LOCATION_IF, MAIN, MORE1, MORE2, SERVER, works};
use limpet_kernel::nearest;
use limpet_kernel::value;
use limpet_log::LogLevel;

pub(crate) const ROWS: &[Directive] = &[
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
        append(&mut builder.settings().error_log, log);
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
        builder.settings().access_log = Some(Arc::default());
        return Ok(());
    }
    if path.starts_with("syslog:") || path.starts_with("pipe:") || path.contains('$') {
        return fault(word, format!("\"{path}\" is not supported by limpet as an \"access_log\", it must be a file"));
    }
    let mut log = AccessLog { path: path.into(), format: "combined".into(), condition: None };
    let (mut is_buffered, mut flush) = (false, None);
    for (index, word) in directive.args.iter().enumerate().skip(1) {
        let parameter = text(word)?;
        if index == 1 {
            // Whatever it looks like, nginx takes the second word for a format.
            let is_known = parameter == "combined" || builder.http.log_formats.iter().any(|f| f.name == parameter);
            if !is_known {
                return unknown_format(builder, word, parameter);
            }
            log.format = parameter.to_owned();
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
    append(&mut builder.settings().access_log, log);
    Ok(())
}

fn unknown_format(builder: &Builder<'_>, word: &Word, name: &str) -> Result<(), Fault> {
    let names = builder.http.log_formats.iter().map(|format| format.name.as_str()).chain(["combined"]);
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
    if name == "combined" || builder.http.log_formats.iter().any(|format| format.name == name) {
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
    builder.http.log_formats.push(LogFormat { name, escape, line });
    Ok(())
}
