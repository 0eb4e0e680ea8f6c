//! Who looks names up, and what happens when nobody can.

use std::net::SocketAddr;

/// `resolver`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    pub servers: Vec<SocketAddr>,
    /// Milliseconds that an answer counts, in place of its own time.
    pub valid: Option<u64>,
    /// Which addresses are asked for; one of them is.
    pub ipv4: bool,
    pub ipv6: bool,
}

/// Tengine's `dynamic_resolve`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DynamicResolve {
    pub fallback: Fallback,
    /// Milliseconds after a failed lookup until the next.
    pub fail_timeout: u64,
}

/// What a failed lookup means for the servers of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// They stay.
    Stale,
    /// The same: a server that is gone fails, and the next one is asked.
    Next,
    /// Nobody is asked until a lookup succeeds.
    Shutdown,
}
