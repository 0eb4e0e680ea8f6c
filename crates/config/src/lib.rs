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
pub mod template;
pub mod value;
pub mod variables;
mod verify;

use std::path::Path;
use std::sync::LazyLock;

pub use builder::Notice;
pub use directive::{Directive, contexts, sections};
pub use limpet_syntax::{Diagnostic, Disk, FileSystem, Sources, Tree};
pub use pcre2::bytes::Regex;
pub use value::address::{Address, local};

use limpet_syntax::{Includes, parse_command_line, parse_file};

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

/// Reads a main file with everything that it includes. `globals` are the directives of the `-g` option.
pub fn load(path: &Path, globals: &[u8], files: &dyn FileSystem) -> Loaded {
    let base = path.parent().unwrap_or(Path::new(""));
    let tree = parse_file(path, &Includes { directive: b"include", base, files });
    let command_line = parse_command_line(globals);
    let (notices, config) = {
        let mut builder = builder::Builder::new(&tree.sources);
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

/// This machine's name in lower case, for `$hostname`, as it was when it was first asked for.
pub fn hostname() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim().to_ascii_lowercase()
    });
    &NAME
}
