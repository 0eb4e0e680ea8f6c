//! `location`, `internal`, `root`, `alias`, `types`, `default_type` and `log_not_found`.

use std::sync::Arc;

use limpet_http::{Types, runtime};
use limpet_kernel::Level;
use limpet_kernel::builder::{Fault, fault};
use limpet_kernel::directive::contexts;
use limpet_kernel::directive::prelude::{FLAG, HTTP, LOCATION, LOCATION_IF, N0, N1, N12, SERVER, works};
use limpet_kernel::setters::{arg, check_regex, flag, text};
use limpet_syntax::{self as syntax, Item, Word};
use limpet_text::{Part, Template};

use crate::model::{Location, Matcher};
use crate::module::{Module, Spot};
use crate::reading::{Blocks, Builder, Directive, set};
use crate::site::{BuildError, Site};

/// The part of nginx's `ngx_http_core_module` that is about locations.
pub(crate) struct Locations;

impl Module for Locations {
    const TITLE: &'static str = "HTTP: locations";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = ();

    fn install(site: &Site<'_>, spot: &Spot<'_>, location: &mut runtime::Location) -> Result<(), BuildError> {
        let settings = &spot.settings.location;
        let html = || Root { path: Template::plain(b"html"), alias: false };
        let root = settings.root.clone().unwrap_or_else(html);
        let to = &mut location.settings;
        to.internal = settings.internal.unwrap_or(false);
        to.root = site.compile(&below_prefix(&site.environment.prefix, &root.path));
        to.alias = root.alias;
        to.types = settings.types.clone().unwrap_or_else(|| Arc::new(default_types()));
        to.default_type = settings.default_type.clone().unwrap_or_else(|| b"text/plain".to_vec());
        to.log_not_found = settings.log_not_found.unwrap_or(true);
        Ok(())
    }
}

limpet_kernel::settings! {
    /// Only internal redirects come to the location.
    internal: bool,
    root: Root,
    types: Arc<Types>,
    default_type: Vec<u8>,
    /// Files that are not there are told to the error log.
    log_not_found: bool,
}

/// `root` or `alias`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    pub path: Template,
    /// The path replaces the location's prefix in the URI; otherwise the whole URI is appended to the path.
    pub alias: bool,
}

/// A relative path begins at the prefix.
fn below_prefix(prefix: &std::path::Path, path: &Template) -> Template {
    use std::os::unix::ffi::OsStrExt;
    let absolute = matches!(path.parts.first(), Some(Part::Text(text)) if text.starts_with(b"/"));
    if absolute || matches!(path.parts.first(), Some(Part::Variable(_) | Part::Capture(_))) {
        return path.clone();
    }
    let mut prefix = prefix.as_os_str().as_bytes().to_vec();
    if !prefix.ends_with(b"/") {
        prefix.push(b'/');
    }
    let mut parts = vec![Part::Text(prefix)];
    parts.extend(path.parts.iter().cloned());
    Template { parts }
}

/// nginx's types without any `types` block.
fn default_types() -> Types {
    [("html", "text/html"), ("gif", "image/gif"), ("jpg", "image/jpeg")]
        .into_iter()
        .map(|(extension, media_type)| (extension.as_bytes().to_vec(), media_type.as_bytes().to_vec()))
        .collect()
}

const ROWS: &[Directive] = &[
    works(
        "location",
        SERVER | LOCATION,
        N12.block(),
        "Settings for some URIs: `= uri`, `uri`, `^~ uri`, `~ pattern`, `~* pattern`; may be nested.",
        location,
    )
    .repeatable(),
    works(
        "internal",
        LOCATION,
        N0,
        "Only internal redirects reach the location (`index`, `X-Accel-Redirect`); for clients it is 404.",
        internal,
    ),
    works(
        "root",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        N1,
        "The folder that URIs are appended to. Default: html.",
        root,
    ),
    works("alias", LOCATION, N1, "The path that takes the place of the location's prefix.", alias),
    works("types", HTTP | SERVER | LOCATION, N0.block(), "Media types by file name extension.", types).repeatable(),
    works(
        "default_type",
        HTTP | SERVER | LOCATION,
        N1,
        "The media type of files whose extension no `types` has. Default: text/plain.",
        default_type,
    ),
    works(
        "log_not_found",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether files that are not there are told to the error log. Default: on.",
        set!(location.log_not_found, flag),
    ),
];

fn location(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let matcher = matcher(directive)?;
    check_nesting(builder, &matcher, arg(directive, directive.args.len() - 1)?)?;
    let location = Location::new(matcher, builder.place(directive));
    builder.locations.push(location);
    let result = builder.block(directive, contexts::LOCATION);
    let Some(location) = builder.locations.pop() else { return Ok(()) };
    result?;
    let siblings = match builder.locations.last_mut() {
        Some(outer) => &mut outer.locations,
        None => &mut builder.server.locations,
    };
    // Of patterns and names the first one counts.
    let may_repeat = matches!(location.matcher, Matcher::Regex { .. } | Matcher::Named(_));
    if !may_repeat && siblings.iter().any(|other| same_uri(&other.matcher, &location.matcher)) {
        let word = arg(directive, directive.args.len() - 1)?;
        let message = format!("duplicate location \"{}\"", word.text());
        return Err(Fault::At(message, word.span));
    }
    siblings.push(location);
    Ok(())
}

fn same_uri(one: &Matcher, other: &Matcher) -> bool {
    match (one, other) {
        (Matcher::Prefix { prefix: one, .. }, Matcher::Prefix { prefix: other, .. }) => one == other,
        _ => one == other,
    }
}

fn matcher(directive: &syntax::Directive) -> Result<Matcher, Fault> {
    let first = arg(directive, 0)?;
    if let Some(word) = directive.args.get(1) {
        return match first.bytes.as_slice() {
            b"=" => Ok(Matcher::Exact(word.bytes.clone())),
            b"^~" => Ok(Matcher::Prefix { prefix: word.bytes.clone(), no_regex: true }),
            b"~" => regex(word, text(word)?, false),
            b"~*" => regex(word, text(word)?, true),
            _ => fault(first, format!("invalid location modifier \"{}\"", first.text())),
        };
    }
    match first.bytes.as_slice() {
        [b'=', uri @ ..] => Ok(Matcher::Exact(uri.to_vec())),
        [b'^', b'~', uri @ ..] => Ok(Matcher::Prefix { prefix: uri.to_vec(), no_regex: true }),
        [b'~', b'*', ..] => regex(first, text(first)?.trim_start_matches("~*"), true),
        [b'~', ..] => regex(first, text(first)?.trim_start_matches('~'), false),
        [b'@', ..] => Ok(Matcher::Named(text(first)?.to_owned())),
        uri => Ok(Matcher::Prefix { prefix: uri.to_vec(), no_regex: false }),
    }
}

fn regex(word: &Word, pattern: &str, caseless: bool) -> Result<Matcher, Fault> {
    check_regex(word, pattern, caseless)?;
    Ok(Matcher::Regex { pattern: pattern.to_owned(), caseless })
}

fn check_nesting(builder: &Builder<'_>, matcher: &Matcher, word: &Word) -> Result<(), Fault> {
    let Some(outer) = builder.locations.last() else { return Ok(()) };
    let name = String::from_utf8_lossy(matcher.text()).into_owned();
    match (&outer.matcher, matcher) {
        (Matcher::Exact(uri), _) => {
            let uri = String::from_utf8_lossy(uri);
            fault(word, format!("location \"{name}\" cannot be inside the exact location \"{uri}\""))
        }
        (Matcher::Named(outer), _) => {
            fault(word, format!("location \"{name}\" cannot be inside the named location \"{outer}\""))
        }
        (_, Matcher::Named(_)) => fault(word, format!("named location \"{name}\" can be on the server level only")),
        // nginx compares the text of a pattern as if it were a prefix.
        (Matcher::Prefix { .. } | Matcher::Regex { .. }, Matcher::Exact(uri) | Matcher::Prefix { prefix: uri, .. })
            if !uri.starts_with(outer.matcher.text()) =>
        {
            let outer = String::from_utf8_lossy(outer.matcher.text());
            fault(word, format!("location \"{name}\" is outside location \"{outer}\""))
        }
        _ => Ok(()),
    }
}

fn internal(builder: &mut Builder<'_>, _: &syntax::Directive) -> Result<(), Fault> {
    builder.settings().location.internal = Some(true);
    Ok(())
}

fn root(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    set_root(builder, directive, false)
}

fn alias(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    if builder.locations.last().is_some_and(|location| matches!(location.matcher, Matcher::Named(_))) {
        return Err(Fault::Message("the \"alias\" directive cannot be used inside the named location".into()));
    }
    set_root(builder, directive, true)
}

fn set_root(builder: &mut Builder<'_>, directive: &syntax::Directive, alias: bool) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let mut path = builder.template(word)?;
    for name in ["document_root", "realpath_root"] {
        if path.variables().any(|variable| variable == name) {
            let directive = directive.name.text();
            return fault(word, format!("the ${name} variable cannot be used in the \"{directive}\" directive"));
        }
    }
    // URIs begin with the slash that a folder may end with.
    if !alias && let Some(limpet_text::Part::Text(text)) = path.parts.last_mut() {
        while text.len() > 1 && text.ends_with(b"/") {
            text.pop();
        }
    }
    if let Some(other) = &builder.settings().location.root {
        let (name, earlier) = (directive.name.text(), if other.alias { "alias" } else { "root" });
        return Err(if other.alias == alias {
            Fault::Directive("is duplicate")
        } else {
            Fault::Message(format!("\"{name}\" directive is duplicate, \"{earlier}\" directive was specified earlier"))
        });
    }
    builder.settings().location.root = Some(Root { path, alias });
    Ok(())
}

fn types(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let mut types = builder.settings().location.types.take().map(Arc::unwrap_or_clone).unwrap_or_default();
    if let Some(block) = &directive.block {
        read_types(builder, &block.items, &mut types)?;
    }
    builder.settings().location.types = Some(Arc::new(types));
    Ok(())
}

fn read_types(builder: &mut Builder<'_>, items: &[Item], types: &mut Types) -> Result<(), Fault> {
    for item in items {
        let entry = match item {
            Item::Directive(entry) => entry,
            Item::Failed(diagnostic) => return Err(diagnostic.clone().into()),
        };
        if entry.block.is_some() {
            let at = entry.terminator;
            return Err(builder.diagnostic("unexpected \"{\"".into(), at, Some(at)).into());
        }
        if entry.name.bytes == b"include" {
            read_types(builder, &entry.included, types)?;
            continue;
        }
        for extension in &entry.args {
            let name = extension.bytes.to_ascii_lowercase();
            if let Some(previous) = types.insert(name, entry.name.bytes.clone()) {
                let message = format!(
                    "duplicate extension \"{}\", content type: \"{}\", previous content type: \"{}\"",
                    extension.text(),
                    entry.name.text(),
                    String::from_utf8_lossy(&previous)
                );
                builder.notice(Level::Warn, message, entry);
            }
        }
    }
    Ok(())
}

fn default_type(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.settings().location.default_type = Some(arg(directive, 0)?.bytes.clone());
    Ok(())
}
