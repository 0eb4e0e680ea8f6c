//! The beginning of a request: where it is routed to. Answers that need no backend are sent from here.

use limpet_config::model::LogLevel;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::ctx::Request;
use super::fail::BROKEN_BODY;
use super::routing::{Answer, error_page, route};
use super::{files, reply};
use crate::front::conn::BodyFault;
use crate::front::head::Body;

/// `true` when the response has been sent.
pub(super) async fn run(session: &mut Session, request: &mut Request) -> Result<bool> {
    let mut answer = route(request);
    prepare(request);
    if request.conn.exchange().fault == Some(BodyFault::Broken) && !matches!(answer, Answer::Close) {
        request.log_error(LogLevel::Error, BROKEN_BODY);
        answer = error_page(request, 400);
    }
    if let Answer::Backend = answer {
        let kept = request.location.settings.kept_body;
        if kept > 0 && request.head.body != Body::None {
            request.body = request.early_body.take().or(Some(Vec::new())).filter(|body| body.len() <= kept);
        }
        session.set_ignore_info_resp(true);
        return Ok(false);
    }
    give(session, request, answer).await.map(|()| true)
}

/// The time that the client has, and how much it may send, are its location's.
pub(super) fn prepare(request: &Request) {
    let settings = &request.location.settings;
    let mut exchange = request.conn.exchange();
    exchange.body_timeout = settings.client_body_timeout;
    exchange.send_timeout = settings.send_timeout;
    exchange.most_body = request.most_body;
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
