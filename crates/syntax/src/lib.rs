//! The nginx configuration grammar: bytes in, a tree with the position of every word out.
//!
//! No directive's name stands here. What a directive means, where it may stand and how many arguments it takes is the
//! business of the crate above; even the name of the directive that reads other files in is handed over by the caller.
//!
//! ```
//! use limpet_syntax::{Item, parse_text};
//!
//! let tree = parse_text("demo.conf", b"worker_processes 2; events { }");
//! let Some(Item::Directive(first)) = tree.items.first() else { panic!() };
//! assert_eq!(first.name.bytes, b"worker_processes");
//! assert_eq!(first.args[0].bytes, b"2");
//! ```

#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod diagnostic;
mod include;
mod lexer;
mod parser;
mod source;
mod tree;

pub use diagnostic::{Diagnostic, Origin};
pub use include::{Disk, FileSystem, Includes};
pub use parser::{MAX_BLOCK_DEPTH, MAX_FILES, MAX_INCLUDE_DEPTH, parse_command_line, parse_file, parse_text};
pub use source::{FileId, SourceFile, Sources, Span};
pub use tree::{Block, Directive, Item, Tree, Word};
