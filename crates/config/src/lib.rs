//! nginx and Tengine configuration: typed, merged and checked.
//!
//! The tree of `limpet-syntax` comes in; a [`model::Config`] comes out, or the error that nginx would report. Every
//! directive has a row in one table that says where it may stand, what it takes and whether it works.

mod builder;
mod directive;
mod directives;
pub mod dump;
mod hint;
mod merge;
pub mod model;
pub mod page;
pub mod value;
mod verify;

use std::io;
use std::net::IpAddr;
use std::path::Path;

pub use builder::Notice;
pub use directive::{Directive, contexts, sections};
pub use limpet_syntax::{Diagnostic, Disk, FileSystem, Sources, Tree};
pub use pcre2::bytes::Regex;

use limpet_syntax::{Includes, parse_command_line, parse_file};
use limpet_text::Names;

/// What came of reading a main file.
pub struct Loaded {
    /// The tree as far as it could be read, with the text of all files.
    pub tree: Tree,
    /// Warnings, and notices about directives without effect, in the order of the files.
    pub notices: Vec<Notice>,
    /// # Errors
    /// The first error, as nginx says it.
    pub config: Result<model::Config, Diagnostic>,
}

/// Reads a main file with everything that it includes. `globals` are the directives of the `-g` option, `variables` the names
/// that texts may use.
pub fn load(path: &Path, globals: &[u8], outside: &dyn Outside, variables: &dyn Names) -> Loaded {
    let base = path.parent().unwrap_or(Path::new(""));
    let tree = parse_file(path, &Includes { directive: b"include", base, files: outside });
    let command_line = parse_command_line(globals);
    let (notices, config) = {
        let mut builder = builder::Builder::new(&tree.sources, outside, variables);
        let result = builder.command_line(&command_line).and_then(|()| builder.items(&tree.items));
        let result = result.and_then(|()| match builder.has_events {
            true => Ok(()),
            false => Err(Diagnostic::nowhere("no \"events\" section in configuration")),
        });
        (std::mem::take(&mut builder.notices), result.map(|()| std::mem::take(&mut builder.config)))
    };
    Loaded { tree, notices, config }
}

/// Reads the tree alone: nothing is checked but the grammar.
pub fn tree(path: &Path, files: &dyn FileSystem) -> Tree {
    let base = path.parent().unwrap_or(Path::new(""));
    parse_file(path, &Includes { directive: b"include", base, files })
}

/// Bytes of stack for a match: enough for the longest URI and patterns with nested repetition.
const JIT_STACK: usize = 1 << 20;

/// A pattern of the configuration, compiled as nginx compiles it: over bytes, by PCRE, with the JIT where there is one.
///
/// # Errors
/// What PCRE has against it.
pub fn regex(pattern: &str, caseless: bool) -> Result<Regex, pcre2::Error> {
    pcre2::bytes::RegexBuilder::new()
        .caseless(caseless)
        .jit_if_available(true)
        .max_jit_stack_size(Some(JIT_STACK))
        .build(pattern)
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
