//! The session of a request: read once, and followed through every try.

use std::sync::Arc;

use limpet_balance::Choice;
use limpet_log::{LogLevel, clock};
use limpet_message::field::Known;
use limpet_sticky::write::set_cookie;
use limpet_sticky::{CookieAction, FoundSession, Policy, answer, read};
use limpet_upstream::{Backend, Members};

use super::ctx::Request;
use crate::runtime::{Content, Location};

/// `$session_sticky_state`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionState {
    /// No sticky upstream was asked.
    #[default]
    None,
    /// The client had no session.
    New,
    Kept,
    Expired,
    Malformed,
    /// No server has the SID.
    Unknown,
    /// The session's server could not be asked, for this request.
    Down,
    /// The session's server failed, and another one has it now.
    FailedOver,
}

impl SessionState {
    pub fn word(self) -> &'static str {
        match self {
            SessionState::None => "none",
            SessionState::New => "new",
            SessionState::Kept => "kept",
            SessionState::Expired => "expired",
            SessionState::Malformed => "malformed",
            SessionState::Unknown => "unknown",
            SessionState::Down => "down",
            SessionState::FailedOver => "failed_over",
        }
    }
}

/// What is known of a request's session.
#[derive(Default, Clone)]
pub struct Stickiness {
    pub state: SessionState,
    /// The server that the cookie names after this request.
    pub server: Option<Arc<Backend>>,
    /// The server that the client's cookie named.
    named: Option<usize>,
    /// The server that it is sent to if that can be asked.
    home: Option<usize>,
    /// `fallback=off`, and the client has a session: it is asked nowhere else.
    held: bool,
    /// When the session began, in Unix seconds; `None`: now.
    first: Option<i64>,
    /// The cookie names another server than before.
    assigned: bool,
    /// The client's connection is encrypted, as far as its cookie is concerned.
    is_secure: bool,
    is_read: bool,
}

/// Why there is no server for a request.
#[derive(Debug, PartialEq, Eq)]
pub enum NoServer {
    /// The session is held to a server that can't be asked.
    Held,
    NoneLeft,
}

impl Stickiness {
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// This server has answered, and is the one to ask if the same request comes to the same upstream again.
    pub fn settle(&mut self, index: usize) {
        if self.is_read {
            self.home = Some(index);
        }
    }
}

/// The session of one answer, by which its Set-Cookie lines are made.
pub(super) struct SessionCookies<'r> {
    pub(super) policy: &'r Policy,
    pub(super) server: &'r Backend,
    hide_cookie: bool,
    stickiness: &'r Stickiness,
}

impl<'r> SessionCookies<'r> {
    /// `None` where the location's upstream keeps none, or no server was asked.
    pub(super) fn of(location: &'r Location, stickiness: &'r Stickiness) -> Option<Self> {
        let Content::Upstream(pass) = &location.content else { return None };
        let hide_cookie = location.settings.hide_cookie;
        Some(SessionCookies {
            policy: pass.upstream.sticky.as_ref()?,
            server: stickiness.server.as_ref()?,
            hide_cookie,
            stickiness,
        })
    }

    pub(super) fn answer(&self, status: u16) -> CookieAction {
        answer(self.policy, self.hide_cookie, status, self.stickiness.assigned)
    }

    /// Whether a response with this status brings our own cookie.
    pub(super) fn is_sent(&self, status: u16) -> bool {
        matches!(self.answer(status), CookieAction::Append | CookieAction::Replace)
    }

    /// Our own cookie.
    pub(super) fn cookie(&self) -> Vec<u8> {
        let now = clock::unix_seconds();
        set_cookie(self.policy, &self.server.sid, now, self.stickiness.first.unwrap_or(now), self.stickiness.is_secure)
    }
}

/// Reads the session from the request's cookies. Later calls do nothing, so retries and internal redirects keep what the
/// first one found (compatibility: C7.13).
pub(super) fn read_session(request: &mut Request, policy: &Policy, members: &Members) {
    if std::mem::replace(&mut request.sticky.is_read, true) {
        return;
    }
    let cookies = request.head.values(Known::Cookie);
    let session = read(policy, cookies, clock::unix_seconds(), |sid, is_signed| members.find_sid(sid, is_signed));
    let falls_back = policy.falls_back();
    let (state, home, held, first) = match session {
        FoundSession::None => (SessionState::New, None, false, None),
        FoundSession::Malformed => (SessionState::Malformed, None, false, None),
        FoundSession::Expired => (SessionState::Expired, None, false, None),
        FoundSession::Unknown { sid, first } => {
            if !falls_back {
                let sid = String::from_utf8_lossy(sid).into_owned();
                let message = format!("session_sticky: no server has the SID \"{sid}\", and fallback is off");
                request.log_error(LogLevel::Warn, &message);
            }
            (SessionState::Unknown, None, !falls_back, first)
        }
        FoundSession::Known { peer, first } => (SessionState::Kept, Some(peer), !falls_back, first),
    };
    let says_so = |request: &Request| {
        // Of several proxies the first one has seen the client.
        let said = request.head.value(Known::XForwardedProto).and_then(|said| said.split(|byte| *byte == b',').next());
        said.is_some_and(|said| said.trim_ascii().eq_ignore_ascii_case(b"https"))
    };
    let is_secure = request.conn.is_secure() || policy.heeds_forwarded_proto() && says_so(request);
    request.sticky =
        Stickiness { state, named: home, home, held, first, is_secure, is_read: true, ..Stickiness::default() };
}

/// The session's own server, if the request has a session and the server can be asked: the request has entered it.
///
/// # Errors
/// It can't be asked, and the session is held to it.
pub(super) fn own_server(request: &mut Request, members: &Members) -> Result<Option<usize>, NoServer> {
    let Some(home) = request.sticky.home else {
        return if request.sticky.held { Err(NoServer::Held) } else { Ok(None) };
    };
    let choice = members.group.visit(home, &request.tried, clock::steady_milliseconds());
    match choice {
        Choice::Usable => {
            // A server that had no room keeps the session, even if another one answers twice.
            let keeps = request.sticky.named.filter(|_| request.sticky.state == SessionState::Down);
            set_server(request, members, keeps.unwrap_or(home));
            return Ok(Some(home));
        }
        Choice::Full | Choice::Dead if request.sticky.held => {
            request.sticky.state = SessionState::Down;
            let server = members.backends.get(home).map(|backend| Arc::clone(&backend.name)).unwrap_or_default();
            let why = if choice == Choice::Full { "has max_conns connections" } else { "is down by its check" };
            let message = format!("session_sticky: server {server} {why}, and fallback is off");
            request.log_error(LogLevel::Warn, &message);
            return Err(NoServer::Held);
        }
        _ if request.sticky.held => return Err(NoServer::Held),
        // Its place is kept: the next request may find room again (compatibility: C7.11).
        Choice::Full => request.sticky.state = SessionState::Down,
        Choice::Tried | Choice::Dead => request.sticky.state = SessionState::FailedOver,
    }
    Ok(None)
}

/// The method has chosen a server, which the session is about from now on, unless its own is only out for this request.
pub(super) fn assign(request: &mut Request, members: &Members, index: usize) {
    match request.sticky.named {
        Some(named) if request.sticky.state == SessionState::Down => set_server(request, members, named),
        _ => set_server(request, members, index),
    }
}

fn set_server(request: &mut Request, members: &Members, index: usize) {
    if request.sticky.is_read {
        request.sticky.server = members.backends.get(index).map(Arc::clone);
        request.sticky.assigned = request.sticky.named != Some(index);
    }
}
