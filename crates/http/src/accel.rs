//! `X-Accel-Redirect`: a backend hands its request back, and another location answers it (nginx manual, `internal` and
//! `proxy_ignore_headers`).

use std::sync::Arc;

use bytes::Bytes;
use limpet_log::{LogLevel, clock};
use limpet_message::body::Body;
use limpet_message::field::Known;
use limpet_message::response::ResponseHead;
use limpet_message::uri;
use limpet_upstream::{Members, Upstream};

use super::begin;
use super::ctx::Request;
use super::decision::{Decision, Target};
use super::reply::append_line;
use super::response::cookies;
use super::routing::{error_page, reroute};
use super::sticky::{SessionCookies, Stickiness};
use crate::runtime::{Content, Location};

/// What is known of a request that a backend has handed back.
#[derive(Default)]
pub struct HandedBack {
    /// For each time that it went to a backend again: how many servers had been tried before.
    pub starts: Vec<usize>,
    /// Every time that it was handed back, in order.
    phases: Vec<Handback>,
}

/// One answer of a backend that handed the request back.
struct Handback {
    location: Arc<Location>,
    response: Arc<ResponseHead>,
    members: Arc<Members>,
    sticky: Stickiness,
}

impl Handback {
    fn upstream(&self) -> Option<&Arc<Upstream>> {
        match &self.location.content {
            Content::Upstream(pass) => Some(&pass.upstream),
            _ => None,
        }
    }

    fn is_of(&self, upstream: Option<&Arc<Upstream>>) -> bool {
        self.upstream().zip(upstream).is_some_and(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// Appends the header lines of this answer that the client still gets, as in nginx, and the cookies for a response
    /// with this status. `superseded`: another answer brings the session's cookie.
    fn append_lines(&self, status: u16, superseded: bool, out: &mut Vec<u8>) {
        let mut expires = false;
        let is_shown = |name: &[u8]| match &self.location.content {
            Content::Upstream(pass) => pass.terms.fields.is_passed(name, true),
            _ => true,
        };
        for (known, name, value) in self.response.fields.iter().filter(|(_, name, _)| is_shown(name)) {
            let is = |other: &&str| name.eq_ignore_ascii_case(other.as_bytes());
            // A redirect and a page about an error have no ranges.
            let stands = is(&"Accept-Ranges") && status < 300;
            // The first one counts.
            let first = known == Known::Expires && !std::mem::replace(&mut expires, true);
            if stands || first || ["Cache-Control", "Content-Disposition"].iter().any(is) {
                append_line(out, name, value);
            }
        }
        let session = SessionCookies::of(&self.location, &self.sticky);
        let theirs: Vec<&[u8]> =
            self.response.fields.values(Known::SetCookie).filter(|_| is_shown(b"set-cookie")).collect();
        cookies(&theirs, session.as_ref(), status, !superseded, |value| append_line(out, b"Set-Cookie", value));
    }
}

impl HandedBack {
    /// The media type that a file or a text gets in place of its own.
    pub fn content_type(&self) -> Option<Bytes> {
        self.phases.iter().rev().find_map(|phase| phase.response.fields.value_bytes(Known::ContentType))
    }

    /// The lines for a response of this status. `sets`: the upstream whose session cookie the response itself brings.
    pub(super) fn append_lines(&self, status: u16, sets: Option<&Arc<Upstream>>, out: &mut Vec<u8>) {
        for (index, phase) in self.phases.iter().enumerate() {
            let brings = |later: &Handback| {
                let session = SessionCookies::of(&later.location, &later.sticky);
                later.is_of(phase.upstream()) && session.is_some_and(|session| session.is_sent(status))
            };
            let superseded = phase.is_of(sets) || self.phases.iter().skip(index + 1).any(brings);
            phase.append_lines(status, superseded, out);
        }
    }
}

/// Follows the `X-Accel-Redirect` of the answer that a backend has just given, unless it is ignored. `Continue`: there is none
/// to follow; `NextServer`: it leads to a backend again.
pub(super) fn take_back(request: &mut Request, may_resend: bool) -> Decision {
    let Some(response) = &request.response else { return Decision::Continue };
    let Some(target) = response.fields.value(Known::XAccelRedirect) else { return Decision::Continue };
    let (target, response, members) = (target.to_vec(), Arc::clone(response), request.members.clone());
    let Some(members) = members.filter(|_| request.pass().is_some_and(|pass| pass.terms.follows_accel_redirect)) else {
        return Decision::Continue;
    };
    request.end_try(None);
    if let Some(mut attempt) = request.attempt.take() {
        let header = request.tries.last().and_then(|last| last.header);
        attempt.completed(header.unwrap_or_default());
        // A tunnel is not wanted.
        drop(attempt.dial.trace.take_tunnel());
        request.sticky.settle(attempt.index);
    }
    let phase = Handback { location: Arc::clone(&request.location), members, sticky: request.sticky.clone(), response };
    request.handed_back.get_or_insert_default().phases.push(phase);
    request.upstream = None;
    let decision = follow(request, &target);
    begin::apply_limits(request);
    match decision {
        Decision::Continue if request.head.body != Body::None && !may_resend => {
            let message = "client request body is too large to be sent again after X-Accel-Redirect";
            request.log_error(LogLevel::Error, message);
            error_page(request, 500)
        }
        Decision::Continue => {
            begin_anew(request);
            Decision::NextServer
        }
        other => other,
    }
}

/// What answers where the backend has pointed to.
fn follow(request: &mut Request, target: &[u8]) -> Decision {
    if target.starts_with(b"@") {
        return reroute(request, Target::Named(target.to_vec()));
    }
    let Ok((uri, args)) = uri::internal(target) else {
        let target = String::from_utf8_lossy(target).into_owned();
        let message = format!("unsafe URI \"{target}\" was detected while reading response header from upstream");
        request.log_error(LogLevel::Error, &message);
        return error_page(request, 404);
    };
    request.args = args;
    request.served_for_any_method = true;
    reroute(request, Target::Path(uri))
}

/// The request comes to an upstream as if it were new. If it has been to that upstream before, it keeps its server there.
fn begin_anew(request: &mut Request) {
    let Some(handed_back) = &mut request.handed_back else { return };
    handed_back.starts.push(request.tries.len());
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
}
