//! The end of a request: its log line, and whether its connection goes on.

use std::sync::Arc;

use limpet_log::{LogLevel, clock};

use super::ctx::Request;
use crate::front::tunnel::{Carried, Tunnel, TunnelSide};

/// `failed`: the response did not go out whole.
pub(super) fn finish(mut request: Box<Request>, failed: bool) {
    // A response that came as a whole with its head ends in the moment in which that came; the clock was read then.
    if !request.attempt.as_ref().is_some_and(|attempt| attempt.dial.trace.came_at_once()) || failed {
        clock::tick();
    }
    if let Some(attempt) = &request.attempt {
        if let Some((backend, early)) = attempt.dial.trace.take_tunnel().filter(|_| !failed) {
            let exchange = Arc::clone(&request.exchange);
            let timeouts = request.pass().map(|pass| (pass.terms.read_timeout, pass.terms.send_timeout));
            let (read_timeout, send_timeout) = timeouts.unwrap_or_default();
            let client_send_timeout = request.location.settings.send_timeout;
            let ended = Box::new(move |carried: Carried| {
                if let Some(side) = carried.timed_out {
                    let (level, who) = match side {
                        TunnelSide::Client => (LogLevel::Info, "client"),
                        TunnelSide::Backend => (LogLevel::Error, "upstream"),
                    };
                    let message = "timed out (110: Connection timed out) while proxying upgraded connection";
                    request.log_error(level, &format!("{who} {message}"));
                }
                request.end_tunnel(carried.up, carried.down);
                request.log_access();
            });
            let tunnel = Tunnel { backend, early, read_timeout, send_timeout, client_send_timeout, ended };
            exchange.lock().tunnel = Some(tunnel);
            return;
        }
        request.end_try(None);
        let header = request.tries.last().and_then(|last| last.header).filter(|_| !failed);
        if let (Some(attempt), Some(header)) = (&mut request.attempt, header) {
            attempt.completed(header);
        }
        request.attempt = None;
        request.complete = !failed;
    }
    {
        let mut exchange = request.exchange();
        exchange.reusable = request.keepalive && request.complete;
        exchange.keepalive_timeout = request.location.settings.keepalive_timeout;
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
        self.attempt = None;
        self.body_received = up;
        self.complete = true;
    }
}
