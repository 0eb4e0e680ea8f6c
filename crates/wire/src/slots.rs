//! The connections that a worker has, to clients and to backends, against `worker_connections`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use limpet_log::clock::Moment;
use limpet_log::{LogLevel, clock};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many connections a worker has.
#[derive(Debug, Default)]
pub struct Slots {
    used: AtomicUsize,
    /// Somebody waits for a connection to end.
    is_awaited: AtomicBool,
    freed: Notify,
    /// When a shortage was last told.
    told: Mutex<Option<Moment>>,
}

/// The place of one connection, for as long as it lasts.
#[derive(Debug)]
pub struct Slot(Arc<Slots>);

impl Slots {
    /// Takes a place for a connection, even if none is left.
    pub fn take(self: &Arc<Self>) -> Slot {
        self.used.fetch_add(1, Ordering::Relaxed);
        Slot(Arc::clone(self))
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Waits until a connection has ended, or for so long.
    pub async fn freed(&self, longest: Duration) {
        let freed = self.freed.notified();
        self.is_awaited.store(true, Ordering::Release);
        // Whoever waits looks again for itself, so the time being up is no matter.
        let _ = tokio::time::timeout(longest, freed).await;
        self.is_awaited.store(false, Ordering::Release);
    }

    /// Tells of a shortage, once a second at most.
    pub fn tell(&self, level: LogLevel, message: &str) {
        let now = clock::tick();
        let mut told = self.told.lock();
        if told.is_none_or(|told| now.since(told) >= Duration::from_secs(1)) {
            *told = Some(now);
            limpet_log::write_default(level, message);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::Relaxed);
        if self.0.is_awaited.load(Ordering::Acquire) {
            self.0.freed.notify_waiters();
        }
    }
}
