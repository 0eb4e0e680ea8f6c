//! Passive failure marks: `max_fails` failures within `fail_timeout` take a server out for `fail_timeout`.
//!
//! Follows `ngx_http_upstream_round_robin.c` of nginx: the count starts again once a request succeeds that began after
//! the last failure, and a server that was left alone long enough gets one request to show itself.

use std::sync::atomic::Ordering::Relaxed;

use crate::peer::{Peer, Server};

impl Peer {
    /// Whether failures keep new clients away at `now`.
    pub(crate) fn is_failing(&self, server: &Server, now: i64) -> bool {
        server.max_fails != 0 && self.fails.load(Relaxed) >= server.max_fails && self.quiet(now) <= server.fail_timeout
    }

    /// The server was chosen: its time of quiet begins again if it was over.
    pub(crate) fn chosen(&self, server: &Server, now: i64) {
        if self.quiet(now) > server.fail_timeout {
            self.checked.store(now, Relaxed);
        }
    }

    /// Seconds since the server was last tried.
    pub(crate) fn quiet(&self, now: i64) -> i64 {
        now - self.checked.load(Relaxed)
    }

    /// A request failed. `true` when this is the failure that takes the server out.
    pub(crate) fn failed(&self, server: &Server, now: i64) -> bool {
        let fails = self.fails.fetch_add(1, Relaxed).saturating_add(1);
        self.accessed.store(now, Relaxed);
        self.checked.store(now, Relaxed);
        server.max_fails != 0 && fails >= server.max_fails
    }

    /// A request succeeded at `now`, in milliseconds. `true` when that takes the marks away.
    pub(crate) fn succeeded(&self, server: &Server, now: i64) -> bool {
        // Read first: a store by every worker on every request would move the cache line about for nothing.
        let fails = self.fails.load(Relaxed);
        if fails != 0 && self.accessed.load(Relaxed) < self.checked.load(Relaxed) {
            self.fails.store(0, Relaxed);
            if server.max_fails != 0 && fails >= server.max_fails {
                self.returned.store(now, Relaxed);
            }
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(max_fails: u32) -> Server {
        Server { max_fails, fail_timeout: 10, ..Server::default() }
    }

    #[test]
    fn max_fails_failures_take_a_server_out_for_fail_timeout() {
        let (server, peer) = (server(2), Peer::default());
        assert!(!peer.failed(&server, 100));
        assert!(!peer.is_failing(&server, 100));
        assert!(peer.failed(&server, 101));
        assert!(peer.is_failing(&server, 101));
        assert!(peer.is_failing(&server, 111));
        assert!(!peer.is_failing(&server, 112));
    }

    #[test]
    fn after_its_time_a_server_gets_one_request_to_show_itself() {
        let (server, peer) = (server(1), Peer::default());
        peer.failed(&server, 100);
        peer.chosen(&server, 111);
        assert!(peer.is_failing(&server, 112), "one request is out, others wait");
        peer.succeeded(&server, 0);
        assert!(!peer.is_failing(&server, 112));
    }

    #[test]
    fn a_success_that_began_before_the_failure_clears_nothing() {
        let (server, peer) = (server(1), Peer::default());
        peer.failed(&server, 100);
        peer.succeeded(&server, 0);
        assert!(peer.is_failing(&server, 101));
    }

    #[test]
    fn max_fails_of_0_never_takes_a_server_out() {
        let (server, peer) = (server(0), Peer::default());
        for _ in 0..10 {
            assert!(!peer.failed(&server, 100));
        }
        assert!(!peer.is_failing(&server, 100));
    }
    #[test]
    fn a_choice_begins_the_time_of_quiet_anew_only_when_it_is_over() {
        for (chosen, at_111_is_failing) in [(110, false), (111, true)] {
            let (server, peer) = (server(1), Peer::default());
            peer.failed(&server, 100);
            peer.chosen(&server, chosen);
            assert_eq!(peer.is_failing(&server, 111), at_111_is_failing, "{chosen}");
        }
    }

    #[test]
    fn a_server_warms_up_after_failures_only_if_they_took_it_out() {
        for (max_fails, fails, warmth) in [(2, 1, 1000), (2, 2, 0), (2, 3, 0), (0, 1, 1000)] {
            let server = Server { slow_start: 10_000, ..server(max_fails) };
            let peer = Peer::default();
            for _ in 0..fails {
                peer.failed(&server, 100);
            }
            peer.chosen(&server, 111);
            assert!(peer.succeeded(&server, 111_000));
            assert!(!peer.succeeded(&server, 112_000), "there is nothing left to take away");
            assert_eq!(peer.warmth(&server, 111_000), warmth, "{fails} of {max_fails}");
        }
    }
}
