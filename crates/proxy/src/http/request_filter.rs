//! The beginning of a request: where it is routed to. Answers that need no backend are sent from here.

use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::ctx::Request;
use super::routing::{Answer, route};
use super::{files, reply};

/// `true` when the response has been sent.
pub(super) async fn run(session: &mut Session, request: &mut Request) -> Result<bool> {
    let answer = route(request);
    prepare(session, request);
    if let Answer::Backend = answer {
        session.set_ignore_info_resp(true);
        return Ok(false);
    }
    give(session, request, answer).await.map(|()| true)
}

/// The times that the client has are its location's.
pub(super) fn prepare(session: &mut Session, request: &Request) {
    let settings = &request.location.settings;
    session.set_read_timeout(Some(settings.client_body_timeout));
    request.conn.exchange().send_timeout = settings.send_timeout;
}

/// Sends an answer that is no backend's.
///
/// # Errors
/// The client has gone, or is to get nothing.
pub(super) async fn give(session: &mut Session, request: &mut Request, answer: Answer) -> Result<()> {
    match answer {
        Answer::Local(reply, body) => reply::send(session, request, reply, body).await,
        Answer::File(file) => files::send(session, request, *file).await,
        Answer::Close => {
            request.keepalive = false;
            // Nothing goes out, so nothing of Pingora's may either.
            request.conn.exchange().head = Some(Vec::new());
            Error::err(ErrorType::HTTPStatus(request.status))
        }
        Answer::Backend => Ok(()),
    }
}
