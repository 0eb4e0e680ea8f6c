//! Log files, the error log and the access log.

mod access;
mod error;
mod file;

pub(crate) use access::{AccessLog, LineFormat};
pub use error::{ErrorLog, default_is_on_stderr, set_default, take_libraries_messages, write_default};
pub(crate) use file::os_error;
pub use file::{LogFile, LogFiles};
