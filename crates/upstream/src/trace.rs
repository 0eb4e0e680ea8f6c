//! What is known of a try at a server from the outside, while it goes on and after it.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use limpet_log::clock::Moment;
use limpet_log::{LogLevel, clock, os_error};
use limpet_message::body::Body;
use limpet_message::field::Fields;
use limpet_message::response::ResponseHead;
use limpet_wire::{Fault, Socket};
use parking_lot::Mutex;

use crate::http2;

/// Why a try came to nothing.
#[derive(Debug, Clone)]
pub struct Failure {
    pub kind: FailureKind,
    /// How grave it is for the log.
    pub level: LogLevel,
    /// nginx's words for it, without `while …`.
    pub message: Cow<'static, str>,
    /// What was being done when no connection came about.
    pub doing: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// This machine has no socket or port for it: nothing that another server could do better.
    NoSocket,
    TimedOut,
    /// The response's head can't be read.
    Invalid,
    /// A 101 that the request did not ask for, or before the request was over. A client may have brought that about.
    Unasked,
    /// The connection did not come about, or ended too early.
    Broken,
    /// The server says that it has done nothing of the request (HTTP/2).
    Refused,
    /// The client has gone while its request could not be sent on.
    ClientGone,
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<Cow<'static, str>>) -> Self {
        Failure { kind, level: LogLevel::Error, message: message.into(), doing: "connecting to upstream" }
    }

    pub fn broken(message: impl Into<Cow<'static, str>>) -> Self {
        Failure::new(FailureKind::Broken, message)
    }

    /// A system call on the connection has failed.
    pub(super) fn of_call(call: &str, error: &io::Error) -> Self {
        if let Some(fault) = error.get_ref().and_then(|inner| inner.downcast_ref::<Fault>()) {
            let kind = match error.kind() {
                io::ErrorKind::InvalidData => FailureKind::Invalid,
                http2::REFUSED => FailureKind::Refused,
                _ => FailureKind::Broken,
            };
            return Failure::new(kind, fault.0.clone());
        }
        match error.kind() {
            io::ErrorKind::TimedOut => Failure::timed_out(),
            _ => Failure::broken(format!("{call} failed ({})", os_error(error))),
        }
    }

    pub(super) fn timed_out() -> Self {
        Failure::new(FailureKind::TimedOut, "upstream timed out (110: Connection timed out)")
    }

    pub(super) fn closed() -> Self {
        Failure::broken("upstream prematurely closed connection")
    }

    pub(super) fn while_doing(self, doing: &'static str) -> Self {
        Failure { doing, ..self }
    }

    pub(super) fn at(self, level: LogLevel) -> Self {
        Failure { level, ..self }
    }
}

/// What is known of a try.
#[derive(Debug)]
pub struct Trace {
    started: Moment,
    /// It went over a connection that had served other requests.
    reused: AtomicBool,
    /// Microseconds until connected, plus one; 0: not yet.
    connected: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// Why there is no connection, why the response is not valid, or why it broke off; the last failure counts.
    failure: Mutex<Option<Failure>>,
    /// There was more of the response than what came with its head.
    continued: AtomicBool,
    /// The request could not be sent.
    sending_failed: AtomicBool,
    /// All of the request's body has come from the client.
    body_ended: AtomicBool,
    /// The connection is not to serve another request, whatever came of this one.
    spoiled: AtomicBool,
    head: OnceLock<Arc<ResponseHead>>,
    /// What stood behind the response's body.
    trailers: OnceLock<Fields>,
    /// The connection after a 101, and what came behind its head.
    tunnel: Mutex<Option<(Socket, Vec<u8>)>>,
}

impl Trace {
    /// A try that begins now, of a request with this body.
    pub fn new(body: Body) -> Self {
        Trace {
            started: clock::now(),
            reused: AtomicBool::new(false),
            connected: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            failure: Mutex::new(None),
            continued: AtomicBool::new(false),
            body_ended: AtomicBool::new(matches!(body, Body::None | Body::Length(0))),
            sending_failed: AtomicBool::new(false),
            spoiled: AtomicBool::new(false),
            head: OnceLock::new(),
            trailers: OnceLock::new(),
            tunnel: Mutex::new(None),
        }
    }

    pub fn elapsed(&self) -> Duration {
        clock::now().since(self.started)
    }

    pub(super) fn set_reused(&self) {
        self.reused.store(true, Relaxed);
    }

    pub fn is_reused(&self) -> bool {
        self.reused.load(Relaxed)
    }

    pub(super) fn set_connected(&self) {
        self.connected.store(self.elapsed().as_micros() as u64 + 1, Relaxed);
    }

    pub fn connected(&self) -> Option<Duration> {
        self.connected.load(Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    pub(super) fn set_failure(&self, failure: Failure) {
        *self.failure.lock() = Some(failure);
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// The response's head, once it is there.
    pub fn head(&self) -> Option<&Arc<ResponseHead>> {
        self.head.get()
    }

    /// Whether the response was there with one read.
    pub fn came_at_once(&self) -> bool {
        !self.continued.load(Relaxed)
    }

    pub(super) fn set_continued(&self) {
        self.continued.store(true, Relaxed);
    }

    pub(super) fn set_sending_failed(&self) {
        self.sending_failed.store(true, Relaxed);
    }

    /// Whether the server has not taken the request.
    pub fn has_sending_failed(&self) -> bool {
        self.sending_failed.load(Relaxed)
    }

    /// The client has sent the last of its body.
    pub fn set_body_ended(&self) {
        self.body_ended.store(true, Relaxed);
    }

    /// Whether the client has not sent all of its body yet.
    pub fn is_owed_body(&self) -> bool {
        !self.body_ended.load(Relaxed)
    }

    /// The connection serves no other request: the try has failed, or the server has sent more than its response.
    pub fn spoil(&self) {
        self.spoiled.store(true, Relaxed);
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.spoiled.load(Relaxed)
    }

    pub(super) fn set_head(&self, head: ResponseHead) {
        // A connection reads one head.
        let _ = self.head.set(Arc::new(head));
    }

    pub(super) fn set_trailers(&self, trailers: Fields) {
        let _ = self.trailers.set(trailers);
    }

    /// What stood behind the response's body, where it was to be kept and there was any.
    pub fn trailers(&self) -> Option<&Fields> {
        self.trailers.get()
    }

    pub(super) fn set_tunnel(&self, socket: Socket, early: Vec<u8>) {
        *self.tunnel.lock() = Some((socket, early));
    }

    pub fn take_tunnel(&self) -> Option<(Socket, Vec<u8>)> {
        self.tunnel.lock().take()
    }
}
