//! The machinery of directives: rows of a table, where each may stand and what it takes, the walk over a file, and nginx's
//! words for what is wrong.
//!
//! It knows no directive. Who does hands in a [`Table`] and a model, which the rows' functions fill.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod builder;
pub mod directive;
pub mod dump;
mod hint;
pub mod page;
pub mod setters;
mod settings;
pub mod value;

use std::io;
use std::net::IpAddr;
use std::path::Path;

pub use builder::{Builder, Fault, Level, Notice, Place};
pub use directive::{Directive, Table, contexts};
pub use hint::{nearest, nearest_parameter};
pub use limpet_syntax::{Diagnostic, Disk, FileSystem, Sources, Tree};
use limpet_syntax::{Includes, parse_command_line, parse_file};
use limpet_text::Names;
pub use settings::Inherit;

/// What came of reading a main file.
pub struct Loaded<T> {
    /// The tree as far as it could be read, with the text of all files.
    pub tree: Tree,
    /// Warnings, and notices about directives without effect, in the order of the files.
    pub notices: Vec<Notice>,
    /// # Errors
    /// The first error, as nginx says it.
    pub model: Result<T, Diagnostic>,
}

/// Reads a main file with everything that it includes. `globals` are the directives of the `-g` option, `variables` the names
/// that texts may use, `finish` is called when all has been read.
pub fn load<T: Default>(
    path: &Path,
    globals: &[u8],
    table: &Table<T>,
    outside: &dyn Outside,
    variables: &dyn Names,
    finish: fn(&mut Builder<'_, T>) -> Result<(), Diagnostic>,
) -> Loaded<T> {
    let tree = tree(path, outside);
    let command_line = parse_command_line(globals);
    let (notices, model) = {
        let mut builder = Builder::new(&tree.sources, table, outside, variables);
        let result = builder.command_line(&command_line).and_then(|()| builder.items(&tree.items));
        let result = result.and_then(|()| finish(&mut builder));
        (builder.notices, result.map(|()| builder.model))
    };
    Loaded { tree, notices, model }
}

/// Reads the tree alone: nothing is checked but the grammar.
pub fn tree(path: &Path, files: &dyn FileSystem) -> Tree {
    let base = path.parent().unwrap_or(Path::new(""));
    parse_file(path, &Includes { directive: b"include", base, files })
}

/// What reading a configuration asks of the machine. It may block.
pub trait Outside: FileSystem {
    /// The addresses of a host's name, in the order of the machine's own resolver.
    ///
    /// # Errors
    /// The name can't be looked up.
    fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;

    /// Whether there is a user of this name.
    fn has_user(&self, name: &str) -> bool;

    /// Whether there is a group of this name.
    fn has_group(&self, name: &str) -> bool;

    /// The machine's own name, in lower case.
    fn hostname(&self) -> String;
}

#[cfg(test)]
mod tests;
