//! What is counted of all workers' connections.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

/// Counts and orders that all connections share.
#[derive(Debug)]
pub struct Counters {
    /// Connections so far, for `$connection`.
    pub connections: AtomicU64,
    /// Connections being served now.
    pub open: AtomicU64,
    /// No new connections, and none is kept after its response.
    pub draining: AtomicBool,
    /// The most connections of a worker (`worker_connections`).
    pub worker_connections: AtomicUsize,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            worker_connections: AtomicUsize::new(usize::MAX),
        }
    }
}
