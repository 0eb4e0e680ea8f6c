//! `X-Accel-Redirect`: a backend hands its request back, and another location answers it (nginx manual, `internal` and
//! `proxy_ignore_headers`).

use std::sync::Arc;

use bytes::Bytes;
use limpet_config::model::LogLevel;
use limpet_sticky::write::is_own;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::ctx::Request;
use super::reply::append_line;
use super::request_filter::{Answer, count_redirect, error_page, go_to, route, route_in};
use super::response_filter::cookies;
use super::sticky::Stickiness;
use crate::clock;
use crate::field::Known;
use crate::front::head::Body;
use crate::route::uri;
use crate::upstream::ResponseHead;

/// What is known of a request that a backend has handed back.
#[derive(Default)]
pub(crate) struct HandedBack {
    /// Where it is to go, until it has gone there.
    target: Option<Vec<u8>>,
    /// What answers it, where that is no backend.
    answer: Option<Answer>,
    /// How many servers had been tried each time that it went to a backend again.
    pub(crate) phases: Vec<usize>,
    /// What the backends have told the client all the same.
    content_type: Option<Bytes>,
    lines: Vec<(Line, Vec<u8>)>,
}

/// A header line of a backend that handed its request back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Plain,
    /// `Accept-Ranges`: nothing to tell of an error page.
    Ranges,
    /// The session's cookie: not with an error, and not beside a newer one of the same upstream.
    Session,
}

impl HandedBack {
    /// The media type that a file or a text gets in place of its own.
    pub(crate) fn content_type(&self) -> Option<&Bytes> {
        self.content_type.as_ref()
    }

    /// The lines for a response of this status.
    pub(super) fn append_lines(&self, status: u16, out: &mut Vec<u8>) {
        let stands = |line: Line| line == Line::Plain || status < 400;
        self.lines.iter().filter(|(line, _)| stands(*line)).for_each(|(_, text)| out.extend_from_slice(text));
    }
}

/// Takes back the request of a backend that has just answered with `X-Accel-Redirect`, if that is heeded.
///
/// # Errors
/// One that leads Pingora to choose a backend anew, where [`follow`] goes on.
pub(super) fn take_back(request: &mut Request) -> Result<()> {
    let Some(response) = request.response.clone().filter(|response| response.status != 101) else { return Ok(()) };
    let Some(target) = response.fields.value(Known::XAccelRedirect) else { return Ok(()) };
    if !request.pass().is_some_and(|pass| pass.takes_back) {
        return Ok(());
    }
    let (content_type, lines) = told(request, &response);
    let handed_back = request.handed_back.get_or_insert_default();
    handed_back.target = Some(target.to_vec());
    handed_back.content_type = content_type.or(handed_back.content_type.take());
    handed_back.lines.extend(lines);
    request.end_try(None);
    if let Some(mut flight) = request.flight.take() {
        let header = request.tries.last().and_then(|last| last.header);
        flight.completed(header.unwrap_or_default());
        flight.dial.trace.release();
        request.sticky.settle(flight.index);
    }
    request.abandoned = true;
    Error::err(ErrorType::HTTPStatus(response.status))
}

/// What the client gets of such a response: nginx's choice of its headers, and its cookies.
fn told(request: &Request, response: &ResponseHead) -> (Option<Bytes>, Vec<(Line, Vec<u8>)>) {
    let mut lines = Vec::new();
    let mut add = |line: Line, name: &[u8], value: &[u8]| {
        let mut text = Vec::new();
        append_line(&mut text, name, value);
        lines.push((line, text));
    };
    for (_, name, value) in response.fields.iter() {
        let is = |other: &&str| name.eq_ignore_ascii_case(other.as_bytes());
        if ["Cache-Control", "Content-Disposition", "Expires"].iter().any(is) {
            add(Line::Plain, name, value);
        } else if is(&"Accept-Ranges") {
            add(Line::Ranges, name, value);
        }
    }
    let policy = request.pass().and_then(|pass| pass.upstream.sticky.as_ref());
    cookies(request, response, response.status, |value| {
        let is_session = policy.is_some_and(|policy| is_own(policy, value));
        add(if is_session { Line::Session } else { Line::Plain }, b"Set-Cookie", value);
    });
    (response.fields.value_bytes(Known::ContentType), lines)
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
pub(super) fn follow(session: &Session, request: &mut Request) -> bool {
    let target = request.handed_back.as_mut().and_then(|handed_back| handed_back.target.take()).unwrap_or_default();
    let before = request.upstream.take();
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
    handed_back.phases.push(request.tries.len());
    let same = before.zip(request.upstream.as_ref()).is_some_and(|(before, after)| Arc::ptr_eq(&before, after));
    if same {
        // The client keeps the server that it has just been given.
        handed_back.lines.retain(|(line, _)| *line != Line::Session);
        request.first_try = Some(clock::now());
    } else {
        request.members = None;
        request.sticky = Stickiness::default();
    }
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
    if let Some(answer) = count_redirect(request, || format!("while redirect to named location \"{name}\"")) {
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
