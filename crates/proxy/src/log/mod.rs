//! Log files, and the error log.

mod error;
mod file;

pub use error::{ErrorLog, default_is_on_stderr, set_default, take_libraries_messages, write_default};
pub use file::{LogFile, LogFiles, os_error};
