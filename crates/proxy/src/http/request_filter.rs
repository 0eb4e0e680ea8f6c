//! Routing: server, rewrite steps, location, and what answers there. Local answers are sent from here.

use std::sync::Arc;

use limpet_config::model::LogLevel;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::ctx::{Captures, Request, Undecided};
use super::reply::{self, Length, Reply, ends_line};
use super::{check_status, files, steps};
use crate::front::head::Body;
use crate::route::location::Found;
use crate::route::uri;
use crate::runtime::Content;
use crate::template::Text;

/// nginx's bound on internal redirects.
const MAX_REDIRECTS: usize = 10;

/// What answers a request.
pub(super) enum Answer {
    Local(Reply, Vec<u8>),
    File(Box<files::Opened>),
    Backend,
    /// Nothing is sent: the connection is closed.
    Close,
}

/// `true` when the response has been sent.
pub(super) async fn run(session: &mut Session, request: &mut Request) -> Result<bool> {
    let answer = route(request).unwrap_or_else(|Undecided(why)| {
        let uri = String::from_utf8_lossy(&request.uri).into_owned();
        request.log_error(LogLevel::Alert, &format!("pcre2_match() failed: {why} on \"{uri}\""));
        error_page(request, 500)
    });
    let settings = &request.location.settings;
    session.set_read_timeout(Some(settings.client_body_timeout));
    request.conn.exchange().send_timeout = settings.send_timeout;
    match answer {
        Answer::Local(reply, body) => reply::send(session, request, reply, body).await?,
        Answer::File(file) => files::send(session, request, *file).await?,
        Answer::Close => {
            request.keepalive = false;
            // Nothing goes out, so nothing of Pingora's may either.
            request.conn.exchange().head = Some(Vec::new());
            return Error::err(ErrorType::HTTPStatus(request.status));
        }
        Answer::Backend => {
            session.set_ignore_info_resp(true);
            return Ok(false);
        }
    }
    Ok(true)
}

fn route(request: &mut Request) -> std::result::Result<Answer, Undecided> {
    let server = Arc::clone(&request.server);
    if let steps::Outcome::Return { code, text } = steps::run(request, &server.steps, &[])? {
        return Ok(return_(request, code, text));
    }
    for _ in 0..=MAX_REDIRECTS {
        let found = server.top.find(&request.uri, &|location| server.level(location));
        let location = match found {
            Found::Location(index) | Found::ByRegex(index) => server.locations.get(index),
            Found::Slash(index) => {
                if let Some(location) = server.locations.get(index) {
                    request.location = Arc::clone(location);
                }
                return Ok(add_slash(request));
            }
            Found::Nothing => None,
            Found::Undecided => return Err(Undecided("a location's pattern can't be decided".into())),
        };
        let location = location.unwrap_or(&server.outside);
        request.location = Arc::clone(location);
        if let Some(regex) = &location.regex
            && let Some(captures) = Captures::of(regex, &request.uri)?
        {
            request.captures = captures;
        }
        if let Some(too_large) = check_length(request) {
            return Ok(too_large);
        }
        if let steps::Outcome::Return { code, text } = steps::run(request, &location.steps, &location.ifs)? {
            return Ok(return_(request, code, text));
        }
        match &request.location.content {
            Content::Proxy(pass) => {
                request.upstream = Some(Arc::clone(&pass.upstream));
                return Ok(Answer::Backend);
            }
            Content::CheckStatus(format) => {
                let format = *format;
                let (reply, body) = check_status::answer(request, format);
                return Ok(Answer::Local(reply, body));
            }
            Content::Files => match files::find(request) {
                files::Found::Answer(answer) => return Ok(answer),
                files::Found::Redirect(uri) => {
                    request.uri = uri;
                    request.redirected = true;
                }
            },
        }
    }
    let uri = String::from_utf8_lossy(&request.uri).into_owned();
    request.log_error(LogLevel::Error, &format!("rewrite or internal redirection cycle while processing \"{uri}\""));
    Ok(error_page(request, 500))
}

/// 413 for a request that says it is larger than the location takes.
fn check_length(request: &mut Request) -> Option<Answer> {
    let most = request.location.settings.client_max_body_size;
    match request.head.body {
        Body::Length(length) if most != 0 && length > most => {
            request.log_error(LogLevel::Error, &format!("client intended to send too large body: {length} bytes"));
            Some(error_page(request, 413))
        }
        _ => None,
    }
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
