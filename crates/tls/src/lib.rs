//! What TLS is spoken with: certificates and keys, sessions and tickets, and all that nginx's directives say of them.
//!
//! OpenSSL carries it, since nginx's files are written in its language: lists of ciphers, names of curves, commands of its
//! own configuration.

pub mod client;
mod ffi;
mod files;
mod named;
pub mod ocsp;
pub mod peer;
pub mod server;
mod sessions;
mod settings;
mod tickets;

use openssl::error::ErrorStack;

pub use named::{CacheTerms, NameText};
pub use openssl::ssl::{Ssl, SslRef, SslSession};
pub use settings::{Credentials, Protocols, Settings, Trust, Verify};

/// What lives as long as the process: sessions that the servers share, and the keys that tickets are sealed with.
#[derive(Default)]
pub struct Kept {
    pub(crate) zones: sessions::Zones,
    pub(crate) keys: std::sync::Arc<tickets::Rotating>,
    /// What was said of certificates.
    pub(crate) answers: ocsp::Answers,
}

/// What can't be put to work, in nginx's words.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub message: String,
    /// The directive that is wrong, without the beginning that all of its kind have: `certificate`, `ciphers`.
    pub directive: &'static str,
}

impl Error {
    pub(crate) fn new(message: String) -> Error {
        Error { message, directive: "" }
    }
}

/// Says which directive a fault is in.
pub(crate) trait In<T> {
    fn within(self, directive: &'static str) -> Result<T, Error>;
}

impl<T> In<T> for Result<T, Error> {
    fn within(self, directive: &'static str) -> Result<T, Error> {
        self.map_err(|error| Error { directive, ..error })
    }
}

/// A call that has failed, and what OpenSSL says of it.
pub(crate) fn failed(call: impl std::fmt::Display, stack: &ErrorStack) -> Error {
    Error::new(format!("{call} failed{}", errors(stack)))
}

/// A file that can't be opened, as nginx says it.
pub(crate) fn not_opened(path: &std::path::Path, error: &std::io::Error) -> Error {
    let code = error.raw_os_error().unwrap_or_default();
    Error::new(format!("open() \"{}\" failed ({code}: {})", path.display(), system_text(code)))
}

/// The bit of an error of the system's.
const SYSTEM: std::ffi::c_ulong = 0x8000_0000;

/// What the system says of one of its errors.
pub(crate) fn system_text(code: i32) -> String {
    let text = std::io::Error::from_raw_os_error(code).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// OpenSSL's errors as nginx shows them behind a message.
pub fn errors(stack: &ErrorStack) -> String {
    let text = |error: &openssl::error::Error| {
        let library = error.library().unwrap_or_default();
        // What the system says has the highest bit set.
        let reason = match error.code() & SYSTEM {
            0 => error.reason().unwrap_or_default().to_owned(),
            _ => system_text(i32::try_from(error.code() & !SYSTEM).unwrap_or_default()),
        };
        let data = error.data().map(|data| format!(":{data}")).unwrap_or_default();
        format!("error:{:08X}:{library}::{reason}{data}", error.code())
    };
    let texts: Vec<String> = stack.errors().iter().map(text).collect();
    if texts.is_empty() { String::new() } else { format!(" (SSL: {})", texts.join(" ")) }
}

/// The library that is there: `OpenSSL 3.0.19 27 Jan 2026`.
pub fn version() -> &'static str {
    openssl::version::version()
}
