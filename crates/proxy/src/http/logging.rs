//! The end of a request: its log line, and whether its connection goes on.

use pingora::Error;

use super::ctx::Request;
use crate::clock;

/// A response up to this size ends in the moment in which its head came; the clock need not be asked again.
const COARSE: u64 = 8192;

pub(super) fn run(request: &mut Request, error: Option<&Error>) {
    if request.tries.len() != 1 || request.body_bytes > COARSE || error.is_some() {
        clock::tick();
    }
    if request.flight.is_some() {
        request.end_try(None);
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
