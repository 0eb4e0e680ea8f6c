//! The beginning of a request: where it is routed to.

use limpet_log::LogLevel;
use limpet_message::body::Body;

use super::ctx::Request;
use super::decision::Decision;
use super::fail::{BROKEN_BODY, KEPT_BODY};
use super::routing::{error_page, route};
use super::secure;
use crate::front::exchange::BodyFault;

/// Routes a request: to a backend, or to an answer of our own.
pub(super) fn begin(request: &mut Request) -> Decision {
    let mut decision = match secure::refuse(request) {
        Some(refused) => refused,
        None => route(request),
    };
    apply_limits(request);
    if request.exchange().fault == Some(BodyFault::Broken) && !matches!(decision, Decision::Close) {
        request.log_error(LogLevel::Error, BROKEN_BODY);
        decision = error_page(request, 400);
    }
    if let Decision::Continue = decision {
        let kept = request.location.settings.kept_body;
        if kept > 0 && request.head.body != Body::None {
            request.body = request.early_body.take().or(Some(Vec::new())).filter(|body| body.len() <= kept);
        }
    }
    decision
}

/// Whether the body is to be read before a backend is asked, because a header for it uses `$request_body`. This is done
/// only for a body with a `Content-Length` that is small enough to be kept; for others the variable has no value, or not
/// in time.
pub(super) fn reads_body(request: &Request) -> bool {
    let (Body::Length(length), Some(body)) = (request.head.body, &request.body) else { return false };
    let is_kept = length <= (request.location.settings.kept_body as u64).min(KEPT_BODY);
    is_kept && (body.len() as u64) < length && request.pass().is_some_and(|pass| pass.terms.reads_body)
}

/// Gives the exchange the location's time-outs and its limit for the body.
pub(super) fn apply_limits(request: &Request) {
    let settings = &request.location.settings;
    let mut exchange = request.exchange();
    exchange.body_timeout = settings.client_body_timeout;
    exchange.send_timeout = settings.send_timeout;
    exchange.max_body_size = request.max_body_size;
}
