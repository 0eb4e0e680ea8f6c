//! Files for what does not fit into memory.

use std::fs::File;
use std::io;
use std::path::Path;

/// A file that nobody finds; the folder is made where it is missing.
pub(crate) fn nameless(folder: &Path) -> io::Result<File> {
    match tempfile::tempfile_in(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            tempfile::tempfile_in(folder)
        }
        result => result,
    }
}
