//! The end of a request: its log line, and whether its connection goes on.

use std::sync::Arc;
use std::time::Duration;

use super::ctx::Request;
use crate::clock;
use crate::front::tunnel::Tunnel;

/// `failed`: the response did not go out whole.
pub(super) fn conclude(mut request: Box<Request>, failed: bool) {
    // A response that came as a whole with its head ends in the moment in which that came; the clock was read then.
    if !request.flight.as_ref().is_some_and(|flight| flight.dial.trace.came_at_once()) || failed {
        clock::tick();
    }
    if let Some(flight) = &request.flight {
        if let Some((backend, early)) = flight.dial.trace.take_tunnel().filter(|_| !failed) {
            let exchange = Arc::clone(&request.exchange);
            let patience = request.pass().map_or(Duration::ZERO, |pass| pass.read_timeout);
            let ended = Box::new(move |up, down| {
                request.end_tunnel(up, down);
                request.log_access();
            });
            exchange.lock().tunnel = Some(Tunnel { backend, early, patience, ended });
            return;
        }
        request.end_try(None);
        let header = request.tries.last().and_then(|last| last.header).filter(|_| !failed);
        if let (Some(flight), Some(header)) = (&mut request.flight, header) {
            flight.completed(header);
        }
        request.flight = None;
        request.complete = !failed;
    }
    {
        let mut exchange = request.exchange();
        exchange.reusable = request.keepalive && request.complete;
        exchange.patience = request.location.settings.keepalive_timeout;
    }
    request.log_access();
}

impl Request {
    /// The tunnel that a 101 began is over.
    fn end_tunnel(&mut self, up: u64, down: u64) {
        self.end_try(None);
        if let Some(last) = self.tries.last_mut() {
            last.body_bytes = down;
        }
        self.flight = None;
        self.body_received = up;
        self.complete = true;
    }
}
