//! Pingora's `HttpProxy` carries the request: it moves the bodies, and asks the steps at its hooks.
//!
//! Only this module of the crate uses Pingora. A hook calls a step, which knows nothing of Pingora. A decision other than
//! `Continue` is kept in the slot beside the request, and the hook returns an error, which means nothing in itself: it makes
//! Pingora call the hook that carries the decision out.

mod backend;
mod client;
mod send;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backend::Connector;
use bytes::Bytes;
use client::ClientStream;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora::apps::HttpServerApp;
use pingora::http::ResponseHeader;
use pingora::modules::http::HttpModules;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorSource, ErrorType, Result};
use tokio::sync::watch;

use super::super::ctx::Request;
use super::super::decision::Decision;
use super::super::fail::{self, Side};
use super::super::reply::Length;
use super::super::{begin, body, choose, finish, response};

/// Pingora's own limit, higher than the number of servers of any upstream: the steps decide when trying ends.
const MAX_TRIES: usize = 1_000_000;

/// Carries requests of one worker.
pub struct PingoraCarrier {
    proxy: Arc<HttpProxy<Hooks>>,
    /// Pingora wants one; connections end by the front's own decision.
    shutdown: ShutdownWatch,
    _keep: watch::Sender<bool>,
}

impl PingoraCarrier {
    pub fn new() -> Self {
        let conf = ServerConf { max_retries: MAX_TRIES, ..ServerConf::default() };
        let (keep, shutdown) = watch::channel(false);
        PingoraCarrier { proxy: Arc::new(http_proxy(&Arc::new(conf), Hooks::new())), shutdown, _keep: keep }
    }

    /// Carries a request on from `decision`, which routing has come to, to its log line. `input` came behind its head.
    pub async fn carry(&self, request: Box<Request>, decision: Decision, input: Vec<u8>) {
        let (conn, exchange) = (Arc::clone(&request.conn), Arc::clone(&request.exchange));
        let stream = ClientStream::new(conn, exchange, &request.head, request.body_to_come(), input);
        let mut session = ServerSession::new_http1(Box::new(stream));
        // Reading is timed by the stream; Pingora's own timers would wake a thread a hundred times a second, for good.
        session.set_read_timeout(None);
        session
            .set_connection_user_context(Some(Box::new(RequestSlot { request: Some(request), word: Some(decision) })));
        // The session gives the stream back or drops it; either way what is left of it is in the exchange.
        drop(self.proxy.process_new_http(session, &self.shutdown).await);
    }
}

/// What Pingora keeps for a request.
#[derive(Default)]
struct RequestSlot {
    /// `None` before it has come, and after it was logged.
    request: Option<Box<Request>>,
    /// What a step has said, and is not done yet.
    word: Option<Decision>,
}

impl RequestSlot {
    fn request(&mut self) -> Result<&mut Request> {
        match &mut self.request {
            Some(request) => Ok(request),
            None => Error::err(ErrorType::InternalError),
        }
    }

    /// `Continue` lets Pingora go on. Any other decision is kept, and the error makes Pingora call the hook that acts on it.
    fn heed(&mut self, word: Decision) -> Result<()> {
        if let Decision::Continue = word {
            return Ok(());
        }
        self.word = Some(word);
        Error::err(ErrorType::InternalError)
    }

    /// What becomes of a request that has failed: another try, or its end.
    fn fail(&mut self, mut error: Box<Error>, word: impl FnOnce(&mut Request, Side) -> Decision) -> Box<Error> {
        if let (None, Some(request)) = (&self.word, &mut self.request) {
            self.word = Some(word(request, side(&error)));
        }
        error.set_retry(matches!(self.word, Some(Decision::NextServer)));
        error
    }
}

/// Whose fault an error of Pingora's is.
fn side(error: &Error) -> Side {
    match error.esource() {
        ErrorSource::Downstream => Side::Client {
            is_there: !matches!(
                error.etype(),
                ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError
            ),
        },
        ErrorSource::Upstream => Side::Backend,
        _ => Side::Own(error.to_string()),
    }
}

/// Whether all of the request's body is still at hand.
fn may_resend(session: &Session) -> bool {
    !session.as_ref().retry_buffer_truncated()
}

/// The hooks. They hold nothing of a request: it brings its own configuration along.
struct Hooks {
    /// What Pingora requires to know of a backend. The address is a dummy: only the connector has the real one.
    peer: HttpPeer,
}

impl Hooks {
    fn new() -> Self {
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let mut peer = HttpPeer::new(nowhere, false, String::new());
        // Hop-by-hop headers are ours to write; Pingora sees a head with none of them.
        peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
        Hooks { peer }
    }
}

#[async_trait]
impl ProxyHttp for Hooks {
    type CTX = RequestSlot;

    fn new_ctx(&self) -> RequestSlot {
        RequestSlot::default()
    }

    /// Pingora hands over the connection's user context here: it is our request.
    fn on_connection_reuse(&self, _session: &mut Session, slot: &mut RequestSlot, request: Box<dyn Any + Send + Sync>) {
        if let Ok(given) = request.downcast::<RequestSlot>() {
            *slot = *given;
        }
    }

    /// None of Pingora's modules is used.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn allow_spawning_subrequest(&self, _session: &Session, _slot: &RequestSlot) -> bool {
        false
    }

    async fn request_filter(&self, session: &mut Session, slot: &mut RequestSlot) -> Result<bool> {
        session.set_ignore_info_resp(true);
        let decision = slot.word.take().unwrap_or(Decision::Close);
        let request = slot.request()?;
        match decision {
            Decision::Answer(answer) => send::answer(session, request, *answer).await.map(|()| true),
            Decision::Continue if begin::reads_body(request) => {
                // Pingora sends what it has kept of the body before it reads on.
                session.as_mut().enable_retry_buffering();
                while let Some(piece) = session.as_mut().read_request_body().await.map_err(|error| error.into_down())? {
                    request.body.get_or_insert_default().extend_from_slice(&piece);
                }
                Ok(false)
            }
            word => slot.heed(word).map(|()| false),
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, slot: &mut RequestSlot) -> Result<Box<HttpPeer>> {
        slot.word = None;
        let word = choose::choose(slot.request()?).await;
        slot.heed(word)?;
        let mut peer = Box::new(self.peer.clone());
        let dial = slot.request()?.attempt.as_ref().map(|attempt| Arc::clone(&attempt.dial));
        peer.options.custom_l4 = dial.map(|dial| Arc::new(Connector(dial)) as _);
        Ok(peer)
    }

    fn fail_to_connect(&self, _: &mut Session, _: &HttpPeer, slot: &mut RequestSlot, error: Box<Error>) -> Box<Error> {
        slot.fail(error, |request, _| fail::to_connect(request))
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        slot: &mut RequestSlot,
    ) -> Result<()> {
        // An empty last piece would be framed as another final chunk.
        *body = body.take().filter(|body| !body.is_empty() || !end);
        body::to_backend(slot.request()?, body.as_deref().unwrap_or_default(), end);
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        _: &mut ResponseHeader,
        slot: &mut RequestSlot,
    ) -> Result<()> {
        let word = response::from_backend(slot.request()?, may_resend(session));
        slot.heed(word)
    }

    async fn response_filter(
        &self,
        _: &mut Session,
        header: &mut ResponseHeader,
        slot: &mut RequestSlot,
    ) -> Result<()> {
        let request = slot.request()?;
        let buffering = request.buffering().cloned();
        request.exchange().buffering = buffering;
        match response::to_client(request) {
            Some(length) => *header = framing(header, length, request.head.http_1_1)?,
            None => return Error::err(ErrorType::InternalError),
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        slot: &mut RequestSlot,
    ) -> Result<Option<Duration>> {
        *body = body::to_client(slot.request()?, body.take(), end);
        Ok(None)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        slot: &mut RequestSlot,
        _reused: bool,
    ) -> Box<Error> {
        slot.fail(error, |request, side| fail::while_proxying(request, side, may_resend(session)))
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, slot: &mut RequestSlot) -> FailToProxy {
        let word = slot.word.take();
        let error_code = match &mut slot.request {
            Some(request) => {
                let word = word.unwrap_or_else(|| fail::finally(request, side(error)));
                send::word(session, request, word).await;
                request.status
            }
            None => 500,
        };
        // Whether the connection is kept is the front's decision.
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, _session: &mut Session, error: Option<&Error>, slot: &mut RequestSlot) {
        if let Some(request) = slot.request.take() {
            finish::finish(request, error.is_some());
        }
    }

    /// Errors are logged by the steps, in nginx's words.
    fn suppress_error_log(&self, _session: &Session, _slot: &RequestSlot, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &RequestSlot, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}

/// The head by which Pingora frames the body. A new one, without the spelling of names and with room for what Pingora
/// adds, costs less than the backend's.
fn framing(header: &ResponseHeader, length: Length, http_1_1: bool) -> Result<ResponseHeader> {
    let mut framing = ResponseHeader::build_no_case(header.status, Some(4))?;
    // Clients of 1.0 know no chunks: the end of the connection is the end of the body.
    let is_chunked = length == Length::Open && http_1_1;
    if let Some(length) = header.headers.get(CONTENT_LENGTH).filter(|_| length != Length::Open) {
        framing.insert_header(CONTENT_LENGTH, length.clone())?;
    } else if is_chunked || (header.headers.contains_key(TRANSFER_ENCODING) && http_1_1) {
        framing.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    Ok(framing)
}
