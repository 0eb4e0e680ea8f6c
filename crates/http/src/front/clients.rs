//! The connections of a worker's clients, and the places that there are for them.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
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

/// The clients of a worker: their connections, and the places for them.
pub struct Clients {
    /// Which worker it is.
    pub index: usize,
    pub counters: Arc<Counters>,
    pub kept: Arc<Kept>,
    pub slots: Arc<Slots>,
    /// The connections being served, by their number.
    connections: Mutex<HashMap<u64, Weak<Conn>>>,
}

/// Keeps a connection in the worker's list, and in the count of all, whatever way its task ends.
pub struct Open {
    clients: Arc<Clients>,
    number: u64,
}

impl Open {
    pub fn new(clients: &Arc<Clients>, conn: &Arc<Conn>) -> Self {
        clients.counters.open.fetch_add(1, Ordering::AcqRel);
        clients.connections.lock().insert(conn.number, Arc::downgrade(conn));
        Open { clients: Arc::clone(clients), number: conn.number }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.clients.connections.lock().remove(&self.number);
        self.clients.counters.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Clients {
    pub fn new(index: usize, counters: Arc<Counters>, kept: Arc<Kept>) -> Self {
        Clients { index, counters, kept, slots: Arc::default(), connections: Mutex::default() }
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
