//! Variables of the location's `proxy_pass`.

use limpet_http::Request;
use limpet_http::variables::{join, maybe};
use limpet_message::field::Known;
use limpet_text::Registry;

pub(super) fn add(registry: &mut Registry<Request>) {
    registry.add("proxy_add_x_forwarded_for", |request: &Request, out: &mut Vec<u8>| {
        if join(request.head.values(Known::XForwardedFor), b", ", out) {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(request.conn.remote_addr().as_bytes());
        true
    });
    registry.add("proxy_host", |request: &Request, out: &mut Vec<u8>| {
        maybe(out, request.pass().map(|pass| pass.host.as_bytes()))
    });
    registry.add("proxy_port", |request: &Request, out: &mut Vec<u8>| {
        maybe(out, request.pass().map(|pass| pass.port.as_bytes()))
    });
}
