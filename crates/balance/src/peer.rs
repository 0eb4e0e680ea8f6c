//! One server of an upstream: what the file says about it, and what is counted about it.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

/// The parameters of a `server` line, for one of the addresses that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// At least 1.
    pub weight: u32,
    /// Failures within `fail_timeout` that make the server unavailable; 0: none do.
    pub max_fails: u32,
    /// Seconds: the span in which failures count, and how long the server is left alone after.
    pub fail_timeout: i64,
    /// Most connections at a time; 0: any number.
    pub max_conns: u32,
    /// Used when no other server is available.
    pub backup: bool,
    /// Takes no new clients (`down` and `drain`); who has a session with it may still come.
    pub down: bool,
}

impl Default for Server {
    fn default() -> Self {
        Server { weight: 1, max_fails: 1, fail_timeout: 10, max_conns: 0, backup: false, down: false }
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
    connections: AtomicU32,
}

impl Peer {
    /// Requests that are with the server now.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// A request goes to the server. Every call wants one of [`crate::Group::finished`].
    pub fn started(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn finished(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn is_full(&self, server: &Server) -> bool {
        server.max_conns != 0 && self.connections() >= server.max_conns
    }
}
