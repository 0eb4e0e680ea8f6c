//! The files that were read, and positions in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which of the files of a [`Sources`] a span lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId(pub(crate) u32);

/// The place of a byte: file, line and column, both counted from 1. A column is a byte, not a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The line, from 1.
    pub line: u32,
    /// The byte in the line, from 1.
    pub column: u32,
}

/// One file as it was read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// As it was named.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Arc<[u8]>,
}

/// Every file of a configuration in the order in which reading began.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// The file that a span's [`FileId`] names.
    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// Each file once, the main file first.
    pub fn iter(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    pub(crate) fn find(&self, path: &Path) -> Option<FileId> {
        self.files.iter().position(|file| file.path == path).map(|index| FileId(index as u32))
    }

    pub(crate) fn add(&mut self, path: PathBuf, bytes: Arc<[u8]>) -> FileId {
        self.files.push(SourceFile { path, bytes });
        FileId((self.files.len() as u32).saturating_sub(1))
    }

    /// The text of a line without its end, for the caret under an error.
    pub fn line(&self, span: Span) -> Option<&[u8]> {
        let index = (span.line as usize).checked_sub(1)?;
        let line = self.get(span.file)?.bytes.split(|byte| *byte == b'\n').nth(index)?;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_without_its_end() {
        let mut sources = Sources::default();
        sources.add("first".into(), b"other".as_slice().into());
        let file = sources.add("second".into(), b"one\r\n\n three\r".as_slice().into());
        let line = |line| sources.line(Span { file, line, column: 1 });
        assert_eq!((0..5).map(line).collect::<Vec<_>>(), [None, Some(&b"one"[..]), Some(b""), Some(b" three"), None]);
    }
}
