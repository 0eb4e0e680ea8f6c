//! A request at a server: what counts for the server while it lasts ([`Attempt`]), and what is kept of it for the log ([`Try`]).

use std::sync::Arc;
use std::time::Duration;

use limpet_log::clock;
use limpet_upstream::{Dial, Members, Trace};

use crate::ctx::Request;

/// One server that a request was sent to.
pub struct Try {
    pub name: Arc<str>,
    pub status: u16,
    pub connected: Option<Duration>,
    pub header: Option<Duration>,
    pub ended: Option<Duration>,
    pub body_bytes: u64,
    trace: Option<Arc<Trace>>,
}

impl Try {
    pub fn new(name: Arc<str>, trace: Option<Arc<Trace>>) -> Self {
        Try { name, status: 0, connected: None, header: None, ended: None, body_bytes: 0, trace }
    }

    /// Whether a server was asked. If not, the try stands for an upstream in which no server could be asked.
    pub fn is_server(&self) -> bool {
        self.trace.is_some()
    }

    pub fn bytes_sent(&self) -> u64 {
        self.trace.as_ref().map_or(0, |trace| trace.sent())
    }

    pub fn bytes_received(&self) -> u64 {
        self.trace.as_ref().map_or(0, |trace| trace.received())
    }
}

/// A request at a server. The server's count of connections goes down when this is dropped, or before by `leave`.
pub struct Attempt {
    pub index: usize,
    pub dial: Arc<Dial>,
    pub members: Arc<Members>,
    /// All of the answer that the balancing method waits for has come; otherwise a drop counts as given up.
    landed: bool,
    /// The server's count of connections has gone down.
    left: bool,
}

impl Attempt {
    pub fn new(members: Arc<Members>, index: usize, dial: Arc<Dial>) -> Self {
        Attempt { index, dial, members, landed: false, left: false }
    }

    /// The head of the answer is there.
    pub fn answered(&mut self) {
        let took = self.milliseconds();
        let now = clock::steady_milliseconds();
        self.members.group.succeeded(self.index, now);
        self.landed = self.members.group.answered(self.index, took, now);
    }

    /// The answer is there whole; its head came after `header`.
    pub fn completed(&mut self, header: Duration) {
        let (header, whole) = (header.as_millis() as u64, self.milliseconds());
        self.members.group.completed(self.index, header, whole, clock::steady_milliseconds());
        self.landed = true;
    }

    /// The server has done all that is asked of it: another request may take its place.
    pub fn leave(&mut self) {
        if !std::mem::replace(&mut self.left, true) {
            self.members.group.finished(self.index);
        }
    }

    fn milliseconds(&self) -> u64 {
        self.dial.trace.elapsed().as_millis() as u64
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.landed {
            self.members.group.given_up(self.index, self.milliseconds(), clock::steady_milliseconds());
        }
        self.leave();
    }
}

impl Request {
    /// The last try is over.
    pub(super) fn end_try(&mut self, failed: Option<(u16, &Trace)>) {
        let trace_times =
            self.attempt.as_ref().map(|attempt| (attempt.dial.trace.connected(), attempt.dial.trace.elapsed()));
        let Some(last) = self.tries.last_mut() else { return };
        if let Some((status, trace)) = failed {
            last.status = status;
            last.connected = trace.connected();
            last.ended = Some(trace.elapsed());
        } else if let (Some((connected, elapsed)), None) = (trace_times, last.ended) {
            last.connected = connected;
            last.ended = Some(elapsed);
        }
    }
}
