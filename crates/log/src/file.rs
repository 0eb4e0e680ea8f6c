//! Files that lines are appended to, and their reopening.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

/// One log file. Lines are written whole, by one call each, so that threads need no lock between them.
#[derive(Debug)]
pub struct LogFile {
    /// `None`: the standard error.
    path: Option<PathBuf>,
    file: ArcSwap<File>,
}

impl LogFile {
    /// Opens a file for appending; it is made if there is none.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(LogFile { path: Some(path.to_owned()), file: ArcSwap::from_pointee(append(path)?) })
    }

    /// The standard error.
    ///
    /// # Errors
    /// When no descriptor is left for a copy of it.
    pub fn stderr() -> io::Result<Self> {
        use std::os::fd::AsFd;
        let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        Ok(LogFile { path: None, file: ArcSwap::from_pointee(file) })
    }

    pub(super) fn is_stderr(&self) -> bool {
        self.path.is_none()
    }

    /// Appends a line, which ends with a line feed. A full disk must not stop anything, so errors are dropped.
    pub fn write(&self, line: &[u8]) {
        let _ = self.file.load().as_ref().write_all(line);
    }

    fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &self.path {
            self.file.store(Arc::new(append(path)?));
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The open log files by path: who names the same path shares the file, also across reloads.
#[derive(Debug, Default)]
pub struct LogFiles {
    files: Mutex<HashMap<PathBuf, Weak<LogFile>>>,
}

impl LogFiles {
    /// The file at a path, opened if nobody has it open.
    ///
    /// # Errors
    /// `open() "PATH" failed (…)`, as nginx says it.
    pub fn open(&self, path: &Path) -> Result<Arc<LogFile>, String> {
        let mut files = self.files.lock();
        if let Some(file) = files.get(path).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let file = Arc::new(LogFile::open(path).map_err(|error| open_failed(path, &error))?);
        files.retain(|_, file| file.strong_count() > 0);
        files.insert(path.to_owned(), Arc::downgrade(&file));
        Ok(file)
    }

    /// Opens every file anew, after they were moved away. A file that can't be opened stays as it is.
    ///
    /// # Returns
    /// What could not be opened.
    pub fn reopen(&self) -> Vec<String> {
        let files = self.files.lock();
        let open = files.iter().filter_map(|(path, file)| Some((path, file.upgrade()?)));
        open.filter_map(|(path, file)| file.reopen().err().map(|error| open_failed(path, &error))).collect()
    }
}

fn open_failed(path: &Path, error: &io::Error) -> String {
    format!("open() \"{}\" failed ({})", path.display(), os_error(error))
}

/// An operating system's error as nginx shows it: `2: No such file or directory`.
pub fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or_default();
    match error.raw_os_error() {
        Some(code) => format!("{code}: {reason}"),
        None => reason.to_owned(),
    }
}
