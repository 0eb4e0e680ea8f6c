//! The backend's head: what it says of the server, and what the client gets of it.

use std::sync::Arc;

use limpet_log::LogLevel;
use limpet_message::field::{Known, has_word};
use limpet_message::response::{Framing, ResponseHead};
use limpet_sticky::write::{is_own, prefixed, rewritten};
use limpet_sticky::{CookieAction, Policy};

use super::ctx::Request;
use super::decision::Decision;
use super::reply::{self, Length, Reply};
use super::sticky::SessionCookies;
use super::{accel, body, fail};
use crate::pass::HttpVersion;
use crate::runtime::Content;

/// Headers of the backend that are not for a client, unless the configuration says so.
fn is_usually_hidden(known: Known) -> bool {
    matches!(
        known,
        Known::Date
            | Known::Server
            | Known::XAccelBuffering
            | Known::XAccelCharset
            | Known::XAccelExpires
            | Known::XAccelLimitRate
            | Known::XAccelRedirect
            | Known::XPad
    )
}

/// Headers of the backend that are about its own connection, or written anew.
fn is_rewritten(known: Known, status: u16) -> bool {
    match known {
        Known::Connection
        | Known::ContentLength
        | Known::ContentType
        | Known::KeepAlive
        | Known::SetCookie
        | Known::TransferEncoding => true,
        Known::Upgrade => status == 101,
        _ => false,
    }
}

/// Whether a header of the backend goes to the client.
fn is_passed(request: &Request, known: Known, name: &[u8]) -> bool {
    let usually = !is_usually_hidden(known);
    request.pass().map_or(usually, |pass| pass.terms.fields.is_passed(name, usually))
}

/// The trailers of the backend's response as the client gets them, each line with its end.
pub(super) fn trailers(request: &Request) -> Vec<u8> {
    let mut lines = Vec::new();
    let trailers = request.attempt.as_ref().and_then(|attempt| attempt.dial.trace.trailers());
    for (known, name, value) in trailers.iter().flat_map(|trailers| trailers.iter()) {
        let is_of_connection = is_rewritten(known, 101) && !matches!(known, Known::ContentType | Known::SetCookie);
        if !is_of_connection && is_passed(request, known, name) {
            reply::append_line(&mut lines, name, value);
        }
    }
    lines
}

/// The backend has answered: whether its response is passed on, or the request goes to another server or location.
/// `may_resend`: all of the request's body is still at hand.
pub(super) fn from_backend(request: &mut Request, may_resend: bool) -> Decision {
    let Some(attempt) = &request.attempt else { return Decision::Continue };
    let trace = Arc::clone(&attempt.dial.trace);
    if let Some(last) = request.tries.last_mut() {
        last.connected = trace.connected();
        last.header = Some(trace.elapsed());
    }
    let status = trace.head().map_or(502, |head| head.status);
    if fail::by_stale_connection(request, may_resend) || fail::by_status(request, status, may_resend) {
        return Decision::NextServer;
    }
    let Some(attempt) = &mut request.attempt else { return Decision::Continue };
    attempt.answered();
    request.response = trace.head().map(Arc::clone);
    if let Some(last) = request.tries.last_mut() {
        last.status = status;
    }
    accel::take_back(request, may_resend)
}

/// Makes the client's head out of the backend's and hands it over. What is to be known of how the body is delimited is the
/// result; `None`: there is no response.
pub(super) fn to_client(request: &mut Request) -> Option<Length> {
    let response = request.response.clone()?;
    let mut reply = Reply::new(response.status);
    // HTTP/2 has none.
    let has_reason = request.pass().is_none_or(|pass| pass.terms.http_version != HttpVersion::Http2);
    reply.reason = has_reason.then(|| response.reason());
    let told = || request.handed_back.as_ref().and_then(|handed_back| handed_back.content_type());
    let content_type = || response.fields.value_bytes(Known::ContentType);
    reply.content_type =
        is_passed(request, Known::ContentType, b"content-type").then(content_type).flatten().or_else(told);
    reply.length = length(request, &response);
    lines(request, &response, &mut reply);
    let session = SessionCookies::of(&request.location, &request.sticky);
    let shows_theirs = is_passed(request, Known::SetCookie, b"set-cookie");
    let theirs: Vec<&[u8]> = response.fields.values(Known::SetCookie).filter(|_| shows_theirs).collect();
    let line = |line: &[u8]| reply.line(b"Set-Cookie", line);
    reply.sets_session = cookies(&theirs, session.as_ref(), response.status, true, line);
    if reply.sets_session
        && session.as_ref().is_some_and(|session| session.policy.is_private())
        && !is_private(&response)
    {
        reply.line(b"Cache-Control", b"private");
    }
    if let Some(protocol) = response.fields.value(Known::Upgrade).filter(|_| response.status == 101) {
        reply.line(b"Upgrade", protocol);
    }
    let mut whole = response.body.clone().unwrap_or_default();
    request.begin_filters(&mut reply);
    if !request.filters.is_empty() && !whole.is_empty() {
        whole = request.filter(whole, true);
        reply.length = Length::Known(whole.len() as u64);
    }
    let length = reply.length;
    reply::send_head_with(request, reply, &whole);
    body::count(request, whole.len());
    let is_over = response.body.is_some() || request.head.is_head() || response.framing == Framing::Length(0);
    if let Some(attempt) = request.attempt.as_mut().filter(|_| is_over) {
        attempt.leave();
    }
    Some(length)
}

/// Whether the backend has said itself that caches that many share are not to keep its response.
fn is_private(response: &ResponseHead) -> bool {
    let mut said = response.fields.values(Known::CacheControl);
    said.any(|said| [&b"private"[..], b"no-store", b"no-cache"].iter().any(|word| has_word(said, word)))
}

fn length(request: &Request, response: &ResponseHead) -> Length {
    match response.framing {
        Framing::Length(length) => Length::Known(length),
        _ if request.head.is_head() || matches!(response.status, 101 | 204 | 304) => Length::Unsaid,
        Framing::Chunked | Framing::Close => Length::Open,
    }
}

/// The lines that are passed on as they are, in the backend's order and spelling. Of those that may stand but once the
/// first one counts.
fn lines(request: &Request, response: &ResponseHead, reply: &mut Reply) {
    let mut seen = [false; 7];
    let fields = request.pass().map(|pass| &pass.terms.fields).filter(|fields| !fields.is_empty());
    for (known, name, value) in response.fields.iter() {
        let usually = !is_usually_hidden(known);
        let is_passed = fields.map_or(usually, |fields| fields.is_passed(name, usually));
        if !is_passed || is_rewritten(known, reply.status) {
            continue;
        }
        reply.has_server |= known == Known::Server;
        reply.has_date |= known == Known::Date;
        let seen = match known {
            Known::Location => seen.get_mut(0),
            Known::ETag => seen.get_mut(1),
            Known::LastModified => seen.get_mut(2),
            Known::Expires => seen.get_mut(3),
            Known::Refresh => seen.get_mut(4),
            Known::Server => seen.get_mut(5),
            Known::Date => seen.get_mut(6),
            _ => None,
        };
        if seen.is_some_and(|seen| std::mem::replace(seen, true)) {
            let line = format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            let message = format!(
                "upstream sent duplicate header line: \"{line}\", ignored while reading response header from upstream"
            );
            request.log_error(LogLevel::Warn, &message);
        } else if known == Known::Location {
            location(request, name, value, reply);
        } else if known == Known::Refresh {
            reply.line(name, &refresh(request, value));
        } else {
            reply.line(name, value);
        }
    }
}

/// `proxy_redirect default`: a URL below that of `proxy_pass` becomes one below the location; `None` for any other.
fn redirected(request: &Request, value: &[u8]) -> Option<Vec<u8>> {
    let Content::Upstream(pass) = &request.location.content else { return None };
    let (from, to) = pass.redirect.as_ref()?;
    value.strip_prefix(from.as_slice()).map(|rest| [to, rest].concat())
}

fn location(request: &Request, name: &[u8], value: &[u8], reply: &mut Reply) {
    match redirected(request, value) {
        Some(path) if path.starts_with(b"/") => reply.location = Some(request.absolute(&path)),
        Some(other) => reply.location = Some(other),
        None => reply.line(name, value),
    }
}

/// A `Refresh` whose URL behind `url=` is rewritten as in a `Location`.
fn refresh(request: &Request, value: &[u8]) -> Vec<u8> {
    const URL: &[u8] = b"url=";
    let at = value.windows(URL.len()).position(|window| window.eq_ignore_ascii_case(URL)).map(|at| at + URL.len());
    let rewritten = at.and_then(|at| {
        let (before, url) = value.split_at_checked(at)?;
        Some([before, &redirected(request, url)?].concat())
    });
    rewritten.unwrap_or_else(|| value.to_vec())
}

/// What makes another Set-Cookie line of the backend's; `None`: it stays.
type Rewrite = fn(&Policy, &[u8], &[u8]) -> Option<Vec<u8>>;

/// The backend's Set-Cookie lines, and ours if it is `wanted`, for a response with this status. `true`: ours is among them.
pub(super) fn cookies(
    theirs: &[&[u8]],
    session: Option<&SessionCookies<'_>>,
    status: u16,
    wanted: bool,
    mut line: impl FnMut(&[u8]),
) -> bool {
    let Some(session) = session else {
        theirs.iter().copied().for_each(line);
        return false;
    };
    let (policy, sid) = (session.policy, &session.server.sid);
    let mut rewrite = |rewrite: Rewrite| {
        theirs.iter().for_each(|theirs| match rewrite(policy, theirs, sid) {
            Some(rewritten) => line(&rewritten),
            None => line(theirs),
        });
    };
    match session.answer(status) {
        CookieAction::Prefix => rewrite(prefixed),
        CookieAction::Rewrite => rewrite(rewritten),
        CookieAction::Append if wanted => {
            theirs.iter().copied().for_each(&mut line);
            line(&session.cookie());
            return true;
        }
        CookieAction::Pass | CookieAction::Append => theirs.iter().copied().for_each(line),
        CookieAction::Replace if wanted => {
            let mut placed = false;
            for theirs in theirs {
                if !is_own(policy, theirs) {
                    line(theirs);
                } else if !std::mem::replace(&mut placed, true) {
                    line(&session.cookie());
                }
            }
            if !placed {
                line(&session.cookie());
            }
            return true;
        }
        CookieAction::Drop | CookieAction::Replace => {
            theirs.iter().copied().filter(|theirs| !is_own(policy, theirs)).for_each(line)
        }
    }
    false
}
