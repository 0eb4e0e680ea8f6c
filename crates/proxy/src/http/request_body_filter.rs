//! The client's body on its way to the backend.

use bytes::Bytes;
use pingora::Result;

use super::ctx::Request;

pub(super) fn run(request: &mut Request, body: &mut Option<Bytes>, end: bool) -> Result<()> {
    // An empty last piece would be framed as a second last chunk.
    if end && body.as_ref().is_some_and(Bytes::is_empty) {
        *body = None;
    }
    request.body_received += body.as_ref().map_or(0, Bytes::len) as u64;
    if end && let Some(flight) = &request.flight {
        flight.dial.trace.set_body_ended();
    }
    Ok(())
}
