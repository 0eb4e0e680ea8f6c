//! A request's body that is kept until the request is over, in memory or in a file, to be sent as often as servers are asked.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The whole of a request's body.
#[derive(Debug)]
pub enum StoredBody {
    Memory(Vec<u8>),
    File(StoredFile),
}

/// A body in a file.
#[derive(Debug)]
pub struct StoredFile {
    pub file: File,
    /// Bytes.
    pub length: u64,
    /// Where it can be found by others; `None`: it has no name.
    pub path: Option<PathBuf>,
    /// Its name goes away with this.
    pub is_removed: bool,
}

impl StoredBody {
    /// Bytes.
    pub fn len(&self) -> u64 {
        match self {
            StoredBody::Memory(bytes) => bytes.len() as u64,
            StoredBody::File(file) => file.length,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What stands from `position` on, where it is in memory.
    pub fn in_memory(&self, position: u64) -> Option<&[u8]> {
        match self {
            StoredBody::Memory(bytes) => Some(bytes.get(usize::try_from(position).ok()?..).unwrap_or_default()),
            StoredBody::File(_) => None,
        }
    }

    /// Reads from `position` on.
    ///
    /// # Errors
    /// The file can't be read, or has become shorter.
    pub fn read(&self, position: u64, space: &mut [u8]) -> io::Result<usize> {
        match self {
            StoredBody::Memory(_) => {
                let bytes = self.in_memory(position).unwrap_or_default();
                let count = bytes.len().min(space.len());
                space.get_mut(..count).unwrap_or_default().copy_from_slice(bytes.get(..count).unwrap_or_default());
                Ok(count)
            }
            StoredBody::File(stored) => {
                let left = usize::try_from(stored.length.saturating_sub(position)).unwrap_or(usize::MAX);
                let most = left.min(space.len());
                match stored.file.read_at(space.get_mut(..most).unwrap_or_default(), position)? {
                    0 if left > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    count => Ok(count),
                }
            }
        }
    }
}

impl Drop for StoredFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.as_ref().filter(|_| self.is_removed) {
            let _ = std::fs::remove_file(path);
        }
    }
}
