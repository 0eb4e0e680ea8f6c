//! `X-Accel-Redirect`: a backend hands its request back, and another location answers it (nginx manual, `internal` and
//! `proxy_ignore_headers`).

use std::sync::Arc;

use bytes::Bytes;
use limpet_config::model::LogLevel;
use pingora::proxy::Session as Downstream;
use pingora::{Error, ErrorType, Result};

use super::ctx::Request;
use super::reply::append_line;
use super::response_filter::cookies;
use super::routing::{Answer, count_redirect, error_page, go_to, route, route_in};
use super::sticky::{Session, Stickiness};
use crate::clock;
use crate::field::Known;
use crate::front::head::Body;
use crate::route::uri;
use crate::runtime::{Content, Location, Members, Upstream};
use crate::upstream::ResponseHead;

/// What is known of a request that a backend has handed back.
#[derive(Default)]
pub(crate) struct HandedBack {
    /// Where it is to go, until it has gone there.
    target: Option<Vec<u8>>,
    /// What answers it, where that is no backend.
    answer: Option<Answer>,
    /// How many servers had been tried each time that it went to a backend again.
    pub(crate) starts: Vec<usize>,
    /// Every time that it was handed back, in order.
    phases: Vec<Phase>,
}

/// One answer of a backend that handed the request back.
struct Phase {
    location: Arc<Location>,
    response: Arc<ResponseHead>,
    members: Arc<Members>,
    sticky: Stickiness,
}

impl Phase {
    fn upstream(&self) -> Option<&Arc<Upstream>> {
        match &self.location.content {
            Content::Proxy(pass) => Some(&pass.upstream),
            _ => None,
        }
    }

    fn is_of(&self, upstream: Option<&Arc<Upstream>>) -> bool {
        self.upstream().zip(upstream).is_some_and(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// nginx's choice of the header lines that the client gets all the same, and the cookies by the status of the
    /// response that it gets. `superseded`: another answer brings the cookie of the session.
    fn append_lines(&self, status: u16, superseded: bool, out: &mut Vec<u8>) {
        let mut expires = false;
        for (known, name, value) in self.response.fields.iter() {
            let is = |other: &&str| name.eq_ignore_ascii_case(other.as_bytes());
            // A redirect and a page about an error have no ranges.
            let stands = is(&"Accept-Ranges") && status < 300;
            // The first one counts.
            let first = known == Known::Expires && !std::mem::replace(&mut expires, true);
            if stands || first || ["Cache-Control", "Content-Disposition"].iter().any(is) {
                append_line(out, name, value);
            }
        }
        let session = Session::of(&self.location, &self.sticky);
        cookies(&self.response, session.as_ref(), status, !superseded, |value| append_line(out, b"Set-Cookie", value));
    }
}

impl HandedBack {
    /// The media type that a file or a text gets in place of its own.
    pub(crate) fn content_type(&self) -> Option<Bytes> {
        self.phases.iter().rev().find_map(|phase| phase.response.fields.value_bytes(Known::ContentType))
    }

    /// The lines for a response of this status, which itself brings the cookie of a session with `sets`.
    pub(super) fn append_lines(&self, status: u16, sets: Option<&Arc<Upstream>>, out: &mut Vec<u8>) {
        for (index, phase) in self.phases.iter().enumerate() {
            let brings = |later: &Phase| {
                let session = Session::of(&later.location, &later.sticky);
                later.is_of(phase.upstream()) && session.is_some_and(|session| session.is_sent(status))
            };
            let superseded = phase.is_of(sets) || self.phases.iter().skip(index + 1).any(brings);
            phase.append_lines(status, superseded, out);
        }
    }
}

/// Takes back the request of a backend that has just answered with `X-Accel-Redirect`, if that is heeded.
///
/// # Errors
/// One that leads Pingora to choose a backend anew, where [`follow`] goes on.
pub(super) fn take_back(request: &mut Request) -> Result<()> {
    let Some(response) = &request.response else { return Ok(()) };
    let Some(target) = response.fields.value(Known::XAccelRedirect) else { return Ok(()) };
    let (target, response, members) = (target.to_vec(), Arc::clone(response), request.members.clone());
    let Some(members) = members.filter(|_| request.pass().is_some_and(|pass| pass.takes_back)) else { return Ok(()) };
    request.end_try(None);
    if let Some(mut flight) = request.flight.take() {
        let header = request.tries.last().and_then(|last| last.header);
        flight.completed(header.unwrap_or_default());
        // A tunnel is not wanted.
        drop(flight.dial.trace.take_tunnel());
        request.sticky.settle(flight.index);
    }
    let phase = Phase {
        location: Arc::clone(&request.location),
        members,
        sticky: request.sticky.clone(),
        response: Arc::clone(&response),
    };
    let handed_back = request.handed_back.get_or_insert_default();
    handed_back.target = Some(target);
    handed_back.phases.push(phase);
    request.abandoned = true;
    Error::err(ErrorType::HTTPStatus(response.status))
}

/// The answer that [`follow`] has left.
pub(super) fn take_answer(request: &mut Request) -> Option<Answer> {
    request.handed_back.as_mut()?.answer.take()
}

/// Whether a backend has handed the request back and it has not gone on since.
pub(super) fn is_pending(request: &Request) -> bool {
    request.handed_back.as_ref().is_some_and(|handed_back| handed_back.target.is_some())
}

/// Goes where the backend has pointed to. `true` when that is a backend again; else the answer waits in the request.
pub(super) fn follow(session: &Downstream, request: &mut Request) -> bool {
    let target = request.handed_back.as_mut().and_then(|handed_back| handed_back.target.take()).unwrap_or_default();
    request.upstream = None;
    let answer = match in_named(request, &target) {
        Some(answer) => answer,
        None => match uri::internal(&target) {
            Ok((uri, args)) => {
                request.args = args;
                request.reads = true;
                go_to(request, uri).unwrap_or_else(|| route(request))
            }
            Err(uri::BadUri) => {
                let target = String::from_utf8_lossy(&target).into_owned();
                let message =
                    format!("unsafe URI \"{target}\" was detected while reading response header from upstream");
                request.log_error(LogLevel::Error, &message);
                error_page(request, 404)
            }
        },
    };
    let answer = match answer {
        Answer::Backend if request.head.body != Body::None && session.as_ref().retry_buffer_truncated() => {
            let message = "client request body is too large to be sent again after X-Accel-Redirect";
            request.log_error(LogLevel::Error, message);
            error_page(request, 500)
        }
        answer => answer,
    };
    let Some(handed_back) = &mut request.handed_back else { return false };
    if !matches!(answer, Answer::Backend) {
        handed_back.answer = Some(answer);
        return false;
    }
    handed_back.starts.push(request.tries.len());
    // The client keeps the server of an upstream that it has been to.
    let been = handed_back.phases.iter().rev().find(|phase| phase.is_of(request.upstream.as_ref()));
    (request.members, request.sticky) = match been {
        Some(phase) => (Some(Arc::clone(&phase.members)), phase.sticky.clone()),
        None => (None, Stickiness::default()),
    };
    request.first_try = Some(clock::now());
    request.key = None;
    request.tried = limpet_balance::Tried::default();
    request.upstream_head = None;
    request.response = None;
    request.body_received = 0;
    true
}

/// What answers in the named location of a target that begins with `@`. URI and method stay.
fn in_named(request: &mut Request, target: &[u8]) -> Option<Answer> {
    if !target.starts_with(b"@") {
        return None;
    }
    let name = String::from_utf8_lossy(target).into_owned();
    if let Some(answer) = count_redirect(request, |_| format!("while redirect to named location \"{name}\"")) {
        return Some(answer);
    }
    let server = Arc::clone(&request.server);
    let location = server.named.get(target).and_then(|index| server.locations.get(*index));
    Some(match location {
        Some(location) => route_in(request, location),
        None => {
            let message =
                format!("could not find named location \"{name}\" while reading response header from upstream");
            request.log_error(LogLevel::Error, &message);
            error_page(request, 500)
        }
    })
}
