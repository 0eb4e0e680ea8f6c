//! What a failure means: for the server, for the request, and for the client.

use std::sync::Arc;

use limpet_config::model::{LogLevel, NextCondition as Condition};
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use super::accel;
use super::ctx::{Flight, Request};
use super::page;
use super::reply::{self, Reply};
use super::request_filter;
use crate::clock;
use crate::front::conn::BodyFault;
use crate::front::head::Body;

/// nginx's words for chunks of a client that can't be read.
pub(super) const BROKEN_BODY: &str = "client sent invalid chunked body";

/// How much of a body Pingora keeps to send it again, in bytes.
const KEPT_BODY: u64 = 65_536;

/// No connection came about.
pub(super) fn to_connect(request: &mut Request, mut error: Box<Error>) -> Box<Error> {
    let failure = request.flight.as_ref().and_then(|flight| flight.dial.trace.failure());
    let message = failure.unwrap_or_else(|| error.to_string());
    if matches!(error.etype(), ErrorType::BindError | ErrorType::SocketError) {
        // Nothing that another server could do better, and nothing that this one did wrong.
        let level = if *error.etype() == ErrorType::BindError { LogLevel::Crit } else { LogLevel::Alert };
        request.log_error(level, &format!("{message} while connecting to upstream"));
        request.flight = None;
        if let Some(last) = request.tries.last_mut() {
            last.name = Arc::from("");
        }
        return Error::explain(ErrorType::HTTPStatus(500), message);
    }
    let level = if message.contains("(2: ") || message.contains("(13: ") { LogLevel::Crit } else { LogLevel::Error };
    request.log_error(level, &format!("{message} while connecting to upstream"));
    let timed_out = is_timeout(&error);
    // Nothing was sent, so any request may go elsewhere.
    let status = if timed_out { 504 } else { 502 };
    let condition = if timed_out { Condition::Timeout } else { Condition::Error };
    let retry = server_failed(request, status, "connecting to upstream") && may_retry(request, condition);
    error.set_retry(retry);
    error
}

/// `proxy_allow_upstream` forbids to ask the server that was chosen. `true` when another one may be.
pub(super) fn denied(request: &mut Request) -> bool {
    let message = "access to the server is denied by \"proxy_allow_upstream\" while connecting to upstream";
    request.log_error(LogLevel::Error, message);
    server_failed(request, 502, "connecting to upstream") && may_retry(request, Condition::Denied)
}

/// Whether a response is not to be passed on, but the request to go to another server
/// (`proxy_next_upstream http_503` and the like). The server is marked then.
pub(super) fn by_status(session: &Session, request: &mut Request, status: u16) -> bool {
    let Some(pass) = request.pass() else { return false };
    if !pass.next_upstream.has(Condition::Status(status)) {
        return false;
    }
    let tries = pass.next_tries;
    let (Some(flight), Some(members)) = (&request.flight, &request.members) else { return false };
    let mut tried = request.tried.clone();
    tried.add(flight.index);
    // The page of the last server is passed on; whether one of the others can be asked now, their turn will tell.
    let goes_on = is_safe(session, request)
        && !request.sticky.is_held()
        && tried.len() < tries
        && in_time(request)
        && members.group.others(&tried) > 0;
    if goes_on {
        match status {
            // The server is well; it only has nothing for this request.
            403 | 404 => {
                request.end_try(None);
                let flight = request.flight.take();
                if let (Some(flight), Some(last)) = (flight, request.tries.last_mut()) {
                    last.status = status;
                    flight.members.group.succeeded(flight.index, clock::steady_milliseconds());
                }
                request.tried = tried;
            }
            _ => drop(server_failed(request, status, "reading response header from upstream")),
        }
        request.body_received = 0;
    }
    goes_on
}

/// Something went wrong between the connection and the end of the response.
pub(super) fn while_proxying(session: &mut Session, request: &mut Request, mut error: Box<Error>) -> Box<Error> {
    clock::tick();
    error.set_retry(false);
    if request.abandoned {
        // The response that came was none for the client.
        request.abandoned = false;
        error.set_retry(true);
        return error;
    }
    let is_gone = request.conn.exchange().fault == Some(BodyFault::Gone);
    if *error.esource() == ErrorSource::Downstream || is_gone || request.flight.is_none() {
        return error;
    }
    let answered = request.reply.is_some();
    let trace = request.flight.as_ref().map(|flight| Arc::clone(&flight.dial.trace));
    let silent = trace.as_ref().is_some_and(|trace| trace.received() == 0);
    let reused = trace.as_ref().is_some_and(|trace| trace.is_reused());
    let timed_out = is_timeout(&error) || trace.as_ref().is_some_and(|trace| trace.has_timed_out());
    let doing = match &trace {
        _ if answered => "reading upstream",
        Some(trace) if timed_out && trace.has_sending_failed() => "sending request to upstream",
        _ => "reading response header from upstream",
    };
    let failure = trace.as_ref().and_then(|trace| trace.failure());
    let message = failure.unwrap_or_else(|| what_failed(&error, timed_out));
    request.log_error(LogLevel::Error, &format!("{message} while {doing}"));
    if answered {
        request.end_try(None);
        request.flight = None;
        return error;
    }
    let safe = is_safe(session, request);
    if reused && silent && !timed_out && safe && is_idempotent(request) {
        // The idle connection was closed as the request went out.
        ask_again(request);
        error.set_retry(true);
        return error;
    }
    let condition = match (timed_out, trace.as_ref().is_some_and(|trace| trace.is_invalid())) {
        (true, _) => Condition::Timeout,
        (false, true) => Condition::InvalidHeader,
        (false, false) => Condition::Error,
    };
    let status = if timed_out { 504 } else { 502 };
    // What the client owes is not the server's fault: a connection that breaks while it waits for more of the request.
    let failed = match trace.is_some_and(|trace| trace.is_owed_body()) && !timed_out {
        true => try_failed(request, status).is_some(),
        false => server_failed(request, status, doing),
    };
    let elsewhere = failed && safe && may_retry(request, condition);
    request.body_received = 0;
    error.set_retry(elsewhere);
    error
}

/// Ends a try without a result for the client. The server counts as tried, and its connection serves no other request.
fn try_failed(request: &mut Request, status: u16) -> Option<Flight> {
    let flight = request.flight.take()?;
    request.end_try(Some((status, &flight.dial.trace)));
    flight.dial.trace.spoil();
    request.tried.add(flight.index);
    Some(flight)
}

/// Marks the server, and ends the try. `true` when another server may be asked at all.
fn server_failed(request: &mut Request, status: u16, doing: &str) -> bool {
    let Some(flight) = try_failed(request, status) else { return false };
    let members = Arc::clone(&flight.members);
    let Some(progress) = members.progress.get(request.conn.worker) else { return false };
    let disabled = members.group.failed(&mut progress.lock(), flight.index, clock::steady_milliseconds());
    if disabled {
        request.flight = Some(flight);
        request.log_error(LogLevel::Warn, &format!("upstream server temporarily disabled while {doing}"));
        request.flight = None;
    }
    true
}

/// Whether the configuration and the session let the request go to another server.
fn may_retry(request: &Request, condition: Condition) -> bool {
    let Some(pass) = request.pass() else { return false };
    let any_left = request.members.as_ref().is_some_and(|members| members.group.others(&request.tried) > 0);
    pass.next_upstream.has(condition)
        && any_left
        && request.tried.len() < pass.next_tries
        && in_time(request)
        && !request.sticky.is_held()
}

/// `proxy_next_upstream_timeout`
fn in_time(request: &Request) -> bool {
    let Some(bound) = request.pass().map(|pass| pass.next_timeout).filter(|bound| !bound.is_zero()) else {
        return true;
    };
    request.first_try.is_none_or(|first| clock::now().since(first) < bound)
}

/// Whether a request that was sent may be sent again: all of its body is still there, and doing it twice does no harm.
fn is_safe(session: &Session, request: &Request) -> bool {
    let replayable = !session.as_ref().retry_buffer_truncated();
    let asked_for = || request.pass().is_some_and(|pass| pass.next_upstream.has(Condition::NonIdempotent));
    replayable && (is_idempotent(request) || asked_for())
}

/// Whether a request could be sent again if a connection broke, as far as that is known before it is sent.
pub(super) fn is_repeatable(request: &Request) -> bool {
    let fits = match request.head.body {
        Body::None => true,
        Body::Length(length) => length <= KEPT_BODY,
        Body::Chunked => false,
    };
    fits && is_idempotent(request)
}

/// Whether a backend has answered an idle connection's end and not the request: `408`, and that it closes, over a connection
/// that had served others. The request goes over a new one then.
pub(super) fn by_stale_connection(session: &Session, request: &mut Request) -> bool {
    let Some(flight) = &request.flight else { return false };
    let trace = &flight.dial.trace;
    let is_stale = trace.head().is_some_and(|head| head.status == 408 && !head.keepalive) && trace.is_reused();
    if is_stale && !session.as_ref().retry_buffer_truncated() {
        ask_again(request);
        return true;
    }
    false
}

/// The same server is asked again over a new connection. What an idle one came to says nothing about it.
fn ask_again(request: &mut Request) {
    request.again = request.flight.as_ref().map(|flight| flight.index);
    request.tries.pop();
    request.flight = None;
    request.body_received = 0;
}

fn is_idempotent(request: &Request) -> bool {
    !matches!(request.head.method(), b"POST" | b"LOCK" | b"PATCH")
}

fn is_timeout(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout
    )
}

/// nginx's words for the common ways to fail.
fn what_failed(error: &Error, timed_out: bool) -> String {
    let text = error.to_string();
    if timed_out {
        return "upstream timed out (110: Connection timed out)".into();
    }
    match error.etype() {
        ErrorType::ConnectionClosed => "upstream prematurely closed connection".into(),
        _ if text.contains("reset by peer") => "recv() failed (104: Connection reset by peer)".into(),
        _ if text.contains("chunk") => "upstream sent invalid chunked response".into(),
        _ => format!("upstream prematurely closed connection ({text})"),
    }
}

/// Nothing more is tried: the client gets a page, if it can still get one. The result is the status.
pub(super) async fn finally(session: &mut Session, request: &mut Request, error: &Error) -> u16 {
    if request.reply.is_some() {
        return request.status;
    }
    if let Some(answer) = accel::take_answer(request) {
        if request_filter::give(session, request, answer).await.is_err() {
            request.keepalive = false;
        }
        return request.status;
    }
    let fault = request.conn.exchange().fault.take();
    let status = match (error.esource(), error.etype()) {
        _ if fault == Some(BodyFault::Gone) => 499,
        (ErrorSource::Downstream, _) if fault.is_some() => match fault {
            Some(BodyFault::TooLarge { received, announced }) => {
                let message = format!("client intended to send too large chunked body: {received}+{announced} bytes");
                request.log_error(LogLevel::Error, &message);
                413
            }
            Some(BodyFault::TimedOut) => 408,
            _ => 400,
        },
        (_, ErrorType::HTTPStatus(status)) => *status,
        (ErrorSource::Downstream, ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError) => 499,
        (ErrorSource::Downstream, _) => 400,
        (ErrorSource::Upstream, _) => request.failure(),
        _ => 500,
    };
    request.status = status;
    match status {
        499 => {
            let message = "client prematurely closed connection, so upstream connection is closed too";
            request.log_error(LogLevel::Info, message);
        }
        400 => request.log_error(LogLevel::Error, BROKEN_BODY),
        // A status that a hook has decided on was told by it.
        500 if !matches!(error.etype(), ErrorType::HTTPStatus(_)) => {
            request.log_error(LogLevel::Error, &format!("internal error: {error}"));
        }
        _ => {}
    }
    if matches!(status, 408 | 444 | 499) {
        request.keepalive = false;
        return status;
    }
    if page::closes(status) {
        request.keepalive = false;
    }
    let (reply, body) = Reply::error_page(request, status);
    if reply::send(session, request, reply, body).await.is_err() {
        request.keepalive = false;
    }
    status
}

impl Request {
    /// The status for a request that no server answered: that of the last try.
    pub(super) fn failure(&self) -> u16 {
        self.tries.last().map(|last| last.status).filter(|status| *status != 0).unwrap_or(502)
    }

    /// The last try is over.
    pub(super) fn end_try(&mut self, failed: Option<(u16, &crate::upstream::Trace)>) {
        let trace_times =
            self.flight.as_ref().map(|flight| (flight.dial.trace.connected(), flight.dial.trace.elapsed()));
        let Some(last) = self.tries.last_mut() else { return };
        if let Some((status, trace)) = failed {
            last.status = status;
            last.connected = trace.connected();
            last.ended = Some(trace.elapsed());
        } else if let Some((connected, elapsed)) = trace_times {
            last.connected = connected;
            last.ended = Some(elapsed);
        }
    }
}
