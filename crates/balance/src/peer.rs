//! One server of an upstream: what the file says about it, and what is counted about it.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32};

use crate::times::Times;

/// The parameters of a `server` line, for one of the addresses that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The server as written, which is what nginx's ring is made of.
    pub text: Box<str>,
    /// The address, ports filled in: what Tengine's ring is made of.
    pub name: Box<str>,
    /// `id=`, as far as it is a number: takes the name's place in Tengine's ring.
    pub number: Option<u16>,
    /// At least 1.
    pub weight: u32,
    /// Failures within `fail_timeout` that make the server unavailable; 0: none do.
    pub max_fails: u32,
    /// Seconds: the span in which failures count, and how long the server is left alone after.
    pub fail_timeout: i64,
    /// Most connections at a time; 0: any number.
    pub max_conns: u32,
    /// Milliseconds in which the weight grows from nothing when the server is back; 0: at once.
    pub slow_start: i64,
    /// Used when no other server is available.
    pub backup: bool,
    /// Takes no new clients (`down` and `drain`); who has a session with it may still come.
    pub down: bool,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            text: Box::default(),
            name: Box::default(),
            number: None,
            weight: 1,
            max_fails: 1,
            fail_timeout: 10,
            max_conns: 0,
            slow_start: 0,
            backup: false,
            down: false,
        }
    }
}

/// What is counted about a server. All workers share it, and it outlives a reload.
#[derive(Debug, Default)]
pub struct Peer {
    pub(crate) fails: AtomicU32,
    /// When a request last failed.
    pub(crate) accessed: AtomicI64,
    /// When the server was last tried after a failure.
    pub(crate) checked: AtomicI64,
    /// An active check has found it dead.
    dead: AtomicBool,
    /// Its name can't be looked up, and it is not to be asked for that.
    lost: AtomicBool,
    /// It is probed.
    is_checked: AtomicBool,
    /// Probes in a row that passed, and that failed.
    rise: AtomicU32,
    fall: AtomicU32,
    /// When it came back, in milliseconds, for `slow_start`.
    pub(crate) returned: AtomicI64,
    connections: AtomicU32,
    pub(crate) times: Times,
}

impl Peer {
    /// Requests that are with the server now.
    pub fn connections(&self) -> u32 {
        self.connections.load(Relaxed)
    }

    /// Whether nothing that is known without asking speaks against the server: its check, and its name.
    pub fn is_alive(&self) -> bool {
        self.passes() && !self.lost.load(Relaxed)
    }

    /// Whether an active check lets the server be asked. It does until one has said otherwise.
    pub fn passes(&self) -> bool {
        !self.dead.load(Relaxed)
    }

    /// Its name can't be looked up, or can be again.
    pub fn set_lost(&self, lost: bool) {
        self.lost.store(lost, Relaxed);
    }

    /// A request comes, if there is room. Every `true` wants one of [`crate::Group::finished`].
    pub(crate) fn enter(&self, server: &Server) -> bool {
        if server.max_conns == 0 {
            self.connections.fetch_add(1, Relaxed);
            return true;
        }
        let one_more = |count| (count < server.max_conns).then_some(count + 1);
        self.connections.fetch_update(AcqRel, Acquire, one_more).is_ok()
    }

    /// A request comes back to a server that it had just left.
    pub(crate) fn enter_again(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// A request has left. `true` when the server was full before.
    pub(crate) fn finished(&self, server: &Server) -> bool {
        let before = self.connections.fetch_sub(1, Relaxed);
        server.max_conns != 0 && before >= server.max_conns
    }

    pub(crate) fn is_full(&self, server: &Server) -> bool {
        server.max_conns != 0 && self.connections() >= server.max_conns
    }

    /// From now on the server is probed. If it was before, what is known of it stays.
    pub fn begin_checks(&self, default_down: bool) {
        if !self.is_checked.swap(true, Relaxed) {
            self.dead.store(default_down, Relaxed);
        }
    }

    /// Nobody probes the server any more, so nothing speaks against it.
    pub fn end_checks(&self) {
        self.is_checked.store(false, Relaxed);
        self.dead.store(false, Relaxed);
        self.rise.store(0, Relaxed);
        self.fall.store(0, Relaxed);
    }

    /// Whether anybody probes it.
    pub fn is_checked(&self) -> bool {
        self.is_checked.load(Relaxed)
    }

    /// It is taken for alive until its probes say otherwise.
    pub fn presume_alive(&self) {
        self.dead.store(false, Relaxed);
    }

    /// Probes in a row that passed, and that failed.
    pub fn rise_and_fall(&self) -> (u32, u32) {
        (self.rise.load(Relaxed), self.fall.load(Relaxed))
    }

    /// What a probe has found at `now`, in milliseconds: the server is alive after `rise` successes in a row, and dead
    /// after `fall` failures. `true` when that has changed.
    pub fn probed(&self, passed: bool, rise: u32, fall: u32, now: i64) -> bool {
        if !self.is_checked() {
            // A probe of a configuration that is gone.
            return false;
        }
        let (grows, ends, enough) =
            if passed { (&self.rise, &self.fall, rise) } else { (&self.fall, &self.rise, fall) };
        ends.store(0, Relaxed);
        let count = grows.load(Relaxed).saturating_add(1);
        grows.store(count, Relaxed);
        let news = count >= enough && self.dead.swap(!passed, Relaxed) == passed;
        if news && passed {
            self.returned.store(now, Relaxed);
        }
        news
    }

    /// How much of its weight a server has that came back not long ago, in thousandths.
    pub(crate) fn warmth(&self, server: &Server, now: i64) -> i64 {
        // Another thread's clock may be ahead of this one's.
        let since = now.saturating_sub(self.returned.load(Relaxed)).max(0);
        if server.slow_start == 0 || since >= server.slow_start {
            1000
        } else {
            (i128::from(since) * 1000 / i128::from(server.slow_start)) as i64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_bring_a_server_back_after_rise_and_take_it_out_after_fall() {
        let peer = Peer::default();
        assert!(peer.is_alive());
        peer.begin_checks(true);
        let probe = |passed| (peer.probed(passed, 2, 3, 0), peer.is_alive());
        assert_eq!([probe(true), probe(true), probe(true)], [(false, false), (true, true), (false, true)]);
        assert_eq!([probe(false), probe(false), probe(true)], [(false, true); 3]);
        assert_eq!([probe(false), probe(false), probe(false)], [(false, true), (false, true), (true, false)]);
        assert_eq!(peer.rise_and_fall(), (0, 3));
    }

    #[test]
    fn what_is_known_survives_a_new_beginning_but_not_an_end() {
        let peer = Peer::default();
        peer.begin_checks(true);
        peer.probed(true, 1, 1, 0);
        peer.begin_checks(true);
        assert!(peer.is_alive());
        peer.probed(false, 1, 1, 0);
        peer.end_checks();
        assert!(peer.is_alive());
        assert!(!peer.probed(false, 1, 1, 0) && peer.is_alive(), "a late probe has no say");
    }

    #[test]
    fn a_server_that_is_back_since_a_moment_ahead_is_as_cold_as_can_be() {
        let peer = Peer::default();
        peer.begin_checks(true);
        peer.probed(true, 1, 1, 1001);
        assert_eq!(peer.warmth(&Server::default(), 1000), 1000);
        assert_eq!(peer.warmth(&Server { slow_start: 10, ..Server::default() }, 1000), 0);
    }
    #[test]
    fn a_server_has_room_for_max_conns_requests() {
        let server = Server { max_conns: 2, ..Server::default() };
        let peer = Peer::default();
        let enter = || (peer.enter(&server), peer.is_full(&server), peer.connections());
        assert_eq!([enter(), enter(), enter()], [(true, false, 1), (true, true, 2), (false, true, 2)]);
        // Who comes back is let in all the same.
        peer.enter_again();
        let leave = || (peer.finished(&server), peer.is_full(&server), peer.connections());
        assert_eq!([leave(), leave(), leave()], [(true, true, 2), (true, false, 1), (false, false, 0)]);
    }

    #[test]
    fn without_max_conns_a_server_is_never_full() {
        let (server, peer) = (Server::default(), Peer::default());
        assert!((0..100).all(|_| peer.enter(&server) && !peer.is_full(&server)));
        assert!((0..100).all(|_| !peer.finished(&server)));
        assert_eq!(peer.connections(), 0);
    }

    #[test]
    fn a_server_whose_name_is_lost_is_not_alive_but_passes_its_checks() {
        let peer = Peer::default();
        for lost in [true, false] {
            peer.set_lost(lost);
            assert_eq!((peer.is_alive(), peer.passes()), (!lost, true));
        }
    }

    #[test]
    fn a_server_that_is_presumed_alive_is_so_until_a_probe_fails() {
        let peer = Peer::default();
        peer.begin_checks(true);
        peer.presume_alive();
        assert!(peer.is_alive());
        assert!(peer.probed(false, 1, 1, 0) && !peer.is_alive());
    }

    #[test]
    fn a_server_warms_up_from_when_it_came_back_until_it_has_its_whole_weight() {
        let (server, peer) = (Server { slow_start: 10, ..Server::default() }, Peer::default());
        peer.begin_checks(true);
        assert!(peer.probed(true, 1, 1, 1000));
        assert!(!peer.probed(true, 1, 1, 1005), "it was back before");
        let warmth = [1000, 1005, 1009, 1010, 1020].map(|now| peer.warmth(&server, now));
        assert_eq!(warmth, [0, 500, 900, 1000, 1000]);
        assert!(peer.probed(false, 1, 1, 1020));
        assert_eq!(peer.warmth(&server, 1020), 1000, "only coming back begins it");
    }
}
