//! The connections of a worker's clients, and the places that there are for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use limpet_log::LogLevel;
use limpet_upstream::Kept;
use limpet_wire::Slots;
use parking_lot::Mutex;

use super::conn::Conn;
use super::counters::Counters;

/// How soon it is looked again whether there is room for a client, if nothing says so.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How many idle connections are given up at a time: an eighth of them, and at most 32 (nginx).
const GIVEN_UP: usize = 32;
const GIVEN_UP_PART: usize = 8;

/// When half of so many connections or more have gone, what they held is given back to the system.
const MANY: usize = 64;
/// How long after that: the rest of them may be about to go as well.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(1);

/// The clients of a worker: their connections, and the places for them.
pub struct Clients {
    /// Which worker it is.
    pub index: usize,
    pub counters: Arc<Counters>,
    pub kept: Arc<Kept>,
    pub slots: Arc<Slots>,
    /// The connections being served, by their number.
    connections: Mutex<HashMap<u64, Weak<Conn>>>,
    /// The most of them since memory was last given back.
    peak: AtomicUsize,
    /// Memory will be given back in a moment.
    gives_back: AtomicBool,
    give_back_memory: Option<fn()>,
}

/// Keeps a connection in the worker's list, and in the count of all, whatever way its task ends.
pub struct Open {
    clients: Arc<Clients>,
    number: u64,
}

impl Open {
    pub fn new(clients: &Arc<Clients>, conn: &Arc<Conn>) -> Self {
        clients.counters.open.fetch_add(1, Ordering::AcqRel);
        let mut connections = clients.connections.lock();
        connections.insert(conn.number, Arc::downgrade(conn));
        clients.peak.fetch_max(connections.len(), Ordering::Relaxed);
        drop(connections);
        Open { clients: Arc::clone(clients), number: conn.number }
    }

    /// The connection has had so many streams: for memory they count as clients.
    pub fn had_streams(&self, streams: u64) {
        self.clients.peak.fetch_max(usize::try_from(streams).unwrap_or(usize::MAX), Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut connections = self.clients.connections.lock();
        connections.remove(&self.number);
        let left = connections.len();
        drop(connections);
        self.clients.counters.open.fetch_sub(1, Ordering::AcqRel);
        self.clients.give_back_after_many(left);
    }
}

impl Clients {
    /// `give_back_memory` gives memory that the calling thread has freed back to the system.
    pub fn new(index: usize, counters: Arc<Counters>, kept: Arc<Kept>, give_back_memory: Option<fn()>) -> Self {
        Clients {
            index,
            counters,
            kept,
            slots: Arc::default(),
            connections: Mutex::default(),
            peak: AtomicUsize::new(0),
            gives_back: AtomicBool::new(false),
            give_back_memory,
        }
    }

    /// An allocator gives pages back when it is asked for others, which after a rush may take long.
    fn give_back_after_many(self: &Arc<Self>, left: usize) {
        let Some(give_back) = self.give_back_memory else { return };
        let peak = self.peak.load(Ordering::Relaxed);
        if peak < MANY || left > peak / 2 || self.gives_back.swap(true, Ordering::Relaxed) {
            return;
        }
        let clients = Arc::clone(self);
        let later = async move {
            tokio::time::sleep(GIVE_BACK_AFTER).await;
            clients.peak.store(clients.connections.lock().len(), Ordering::Relaxed);
            clients.gives_back.store(false, Ordering::Relaxed);
            give_back();
        };
        // Where the worker has ended, its memory goes with it.
        if let Ok(worker) = tokio::runtime::Handle::try_current() {
            worker.spawn(later);
        }
    }

    /// Sees to it that another connection is within `worker_connections`: idle ones are given up when few places are left,
    /// and when there is none, it waits for one.
    pub async fn make_room(&self) {
        loop {
            let most = self.counters.worker_connections.load(Ordering::Relaxed);
            let free = most.saturating_sub(self.slots.used());
            if free > most / 16 {
                return;
            }
            if self.give_up_idle() > 0 {
                let message = format!("{most} worker_connections are not enough, reusing connections");
                self.slots.tell(LogLevel::Warn, &message);
            } else if free == 0 {
                self.slots.tell(LogLevel::Alert, &format!("{most} worker_connections are not enough"));
            }
            if free > 0 {
                return;
            }
            self.slots.freed(LOOK_AGAIN).await;
        }
    }

    /// Ends some of the connections that wait for a request or are being closed, those first that have done so for longest.
    /// Where there is none, connections kept to backends go. How many there were.
    pub fn give_up_idle(&self) -> usize {
        let mut spare: Vec<(u64, Arc<Conn>)> = {
            let connections = self.connections.lock();
            connections
                .values()
                .filter_map(Weak::upgrade)
                .filter_map(|conn| Some((conn.spare_since()?, conn)))
                .collect()
        };
        let count = spare.len().min((spare.len() / GIVEN_UP_PART).clamp(1, GIVEN_UP));
        if count == 0 {
            return self.kept.give_up_oldest(self.index);
        }
        spare.select_nth_unstable_by_key(count - 1, |(since, _)| *since);
        spare.iter().take(count).for_each(|(_, conn)| conn.give_up());
        count
    }

    /// Idle connections end; those with a request end after their response.
    pub fn end_idle(&self) {
        for conn in self.connections.lock().values().filter_map(Weak::upgrade) {
            conn.end_if_idle();
        }
    }
}
