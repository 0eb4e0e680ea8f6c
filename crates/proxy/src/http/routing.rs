//! Routing: server, rewrite steps, location, and what answers there.

use std::sync::Arc;

use limpet_config::model::LogLevel;

use super::ctx::{Captures, Request, Undecided};
use super::reply::{Length, Reply, ends_line};
use super::{check_status, files, steps};
use crate::front::head::Body;
use crate::route::location::Found;
use crate::route::uri;
use crate::runtime::{Content, Location};
use crate::template::Text;

/// nginx's bound on internal redirects.
const MAX_REDIRECTS: usize = 10;

/// What answers a request.
pub(crate) enum Answer {
    Local(Reply, Vec<u8>),
    File(Box<files::Opened>),
    Backend,
    /// Nothing is sent: the connection is closed.
    Close,
}

/// What answers the request's URI: the steps of its server, then a location, and again for each internal redirect.
pub(super) fn route(request: &mut Request) -> Answer {
    let answer = loop {
        match by_uri(request) {
            Ok(Next::Answer(answer)) => break Ok(answer),
            Ok(Next::Redirect(uri)) => {
                if let Some(answer) = go_to(request, uri) {
                    break Ok(answer);
                }
            }
            Err(undecided) => break Err(undecided),
        }
    };
    answer.unwrap_or_else(|undecided| give_up(request, undecided))
}

/// What answers in a named location. Whoever sent the request there has let it in.
pub(super) fn route_in(request: &mut Request, location: &Arc<Location>) -> Answer {
    request.location = Arc::clone(location);
    match enter(request, location) {
        Ok(Next::Answer(answer)) => answer,
        Ok(Next::Redirect(uri)) => go_to(request, uri).unwrap_or_else(|| route(request)),
        Err(undecided) => give_up(request, undecided),
    }
}

/// Takes the request to another URI by an internal redirect. An answer says that there were too many of them.
pub(super) fn go_to(request: &mut Request, uri: Vec<u8>) -> Option<Answer> {
    request.uri = uri;
    request.redirected = true;
    count_redirect(request, |request| {
        format!("while internally redirecting to \"{}\"", String::from_utf8_lossy(&request.uri))
    })
}

/// Counts an internal redirect; an answer says that there were too many.
pub(super) fn count_redirect(request: &mut Request, what: impl Fn(&Request) -> String) -> Option<Answer> {
    request.redirects += 1;
    if request.redirects <= MAX_REDIRECTS {
        return None;
    }
    request.log_error(LogLevel::Error, &format!("rewrite or internal redirection cycle {}", what(request)));
    Some(error_page(request, 500))
}

fn give_up(request: &mut Request, Undecided(why): Undecided) -> Answer {
    let uri = String::from_utf8_lossy(&request.uri).into_owned();
    request.log_error(LogLevel::Alert, &format!("pcre2_match() failed: {why} on \"{uri}\""));
    error_page(request, 500)
}

/// What a location comes to.
enum Next {
    Answer(Answer),
    /// An internal redirect to this URI.
    Redirect(Vec<u8>),
}

fn by_uri(request: &mut Request) -> Result<Next, Undecided> {
    let server = Arc::clone(&request.server);
    if request.redirects > 0 {
        request.location = Arc::clone(&server.outside);
    }
    if let steps::Outcome::Return { code, text } = steps::run(request, &server.steps, &[])? {
        return Ok(Next::Answer(return_(request, code, text)));
    }
    let found = server.top.find(&request.uri, &|location| server.level(location));
    let location = match found {
        Found::Location(index) | Found::ByRegex(index) => server.locations.get(index),
        Found::Slash(index) => {
            let location = server.locations.get(index).unwrap_or(&server.outside);
            request.location = Arc::clone(location);
            request.most_body = location.settings.client_max_body_size;
            return Ok(Next::Answer(forbidden(request).unwrap_or_else(|| add_slash(request))));
        }
        Found::Nothing => None,
        Found::Undecided => return Err(Undecided("a location's pattern can't be decided".into())),
    };
    reach(request, location.unwrap_or(&server.outside))
}

/// A location that a URI has led to.
fn reach(request: &mut Request, location: &Arc<Location>) -> Result<Next, Undecided> {
    request.location = Arc::clone(location);
    request.most_body = location.settings.client_max_body_size;
    if let Some(regex) = &location.regex
        && let Some(captures) = Captures::of(regex, &request.uri)?
    {
        request.captures = captures;
    }
    if let Some(answer) = forbidden(request) {
        return Ok(Next::Answer(answer));
    }
    enter(request, location)
}

/// The steps of a location, and what answers there.
fn enter(request: &mut Request, location: &Location) -> Result<Next, Undecided> {
    if let steps::Outcome::Return { code, text } = steps::run(request, &location.steps, &location.ifs)? {
        return Ok(Next::Answer(return_(request, code, text)));
    }
    Ok(Next::Answer(match &request.location.content {
        Content::Proxy(pass) => {
            request.upstream = Some(Arc::clone(&pass.upstream));
            Answer::Backend
        }
        Content::CheckStatus(format) => {
            let format = *format;
            let (reply, body) = check_status::answer(request, format);
            Answer::Local(reply, body)
        }
        Content::Files => match files::find(request) {
            files::Found::Answer(answer) => answer,
            files::Found::Redirect(uri) => return Ok(Next::Redirect(uri)),
        },
    }))
}

/// 404 for a location that clients do not reach, and 413 for a request that is larger than the location takes, as far as
/// that is known.
fn forbidden(request: &mut Request) -> Option<Answer> {
    if request.location.settings.internal && request.redirects == 0 {
        return Some(error_page(request, 404));
    }
    let most = request.most_body;
    let length = match request.head.body {
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
pub(super) fn error_page(request: &mut Request, status: u16) -> Answer {
    if super::page::closes(status) {
        request.keepalive = false;
    }
    let (reply, body) = Reply::error_page(request, status);
    Answer::Local(reply, body)
}

/// The path of the present URI with a slash behind it, as a redirect.
pub(super) fn add_slash(request: &mut Request) -> Answer {
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
fn redirect(request: &mut Request, status: u16, target: &[u8]) -> Answer {
    let (mut reply, body) = Reply::error_page(request, status);
    // A line end in the target would begin a header of the client's choice.
    let target: Vec<u8> = target.iter().copied().filter(|byte| !ends_line(*byte)).collect();
    if target.starts_with(b"/") {
        reply.location = Some(request.absolute(&target));
    } else {
        reply.line(b"Location", &target);
    }
    Answer::Local(reply, body)
}

fn return_(request: &mut Request, code: u16, text: Option<&Text>) -> Answer {
    request.status = code;
    let text = text.map(|text| text.render(request));
    match (code, text) {
        (444 | 408 | 499, None) => Answer::Close,
        (204, _) => Answer::Local(Reply::new(204), Vec::new()),
        (301 | 302 | 303 | 307 | 308, Some(target)) => redirect(request, code, &target),
        (400.., None) | (301 | 302 | 303 | 307 | 308, None) => error_page(request, code),
        (_, text) => {
            let body = text.unwrap_or_default();
            let mut reply = Reply::new(code);
            reply.content_type = Some(request.media_type().into_owned().into());
            reply.length = Length::Known(body.len() as u64);
            Answer::Local(reply, body)
        }
    }
}
