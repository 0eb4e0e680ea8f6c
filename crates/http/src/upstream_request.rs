//! The request's head as the backend gets it: the configured headers, nginx's own, then the client's.

use bytes::Bytes;
use limpet_message::body::Body;
use limpet_message::field::{Known, has_word};
use limpet_message::uri;
use limpet_sticky::{Hidden, hide};

use super::ctx::Request;
use super::reply::{append_line, ends_line};
use crate::pass::{HttpVersion, Pass};

/// Headers of the client that go no further, because they are about its own connection or are written anew.
fn is_kept_back(known: Known) -> bool {
    matches!(
        known,
        Known::Host
            | Known::Connection
            | Known::ProxyConnection
            | Known::ContentLength
            | Known::TransferEncoding
            | Known::Te
            | Known::KeepAlive
            | Known::Expect
            | Known::Upgrade
    )
}

pub(super) fn head(request: &Request, pass: &Pass) -> Bytes {
    let client = &request.head;
    let mut out = Vec::with_capacity(client.length() + 256);
    out.extend_from_slice(client.method());
    out.push(b' ');
    append_uri(request, pass, &mut out);
    out.extend_from_slice(match pass.terms.http_version {
        // Chunks are beyond 1.0, and a body of unknown length can be sent in no other way.
        HttpVersion::Http10 if request.body_for_backend() != Body::Chunked => b" HTTP/1.0\r\n",
        _ => b" HTTP/1.1\r\n",
    });
    let configured =
        |name: &[u8]| pass.terms.set_header.iter().any(|(other, _)| other.as_bytes().eq_ignore_ascii_case(name));
    for (name, value) in &pass.terms.set_header {
        // How the body is delimited is not for a setting to say.
        if is_framing(name.as_bytes()) {
            continue;
        }
        let mut value = value.render(request);
        // A variable may have brought a line end along; it must not begin a header.
        value.retain(|byte| !ends_line(*byte));
        if !value.is_empty() {
            append_line(&mut out, name.as_bytes(), &value);
        }
    }
    if !configured(b"Host") {
        append_line(&mut out, b"Host", pass.host.as_bytes());
    }
    match request.body_for_backend() {
        Body::None => {}
        Body::Length(length) => append_line(&mut out, b"Content-Length", itoa::Buffer::new().format(length).as_bytes()),
        Body::Chunked => append_line(&mut out, b"Transfer-Encoding", b"chunked"),
    }
    let takes_trailers = || client.values(Known::Te).any(|value| has_word(value, b"trailers"));
    if pass.terms.tells_of_trailers && !configured(b"TE") && takes_trailers() {
        append_line(&mut out, b"TE", b"trailers");
    }
    for (known, name, value) in client.fields.iter() {
        if is_kept_back(known) || configured(name) {
            continue;
        }
        if request.shown_cookies.is_some() && known == Known::Cookie {
            continue;
        }
        append_line(&mut out, name, value);
    }
    if !configured(b"Cookie") {
        for value in request.shown_cookies.iter().flatten() {
            append_line(&mut out, b"Cookie", value);
        }
    }
    out.extend_from_slice(b"\r\n");
    out.into()
}

/// Whether the client asks for another protocol and the backend's head says so: only then may the backend change it.
pub(super) fn asks_for_upgrade(request: &Request, head: &[u8]) -> bool {
    if request.head.value(Known::Upgrade).is_none() {
        return false;
    }
    let lines = head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(at)?;
        Some((Known::of(name), value.get(1..)?.trim_ascii()))
    });
    let (mut upgrade, mut connection) = (false, false);
    for (known, value) in lines {
        upgrade |= known == Known::Upgrade && !value.is_empty();
        connection |= known == Known::Connection && has_word(value, b"upgrade");
    }
    upgrade && connection
}

/// Takes the session's cookie out of the Cookie headers, for the backend and for whatever its head is made of.
pub(super) fn hide_session(request: &mut Request, pass: &Pass) {
    let Some(policy) = &pass.hides else { return };
    let mut changed = false;
    let mut shown = Vec::new();
    for value in request.head.values(Known::Cookie) {
        match hide(policy, value) {
            Hidden::Unchanged => shown.push(value.to_vec()),
            Hidden::Changed(rest) => {
                changed = true;
                shown.push(rest);
            }
            Hidden::Dropped => changed = true,
        }
    }
    if changed {
        request.shown_cookies = Some(shown);
    }
}

fn is_framing(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"Transfer-Encoding")
}

/// nginx's rule: without a URI in `proxy_pass` the client's own goes on byte for byte; with one it takes the place of
/// what the location matched, and the rest is escaped again if it came escaped.
fn append_uri(request: &Request, pass: &Pass, out: &mut Vec<u8>) {
    let client = &request.head;
    let rest = match &pass.uri {
        None if !request.redirected => {
            if client.lacks_path() {
                out.push(b'/');
            }
            out.extend_from_slice(client.target());
            return;
        }
        None => request.uri.as_slice(),
        Some(uri) => {
            out.extend_from_slice(uri);
            request.uri.get(request.location.prefix_length..).unwrap_or_default()
        }
    };
    if request.redirected || client.target().contains(&b'%') {
        uri::escape(rest, out);
    } else {
        out.extend_from_slice(rest);
    }
    if let Some(args) = request.args.as_deref().filter(|args| !args.is_empty()) {
        out.push(b'?');
        out.extend_from_slice(args);
    }
}
