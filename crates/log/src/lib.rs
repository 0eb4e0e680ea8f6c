//! The clock, log files, and the error log with its levels.

pub mod clock;
mod error;
mod file;
mod level;

pub use error::{ErrorLog, default_is_on_stderr, set_default, take_libraries_messages, write_default};
pub use file::{LogFile, LogFiles, os_error};
pub use level::LogLevel;
