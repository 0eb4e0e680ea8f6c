//! The words of the directives.

use std::path::PathBuf;
use std::time::Duration;

use limpet_kernel::builder::{Fault, fault};
use limpet_kernel::setters::{append, arg, text};
use limpet_kernel::{Level, value};
use limpet_syntax as syntax;
use limpet_tls::server::SessionCache;
use limpet_tls::{CacheTerms, NameText, Protocols, Verify};

use super::Settings;
use crate::reading::{Blocks, Builder};

/// The smallest shared cache: eight pages (nginx's).
const LEAST_ZONE: u64 = 8 * 4096;

/// What the block says of TLS; that it says this directive is remembered.
pub(super) fn settings<'b>(builder: &'b mut Builder<'_>, directive: &syntax::Directive) -> &'b mut Settings {
    let place = builder.place(directive);
    let settings = &mut builder.settings().ssl;
    settings.said.add(&directive.name.text(), place);
    settings
}

pub(crate) fn word(directive: &syntax::Directive) -> Result<String, Fault> {
    Ok(text(arg(directive, 0)?)?.to_owned())
}

pub(crate) fn path(directive: &syntax::Directive) -> Result<PathBuf, Fault> {
    Ok(word(directive)?.into())
}

pub(super) fn seconds(directive: &syntax::Directive) -> Result<u64, Fault> {
    value::seconds(&arg(directive, 0)?.bytes).ok_or(Fault::Directive("invalid value"))
}

/// A file's name, which may have the server's name in it.
fn named_file(directive: &syntax::Directive) -> Result<String, Fault> {
    let word = arg(directive, 0)?;
    let name = text(word)?;
    match NameText::parse(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(variable) => {
            let message = format!(
                "\"${variable}\" can't be had in a handshake by limpet: a certificate's name may have \"$ssl_server_name\""
            );
            fault(word, message)
        }
    }
}

/// `ssl_certificate_cache`; `None` inside: off.
pub(super) fn certificate_cache(directive: &syntax::Directive) -> Result<Option<CacheTerms>, Fault> {
    let mut terms = Some(CacheTerms { most: 0, inactive: Duration::from_secs(10), valid: Duration::from_secs(60) });
    for word in &directive.args {
        let written = text(word)?;
        let invalid = || fault(word, format!("invalid parameter \"{written}\""));
        let seconds = |time: &str| value::seconds(time.as_bytes()).map(Duration::from_secs);
        match (written.split_once('='), &mut terms) {
            (None, _) if written == "off" => terms = None,
            (Some(("max", number)), Some(terms)) => match value::number(number.as_bytes()) {
                Some(number @ 1..) => terms.most = usize::try_from(number).unwrap_or(usize::MAX),
                _ => return invalid(),
            },
            (Some(("inactive", time)), Some(terms)) => match seconds(time) {
                Some(time) => terms.inactive = time,
                None => return invalid(),
            },
            (Some(("valid", time)), Some(terms)) => match seconds(time) {
                Some(time) => terms.valid = time,
                None => return invalid(),
            },
            (Some(("max" | "inactive" | "valid", _)), None) => {}
            _ => return invalid(),
        }
    }
    match terms {
        Some(CacheTerms { most: 0, .. }) => {
            Err(Fault::Message("\"ssl_certificate_cache\" must have the \"max\" parameter".into()))
        }
        terms => Ok(terms),
    }
}

/// A file's name, which limpet wants to know at load.
pub(crate) fn file(directive: &syntax::Directive) -> Result<String, Fault> {
    let word = arg(directive, 0)?;
    let name = text(word)?;
    if name.contains('$') && !name.starts_with("data:") {
        return fault(word, format!("limpet reads certificates at load: \"{name}\" must not have variables"));
    }
    Ok(name.to_owned())
}

pub(super) fn certificate(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let file = named_file(directive)?;
    append(&mut settings(builder, directive).values.certificates, file);
    Ok(())
}

pub(super) fn certificate_key(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let file = named_file(directive)?;
    append(&mut settings(builder, directive).values.keys, file);
    Ok(())
}

pub(super) fn ticket_key(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let file = path(directive)?;
    append(&mut settings(builder, directive).values.ticket_keys, file);
    Ok(())
}

/// A command of OpenSSL's, and its value.
pub(crate) fn pair(directive: &syntax::Directive) -> Result<(String, String), Fault> {
    Ok((word(directive)?, text(arg(directive, 1)?)?.to_owned()))
}

pub(super) fn command(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let pair = pair(directive)?;
    append(&mut settings(builder, directive).values.commands, pair);
    Ok(())
}

/// Versions, added to those that are said already.
pub(crate) fn versions(
    builder: &mut Builder<'_>,
    directive: &syntax::Directive,
    said: Option<Protocols>,
) -> Result<Protocols, Fault> {
    let mut protocols = said.unwrap_or(Protocols::NONE);
    for word in &directive.args {
        let more = match protocols.with(text(word)?) {
            Some(more) => more,
            None => return fault(word, format!("invalid value \"{}\"", word.text())),
        };
        if more == protocols {
            builder.notice(Level::Warn, format!("duplicate value \"{}\"", word.text()), directive);
        }
        protocols = more;
    }
    Ok(protocols)
}

pub(super) fn protocols(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let before = settings(builder, directive).values.protocols;
    let protocols = versions(builder, directive, before)?;
    settings(builder, directive).values.protocols = Some(protocols);
    Ok(())
}

pub(super) fn verify(directive: &syntax::Directive) -> Result<Verify, Fault> {
    let word = arg(directive, 0)?;
    Ok(match word.bytes.to_ascii_lowercase().as_slice() {
        b"off" => Verify::Off,
        b"on" => Verify::On,
        b"optional" => Verify::Optional,
        b"optional_no_ca" => Verify::OptionalNoCa,
        _ => return fault(word, format!("invalid value \"{}\"", word.text())),
    })
}

pub(super) fn session_cache(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let mut cache = None;
    for word in &directive.args {
        let written = text(word)?;
        let invalid = || fault(word, format!("invalid session cache \"{written}\""));
        cache = Some(match (written, written.split_once(':')) {
            ("off", _) => SessionCache::Off,
            ("none", _) => SessionCache::None,
            ("builtin", _) => cache.unwrap_or(SessionCache::Builtin(None)),
            (_, Some(("builtin", size))) => {
                match value::number(size.as_bytes()).map(|size| i32::try_from(size).unwrap_or(i32::MAX)) {
                    // Beside a shared one it has nothing to do here.
                    Some(size) => cache.unwrap_or(SessionCache::Builtin(Some(size))),
                    None => return invalid(),
                }
            }
            (_, Some(("shared", rest))) => {
                let Some((name, size)) = rest.split_once(':').filter(|(name, _)| !name.is_empty()) else {
                    return invalid();
                };
                let Some(size) = value::size(size.as_bytes()) else { return invalid() };
                if size < LEAST_ZONE {
                    return fault(word, format!("session cache \"{written}\" is too small"));
                }
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let declared = *builder.http.main.ssl.zones.entry(name.to_owned()).or_insert(size);
                if declared != size {
                    return Err(Fault::Message(format!(
                        "the size {size} of shared memory zone \"{name}\" conflicts with already declared size {declared}"
                    )));
                }
                SessionCache::Shared(name.to_owned(), size)
            }
            _ => return invalid(),
        });
    }
    settings(builder, directive).values.cache = cache;
    Ok(())
}
