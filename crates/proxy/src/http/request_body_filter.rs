//! The client's body on its way to the backend.

use bytes::Bytes;
use limpet_config::model::LogLevel;
use pingora::{Error, ErrorType, Result};

use super::ctx::Request;

pub(super) fn run(request: &mut Request, body: &mut Option<Bytes>, end: bool) -> Result<()> {
    // An empty last piece would be framed as a second last chunk.
    if end && body.as_ref().is_some_and(Bytes::is_empty) {
        *body = None;
    }
    let length = body.as_ref().map_or(0, Bytes::len) as u64;
    let most = request.most_body;
    let received = request.body_received;
    request.body_received = received + length;
    if most != 0 && request.body_received > most {
        let message = format!("client intended to send too large chunked body: {received}+{length} bytes");
        request.log_error(LogLevel::Error, &message);
        return Err(Error::explain(ErrorType::HTTPStatus(413), "client body too large").into_down());
    }
    Ok(())
}
