//! The end of a request: its log line, and whether its connection goes on.

use std::sync::Arc;
use std::time::Duration;

use pingora::Error;

use super::ctx::Request;
use crate::clock;
use crate::front::tunnel::Tunnel;

pub(super) fn run(mut request: Box<Request>, error: Option<&Error>) {
    // A response that came as a whole with its head ends in the moment in which that came; the clock was read then.
    if !request.flight.as_ref().is_some_and(|flight| flight.dial.trace.came_at_once()) || error.is_some() {
        clock::tick();
    }
    if let Some(flight) = &request.flight {
        if let Some((backend, early)) = flight.dial.trace.take_tunnel().filter(|_| error.is_none()) {
            let conn = Arc::clone(&request.conn);
            let patience = request.pass().map_or(Duration::ZERO, |pass| pass.read_timeout);
            conn.exchange().tunnel = Some(Tunnel { request, backend, early, patience });
            return;
        }
        request.end_try(None);
        let header = request.tries.last().and_then(|last| last.header).filter(|_| error.is_none());
        if let (Some(flight), Some(header)) = (&mut request.flight, header) {
            flight.completed(header);
        }
        request.flight = None;
        request.complete = error.is_none();
    }
    {
        let mut exchange = request.conn.exchange();
        exchange.reusable = request.keepalive && request.complete;
        exchange.patience = request.location.settings.keepalive_timeout;
    }
    request.log_access();
}

impl Request {
    /// The tunnel that a 101 began is over.
    pub(crate) fn end_tunnel(&mut self, up: u64, down: u64) {
        self.end_try(None);
        if let Some(last) = self.tries.last_mut() {
            last.body_bytes = down;
        }
        self.flight = None;
        self.body_received = up;
        self.complete = true;
    }
}
