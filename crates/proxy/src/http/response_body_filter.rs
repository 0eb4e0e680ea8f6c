//! The backend's body on its way to the client.

use std::time::Duration;

use bytes::Bytes;
use pingora::Result;

use super::ctx::Request;

pub(super) fn run(request: &mut Request, body: &mut Option<Bytes>, end: bool) -> Result<Option<Duration>> {
    if let Some(recoder) = &mut request.recoder {
        // An empty piece would be framed as the last one.
        *body = body.take().map(|piece| recoder.recode(&piece)).filter(|piece| !piece.is_empty()).map(Bytes::from);
    }
    count(request, body.as_ref().map_or(0, Bytes::len));
    if end {
        request.conn.exchange().ending = true;
    }
    Ok(None)
}

/// Bytes of the body are on their way.
pub(super) fn count(request: &mut Request, bytes: usize) {
    request.body_bytes += bytes as u64;
    if let Some(last) = request.tries.last_mut() {
        last.body_bytes += bytes as u64;
    }
}
