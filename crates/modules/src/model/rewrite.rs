//! The rewrite module's directives, as the steps of a little program.

use limpet_text::Template;

/// What is done in the order of the file when a request enters a server or a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewriteStep {
    Return(Return),
    /// `location` is the index of the block among its location's `ifs`; `None` at server level.
    If {
        condition: Condition,
        steps: Vec<RewriteStep>,
        location: Option<usize>,
    },
}

/// `return`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// `None`: 302, or what the URL's form asks for.
    pub code: u16,
    /// A body, or for 301, 302, 303, 307 and 308 where to go.
    pub text: Option<Template>,
}

/// The condition of an `if`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `($variable)`: neither empty nor `0`.
    Set(Template),
    /// `($variable = text)` and `!=`
    Equal { left: Template, right: Template, negated: bool },
    /// `~`, `~*`, `!~`, `!~*`
    Matches { left: Template, pattern: String, caseless: bool, negated: bool },
}
