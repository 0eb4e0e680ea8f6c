//! Files for what does not fit into memory.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// A file that nobody finds; the folder is made where it is missing.
pub(crate) fn nameless(folder: &Path) -> io::Result<File> {
    match tempfile::tempfile_in(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(folder)?;
            tempfile::tempfile_in(folder)
        }
        result => result,
    }
}

/// Makes a folder and those around it, for nobody else to look into.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
