//! Variables of the servers that were tried, and of the backend's response.

use std::io::Write;
use std::time::Duration;

use limpet_message::field::Known;
use limpet_text::Registry;

use super::{header_name, join, maybe, number, seconds};
use crate::Request;
use crate::attempt::Try;

pub(super) fn add(registry: &mut Registry<Request>) {
    each(registry, "upstream_addr", |one, out| {
        out.extend_from_slice(one.name.as_bytes());
        true
    });
    each(registry, "upstream_bytes_received", |one, out| number(out, one.bytes_received()));
    each(registry, "upstream_bytes_sent", |one, out| number(out, one.bytes_sent()));
    each(registry, "upstream_connect_time", |one, out| maybe_seconds(one.connected, out));
    each(registry, "upstream_header_time", |one, out| maybe_seconds(one.header, out));
    each(registry, "upstream_response_length", |one, out| number(out, one.body_bytes));
    each(registry, "upstream_response_time", |one, out| maybe_seconds(one.ended, out));
    each(registry, "upstream_status", |one, out| one.status != 0 && write!(out, "{:03}", one.status).is_ok());
    registry.add("upstream_last_addr", |request: &Request, out: &mut Vec<u8>| {
        let last = request.tries.iter().rev().find(|one| one.is_server());
        maybe(out, last.map(|last| last.name.as_bytes()))
    });
    registry.add_family("upstream_cookie_", |rest| {
        let name = rest.as_bytes().to_vec();
        move |request: &Request, out: &mut Vec<u8>| maybe(out, upstream_cookie(request, &name).as_deref())
    });
    registry.add_family("upstream_http_", |rest| {
        let name = header_name(rest);
        move |request: &Request, out: &mut Vec<u8>| {
            request.response.as_ref().is_some_and(|response| join(response.fields.values_named(&name), b", ", out))
        }
    });
}

/// A variable with a value for each server that was tried.
fn each(registry: &mut Registry<Request>, name: &'static str, value: fn(&Try, &mut Vec<u8>) -> bool) {
    registry.add(name, move |request: &Request, out: &mut Vec<u8>| tries(request, out, value));
}

fn maybe_seconds(time: Option<Duration>, out: &mut Vec<u8>) -> bool {
    time.is_some_and(|time| seconds(out, time))
}

/// A value for each server that was tried, `-` where one has none. A colon stands where another location was asked.
fn tries(request: &Request, out: &mut Vec<u8>, value: impl Fn(&Try, &mut Vec<u8>) -> bool) -> bool {
    let starts = request.handed_back.as_ref().map_or(&[][..], |handed_back| &handed_back.starts);
    for (index, one) in request.tries.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(if starts.contains(&index) { b" : " } else { b", " });
        }
        if !value(one, out) {
            out.push(b'-');
        }
    }
    !request.tries.is_empty()
}

fn upstream_cookie(request: &Request, name: &[u8]) -> Option<Vec<u8>> {
    // nginx knows no other blank here than this one.
    let trim_start = |text: &'_ [u8]| text.iter().take_while(|byte| **byte == b' ').count();
    request.response.as_ref()?.fields.values(Known::SetCookie).find_map(|line| {
        let pair = line.split(|byte| *byte == b';').next()?;
        let (key, rest) = pair.split_at_checked(name.len())?;
        let value = rest.get(trim_start(rest)..)?.strip_prefix(b"=")?;
        key.eq_ignore_ascii_case(name).then(|| value.get(trim_start(value)..).unwrap_or_default().to_vec())
    })
}
