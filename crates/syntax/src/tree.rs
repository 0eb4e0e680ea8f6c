//! The tree that the parser builds.

use crate::diagnostic::Diagnostic;
use crate::source::{Sources, Span};

/// A word after quotes and escapes were resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Any bytes but NUL; not necessarily UTF-8.
    pub bytes: Vec<u8>,
    /// Whether it stood in single or double quotes.
    pub quoted: bool,
    /// Where its first byte stands (the quote, if it has one).
    pub span: Span,
}

impl Word {
    /// The word for a message: invalid UTF-8 is shown as U+FFFD.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// A name, its arguments and, for `name … { … }`, what stands between the braces.
#[derive(Debug, Clone)]
pub struct Directive {
    /// The first word.
    pub name: Word,
    /// The words behind it.
    pub args: Vec<Word>,
    /// The `;` or `{` that ended the words. nginx names this line in its messages.
    pub terminator: Span,
    /// `None`: it ends with `;`.
    pub block: Option<Block>,
    /// For the directive that reads other files in: what stood in them.
    pub included: Vec<Item>,
}

/// The inside of a pair of braces.
#[derive(Debug, Clone)]
pub struct Block {
    /// What stands in it.
    pub items: Vec<Item>,
    /// The closing brace, or the place where reading stopped.
    pub end: Span,
}

/// A part of a file or block, in the order of the file.
#[derive(Debug, Clone)]
pub enum Item {
    /// A directive, with its block if it has one.
    Directive(Directive),
    /// Reading stopped here; nothing follows, in this block or any around it. It stands in the tree, and not beside it,
    /// so that an error in an earlier directive is reported first, as nginx does.
    Failed(Diagnostic),
}

/// A configuration as written.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The files that it was read from.
    pub sources: Sources,
    /// The directives of the main file.
    pub items: Vec<Item>,
}

impl Tree {
    /// The error that stopped the parser, if one did.
    pub fn failure(&self) -> Option<&Diagnostic> {
        failure_in(&self.items)
    }
}

fn failure_in(items: &[Item]) -> Option<&Diagnostic> {
    match items.last()? {
        Item::Failed(diagnostic) => Some(diagnostic),
        Item::Directive(directive) => {
            failure_in(&directive.included).or_else(|| failure_in(&directive.block.as_ref()?.items))
        }
    }
}
