//! Routing: server, rewrite steps, location, and what answers there.

use std::sync::Arc;

use limpet_log::LogLevel;
use limpet_message::body::Body;
use limpet_message::uri;

use super::ctx::{Captures, Request, Undecided};
use super::decision::{Decision, Target};
use super::reply::{Reply, ends_line};
use crate::route::location::Found;
use crate::runtime::{Content, Location};

/// nginx's bound on internal redirects.
const MAX_REDIRECTS: usize = 10;

/// What answers the request's URI: the steps of its server, then a location, and again for each internal redirect.
/// `Continue`: a backend of the location does.
pub(super) fn route(request: &mut Request) -> Decision {
    let decision = by_uri(request);
    settle(request, decision)
}

/// What answers where an internal redirect leads. A named location is entered without the checks of `forbidden`.
pub(super) fn reroute(request: &mut Request, target: Target) -> Decision {
    settle(request, Ok(Decision::Reroute(target)))
}

/// Follows internal redirects until something answers.
fn settle(request: &mut Request, mut decision: Result<Decision, Undecided>) -> Decision {
    loop {
        decision = match decision {
            Ok(Decision::Reroute(target)) => go(request, target),
            Ok(answer) => return answer,
            Err(Undecided(why)) => {
                let uri = String::from_utf8_lossy(&request.uri).into_owned();
                request.log_error(LogLevel::Alert, &format!("pcre2_match() failed: {why} on \"{uri}\""));
                return error_page(request, 500);
            }
        };
    }
}

/// One internal redirect; there may be ten of them.
fn go(request: &mut Request, target: Target) -> Result<Decision, Undecided> {
    let (name, what) = match target {
        Target::Path(uri) => {
            request.uri = uri;
            request.redirected = true;
            (None, "while internally redirecting to")
        }
        Target::Named(name) => (Some(name), "while redirect to named location"),
    };
    request.redirects += 1;
    let shown = |request: &Request| String::from_utf8_lossy(name.as_ref().unwrap_or(&request.uri)).into_owned();
    if request.redirects > MAX_REDIRECTS {
        let message = format!("rewrite or internal redirection cycle {what} \"{}\"", shown(request));
        request.log_error(LogLevel::Error, &message);
        return Ok(error_page(request, 500));
    }
    let Some(name) = &name else { return by_uri(request) };
    let server = Arc::clone(&request.server);
    let Some(location) = server.named.get(name).and_then(|index| server.locations.get(*index)) else {
        // So far only `X-Accel-Redirect` leads to a named location.
        let message =
            format!("could not find named location \"{}\" while reading response header from upstream", shown(request));
        request.log_error(LogLevel::Error, &message);
        return Ok(error_page(request, 500));
    };
    request.location = Arc::clone(location);
    enter(request, location)
}

fn by_uri(request: &mut Request) -> Result<Decision, Undecided> {
    let server = Arc::clone(&request.server);
    if request.redirects > 0 {
        request.location = Arc::clone(&server.outside);
    }
    for step in &server.rewrite {
        match step.run(request)? {
            Decision::Continue => {}
            word => return Ok(word),
        }
    }
    let found = server.top.find(&request.uri, &|location| server.level(location));
    let location = match found {
        Found::Location(index) | Found::ByRegex(index) => server.locations.get(index),
        Found::Slash(index) => {
            let location = server.locations.get(index).unwrap_or(&server.outside);
            request.location = Arc::clone(location);
            request.max_body_size = location.settings.client_max_body_size;
            return Ok(forbidden(request).unwrap_or_else(|| add_slash(request)));
        }
        Found::Nothing => None,
        Found::Undecided => return Err(Undecided("a location's pattern can't be decided".into())),
    };
    reach(request, location.unwrap_or(&server.outside))
}

/// A location that a URI has led to.
fn reach(request: &mut Request, location: &Arc<Location>) -> Result<Decision, Undecided> {
    request.location = Arc::clone(location);
    request.max_body_size = location.settings.client_max_body_size;
    if let Some(regex) = &location.regex
        && let Some(captures) = Captures::of(regex, &request.uri)?
    {
        request.captures = captures;
    }
    match forbidden(request) {
        Some(decision) => Ok(decision),
        None => enter(request, location),
    }
}

/// The phases of a location from rewriting on, and what answers there.
fn enter(request: &mut Request, location: &Location) -> Result<Decision, Undecided> {
    for step in &location.rewrite {
        match step.run(request)? {
            Decision::Continue => {}
            word => return Ok(word),
        }
    }
    // Rewriting may have led into a block of an `if`.
    let location = Arc::clone(&request.location);
    for step in location.steps.iter() {
        match step.run(request)? {
            Decision::Continue => {}
            word => return Ok(word),
        }
    }
    match &location.content {
        Content::Module(module) => module.run(request),
        Content::Upstream(pass) => {
            request.upstream = Some(Arc::clone(&pass.upstream));
            Ok(Decision::Continue)
        }
    }
}

/// 404 for a location that clients do not reach, and 413 for a request that is larger than the location takes, as far as
/// that is known.
fn forbidden(request: &mut Request) -> Option<Decision> {
    if request.location.settings.internal && request.redirects == 0 {
        return Some(error_page(request, 404));
    }
    let most = request.max_body_size;
    let length = match request.body_for_backend() {
        Body::None => 0,
        Body::Length(length) => length,
        Body::Chunked => request.body_received,
    };
    if most == 0 || length <= most {
        return None;
    }
    request.log_error(LogLevel::Error, &format!("client intended to send too large body: {length} bytes"));
    Some(error_page(request, 413))
}

/// A built-in page.
pub fn error_page(request: &mut Request, status: u16) -> Decision {
    if super::page::closes(status) {
        request.keepalive = false;
    }
    let (reply, body) = Reply::error_page(request, status);
    Decision::local(reply, body)
}

/// The path of the present URI with a slash behind it, as a redirect.
pub fn add_slash(request: &mut Request) -> Decision {
    let mut target = Vec::with_capacity(request.uri.len() + 1);
    uri::escape(&request.uri, &mut target);
    target.push(b'/');
    if let Some(args) = request.args.as_deref().filter(|args| !args.is_empty()) {
        target.push(b'?');
        target.extend_from_slice(args);
    }
    redirect(request, 301, &target)
}

/// A redirect page. A path is made a URL of this server; anything else is sent as it is.
pub fn redirect(request: &mut Request, status: u16, target: &[u8]) -> Decision {
    let (mut reply, body) = Reply::error_page(request, status);
    // A line end in the target would begin a header of the client's choice.
    let target: Vec<u8> = target.iter().copied().filter(|byte| !ends_line(*byte)).collect();
    if target.starts_with(b"/") {
        reply.location = Some(request.absolute(&target));
    } else {
        reply.line(b"Location", &target);
    }
    Decision::local(reply, body)
}
