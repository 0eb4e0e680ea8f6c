//! The end of a request: its log line, and whether its connection goes on.

use pingora::Error;

use super::ctx::Request;

pub(super) fn run(request: &mut Request, error: Option<&Error>) {
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
