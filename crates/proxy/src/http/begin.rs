//! The beginning of a request: where it is routed to.

use limpet_config::model::LogLevel;
use limpet_message::body::Body;

use super::ctx::Request;
use super::decision::Decision;
use super::fail::BROKEN_BODY;
use super::routing::{error_page, route};
use crate::front::exchange::BodyFault;

/// Routes a request: to a backend, or to an answer of our own.
pub(super) fn begin(request: &mut Request) -> Decision {
    let mut decision = route(request);
    allow(request);
    if request.exchange().fault == Some(BodyFault::Broken) && !matches!(decision, Decision::Close) {
        request.log_error(LogLevel::Error, BROKEN_BODY);
        decision = error_page(request, 400);
    }
    if let Decision::Pass = decision {
        let kept = request.location.settings.kept_body;
        if kept > 0 && request.head.body != Body::None {
            request.body = request.early_body.take().or(Some(Vec::new())).filter(|body| body.len() <= kept);
        }
    }
    decision
}

/// The time that the client has, and how much it may send, are its location's.
pub(super) fn allow(request: &Request) {
    let settings = &request.location.settings;
    let mut exchange = request.exchange();
    exchange.body_timeout = settings.client_body_timeout;
    exchange.send_timeout = settings.send_timeout;
    exchange.most_body = request.most_body;
}
