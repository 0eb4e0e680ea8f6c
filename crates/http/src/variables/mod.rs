//! What the variables of a configuration stand for, each beside those of its kind.

mod absent;
mod connection;
mod proxy;
mod request;
mod response;
mod sticky;
mod time;
mod upstream;

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use limpet_text::{Registry, Scope};

use super::Request;

/// All variables of HTTP requests.
pub fn registry() -> &'static Registry<Request> {
    static REGISTRY: LazyLock<Registry<Request>> = LazyLock::new(|| {
        let mut registry = Registry::default();
        for add in [
            absent::add,
            connection::add,
            proxy::add,
            request::add,
            response::add,
            sticky::add,
            time::add,
            upstream::add,
        ] {
            add(&mut registry);
        }
        registry
    });
    &REGISTRY
}

impl Scope for Request {
    fn capture(&self, group: usize) -> Option<&[u8]> {
        self.captures.get(group)
    }
}

/// The name of a header as a variable's name has it.
fn header_name(rest: &str) -> Vec<u8> {
    rest.replace('_', "-").into_bytes()
}

fn text(out: &mut Vec<u8>, value: &[u8]) -> bool {
    out.extend_from_slice(value);
    true
}

fn maybe(out: &mut Vec<u8>, value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| text(out, value))
}

fn number(out: &mut Vec<u8>, number: u64) -> bool {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    true
}

/// Seconds with three digits behind the point.
fn seconds(out: &mut Vec<u8>, time: Duration) -> bool {
    let _ = write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis());
    true
}

/// The values with a separator between them; `false` when there is none.
fn join<'v>(values: impl Iterator<Item = &'v [u8]>, separator: &[u8], out: &mut Vec<u8>) -> bool {
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
