//! What a failure means: for the server, for the request, and for the client.

use std::sync::Arc;

use limpet_balance::Tried;
use limpet_log::{LogLevel, clock};
use limpet_message::body::Body;
use limpet_upstream::{Failure, FailureKind};

use super::attempt::Attempt;
use super::ctx::Request;
use super::decision::Decision;
use super::routing::error_page;
use crate::front::exchange::BodyFault;
use crate::pass::Condition;

/// nginx's words for chunks of a client that can't be read.
pub(super) const BROKEN_BODY: &str = "client sent invalid chunked body";

/// How much of a body is kept to send it again, in bytes.
pub(super) const KEPT_BODY: u64 = 65_536;

/// Whose fault it is that a request can't go on.
#[derive(Debug)]
pub(super) enum Side {
    /// Its connection is over; with `is_there` it still stands, but what the client sent can't be read.
    Client {
        is_there: bool,
    },
    Backend,
    /// Our own, in these words.
    Own(String),
}

/// No connection came about.
pub(super) fn to_connect(request: &mut Request) -> Decision {
    let failure = request.attempt.as_ref().and_then(|attempt| attempt.dial.trace.failure());
    let Failure { kind, level, message, doing } = failure.unwrap_or_else(|| Failure::broken("no connection"));
    request.log_error(level, &format!("{message} while {doing}"));
    if kind == FailureKind::NoSocket {
        // The fault is this machine's: another server would not help, and this one is not marked.
        request.attempt = None;
        if let Some(last) = request.tries.last_mut() {
            last.name = Arc::from("");
        }
        return error_page(request, 500);
    }
    // Nothing was sent, so any request may go elsewhere.
    let (status, condition) = meaning(kind);
    retry_or_page(
        server_failed(request, status, "connecting to upstream") && may_retry(request, condition, &request.tried),
        request,
    )
}

/// `proxy_allow_upstream` forbids to ask the server that was chosen.
pub(super) fn denied(request: &mut Request) -> Decision {
    let message = "access to the server is denied by \"proxy_allow_upstream\" while connecting to upstream";
    request.log_error(LogLevel::Error, message);
    let retries =
        server_failed(request, 502, "connecting to upstream") && may_retry(request, Condition::Denied, &request.tried);
    retry_or_page(retries, request)
}

/// Another server, or the page for what the last one came to.
fn retry_or_page(retries: bool, request: &mut Request) -> Decision {
    if retries {
        return Decision::NextServer;
    }
    let status = request.failure();
    error_page(request, status)
}

/// The status and the condition of `proxy_next_upstream` for a failure.
fn meaning(kind: FailureKind) -> (u16, Condition) {
    match kind {
        FailureKind::TimedOut => (504, Condition::Timeout),
        FailureKind::Invalid | FailureKind::Unasked => (502, Condition::InvalidHeader),
        FailureKind::Broken | FailureKind::Refused | FailureKind::NoSocket | FailureKind::ClientGone => {
            (502, Condition::Error)
        }
    }
}

/// Whether a response is not to be passed on, but the request to go to another server
/// (`proxy_next_upstream http_503` and the like). The server is marked then.
pub(super) fn by_status(request: &mut Request, status: u16, may_resend: bool) -> bool {
    let Some(attempt) = &request.attempt else { return false };
    let mut tried = request.tried.clone();
    tried.add(attempt.index);
    // The response of the last server is passed on. Whether another one can be asked now shows when one is chosen.
    let retries = may_retry(request, Condition::Status(status), &tried) && is_safe(request, may_resend);
    if retries {
        match status {
            // The server is well; it only has nothing for this request.
            403 | 404 => {
                request.end_try(None);
                let attempt = request.attempt.take();
                if let (Some(attempt), Some(last)) = (attempt, request.tries.last_mut()) {
                    last.status = status;
                    attempt.members.group.succeeded(attempt.index, clock::steady_milliseconds());
                }
                request.tried = tried;
            }
            _ => drop(server_failed(request, status, "reading response header from upstream")),
        }
        request.body_received = 0;
    }
    retries
}

/// Something went wrong between the connection and the end of the response. `may_resend`: all of the request's body is still
/// at hand.
pub(super) fn while_proxying(request: &mut Request, side: Side, may_resend: bool) -> Decision {
    clock::tick();
    let trace = match &request.attempt {
        Some(attempt) if !matches!(side, Side::Client { .. }) => Arc::clone(&attempt.dial.trace),
        _ => return finally(request, side),
    };
    let answered = request.reply.is_some();
    let failure = trace.failure().unwrap_or_else(|| match side {
        Side::Own(message) => Failure::broken(message),
        _ => Failure::broken("upstream prematurely closed connection"),
    });
    if failure.kind == FailureKind::ClientGone {
        return finally(request, Side::Client { is_there: false });
    }
    let timed_out = failure.kind == FailureKind::TimedOut;
    let doing = match () {
        () if answered => "reading upstream",
        () if timed_out && trace.has_sending_failed() => "sending request to upstream",
        () => "reading response header from upstream",
    };
    request.log_error(failure.level, &format!("{} while {doing}", failure.message));
    if answered {
        request.end_try(None);
        request.attempt = None;
        return Decision::Close;
    }
    let is_untouched = failure.kind == FailureKind::Refused && may_resend;
    let safe = is_untouched || is_safe(request, may_resend);
    if trace.is_reused() && matches!(failure.kind, FailureKind::Broken | FailureKind::Refused) && safe {
        // The idle connection was closed as the request went out.
        ask_again(request);
        return Decision::NextServer;
    }
    let (status, condition) = meaning(failure.kind);
    // Not the server's fault: a connection that breaks while the server waits for more of the client's body, and a change
    // of protocol that a client may have brought about.
    let is_clients = (trace.is_owed_body() && !timed_out) || failure.kind == FailureKind::Unasked;
    let failed = match is_clients {
        true => try_failed(request, status).is_some(),
        false => server_failed(request, status, doing),
    };
    request.body_received = 0;
    retry_or_page(failed && safe && may_retry(request, condition, &request.tried), request)
}

/// Ends a try without a result for the client. The server counts as tried, and its connection serves no other request.
fn try_failed(request: &mut Request, status: u16) -> Option<Attempt> {
    let attempt = request.attempt.take()?;
    request.end_try(Some((status, &attempt.dial.trace)));
    attempt.dial.trace.spoil();
    request.tried.add(attempt.index);
    Some(attempt)
}

/// Marks the server, and ends the try. `true` when another server may be asked at all.
fn server_failed(request: &mut Request, status: u16, doing: &str) -> bool {
    let Some(attempt) = try_failed(request, status) else { return false };
    let members = Arc::clone(&attempt.members);
    let Some(progress) = members.progress.get(request.conn.worker) else { return false };
    let disabled = members.group.failed(&mut progress.lock(), attempt.index, clock::steady_milliseconds());
    if disabled {
        request.attempt = Some(attempt);
        request.log_error(LogLevel::Warn, &format!("upstream server temporarily disabled while {doing}"));
        request.attempt = None;
    }
    true
}

/// Whether the configuration and the session let the request go to another server than those that were tried.
fn may_retry(request: &Request, condition: Condition, tried: &Tried) -> bool {
    let Some(pass) = request.pass() else { return false };
    let any_left = request.members.as_ref().is_some_and(|members| members.group.others(tried) > 0);
    pass.terms.next_upstream.has(condition)
        && any_left
        && tried.len() < pass.terms.next_tries
        && in_time(request)
        && !request.sticky.is_held()
}

/// `proxy_next_upstream_timeout`
fn in_time(request: &Request) -> bool {
    let Some(bound) = request.pass().map(|pass| pass.terms.next_timeout).filter(|bound| !bound.is_zero()) else {
        return true;
    };
    request.first_try.is_none_or(|first| clock::now().since(first) < bound)
}

/// Whether a request that was sent may be sent again: all of its body is still there, and doing it twice does no harm.
fn is_safe(request: &Request, may_resend: bool) -> bool {
    let asked_for = || request.pass().is_some_and(|pass| pass.terms.next_upstream.has(Condition::NonIdempotent));
    may_resend && (is_idempotent(request) || asked_for())
}

/// Whether a request could be sent again if a connection broke, as far as that is known before it is sent.
pub(super) fn is_repeatable(request: &Request) -> bool {
    let fits = match request.body_to_come() {
        Body::None => true,
        Body::Length(length) => length <= KEPT_BODY,
        Body::Chunked => false,
    };
    fits && is_idempotent(request)
}

/// Whether the response is about the idle connection and not about the request: a `408` that closes a connection which had
/// served other requests. The request then goes over a new connection.
pub(super) fn by_stale_connection(request: &mut Request, may_resend: bool) -> bool {
    let Some(attempt) = &request.attempt else { return false };
    let trace = &attempt.dial.trace;
    let is_stale = trace.head().is_some_and(|head| head.status == 408 && !head.keepalive) && trace.is_reused();
    if is_stale && may_resend {
        ask_again(request);
        return true;
    }
    false
}

/// The same server is asked again over a new connection. What an idle one came to says nothing about it.
fn ask_again(request: &mut Request) {
    request.again = request.attempt.as_ref().map(|attempt| attempt.index);
    request.tries.pop();
    request.attempt = None;
    request.body_received = 0;
}

fn is_idempotent(request: &Request) -> bool {
    !matches!(request.head.method(), b"POST" | b"LOCK" | b"PATCH")
}

/// Nothing more is tried: the client gets a page, if it can still get one.
pub(super) fn finally(request: &mut Request, side: Side) -> Decision {
    let fault = request.exchange().fault.take();
    let status = match (side, fault) {
        (Side::Client { .. }, Some(fault)) => by_body(request, fault),
        (Side::Client { is_there: true }, None) => by_body(request, BodyFault::Broken),
        (Side::Client { is_there: false }, None) => {
            if request.reply.is_none() {
                let message = "client prematurely closed connection, so upstream connection is closed too";
                request.log_error(LogLevel::Info, message);
            }
            499
        }
        (Side::Backend, _) => request.failure(),
        (Side::Own(message), _) if request.reply.is_none() => return internal(request, &message),
        (Side::Own(_), _) => 500,
    };
    if request.reply.is_some() {
        return Decision::Close;
    }
    request.status = status;
    if matches!(status, 408 | 499) { Decision::Close } else { error_page(request, status) }
}

/// The status for a body of the client's that can't be read on, which is told.
fn by_body(request: &Request, fault: BodyFault) -> u16 {
    match fault {
        BodyFault::TooLarge { received, announced } => {
            let message = format!("client intended to send too large chunked body: {received}+{announced} bytes");
            request.log_error(LogLevel::Error, &message);
            413
        }
        BodyFault::TimedOut => 408,
        BodyFault::Broken => {
            request.log_error(LogLevel::Error, BROKEN_BODY);
            400
        }
    }
}

/// Something that should be impossible: it is logged, and answered with 500.
pub(super) fn internal(request: &mut Request, what: &str) -> Decision {
    request.log_error(LogLevel::Error, &format!("internal error: {what}"));
    error_page(request, 500)
}

impl Request {
    /// The status for a request that no server answered: that of the last try.
    pub(super) fn failure(&self) -> u16 {
        self.tries.last().map(|last| last.status).filter(|status| *status != 0).unwrap_or(502)
    }
}
