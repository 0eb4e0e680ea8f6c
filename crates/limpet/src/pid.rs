//! The file that holds the process number.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use limpet_log::LogLevel;
use nix::unistd::Pid;

use crate::messages::Failure;

/// The file, removed when the program ends.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes this process's number.
    ///
    /// # Errors
    /// `open() "FILE" failed (…)`
    pub fn write(path: &Path) -> Result<PidFile, Failure> {
        let number = format!("{}\n", std::process::id());
        std::fs::write(path, number).map_err(|error| open_failed(LogLevel::Emerg, path, &error))?;
        Ok(PidFile { path: path.to_owned() })
    }

    /// Whether the file could be written (`-t`). Nothing is left of the try.
    ///
    /// # Errors
    /// `open() "FILE" failed (…)`
    pub fn test(path: &Path) -> Result<(), Failure> {
        let open = |options: &mut OpenOptions| options.write(true).open(path).map(drop);
        let tried = match open(&mut OpenOptions::new()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                open(OpenOptions::new().create_new(true)).and_then(|()| std::fs::remove_file(path))
            }
            tried => tried,
        };
        tried.map_err(|error| open_failed(LogLevel::Emerg, path, &error))
    }

    /// Moves to another path, if a reload asks for it.
    ///
    /// # Errors
    /// When the new file can't be written; the old one stays.
    pub fn move_to(&mut self, path: &Path) -> Result<(), Failure> {
        if path != self.path {
            let new = PidFile::write(path)?;
            let old = std::mem::replace(self, new);
            // Another spelling of the same file must not be removed.
            if is_same(&old.path, path) {
                std::mem::forget(old);
            }
        }
        Ok(())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

/// The number in a file.
///
/// # Errors
/// In nginx's words.
pub fn read(path: &Path) -> Result<Pid, Failure> {
    let text = std::fs::read(path).map_err(|error| open_failed(LogLevel::Error, path, &error))?;
    let text = String::from_utf8_lossy(&text);
    let number = text.trim_end_matches(['\r', '\n']);
    match number.parse::<i32>() {
        Ok(pid) if pid > 0 => Ok(Pid::from_raw(pid)),
        _ => {
            let message = format!("invalid PID number \"{number}\" in \"{}\"", path.display());
            Err(Failure::new(LogLevel::Error, message))
        }
    }
}

fn open_failed(level: LogLevel, path: &Path, error: &io::Error) -> Failure {
    Failure::new(level, format!("open() \"{}\" failed ({})", path.display(), limpet_log::os_error(error)))
}
