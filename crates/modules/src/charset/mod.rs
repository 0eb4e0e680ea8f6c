//! `charset` and its like: which character set a response says it has, and recoding from another one.

mod recode;
mod run;

use std::sync::Arc;

use limpet_http::runtime::Location;
use limpet_kernel::builder::{Fault, fault};
use limpet_kernel::directive::prelude::{FLAG, HTTP, LOCATION, LOCATION_IF, MORE1, N1, N2, SERVER, works};
use limpet_kernel::setters::{arg, flag, text};
use limpet_kernel::{Diagnostic, Level};
use limpet_syntax::{self as syntax, Item, Word};
use limpet_text::{Part, Template};
use recode::{CharsetMap, Map};

use crate::model::Http;
use crate::module::{Module, Spot, Verifying};
use crate::reading::{Blocks, Builder, Directive, set};
use crate::site::{BuildError, Site};

/// nginx's `ngx_http_charset_module`.
pub(crate) struct Charset;

impl Module for Charset {
    const TITLE: &'static str = "Character sets";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = Main;

    /// Between two character sets that a block names there must be a map.
    fn verify(http: &mut Http, _: &mut Verifying<'_>) -> Result<(), Diagnostic> {
        let maps = &http.main.charset.maps;
        http.check(|settings| {
            let (Some(Name::Named(to)), Some(Name::Named(from))) =
                (&settings.charset.charset, &settings.charset.source_charset)
            else {
                return Ok(());
            };
            if from.eq_ignore_ascii_case(to) || maps.iter().any(|map| map.written.is_between(from, to)) {
                return Ok(());
            }
            Err(format!("no \"charset_map\" between the charsets \"{from}\" and \"{to}\""))
        })
    }

    fn install(site: &Site<'_>, spot: &Spot<'_>, location: &mut Location) -> Result<(), BuildError> {
        let (Main { known, maps }, settings) = (&site.http.main.charset, &spot.settings.charset);
        // A variable may name one that the file does not.
        if known.is_empty() && !matches!(settings.charset, Some(Name::Variable(_))) {
            return Ok(());
        }
        let named = |name: &Name| match name {
            Name::Off => None,
            Name::Named(name) => Some(run::Named::Name(name.clone())),
            Name::Variable(text) => Some(run::Named::Text(site.compile(text))),
        };
        location.filters.push(Box::new(run::Charsets {
            destination: settings.charset.as_ref().and_then(named),
            source: settings.source_charset.as_ref().and_then(named),
            overrides: settings.override_charset.unwrap_or(false),
            types: settings.charset_types.clone().unwrap_or_else(|| Arc::new(default_types())),
            known: Arc::clone(known),
            maps: Arc::clone(maps),
        }));
        Ok(())
    }
}

limpet_kernel::settings! {
    charset: Name,
    source_charset: Name,
    override_charset: bool,
    /// Media types in lower case; `*`: any.
    charset_types: Arc<Vec<Vec<u8>>>,
}

/// What the http block says once for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Main {
    /// The character sets that the file names, each as it is spelt first.
    known: Arc<Vec<String>>,
    maps: Arc<Vec<Arc<Map>>>,
}

/// `charset` and `source_charset`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// Only of `charset`.
    Off,
    /// As the file spells it first.
    Named(String),
    /// What a variable names.
    Variable(Template),
}

/// nginx's types without any `types` block.
fn default_types() -> Vec<Vec<u8>> {
    let types: [&[u8]; 6] = [
        b"text/html",
        b"text/xml",
        b"text/plain",
        b"text/vnd.wap.wml",
        b"application/javascript",
        b"application/rss+xml",
    ];
    types.map(<[u8]>::to_vec).to_vec()
}

const ROWS: &[Directive] = &[
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
        set!(charset.override_charset, flag),
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
    let charset = if word.bytes == b"off" { Name::Off } else { named(builder, word)? };
    builder.settings().charset.charset = Some(charset);
    Ok(())
}

fn source_charset(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let charset = named(builder, arg(directive, 0)?)?;
    builder.settings().charset.source_charset = Some(charset);
    Ok(())
}

/// A name, or a variable: nginx takes all that is behind the `$` for its name.
fn named(builder: &mut Builder<'_>, word: &Word) -> Result<Name, Fault> {
    let Some(name) = word.bytes.strip_prefix(b"$") else { return Ok(Name::Named(spelt(builder, text(word)?))) };
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    if name.is_empty() {
        return fault(word, "invalid variable name \"$\"");
    }
    let template = Template { parts: vec![Part::Variable(name)] };
    builder.uses(&template, word);
    Ok(Name::Variable(template))
}

/// A character set as the file spells it first.
fn spelt(builder: &mut Builder<'_>, name: &str) -> String {
    let charsets = Arc::make_mut(&mut builder.http.main.charset.known);
    match charsets.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => known.clone(),
        None => {
            charsets.push(name.to_owned());
            name.to_owned()
        }
    }
}

fn charset_types(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let mut types = match builder.settings().charset.charset_types.take() {
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
    builder.settings().charset.charset_types = Some(Arc::new(types));
    Ok(())
}

fn charset_map(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let (from, to) = (arg(directive, 0)?, arg(directive, 1)?);
    let (from, to) = (spelt(builder, text(from)?), spelt(builder, text(to)?));
    if from.eq_ignore_ascii_case(&to) {
        return Err(Fault::Message(format!("\"charset_map\" between the same charsets \"{from}\" and \"{to}\"")));
    }
    if builder.http.main.charset.maps.iter().any(|map| map.written.is_between(&from, &to)) {
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
    Arc::make_mut(&mut builder.http.main.charset.maps).push(Arc::new(Map::new(map)));
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
