//! What nginx's generic setters take: arguments as values, and its words for those that are none.

use std::path::PathBuf;
use std::sync::Arc;

use limpet_syntax::{self as syntax, Word};

use crate::builder::{Builder, Fault, Level, fault};
use crate::value;

/// nginx's words for what is neither `on` nor `off`.
pub fn not_a_flag(word: &Word, directive: &syntax::Directive) -> String {
    let (word, name) = (word.text(), directive.name.text());
    format!("invalid value \"{word}\" in \"{name}\" directive, it must be \"on\" or \"off\"")
}

/// An argument by its index from 0. The table has checked that it is there.
pub fn arg(directive: &syntax::Directive, index: usize) -> Result<&Word, Fault> {
    directive.args.get(index).ok_or(Fault::Directive("has too few arguments"))
}

/// An argument as text; names, addresses and paths must be UTF-8.
pub fn text(word: &Word) -> Result<&str, Fault> {
    match std::str::from_utf8(&word.bytes) {
        Ok(text) => Ok(text),
        Err(_) => fault(word, format!("\"{}\" is not UTF-8", word.text())),
    }
}

/// `on` or `off`.
pub fn flag(directive: &syntax::Directive) -> Result<bool, Fault> {
    let word = arg(directive, 0)?;
    match value::flag(&word.bytes) {
        Some(flag) => Ok(flag),
        None => fault(word, not_a_flag(word, directive)),
    }
}

/// A number as nginx's generic setter takes it.
pub fn number(directive: &syntax::Directive) -> Result<u64, Fault> {
    value::number(&arg(directive, 0)?.bytes).ok_or(Fault::Directive("invalid number"))
}

/// A time in milliseconds as nginx's generic setter takes it.
pub fn milliseconds(directive: &syntax::Directive) -> Result<u64, Fault> {
    value::milliseconds(&arg(directive, 0)?.bytes).ok_or(Fault::Directive("invalid value"))
}

/// A size in bytes as nginx's generic setter takes it.
pub fn size(directive: &syntax::Directive) -> Result<u64, Fault> {
    value::size(&arg(directive, 0)?.bytes).ok_or(Fault::Directive("invalid value"))
}

/// A pattern that PCRE does not take is an error at load.
pub fn check_regex(word: &Word, pattern: &str, caseless: bool) -> Result<(), Fault> {
    match limpet_text::regex(pattern, caseless) {
        Ok(_) => Ok(()),
        Err(error) => {
            let at = error.offset().and_then(|offset| pattern.get(offset..)).unwrap_or_default();
            let at = if at.is_empty() { String::new() } else { format!(" at \"{at}\"") };
            fault(word, format!("pcre2_compile() failed: {} in \"{pattern}\"{at}", error_text(&error)))
        }
    }
}

/// PCRE's own words, without the crate's words around them.
fn error_text(error: &limpet_text::RegexError) -> String {
    let text = error.to_string();
    text.rsplit(": ").next().unwrap_or_default().to_owned()
}

/// The name of a header, the first argument. For one that can't be sent (RFC 9110, section 5.6.2) it warns and returns
/// `None`: the header is not sent, where nginx sends a broken line.
pub fn header_name<T>(builder: &mut Builder<'_, T>, directive: &syntax::Directive) -> Result<Option<String>, Fault> {
    let name = arg(directive, 0)?.text().into_owned();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.is_empty() && name.bytes().all(token) {
        return Ok(Some(name));
    }
    let colon = if name.ends_with(':') { ", the colon is not of the name" } else { "" };
    let message = format!("\"{name}\" is no name of a header{colon}: \"{}\" does not send it", directive.name.text());
    builder.notice(Level::Warn, message, directive);
    Ok(None)
}

/// Adds to a list that blocks share with those inside of them.
pub fn append<T: Clone>(list: &mut Option<Arc<Vec<T>>>, item: T) {
    Arc::make_mut(list.get_or_insert_default()).push(item);
}

/// A folder for temporary files, and how many digits of a file's number name each level of folders below it: three levels at
/// most, and the name has ten digits.
pub fn temp_path(directive: &syntax::Directive) -> Result<(PathBuf, Vec<usize>), Fault> {
    let folder = text(arg(directive, 0)?)?;
    let mut levels = Vec::new();
    for word in directive.args.iter().skip(1) {
        match value::number(&word.bytes) {
            Some(level @ 1..=10) => levels.push(level as usize),
            _ => return Err(Fault::Directive("invalid value")),
        }
    }
    Ok((folder.into(), levels))
}
