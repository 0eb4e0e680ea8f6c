//! The backend's body on its way to the client.

use std::time::Duration;

use bytes::Bytes;
use pingora::Result;

use super::ctx::Request;

pub(super) fn run(request: &mut Request, body: &mut Option<Bytes>, end: bool) -> Result<Option<Duration>> {
    let length = body.as_ref().map_or(0, Bytes::len) as u64;
    request.body_bytes += length;
    if let Some(last) = request.tries.last_mut() {
        last.body_bytes += length;
    }
    if end {
        request.conn.exchange().ending = true;
    }
    Ok(None)
}
