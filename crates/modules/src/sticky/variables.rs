//! Variables of the request's session.

use limpet_http::Request;
use limpet_http::variables::{maybe, text};
use limpet_text::Registry;

pub(super) fn add(registry: &mut Registry<Request>) {
    registry.add("session_sticky_server", |request: &Request, out: &mut Vec<u8>| {
        maybe(out, request.sticky.server.as_ref().map(|server| server.name.as_bytes()))
    });
    registry.add("session_sticky_sid", |request: &Request, out: &mut Vec<u8>| {
        maybe(out, request.sticky.server.as_ref().map(|server| &*server.sid))
    });
    registry.add("session_sticky_state", |request: &Request, out: &mut Vec<u8>| {
        text(out, request.sticky.state.word().as_bytes())
    });
}
