//! The way of a request through Pingora: one file a hook.

mod accel;
mod charset;
mod check_status;
mod ctx;
mod fail;
mod files;
mod logging;
mod page;
mod ranges;
mod reply;
mod request_body_filter;
mod request_filter;
mod response_body_filter;
mod response_filter;
mod routing;
mod steps;
mod sticky;
mod upstream_peer;
mod upstream_request;

use std::any::Any;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};

pub(crate) use charset::{Charsets, Named};
pub(crate) use ctx::{Request, Try};
pub(crate) use reply::Reply;

/// Pingora's context of a request; the front puts it in when the request begins.
pub(crate) type Slot = Option<Box<Request>>;

/// The hooks. They hold nothing: a request brings its own configuration along.
pub(crate) struct Hooks;

#[async_trait]
impl ProxyHttp for Hooks {
    type CTX = Slot;

    fn new_ctx(&self) -> Slot {
        None
    }

    /// The front's request comes in this way.
    fn on_connection_reuse(&self, _session: &mut Session, slot: &mut Slot, request: Box<dyn Any + Send + Sync>) {
        *slot = request.downcast::<Request>().ok();
    }

    /// None of Pingora's modules is used.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn allow_spawning_subrequest(&self, _session: &Session, _slot: &Slot) -> bool {
        false
    }

    async fn request_filter(&self, session: &mut Session, slot: &mut Slot) -> Result<bool> {
        request_filter::run(session, ctx::of(slot)?).await
    }

    async fn upstream_peer(&self, session: &mut Session, slot: &mut Slot) -> Result<Box<HttpPeer>> {
        upstream_peer::run(session, ctx::of(slot)?).await
    }

    fn fail_to_connect(&self, _: &mut Session, _: &HttpPeer, slot: &mut Slot, error: Box<Error>) -> Box<Error> {
        match slot {
            Some(request) => fail::to_connect(request, error),
            None => error,
        }
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        slot: &mut Slot,
    ) -> Result<()> {
        request_body_filter::run(ctx::of(slot)?, body, end)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        _: &mut ResponseHeader,
        slot: &mut Slot,
    ) -> Result<()> {
        response_filter::from_backend(session, ctx::of(slot)?)
    }

    async fn response_filter(&self, _: &mut Session, header: &mut ResponseHeader, slot: &mut Slot) -> Result<()> {
        response_filter::to_client(ctx::of(slot)?, header)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        slot: &mut Slot,
    ) -> Result<Option<Duration>> {
        response_body_filter::run(ctx::of(slot)?, body, end)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        slot: &mut Slot,
        _reused: bool,
    ) -> Box<Error> {
        match slot {
            Some(request) => fail::while_proxying(session, request, error),
            None => error,
        }
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, slot: &mut Slot) -> FailToProxy {
        let error_code = match slot {
            Some(request) => fail::finally(session, request, error).await,
            None => 500,
        };
        // Whether the connection is kept is the front's decision.
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, _session: &mut Session, error: Option<&Error>, slot: &mut Slot) {
        if let Some(request) = slot.take() {
            logging::run(request, error);
        }
    }

    /// Errors are logged by the hooks, in nginx's words.
    fn suppress_error_log(&self, _session: &Session, _slot: &Slot, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Slot, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
