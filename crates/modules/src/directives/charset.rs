//! `charset` and its like: which character set a response says it has, and recoding from another one.

use std::sync::Arc;

use limpet_syntax::{self as syntax, Item, Word};
use limpet_text::{Part, Template};

use super::core::flag;
use crate::model::Charset;
use crate::reading::Directive;
use crate::reading::{Blocks, Builder};
use limpet_http::CharsetMap;
use limpet_kernel::Level;
use limpet_kernel::builder::{Fault, arg, fault, text};
use limpet_kernel::directive::prelude::{FLAG, HTTP, LOCATION, LOCATION_IF, MORE1, N1, N2, SERVER, works};

pub(crate) const ROWS: &[Directive] = &[
    works(
        "charset",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        N1,
        "The character set that `Content-Type` names; responses in `source_charset` are recoded to it. Default: off.",
        charset,
    ),
    works(
        "source_charset",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        N1,
        "The character set that responses are written in where they do not say.",
        source_charset,
    ),
    works(
        "override_charset",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        FLAG,
        "Whether a backend's response that names a character set is recoded as well. Default: off.",
        override_charset,
    ),
    works(
        "charset_types",
        HTTP | SERVER | LOCATION,
        MORE1,
        "The media types that get a character set, beside text/html; `*`: any. Default: text/xml text/plain \
         text/vnd.wap.wml application/javascript application/rss+xml.",
        charset_types,
    )
    .repeatable(),
    works(
        "charset_map",
        HTTP,
        N2.block(),
        "Which bytes of one character set stand for which of another, both ways: pairs in hexadecimal digits.",
        charset_map,
    )
    .repeatable(),
];

fn charset(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let charset = if word.bytes == b"off" { Charset::Off } else { named(builder, word)? };
    builder.settings().charset = Some(charset);
    Ok(())
}

fn source_charset(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let charset = named(builder, arg(directive, 0)?)?;
    builder.settings().source_charset = Some(charset);
    Ok(())
}

/// A name, or a variable: nginx takes all that is behind the `$` for its name.
fn named(builder: &mut Builder<'_>, word: &Word) -> Result<Charset, Fault> {
    let Some(name) = word.bytes.strip_prefix(b"$") else { return Ok(Charset::Named(spelt(builder, text(word)?))) };
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    if name.is_empty() {
        return fault(word, "invalid variable name \"$\"");
    }
    let template = Template { parts: vec![Part::Variable(name)] };
    builder.uses(&template, word);
    Ok(Charset::Variable(template))
}

/// A character set as the file spells it first.
fn spelt(builder: &mut Builder<'_>, name: &str) -> String {
    let charsets = &mut builder.http.charsets;
    match charsets.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => known.clone(),
        None => {
            charsets.push(name.to_owned());
            name.to_owned()
        }
    }
}

fn override_charset(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.settings().override_charset = Some(flag(directive)?);
    Ok(())
}

fn charset_types(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let mut types = match builder.settings().charset_types.take() {
        Some(types) => Arc::unwrap_or_clone(types),
        None => vec![b"text/html".to_vec()],
    };
    for word in &directive.args {
        let name = word.bytes.to_ascii_lowercase();
        if types.contains(&name) {
            builder.notice(Level::Warn, format!("duplicate MIME type \"{}\"", word.text()), directive);
        } else {
            types.push(name);
        }
    }
    builder.settings().charset_types = Some(Arc::new(types));
    Ok(())
}

fn charset_map(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let (from, to) = (arg(directive, 0)?, arg(directive, 1)?);
    let (from, to) = (spelt(builder, text(from)?), spelt(builder, text(to)?));
    if from.eq_ignore_ascii_case(&to) {
        return Err(Fault::Message(format!("\"charset_map\" between the same charsets \"{from}\" and \"{to}\"")));
    }
    if builder.http.charset_maps.iter().any(|map| map.is_between(&from, &to)) {
        return Err(Fault::Message(format!("duplicate \"charset_map\" between \"{from}\" and \"{to}\"")));
    }
    if from.eq_ignore_ascii_case("utf-8") {
        let message = format!("\"charset_map\" with \"{from}\" charset should be given in the second column");
        return Err(Fault::Message(message));
    }
    let mut map = CharsetMap { from, to, pairs: Vec::new() };
    for item in directive.block.iter().flat_map(|block| &block.items) {
        let entry = match item {
            Item::Directive(entry) => entry,
            Item::Failed(diagnostic) => return Err(diagnostic.clone().into()),
        };
        let pair = pair(entry, map.is_to_utf8());
        map.pairs.push(pair.map_err(|message| builder.diagnostic(message, entry.terminator, Some(entry.name.span)))?);
    }
    builder.http.charset_maps.push(map);
    Ok(())
}

/// A line of a map: a byte, and what stands for it.
fn pair(entry: &syntax::Directive, to_utf8: bool) -> Result<(u8, Vec<u8>), String> {
    let [to] = entry.args.as_slice() else { return Err("invalid parameters number".into()) };
    let invalid = |word: &Word| format!("invalid value \"{}\"", word.text());
    let from = match hexadecimal(&entry.name.bytes).as_deref() {
        Some([byte]) => *byte,
        _ => return Err(invalid(&entry.name)),
    };
    let bytes = hexadecimal(&to.bytes).ok_or_else(|| invalid(to))?;
    let is_right = match to_utf8 {
        true => std::str::from_utf8(&bytes).is_ok_and(|text| text.chars().count() == 1),
        false => bytes.len() == 1,
    };
    if is_right { Ok((from, bytes)) } else { Err(invalid(to)) }
}

/// One or two digits for a byte, and two for each of several.
fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    match text {
        [] => None,
        [only] => Some(vec![digit(only)?]),
        _ => text
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(high)? << 4 | digit(low)?),
                _ => None,
            })
            .collect(),
    }
}
