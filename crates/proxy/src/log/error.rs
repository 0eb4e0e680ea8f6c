//! The error log, in nginx's format.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use limpet_config::model::LogLevel;

use super::file::LogFile;
use crate::clock;

/// The longest line; what is longer is cut, as in nginx.
const MAX_LINE: usize = 2048;

/// Where messages go, and how grave they must be.
#[derive(Debug, Default)]
pub struct ErrorLog {
    targets: Vec<(Arc<LogFile>, LogLevel)>,
}

impl ErrorLog {
    pub fn new(targets: Vec<(Arc<LogFile>, LogLevel)>) -> Self {
        ErrorLog { targets }
    }

    /// Whether a message of this level is written anywhere.
    pub fn takes(&self, level: LogLevel) -> bool {
        self.targets.iter().any(|(_, most)| level <= *most)
    }

    /// Writes `DATE TIME [level] PID#TID: *CONNECTION message`.
    pub fn write(&self, level: LogLevel, connection: Option<u64>, message: &[u8]) {
        if !self.takes(level) {
            return;
        }
        let mut line = Vec::with_capacity(128 + message.len());
        clock::with_texts(|texts| line.extend_from_slice(texts.error_log.as_bytes()));
        // Writing to a Vec can't fail.
        let _ = write!(line, " [{}] {}#{}: ", level.name(), std::process::id(), thread_number());
        if let Some(connection) = connection {
            let _ = write!(line, "*{connection} ");
        }
        // A control byte that came from a client must not begin a line of its own.
        for byte in message {
            match byte {
                // Writing to a Vec can't fail.
                0..0x20 | 0x7f => drop(write!(line, "\\x{byte:02X}")),
                _ => line.push(*byte),
            }
        }
        line.truncate(MAX_LINE - 1);
        line.push(b'\n');
        for (file, most) in &self.targets {
            if level <= *most {
                file.write(&line);
            }
        }
    }
}

fn thread_number() -> i32 {
    thread_local! {
        static NUMBER: i32 = nix::unistd::gettid().as_raw();
    }
    NUMBER.with(|number| *number)
}

static DEFAULT: LazyLock<ArcSwap<ErrorLog>> = LazyLock::new(ArcSwap::default);

/// Sets the log for messages that belong to no request.
pub fn set_default(log: Arc<ErrorLog>) {
    DEFAULT.store(log);
}

/// Whether messages that belong to no request are seen on the standard error.
pub fn default_is_on_stderr() -> bool {
    DEFAULT.load().targets.iter().any(|(file, _)| file.is_stderr())
}

/// Writes a message that belongs to no request.
pub fn write_default(level: LogLevel, message: &str) {
    clock::tick();
    DEFAULT.load().write(level, None, message.as_bytes());
}
