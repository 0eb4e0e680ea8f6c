//! Bodies on their way: the client's to the backend, and the backend's to the client.

use bytes::Bytes;
use limpet_log::clock;

use super::ctx::Request;

/// A piece of the client's body goes to the backend; `end`: it is the last one.
pub(super) fn to_backend(request: &mut Request, piece: &[u8], end: bool) {
    if !piece.is_empty() {
        keep(request, piece);
        request.body_received += piece.len() as u64;
    }
    if end && let Some(attempt) = &request.attempt {
        attempt.dial.trace.set_body_ended();
    }
}

/// Keeps the body for `$request_body`. What is sent again to another server is not kept twice.
fn keep(request: &mut Request, piece: &[u8]) {
    let Some(body) = &mut request.body else { return };
    let news = (body.len() as u64).checked_sub(request.body_received).and_then(|known| piece.get(known as usize..));
    body.extend_from_slice(news.unwrap_or_default());
    if body.len() > request.location.settings.kept_body {
        request.body = None;
    }
}

/// A piece of the backend's body goes to the client; `end`: it is the last one. The result is what goes there in its place,
/// which may be nothing.
pub(super) fn to_client(request: &mut Request, piece: Option<Bytes>, end: bool) -> Option<Bytes> {
    let piece = match request.filters.is_empty() {
        true => piece,
        false => Some(request.filter(piece.unwrap_or_default(), end)),
    };
    // An empty piece would be framed as the last one.
    let piece = piece.filter(|piece: &Bytes| !piece.is_empty());
    count(request, piece.as_ref().map_or(0, Bytes::len));
    if end {
        if request.attempt.as_ref().is_some_and(|attempt| !attempt.dial.trace.came_at_once()) {
            clock::tick();
        }
        // However long the client takes from here.
        request.end_try(None);
        request.exchange().ending = true;
        if let Some(attempt) = &mut request.attempt {
            attempt.leave();
        }
    }
    piece
}

/// Bytes of a backend's body are on their way.
pub(super) fn count(request: &mut Request, bytes: usize) {
    request.body_bytes += bytes as u64;
    if let Some(last) = request.tries.last_mut() {
        last.body_bytes += bytes as u64;
    }
}
