//! Finding and reading the files that a configuration names.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How files are found and read; tests put a map in its place.
pub trait FileSystem {
    /// The whole content of a file.
    ///
    /// # Errors
    /// Those of the operating system; a directory is one too.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The files that a pattern with `*`, `?` or `[` matches, sorted by name. No match is not an error.
    fn matches(&self, pattern: &Path) -> Vec<PathBuf>;
}

/// The real file system.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl FileSystem for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn matches(&self, pattern: &Path) -> Vec<PathBuf> {
        // glob(3) without GLOB_PERIOD: a leading dot wants to be written.
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let Some(pattern) = pattern.to_str() else { return Vec::new() };
        let mut paths: Vec<PathBuf> = match glob::glob_with(pattern, options) {
            Ok(paths) => paths.filter_map(Result::ok).collect(),
            Err(_) => Vec::new(),
        };
        paths.sort();
        paths
    }
}

/// How the parser treats the one directive that reads files in.
pub struct Includes<'a> {
    /// Its name. It takes one argument and has no block; anything else is left in the tree for the caller to refuse.
    pub directive: &'a [u8],
    /// What relative paths are relative to: the folder of the main file.
    pub base: &'a Path,
    /// Where files are read from.
    pub files: &'a dyn FileSystem,
}

impl Includes<'_> {
    /// The files that an argument names: one path as it is, or all that match a pattern.
    pub(crate) fn resolve(&self, argument: &[u8]) -> Vec<PathBuf> {
        let path = self.base.join(std::ffi::OsStr::from_bytes(argument));
        if argument.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
            self.files.matches(&path)
        } else {
            vec![path]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder with the sources of this crate, which are the files that any machine with the tests has.
    fn here(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name)
    }

    #[test]
    fn a_file_on_the_disk_is_read_as_a_whole() {
        assert_eq!(Disk.read(&here("include.rs")).unwrap(), include_bytes!("include.rs"));
        assert_eq!(Disk.read(&here("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(Disk.read(&here("")).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_pattern_matches_the_files_of_its_folder_sorted_by_name() {
        for (pattern, found) in [
            ("[ls]*e?.rs", &["lexer.rs"][..]),
            ("[lp]*er.rs", &["lexer.rs", "parser.rs"]),
            ("../sr?/tree.rs", &["../src/tree.rs"]),
            ("li?.r*", &["lib.rs"]),
            ("tree.*.rs", &[]),
            ("TREE.*", &[]),
            ("[", &[]),
        ] {
            let found: Vec<PathBuf> = found.iter().map(|name| here(name)).collect();
            assert_eq!(Disk.matches(&here(pattern)), found, "{pattern}");
        }
    }
}
