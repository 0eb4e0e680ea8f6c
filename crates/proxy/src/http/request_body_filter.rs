//! The client's body on its way to the backend.

use bytes::Bytes;
use pingora::Result;

use super::ctx::Request;

pub(super) fn run(request: &mut Request, body: &mut Option<Bytes>, end: bool) -> Result<()> {
    // An empty last piece would be framed as a second last chunk.
    if end && body.as_ref().is_some_and(Bytes::is_empty) {
        *body = None;
    }
    if let Some(piece) = body {
        keep(request, piece);
        request.body_received += piece.len() as u64;
    }
    if end && let Some(flight) = &request.flight {
        flight.dial.trace.set_body_ended();
    }
    Ok(())
}

/// Keeps what has come of the body for `$request_body`, once if it is sent several times.
fn keep(request: &mut Request, piece: &[u8]) {
    let Some(body) = &mut request.body else { return };
    let news = (body.len() as u64).checked_sub(request.body_received).and_then(|known| piece.get(known as usize..));
    body.extend_from_slice(news.unwrap_or_default());
    if body.len() > request.location.settings.kept_body {
        request.body = None;
    }
}
