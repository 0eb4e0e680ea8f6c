//! Sessions that all workers and servers share, by the name of their zone.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The longest session that is kept (nginx's).
const LONGEST: usize = 4096;
/// What keeping a session costs beside its bytes.
const EXTRA: usize = 128;
const SHARDS: usize = 16;

/// The zones of a process.
#[derive(Default)]
pub(crate) struct Zones(Mutex<HashMap<String, Arc<Zone>>>);

impl Zones {
    /// The zone of a name; one that is there already is kept, whatever its size, so that a reload loses nothing.
    pub(crate) fn get(&self, name: &str, size: usize) -> Arc<Zone> {
        let mut zones = self.0.lock();
        match zones.get(name) {
            Some(zone) if zone.size == size => Arc::clone(zone),
            _ => {
                let zone = Arc::new(Zone::new(size));
                zones.insert(name.to_owned(), Arc::clone(&zone));
                zone
            }
        }
    }
}

/// Sessions by their identifiers, those that came first given up first.
pub(crate) struct Zone {
    size: usize,
    shards: [Mutex<Shard>; SHARDS],
    hasher: foldhash::fast::RandomState,
}

#[derive(Default)]
struct Shard {
    sessions: HashMap<Vec<u8>, Session>,
    /// The identifiers in the order in which they came, with a number of each session.
    order: VecDeque<(Vec<u8>, u64)>,
    bytes: usize,
    count: u64,
}

struct Session {
    bytes: Vec<u8>,
    ends: Instant,
    number: u64,
}

impl Zone {
    fn new(size: usize) -> Zone {
        Zone { size, shards: Default::default(), hasher: foldhash::fast::RandomState::default() }
    }

    fn shard(&self, id: &[u8]) -> Option<&Mutex<Shard>> {
        self.shards.get(self.hasher.hash_one(id) as usize % SHARDS)
    }

    /// Keeps a session for so long. One that is too long is not kept.
    pub(crate) fn put(&self, id: &[u8], bytes: Vec<u8>, lifetime: Duration, now: Instant) {
        let Some(shard) = self.shard(id).filter(|_| bytes.len() <= LONGEST) else { return };
        let mut shard = shard.lock();
        shard.remove(id);
        let cost = cost(id, &bytes);
        while shard.bytes + cost > self.size / SHARDS || shard.has_expired(now) {
            if !shard.give_up_first() {
                break;
            }
        }
        shard.count += 1;
        let number = shard.count;
        shard.bytes += cost;
        shard.order.push_back((id.to_vec(), number));
        shard.sessions.insert(id.to_vec(), Session { bytes, ends: now + lifetime, number });
    }

    pub(crate) fn get(&self, id: &[u8], now: Instant) -> Option<Vec<u8>> {
        let shard = self.shard(id)?.lock();
        shard.sessions.get(id).filter(|session| session.ends > now).map(|session| session.bytes.clone())
    }

    pub(crate) fn remove(&self, id: &[u8]) {
        if let Some(shard) = self.shard(id) {
            shard.lock().remove(id);
        }
    }
}

fn cost(id: &[u8], bytes: &[u8]) -> usize {
    2 * id.len() + bytes.len() + EXTRA
}

impl Shard {
    fn remove(&mut self, id: &[u8]) {
        if let Some(session) = self.sessions.remove(id) {
            self.bytes = self.bytes.saturating_sub(cost(id, &session.bytes));
        }
    }

    fn has_expired(&self, now: Instant) -> bool {
        self.order.front().is_some_and(|(id, number)| match self.sessions.get(id) {
            Some(session) if session.number == *number => session.ends <= now,
            // Removed, or there is another of that name.
            _ => true,
        })
    }

    /// Gives up the one that came first; `false`: there is none.
    fn give_up_first(&mut self) -> bool {
        let Some((id, number)) = self.order.pop_front() else { return false };
        if self.sessions.get(&id).is_some_and(|session| session.number == number) {
            self.remove(&id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_by_time_and_for_want_of_room() {
        let (zone, now, minute) = (Zone::new(64 * 1024), Instant::now(), Duration::from_secs(60));
        zone.put(b"a", vec![1; 100], minute, now);
        assert_eq!(zone.get(b"a", now), Some(vec![1; 100]));
        assert_eq!(zone.get(b"a", now + minute), None);
        zone.put(b"a", vec![2; 100], minute, now);
        assert_eq!(zone.get(b"a", now), Some(vec![2; 100]));
        zone.remove(b"a");
        assert_eq!(zone.get(b"a", now), None);
        zone.put(b"long", vec![0; LONGEST + 1], minute, now);
        assert_eq!(zone.get(b"long", now), None);
        for number in 0..10_000_u32 {
            zone.put(&number.to_be_bytes(), vec![3; 100], minute, now);
        }
        let held: usize = zone.shards.iter().map(|shard| shard.lock().bytes).sum();
        let kept = (0..10_000_u32).filter(|number| zone.get(&number.to_be_bytes(), now).is_some()).count();
        assert!(held <= 64 * 1024 && kept > 100, "{held} {kept}");
        assert!(zone.get(&9999_u32.to_be_bytes(), now).is_some(), "the last one is there");
        let orders: usize = zone.shards.iter().map(|shard| shard.lock().order.len()).sum();
        assert_eq!(orders, kept);
    }

    #[test]
    fn a_zone_is_the_same_after_a_reload() {
        let zones = Zones::default();
        let (first, other) = (zones.get("a", 1 << 20), zones.get("b", 1 << 20));
        assert!(Arc::ptr_eq(&first, &zones.get("a", 1 << 20)) && !Arc::ptr_eq(&first, &other));
    }
}
