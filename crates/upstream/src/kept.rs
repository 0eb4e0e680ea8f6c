//! What is known of servers and outlives a reload, by the name of their upstream and their address.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use limpet_balance::Peer;
use limpet_wire::Address;
use parking_lot::Mutex;

use super::members::Upstream;
use super::pool::{Pools, Sweeper};

/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// What outlives a configuration. Of servers and upstreams that are in none any more it lets go.
#[derive(Default)]
pub struct Kept {
    /// The counters of servers. The same address twice in an upstream is two servers.
    peers: Mutex<HashMap<(String, Address, usize), Weak<Peer>>>,
    sweeper: Arc<Sweeper>,
    /// Connections kept to the servers of an upstream.
    pools: Mutex<HashMap<String, Weak<Pools>>>,
    /// The upstreams in place.
    current: ArcSwap<Vec<Arc<Upstream>>>,
    /// Configurations that were put in place so far.
    generation: AtomicU64,
}

impl Kept {
    /// Puts the upstreams of a configuration in place.
    pub fn install(&self, upstreams: &[Arc<Upstream>]) {
        for upstream in upstreams {
            upstream.pools.configure(&upstream.keepalive);
        }
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.current.store(Arc::new(upstreams.to_vec()));
    }

    /// The upstreams in place.
    pub fn current(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.current.load_full()
    }

    /// How many configurations were put in place.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Lets go of servers and upstreams that no configuration has any more.
    pub fn forget_what_is_gone(&self) {
        self.peers.lock().retain(|_, peer| peer.strong_count() > 0);
        self.pools.lock().retain(|_, pools| pools.strong_count() > 0);
    }

    /// The counters of a server; `times`: how often its address has come before it in its upstream.
    pub(super) fn peer(&self, upstream: &str, address: &Address, times: usize) -> Arc<Peer> {
        let mut peers = self.peers.lock();
        let slot = peers.entry((upstream.to_owned(), address.clone(), times)).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let peer = Arc::default();
            *slot = Arc::downgrade(&peer);
            peer
        })
    }

    /// The connections kept to an upstream's servers.
    pub(super) fn pools(&self, upstream: &str, workers: usize) -> Arc<Pools> {
        let mut pools = self.pools.lock();
        let slot = pools.entry(upstream.to_owned()).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let pools = Arc::new(Pools::new(workers, Arc::clone(&self.sweeper)));
            *slot = Arc::downgrade(&pools);
            pools
        })
    }

    fn all_pools(&self) -> Vec<Arc<Pools>> {
        self.pools.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// A worker gives up the oldest connection of each upstream. How many there were.
    pub fn give_up_oldest(&self, worker: usize) -> usize {
        self.all_pools().iter().map(|pools| usize::from(pools.give_up_oldest(worker))).sum()
    }

    /// Looks after idle connections, as long as there are any.
    pub(super) async fn sweep(&self) {
        let mut left = 0;
        loop {
            if left == 0 {
                self.sweeper.wait().await;
            }
            tokio::time::sleep(SWEEP).await;
            left = self.all_pools().iter().map(|pools| pools.sweep()).sum();
        }
    }
}
