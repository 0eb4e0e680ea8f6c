//! `add_header`.

mod run;

use std::sync::Arc;

use limpet_http::runtime::Location;
use limpet_kernel::builder::{Fault, unknown};
use limpet_kernel::directive::prelude::{HTTP, LOCATION, LOCATION_IF, N23, SERVER, works};
use limpet_kernel::setters::{arg, header_name};
use limpet_syntax as syntax;
use limpet_text::Template;

use crate::module::{Module, Spot};
use crate::reading::{Blocks, Builder, Directive};
use crate::site::{BuildError, Site};

/// nginx's `ngx_http_headers_module`.
pub(crate) struct Headers;

impl Module for Headers {
    const TITLE: &'static str = "Headers";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = ();

    fn install(site: &Site<'_>, spot: &Spot<'_>, location: &mut Location) -> Result<(), BuildError> {
        for header in spot.settings.headers.add_header.iter().flat_map(|headers| headers.iter()) {
            let AddHeader { name, value, always } = header;
            let header = run::AddHeader { name: name.clone(), value: site.compile(value), always: *always };
            location.header_filters.push(Box::new(header));
        }
        Ok(())
    }
}

limpet_kernel::settings! {
    add_header: Arc<Vec<AddHeader>>,
}

/// One `add_header`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddHeader {
    pub name: String,
    pub value: Template,
    /// With any status, not only 200, 201, 204, 206, 301, 302, 303, 304, 307 and 308.
    pub always: bool,
}

const ROWS: &[Directive] = &[works(
    "add_header",
    HTTP | SERVER | LOCATION | LOCATION_IF,
    N23,
    "A header for responses; with `always` for those of any status. A block with its own replaces those around it.",
    add_header,
)
.repeatable()];

fn add_header(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let always = match directive.args.get(2) {
        None => false,
        Some(word) if word.bytes == b"always" => true,
        Some(word) => return unknown(word, &word.text(), &["always"]),
    };
    let value = builder.template(arg(directive, 1)?)?;
    let name = header_name(builder, directive)?;
    // A block with its own lines replaces those around it, even if none of them can be sent.
    let headers = builder.settings().headers.add_header.get_or_insert_default();
    if let Some(name) = name {
        Arc::make_mut(headers).push(AddHeader { name, value, always });
    }
    Ok(())
}
