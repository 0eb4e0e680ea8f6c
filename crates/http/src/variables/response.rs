//! Variables of the response to the client.

use std::io::Write;

use limpet_log::clock;
use limpet_text::Registry;

use super::{header_name, join, number, seconds, text};
use crate::Request;

pub(super) fn add(registry: &mut Registry<Request>) {
    registry.add("body_bytes_sent", |request: &Request, out: &mut Vec<u8>| number(out, request.body_bytes_sent()));
    registry.add("request_completion", |request: &Request, out: &mut Vec<u8>| {
        text(out, if request.complete { b"OK" } else { b"" })
    });
    registry
        .add("request_time", |request: &Request, out: &mut Vec<u8>| seconds(out, clock::now().since(request.started)));
    registry.add("status", |request: &Request, out: &mut Vec<u8>| match request.status {
        0 => text(out, b"000"),
        // What nginx calls 494 to 497 is a 400 to everybody else.
        494..=497 => text(out, b"400"),
        status => write!(out, "{status:03}").is_ok(),
    });
    registry.add_family("sent_http_", |rest| {
        let name = header_name(rest);
        move |request: &Request, out: &mut Vec<u8>| {
            let values = request.reply.as_ref().map(|reply| reply.values(request, &name));
            values.is_some_and(|values| join(values.iter().map(Vec::as_slice), b", ", out))
        }
    });
}
