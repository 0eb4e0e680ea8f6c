//! Words to a tree. Errors end the reading and stay in the tree at their place.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Origin};
use crate::include::{FileSystem, Includes};
use crate::lexer::{End, LexError, Lexer};
use crate::source::{FileId, Sources, Span};
use crate::tree::{Block, Directive, Item, Tree};

/// The deepest nesting of blocks, all files together.
pub const MAX_BLOCK_DEPTH: usize = 128;
/// The longest chain of files of which each reads the next.
pub const MAX_INCLUDE_DEPTH: usize = 32;
/// How many times files are read for one configuration: ten files that each include the next twice are a thousand reads.
pub const MAX_FILES: usize = 100_000;

/// Reads a main file and what it includes.
pub fn parse_file(path: &Path, includes: &Includes<'_>) -> Tree {
    let mut parser = Parser::new(Some(includes));
    let mut items = Vec::new();
    match includes.files.read(path) {
        Ok(bytes) => {
            let file = parser.sources.add(path.to_owned(), bytes.into());
            parser.file(file, &mut items);
        }
        Err(error) => items.push(Item::Failed(Diagnostic::nowhere(cannot_read(path, &error)))),
    }
    Tree { sources: parser.sources, items }
}

/// Reads a text that includes nothing, under a name for its messages.
pub fn parse_text(name: &str, text: &[u8]) -> Tree {
    let mut parser = Parser::new(None);
    let file = parser.sources.add(PathBuf::from(name), text.into());
    let mut items = Vec::new();
    parser.file(file, &mut items);
    Tree { sources: parser.sources, items }
}

/// Reads the directives of the `-g` option; blocks are not allowed there.
pub fn parse_command_line(text: &[u8]) -> Tree {
    let mut parser = Parser::new(None);
    parser.command_line = true;
    let file = parser.sources.add(PathBuf::from("command line"), text.into());
    let mut items = Vec::new();
    parser.file(file, &mut items);
    Tree { sources: parser.sources, items }
}

/// `open() "FILE" failed (2: No such file or directory)`, as nginx says it.
fn cannot_read(path: &Path, error: &io::Error) -> String {
    let call = if error.kind() == io::ErrorKind::IsADirectory { "pread" } else { "open" };
    let reason = error.to_string();
    // std says `No such file or directory (os error 2)`, nginx says `2: No such file or directory`.
    let reason = reason.split(" (os error").next().unwrap_or_default();
    let code = error.raw_os_error().unwrap_or_default();
    format!("{call}() \"{}\" failed ({code}: {reason})", path.display())
}

struct Parser<'a> {
    sources: Sources,
    includes: Option<&'a Includes<'a>>,
    /// The chain of files being read, the innermost last.
    open: Vec<FileId>,
    depth: usize,
    files_read: usize,
    command_line: bool,
}

/// Reading goes on, or an error was put into the tree and everything ends.
#[derive(PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
}

impl<'a> Parser<'a> {
    fn new(includes: Option<&'a Includes<'a>>) -> Self {
        Parser { sources: Sources::default(), includes, open: Vec::new(), depth: 0, files_read: 0, command_line: false }
    }

    fn file(&mut self, file: FileId, items: &mut Vec<Item>) -> Outcome {
        let Some(bytes) = self.sources.get(file).map(|source| Arc::clone(&source.bytes)) else {
            return Outcome::Done;
        };
        self.open.push(file);
        self.files_read = self.files_read.saturating_add(1);
        let mut lexer = Lexer::new(&bytes, file, self.command_line);
        let outcome = self.items(&mut lexer, items, false).0;
        self.open.pop();
        outcome
    }

    /// The items of a file, or of a block up to its closing brace.
    fn items(&mut self, lexer: &mut Lexer<'_>, items: &mut Vec<Item>, in_block: bool) -> (Outcome, Span) {
        loop {
            let sentence = match lexer.sentence() {
                Ok(sentence) => sentence,
                Err(LexError { message, at }) => return (self.fail(items, message, at), at),
            };
            let at = sentence.at;
            match (sentence.end, in_block) {
                (End::BlockClosed, true) | (End::Finished, false) => return (Outcome::Done, at),
                (End::BlockClosed, false) => return (self.fail(items, "unexpected \"}\"", at), at),
                (End::Finished, true) => {
                    return (self.fail(items, "unexpected end of file, expecting \"}\"", at), at);
                }
                (End::BlockOpened, _) if self.command_line => {
                    return (self.fail(items, "block directives are not supported in -g option", at), at);
                }
                (end, _) => {
                    let mut words = sentence.words.into_iter();
                    let Some(name) = words.next() else { continue };
                    let mut directive =
                        Directive { name, args: words.collect(), terminator: at, block: None, included: Vec::new() };
                    let outcome = if end == End::BlockOpened {
                        self.block(lexer, &mut directive)
                    } else {
                        self.include(&mut directive)
                    };
                    items.push(Item::Directive(directive));
                    if outcome == Outcome::Failed {
                        return (Outcome::Failed, at);
                    }
                }
            }
        }
    }

    fn block(&mut self, lexer: &mut Lexer<'_>, directive: &mut Directive) -> Outcome {
        let mut items = Vec::new();
        if self.depth == MAX_BLOCK_DEPTH {
            let message = format!("blocks are nested deeper than {MAX_BLOCK_DEPTH}");
            let outcome = self.fail(&mut items, message, directive.terminator);
            directive.block = Some(Block { items, end: directive.terminator });
            return outcome;
        }
        self.depth = self.depth.saturating_add(1);
        let (outcome, end) = self.items(lexer, &mut items, true);
        self.depth = self.depth.saturating_sub(1);
        directive.block = Some(Block { items, end });
        outcome
    }

    fn include(&mut self, directive: &mut Directive) -> Outcome {
        let Some(includes) = self.includes else { return Outcome::Done };
        let [argument] = directive.args.as_slice() else { return Outcome::Done };
        if directive.name.bytes != includes.directive {
            return Outcome::Done;
        }
        let mut items = Vec::new();
        let mut outcome = Outcome::Done;
        for path in includes.resolve(&argument.bytes) {
            outcome = match self.source(&path, includes.files) {
                Ok(file) => self.file(file, &mut items),
                Err(message) => self.fail(&mut items, message, directive.terminator),
            };
            if outcome == Outcome::Failed {
                break;
            }
        }
        directive.included = items;
        outcome
    }

    /// The file to include, read if it is new, or why it can't be.
    fn source(&mut self, path: &Path, files: &dyn FileSystem) -> Result<FileId, String> {
        if self.open.len() >= MAX_INCLUDE_DEPTH {
            return Err(format!("files are included deeper than {MAX_INCLUDE_DEPTH}"));
        }
        if self.files_read >= MAX_FILES {
            return Err(format!("more than {MAX_FILES} files are included"));
        }
        match self.sources.find(path) {
            Some(file) if self.open.contains(&file) => {
                Err(format!("include cycle: \"{}\" is still being read", path.display()))
            }
            Some(file) => Ok(file),
            None => match files.read(path) {
                Ok(bytes) => Ok(self.sources.add(path.to_owned(), bytes.into())),
                Err(error) => Err(cannot_read(path, &error)),
            },
        }
    }

    fn fail(&self, items: &mut Vec<Item>, message: impl Into<String>, at: Span) -> Outcome {
        let origin = match self.sources.get(at.file) {
            Some(_) if self.command_line => Origin::CommandLine,
            Some(file) => Origin::File { path: file.path.clone(), line: at.line },
            None => Origin::Nowhere,
        };
        let caret = (!self.command_line).then_some(at);
        items.push(Item::Failed(Diagnostic { message: message.into(), origin, caret, meant: None }));
        Outcome::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Files in memory; a pattern is matched by its text before the star.
    struct Memory(BTreeMap<PathBuf, Vec<u8>>);

    impl FileSystem for Memory {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            self.0.get(path).cloned().ok_or_else(|| io::Error::from_raw_os_error(2))
        }
        fn matches(&self, pattern: &Path) -> Vec<PathBuf> {
            let pattern = pattern.to_string_lossy().into_owned();
            let before = pattern.split('*').next().unwrap_or_default().to_owned();
            self.0.keys().filter(|path| path.to_string_lossy().starts_with(&before)).cloned().collect()
        }
    }

    fn parse(files: &[(&str, &str)]) -> Tree {
        let memory = Memory(files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect());
        let includes = Includes { directive: b"include", base: Path::new("/etc"), files: &memory };
        parse_file(Path::new("/etc/main.conf"), &includes)
    }

    fn names(items: &[Item]) -> Vec<String> {
        items
            .iter()
            .flat_map(|item| match item {
                Item::Directive(directive) if directive.included.is_empty() => vec![directive.name.text().into_owned()],
                Item::Directive(directive) => names(&directive.included),
                Item::Failed(diagnostic) => vec![diagnostic.to_string()],
            })
            .collect()
    }

    #[test]
    fn includes_are_relative_to_the_main_file_and_sorted() {
        let tree = parse(&[
            ("/etc/main.conf", "first; include conf.d/*; last;"),
            ("/etc/conf.d/b", "b;"),
            ("/etc/conf.d/a", "a; include sub/x;"),
            ("/etc/sub/x", "x;"),
        ]);
        assert_eq!(names(&tree.items), ["first", "a", "x", "b", "last"]);
        assert_eq!(tree.sources.iter().count(), 4);
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_no_error_but_a_missing_file_is() {
        assert_eq!(parse(&[("/etc/main.conf", "include none/*;")]).failure(), None);
        let tree = parse(&[("/etc/main.conf", "a;\ninclude none;")]);
        let failure = tree.failure().unwrap().to_string();
        assert_eq!(failure, "open() \"/etc/none\" failed (2: No such file or directory) in /etc/main.conf:2");
    }

    #[test]
    fn a_missing_main_file_is_named_without_a_line() {
        let tree = parse(&[]);
        assert_eq!(
            tree.failure().unwrap().to_string(),
            "open() \"/etc/main.conf\" failed (2: No such file or directory)"
        );
    }

    #[test]
    fn an_include_cycle_is_an_error_with_its_place() {
        let tree = parse(&[("/etc/main.conf", "include a;"), ("/etc/a", "\ninclude main.conf;")]);
        let failure = tree.failure().unwrap().to_string();
        assert_eq!(failure, "include cycle: \"/etc/main.conf\" is still being read in /etc/a:2");
    }

    #[test]
    fn included_files_must_be_balanced_by_themselves() {
        let tree = parse(&[("/etc/main.conf", "http { include a; }"), ("/etc/a", "x; }")]);
        assert_eq!(tree.failure().unwrap().to_string(), "unexpected \"}\" in /etc/a:1");
        let tree = parse(&[("/etc/main.conf", "http { include a; }"), ("/etc/a", "y {\n")]);
        assert_eq!(tree.failure().unwrap().to_string(), "unexpected end of file, expecting \"}\" in /etc/a:2");
    }

    #[test]
    fn what_stood_before_an_error_stays_in_the_tree() {
        let tree = parse(&[("/etc/main.conf", "a; b { c; d")]);
        let [Item::Directive(_), Item::Directive(b)] = tree.items.as_slice() else { panic!("{tree:?}") };
        assert_eq!(b.block.as_ref().unwrap().items.len(), 2);
        assert!(tree.failure().is_some());
    }

    #[test]
    fn blocks_nested_10000_deep_are_an_error_and_not_a_crash() {
        let text = "a{".repeat(10_000);
        let failure = parse_text("deep", text.as_bytes()).failure().unwrap().to_string();
        assert_eq!(failure, "blocks are nested deeper than 128 in deep:1");
    }

    #[test]
    fn includes_that_multiply_are_bounded() {
        let files: Vec<(String, String)> =
            (0..30).map(|n| (format!("/etc/f{n}"), format!("include f{0}; include f{0};", n + 1))).collect();
        let mut all = vec![("/etc/main.conf", "include f0;")];
        all.extend(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        all.push(("/etc/f30", "x;"));
        assert!(parse(&all).failure().unwrap().message.starts_with("more than 100000 files"));
    }

    #[test]
    fn the_command_line_has_messages_of_its_own() {
        let failure = |text: &[u8]| parse_command_line(text).failure().map(ToString::to_string);
        assert_eq!(failure(b"daemon off;"), None);
        assert_eq!(failure(b"daemon off").unwrap(), "unexpected end of parameter, expecting \";\" in command line");
        assert_eq!(failure(b"events {}").unwrap(), "block directives are not supported in -g option in command line");
    }
}
