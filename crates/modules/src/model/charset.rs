//! Character sets of responses.

use limpet_text::Template;

/// `charset` and `source_charset`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charset {
    /// Only of `charset`.
    Off,
    /// As the file spells it first.
    Named(String),
    /// What a variable names.
    Variable(Template),
}
