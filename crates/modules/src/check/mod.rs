//! `check` and what goes with it, and the page about it.

mod status;

use std::sync::Arc;

use limpet_kernel::builder::{Fault, fault, unknown};
use limpet_kernel::directive::prelude::{LOCATION, MORE1, N0, N1, N2, SERVER, UPSTREAM, works};
use limpet_kernel::setters::{arg, text};
use limpet_kernel::{Level, value};
use limpet_syntax as syntax;
use limpet_upstream::written::{Check, CheckKind};
use status::{CheckStatus, StatusFormat};

use crate::module::Module;
use crate::reading::{Builder, Directive};

/// Tengine's `ngx_http_upstream_check_module`.
pub(crate) struct Checks;

impl Module for Checks {
    const TITLE: &'static str = "Upstream: checking servers";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = ();
    type Main = ();
}

const ROWS: &[Directive] = &[
    works(
        "check",
        UPSTREAM,
        MORE1,
        "Probes the servers of the group (Tengine): `interval=`, `timeout=` in milliseconds, `rise=`, `fall=`, \
         `default_down=`, `type=tcp|http|https|ssl_hello|mysql|ajp|fastcgi`, `port=`. Default: 30000, 1000, 2, 5, true, tcp. `unique=` \
         has no effect.",
        check,
    )
    .repeatable(),
    works(
        "check_http_send",
        UPSTREAM,
        N1,
        "What an HTTP probe sends (Tengine). Default: `GET / HTTP/1.0` and a blank line.",
        check_http_send,
    )
    .repeatable(),
    works(
        "check_http_expect_alive",
        UPSTREAM,
        MORE1,
        "The statuses that a probe takes for good: `http_1xx` to `http_5xx` (Tengine). Default: http_2xx http_3xx, and any \
         for FastCGI.",
        check_http_expect_alive,
    )
    .repeatable(),
    works(
        "check_fastcgi_param",
        UPSTREAM,
        N2,
        "A parameter that a FastCGI probe sends (Tengine). Default: `REQUEST_METHOD GET`, `REQUEST_URI /` and \
         `SCRIPT_FILENAME index.php`; one takes the place of all three.",
        check_fastcgi_param,
    )
    .repeatable(),
    works(
        "check_keepalive_requests",
        UPSTREAM,
        N1,
        "How many HTTP probes go over one connection (Tengine). Default: 1.",
        check_keepalive_requests,
    )
    .repeatable(),
    works(
        "check_status",
        SERVER | LOCATION,
        N0.or(N1),
        "A page about the probed servers: `html`, `csv`, `json` or `prometheus` (Tengine). A request may choose with \
         `format=` and `status=up|down`.",
        check_status,
    ),
];

fn check(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let before = builder.upstream.check.take();
    // A second line begins anew, but for the protocol and what was given by other directives.
    let mut check = Check {
        kind: before.as_ref().map_or(CheckKind::Tcp, |check| check.kind),
        send: before.and_then(|check| check.send),
        ..Check::default()
    };
    for word in &directive.args {
        let parameter = text(word)?;
        let invalid = || Fault::At(format!("invalid parameter \"{parameter}\""), word.span);
        let number = |value: &str| value::number(value.as_bytes()).filter(|number| *number > 0).ok_or_else(invalid);
        let count = |value: &str| u32::try_from(number(value)?).map_err(|_| invalid());
        let truth = |value: &str| match value {
            _ if value.eq_ignore_ascii_case("true") => Ok(true),
            _ if value.eq_ignore_ascii_case("false") => Ok(false),
            _ => {
                let message = format!("invalid value \"{parameter}\", it must be \"true\" or \"false\"");
                Err(Fault::At(message, word.span))
            }
        };
        match parameter.split_once('=') {
            Some(("interval", value)) => check.interval = number(value)?,
            Some(("timeout", value)) => check.timeout = number(value)?,
            Some(("rise", value)) => check.rise = count(value)?,
            Some(("fall", value)) => check.fall = count(value)?,
            Some(("default_down", value)) => check.default_down = truth(value)?,
            // Probes of one server for several upstreams are not put together.
            Some(("unique", value)) => drop(truth(value)?),
            Some(("port", value)) => check.port = Some(u16::try_from(number(value)?).map_err(|_| invalid())?),
            Some(("type", value)) => {
                check.kind = match value {
                    "tcp" => CheckKind::Tcp,
                    "http" => CheckKind::Http,
                    "https" => CheckKind::Https,
                    "ssl_hello" => CheckKind::SslHello,
                    "mysql" => CheckKind::Mysql,
                    "ajp" => CheckKind::Ajp,
                    "fastcgi" => CheckKind::Fastcgi,
                    _ => return Err(invalid()),
                }
            }
            _ => {
                let known = ["interval=", "timeout=", "rise=", "fall=", "default_down=", "unique=", "port=", "type="];
                return unknown(word, parameter, &known);
            }
        }
    }
    builder.upstream.check = Some(check);
    Ok(())
}

fn check_http_send(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let Some(check) = &mut builder.upstream.check else {
        return fault(word, "invalid check_http_send should set [check] first");
    };
    if word.bytes.is_empty() {
        return Ok(());
    }
    if !check.kind.is_http() {
        return fault(word, format!("invalid check_http_send for type \"{}\"", check.kind.word()));
    }
    check.send = Some(word.bytes.clone());
    Ok(())
}

fn check_http_expect_alive(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    for word in &directive.args {
        let lower = word.bytes.to_ascii_lowercase();
        let hundreds = match lower.as_slice() {
            [b'h', b't', b't', b'p', b'_', digit @ b'1'..=b'5', b'x', b'x'] => usize::from(digit - b'1'),
            _ => return fault(word, format!("invalid value \"{}\"", word.text())),
        };
        let expected = builder.upstream.check_expected.get_or_insert_default();
        let duplicate = expected.get_mut(hundreds).is_some_and(|expected| std::mem::replace(expected, true));
        if duplicate {
            builder.notice(Level::Warn, format!("duplicate value \"{}\"", word.text()), directive);
        }
    }
    Ok(())
}

fn check_fastcgi_param(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let parameter = (arg(directive, 0)?.bytes.clone(), arg(directive, 1)?.bytes.clone());
    builder.upstream.check_params.push(parameter);
    Ok(())
}

fn check_keepalive_requests(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let requests = value::number(&arg(directive, 0)?.bytes).and_then(|requests| u32::try_from(requests).ok());
    let requests = requests.filter(|requests| *requests > 0).ok_or(Fault::Directive("invalid value"))?;
    builder.upstream.check_requests = Some(requests);
    Ok(())
}

fn check_status(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let format = match directive.args.first() {
        None => StatusFormat::Html,
        Some(word) => match StatusFormat::from_word(&word.bytes) {
            Some(format) => format,
            None => return fault(word, format!("invalid check format \"{}\"", word.text())),
        },
    };
    let content = match builder.locations.last_mut() {
        Some(location) => &mut location.content,
        None => &mut builder.server.content,
    };
    *content = Some(Arc::new(CheckStatus { format }));
    Ok(())
}
