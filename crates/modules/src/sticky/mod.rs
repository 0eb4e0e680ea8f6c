//! Tengine's `session_sticky` and `session_sticky_hide_cookie`.

mod variables;
mod verify;

use std::path::Path;

use limpet_http::Request;
use limpet_http::runtime::{Content, Location};
use limpet_kernel::builder::{Fault, fault};
use limpet_kernel::directive::prelude::{ANY, HTTP, LOCATION, N1, SERVER, UPSTREAM, works};
use limpet_kernel::setters::{arg, text};
use limpet_kernel::{Diagnostic, Level, nearest_parameter, value};
use limpet_log::os_error;
use limpet_sticky::{Policy, SameSite, Secure};
use limpet_syntax::{self as syntax, Word};
use limpet_text::Registry;
use limpet_upstream::written;
use limpet_upstream::written::{Hash, Secret, StickyMode};

use crate::model::Http;
use crate::module::{Module, Spot, Verifying};
use crate::reading::{Blocks, Builder, Directive};
use crate::site::{BuildError, Site};

/// Tengine's `ngx_http_upstream_session_sticky_module`.
pub(crate) struct SessionSticky;

impl Module for SessionSticky {
    const TITLE: &'static str = "Session sticky";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = Main;

    fn variables(registry: &mut Registry<Request>) {
        variables::add(registry);
    }

    fn verify(http: &mut Http, verifying: &mut Verifying<'_>) -> Result<(), Diagnostic> {
        let is_block = |name: &str| http.upstreams.iter().any(|upstream| !upstream.implicit && upstream.name == name);
        if let Some((_, diagnostic)) = http.main.sticky.hidden.iter().find(|(name, _)| !is_block(name)) {
            return Err(diagnostic.clone());
        }
        verify::check_secrets(http)?;
        verify::warn_of_sticky(http, verifying.notices);
        Ok(())
    }

    /// The cookie is hidden by the policy of the upstream that is asked or, if it has none, by that of the upstream that
    /// the directive names.
    fn install(site: &Site<'_>, spot: &Spot<'_>, location: &mut Location) -> Result<(), BuildError> {
        let Some(name) = &spot.settings.sticky.session_sticky_hide_cookie else { return Ok(()) };
        location.settings.hide_cookie = true;
        if let Content::Upstream(pass) = &mut location.content {
            let named = || site.upstreams.iter().find(|other| *other.upstream.name == **name)?.upstream.sticky.as_ref();
            let policy = pass.upstream.sticky.as_ref().or_else(named).cloned();
            pass.hides = policy.filter(Policy::hides);
        }
        Ok(())
    }
}

limpet_kernel::settings! {
    /// The upstream that `session_sticky_hide_cookie` names.
    session_sticky_hide_cookie: String,
}

/// What the http block says once for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Main {
    /// The upstreams that `session_sticky_hide_cookie` names, and what to say when there is none of that name.
    hidden: Vec<(String, Diagnostic)>,
}

const ROWS: &[Directive] = &[
    works(
        "session_sticky",
        UPSTREAM,
        ANY,
        "Keeps each client on its server by a cookie: `cookie= domain= path= maxage= maxidle= maxlife= mode= option= fallback= hash= secret= accept_unsigned=`. \
         For browsers: `secure[=auto|forwarded] httponly samesite=strict|lax|none partitioned nocache always refresh`.",
        session_sticky,
    )
    .repeatable(),
    works(
        "session_sticky_hide_cookie",
        HTTP | SERVER | LOCATION,
        N1,
        "Keeps the session's cookie from the backends of `upstream=NAME` (option=indirect and mode=prefix).",
        hide_cookie,
    ),
    works(
        "session_sticky_header",
        HTTP | SERVER | LOCATION,
        N1,
        "The old name of `session_sticky_hide_cookie`.",
        header,
    ),
];

/// What `maxidle` and `maxlife` are when only the other one is given.
const FOREVER: i64 = 2_147_483_647;

fn session_sticky(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let mut sticky = match builder.upstream.sticky.take() {
        Some(sticky) => sticky,
        None => {
            builder.upstream.sticky_place = builder.place(directive);
            written::SessionSticky::default()
        }
    };
    for word in &directive.args {
        if let Some(warning) = argument(&mut sticky, word)? {
            builder.notice(Level::Warn, warning, directive);
        }
    }
    builder.upstream.sticky = Some(sticky);
    Ok(())
}

const ARGUMENTS: &[&str] = &[
    "cookie=",
    "domain=",
    "path=",
    "maxage=",
    "maxidle=",
    "maxlife=",
    "mode=",
    "option=",
    "fallback=",
    "hash=",
    "secret=",
    "accept_unsigned=",
    "secure",
    "secure=",
    "httponly",
    "samesite=",
    "partitioned",
    "nocache",
    "always",
    "refresh",
];

/// Takes one argument; what it returns is a warning.
fn argument(sticky: &mut written::SessionSticky, word: &Word) -> Result<Option<String>, Fault> {
    let split = word.bytes.iter().position(|byte| *byte == b'=');
    let (name, value) = split.and_then(|at| word.bytes.split_at_checked(at + 1)).unwrap_or((&word.bytes, b""));
    let text = |what: &str| match value {
        b"" => fault(word, format!("invalid {what}")),
        _ => Ok(value.to_vec()),
    };
    let seconds = |what: &str| match value::number(value) {
        Some(seconds) => Ok(seconds as i64),
        None => fault(word, format!("invalid {what}")),
    };
    let mut warning = None;
    // The reference compares beginnings: `mode=insertfoo` is insert (compatibility: C1.3).
    let mut choice = |what: &str, words: &[&str]| {
        let Some(found) = words.iter().position(|word| value.starts_with(word.as_bytes())) else {
            return fault(word, format!("invalid {what}"));
        };
        if words.get(found).is_some_and(|word| word.len() != value.len()) {
            let meant = words.get(found).copied().unwrap_or_default();
            warning = Some(format!("\"{}\" is taken as \"{meant}\"", String::from_utf8_lossy(value)));
        }
        Ok(found)
    };
    match name {
        b"cookie=" => sticky.cookie = text("cookie")?,
        b"domain=" => sticky.domain = Some(text("domain")?),
        b"path=" => sticky.path = text("path")?,
        b"maxage=" => {
            seconds("maxage")?;
            sticky.maxage = Some(value.to_vec());
        }
        b"maxidle=" => {
            sticky.maxidle = Some(seconds("maxidle")?);
            sticky.maxlife.get_or_insert(FOREVER);
        }
        b"maxlife=" => {
            sticky.maxlife = Some(seconds("maxlife")?);
            sticky.maxidle.get_or_insert(FOREVER);
        }
        b"mode=" => match choice("mode", &["insert", "prefix", "rewrite"])? {
            // Insert is the default; to name it does not undo another mode (compatibility: C1.6).
            0 => {}
            1 if sticky.mode == StickyMode::Insert => sticky.mode = StickyMode::Prefix,
            1 => {}
            _ => {
                sticky.mode = StickyMode::Rewrite;
                sticky.indirect = false;
            }
        },
        b"option=" => sticky.indirect = choice("option", &["indirect", "direct"])? == 0,
        b"fallback=" => {
            // `off` stays off (compatibility: C1.6).
            sticky.fallback &= choice("fallback", &["on", "off"])? == 0;
        }
        b"hash=" if value == b"md5" => sticky.hash = Hash::Md5,
        b"hash=" if value == b"hmac" => sticky.hash = Hash::Hmac,
        b"secret=" => {
            let secret = text("secret")?;
            sticky.secrets.push(match secret.strip_prefix(b"file:") {
                Some(path) => Secret::File(String::from_utf8_lossy(path).into_owned().into()),
                None => Secret::Text(secret),
            });
        }
        b"accept_unsigned=" => {
            match std::str::from_utf8(value).ok().and_then(|text| text.parse::<jiff::civil::Date>().ok()) {
                Some(date) => sticky.unsigned_until = unix_seconds(date),
                None => return fault(word, "invalid accept_unsigned, it must be a date such as \"2027-01-31\""),
            }
        }
        b"hash=" => {
            choice("hash mode", &["plain"])?;
            sticky.hash = Hash::Plain;
        }
        _ if attribute(sticky, word)? => {}
        _ => {
            let meant = nearest_parameter(&word.text(), ARGUMENTS).map(str::to_owned);
            return Err(Fault::Unknown { message: "invalid argument".into(), span: word.span, meant });
        }
    }
    Ok(warning)
}

/// When a day begins (UTC).
fn unix_seconds(date: jiff::civil::Date) -> Option<i64> {
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// The shortest secret, in bytes: fewer can be guessed.
const SHORTEST_SECRET: usize = 16;

/// Reads the secrets of an upstream.
///
/// # Errors
/// A file that can't be read, or a secret that is too short.
pub(crate) fn keys(sticky: &written::SessionSticky, prefix: &Path) -> Result<Vec<Vec<u8>>, String> {
    let mut keys = Vec::new();
    for secret in &sticky.secrets {
        match secret {
            Secret::Text(text) => keys.push(text.clone()),
            Secret::File(path) => {
                let path = prefix.join(path);
                let failed =
                    |error: std::io::Error| format!("open() \"{}\" failed ({})", path.display(), os_error(&error));
                let text = std::fs::read(&path).map_err(failed)?;
                let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
                let before = keys.len();
                keys.extend(lines.map(<[u8]>::to_vec));
                if keys.len() == before {
                    return Err(format!("\"{}\" holds no secret for session_sticky", path.display()));
                }
            }
        }
    }
    match keys.iter().any(|key| key.len() < SHORTEST_SECRET) {
        true => Err(format!("a secret of session_sticky has fewer than {SHORTEST_SECRET} bytes")),
        false => Ok(keys),
    }
}

/// Takes an argument that the reference does not have; `false`: it is none.
fn attribute(sticky: &mut written::SessionSticky, word: &Word) -> Result<bool, Fault> {
    let said = &mut sticky.attributes;
    match word.bytes.as_slice() {
        b"secure" | b"secure=on" => said.secure = Secure::On,
        b"secure=off" => said.secure = Secure::Off,
        b"secure=auto" => said.secure = Secure::Auto,
        b"secure=forwarded" => said.secure = Secure::Forwarded,
        b"httponly" => said.http_only = true,
        b"samesite=strict" => said.same_site = Some(SameSite::Strict),
        b"samesite=lax" => said.same_site = Some(SameSite::Lax),
        b"samesite=none" => said.same_site = Some(SameSite::None),
        b"partitioned" => said.partitioned = true,
        b"nocache" => said.nocache = true,
        b"always" => said.always = true,
        b"refresh" => said.refresh = true,
        other if other.starts_with(b"secure=") => {
            return fault(word, "invalid secure, it must be \"on\", \"off\", \"auto\" or \"forwarded\"");
        }
        other if other.starts_with(b"samesite=") => {
            return fault(word, "invalid samesite, it must be \"strict\", \"lax\" or \"none\"");
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn hide_cookie(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let Some(name) = text(word)?.strip_prefix("upstream=") else {
        return fault(word, format!("invalid argument of \"{}\"", word.text()));
    };
    // Of several the last one counts, as in Tengine.
    builder.settings().sticky.session_sticky_hide_cookie = Some(name.to_owned());
    let diagnostic = builder.diagnostic(
        format!("invalid upstream name \"{name}\": no such upstream block"),
        directive.terminator,
        Some(word.span),
    );
    builder.http.main.sticky.hidden.push((name.to_owned(), diagnostic));
    Ok(())
}

fn header(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.notice(
        Level::Warn,
        "the \"session_sticky_header\" directive is deprecated, use the \"session_sticky_hide_cookie\" directive instead",
        directive,
    );
    hide_cookie(builder, directive)
}
