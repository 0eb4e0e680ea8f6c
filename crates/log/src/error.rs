//! The error log, in nginx's format.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;

use super::file::LogFile;
use crate::{LogLevel, clock};

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
    // Messages of libraries that the log does not take are not even formatted.
    let wanted = ::log::Level::iter().filter(|wanted| log.takes(level(*wanted))).max();
    ::log::set_max_level(wanted.map_or(::log::LevelFilter::Off, |wanted| wanted.to_level_filter()));
    DEFAULT.store(log);
}

/// Whether messages that belong to no request are seen on the standard error.
pub fn default_is_on_stderr() -> bool {
    DEFAULT.load().targets.iter().any(|(file, _)| file.is_stderr())
}

/// What the libraries beneath say of themselves, by the `log` crate, goes to the log for messages that belong to no
/// request, with the level that it has there.
pub fn take_libraries_messages() {
    static LIBRARIES: Libraries = Libraries;
    // It fails where this was called before.
    let _ = ::log::set_logger(&LIBRARIES);
}

struct Libraries;

impl ::log::Log for Libraries {
    fn enabled(&self, metadata: &::log::Metadata<'_>) -> bool {
        DEFAULT.load().takes(level(metadata.level()))
    }

    fn log(&self, record: &::log::Record<'_>) {
        if self.enabled(record.metadata()) {
            write_default(level(record.level()), &format!("{}: {}", record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

fn level(level: ::log::Level) -> LogLevel {
    match level {
        ::log::Level::Error => LogLevel::Error,
        ::log::Level::Warn => LogLevel::Warn,
        ::log::Level::Info => LogLevel::Info,
        ::log::Level::Debug | ::log::Level::Trace => LogLevel::Debug,
    }
}

/// Writes a message that belongs to no request.
pub fn write_default(level: LogLevel, message: &str) {
    clock::tick();
    DEFAULT.load().write(level, None, message.as_bytes());
}
