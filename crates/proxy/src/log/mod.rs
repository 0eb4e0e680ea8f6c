//! Log files, and the error log.

mod error;
mod file;

pub use error::{ErrorLog, default_is_on_stderr, set_default, take_libraries_messages, write_default};
pub(crate) use file::os_error;
pub use file::{LogFile, LogFiles};
