//! What the variables of a configuration stand for, each beside those of its kind.

mod connection;
mod request;
mod response;
mod time;
mod upstream;

pub use request::argument;

use std::io::Write;
use std::time::Duration;

use limpet_text::{Registry, Scope};

use super::Request;

/// Adds the variables that belong to no module.
pub fn add(registry: &mut Registry<Request>) {
    for add in [connection::add, request::add, response::add, time::add, upstream::add] {
        add(registry);
    }
}

impl Scope for Request {
    fn capture(&self, group: usize) -> Option<&[u8]> {
        self.captures.get(group)
    }
}

/// The name of a header as a variable's name has it.
pub fn header_name(rest: &str) -> Vec<u8> {
    rest.replace('_', "-").into_bytes()
}

pub fn text(out: &mut Vec<u8>, value: &[u8]) -> bool {
    out.extend_from_slice(value);
    true
}

pub fn maybe(out: &mut Vec<u8>, value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| text(out, value))
}

pub fn number(out: &mut Vec<u8>, number: u64) -> bool {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    true
}

/// Seconds with three digits behind the point.
pub fn seconds(out: &mut Vec<u8>, time: Duration) -> bool {
    let _ = write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis());
    true
}

/// The values with a separator between them; `false` when there is none.
pub fn join<'v>(values: impl Iterator<Item = &'v [u8]>, separator: &[u8], out: &mut Vec<u8>) -> bool {
    let mut any = false;
    for value in values {
        if any {
            out.extend_from_slice(separator);
        }
        any = true;
        out.extend_from_slice(value);
    }
    any
}
