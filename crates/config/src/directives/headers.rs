//! `add_header`.

use std::sync::Arc;

use limpet_syntax as syntax;

use crate::builder::{Builder, Fault, arg, fault, template, text};
use crate::directive::prelude::{Directive, HTTP, LOCATION, LOCATION_IF, N23, SERVER, works};
use crate::model::AddHeader;

pub(crate) const ROWS: &[Directive] = &[works(
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
        Some(word) => return fault(word, format!("invalid parameter \"{}\"", word.text())),
    };
    let header = AddHeader { name: header_name(arg(directive, 0)?)?, value: template(arg(directive, 1)?)?, always };
    append(&mut builder.settings().add_header, header);
    Ok(())
}

/// A header's name that can be sent: the characters of RFC 9110, section 5.6.2.
pub(super) fn header_name(word: &syntax::Word) -> Result<String, Fault> {
    let name = text(word)?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.is_empty() && name.bytes().all(token) {
        return Ok(name.to_owned());
    }
    fault(word, format!("invalid header name \"{name}\""))
}

/// Adds to a list that blocks share with those inside of them.
pub(super) fn append<T: Clone>(list: &mut Option<Arc<Vec<T>>>, item: T) {
    Arc::make_mut(list.get_or_insert_default()).push(item);
}
