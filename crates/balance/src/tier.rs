//! The servers of one rank, primary or backup: their weights, how far a worker has come, and how a request sees them.

use std::sync::Arc;

use fastrand::Rng;

use crate::ask::Ask;
use crate::group::{Group, seconds};
use crate::interleaved::{self, Rounds};
use crate::method::Method;
use crate::peer::{Peer, Server};
use crate::ring::Ring;
use crate::round_robin::Rotation;
use crate::times::Until;
use crate::walk::Walk;

/// The primary servers, or the backups.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) indices: Vec<usize>,
    /// Running sums of the weights.
    ends: Vec<u64>,
    pub(crate) ring: Option<Ring>,
}

/// How far a worker has come in a tier. What the method does not need is empty.
#[derive(Debug)]
pub(crate) struct TierProgress {
    pub(crate) rotation: Rotation,
    pub(crate) walk: Walk,
    pub(crate) rounds: Rounds,
}

/// The servers of a tier as one request sees them.
pub(crate) struct View<'a> {
    pub(crate) group: &'a Group,
    pub(crate) tier: &'a Tier,
    pub(crate) ask: &'a Ask<'a>,
}

impl Tier {
    pub(crate) fn new(method: Method, servers: &[(Server, Arc<Peer>)], backup: bool) -> Self {
        let mine = servers.iter().enumerate().filter(|(_, (server, _))| server.backup == backup);
        let (indices, servers): (Vec<usize>, Vec<&Server>) = mine.map(|(index, (server, _))| (index, server)).unzip();
        let mut end = 0;
        let ends = servers.iter().map(|server| {
            end += u64::from(server.weight);
            end
        });
        Tier { ends: ends.collect(), ring: method.ring(&servers), indices }
    }
}

/// The most servers that a walk is asked for in advance, counted for each step anew: it looks at all of them.
const MOST_WALKED: usize = 1 << 20;

impl TierProgress {
    pub(crate) fn new(method: Method, weights: impl Iterator<Item = u32> + Clone, unit: i64, random: &mut Rng) -> Self {
        let none = || weights.clone().take(0);
        let walks = matches!(method, Method::LeastConn | Method::LeastTime { .. } | Method::Ketama);
        let rotates = !matches!(method, Method::LeastConn | Method::LeastTime { .. } | Method::Iwrr);
        let mut progress = TierProgress {
            rotation: if rotates { Rotation::new(weights.clone(), unit) } else { Rotation::new(none(), unit) },
            walk: if walks { Walk::new(weights.clone()) } else { Walk::default() },
            rounds: if method == Method::Iwrr { Rounds::new(weights.clone(), random) } else { Rounds::default() },
        };
        if method == Method::Vnswrr {
            interleaved::begin_vnswrr(&mut progress.rotation, weights.count(), random);
        }
        progress
    }

    /// Goes on by so many choices.
    pub(crate) fn advance(&mut self, choices: usize) {
        for _ in 0..choices {
            self.rotation.next(std::iter::empty(), |_| true);
        }
        let servers = self.walk.len();
        for _ in 0..choices.min(MOST_WALKED / servers.max(1)) {
            self.walk.next((0..servers).map(|position| (position, u64::MAX)));
        }
    }

    /// Takes over how far another one has come with one of its servers.
    pub(crate) fn resume(&mut self, position: usize, other: &TierProgress, other_position: usize) {
        if let Some(current) = other.rotation.current(other_position) {
            self.rotation.resume(position, current);
        }
        if let Some(current) = other.walk.current(other_position) {
            self.walk.resume(position, current);
        }
    }
}

impl View<'_> {
    pub(crate) fn len(&self) -> usize {
        self.tier.indices.len()
    }

    /// The sum of all weights.
    pub(crate) fn total(&self) -> u64 {
        self.tier.ends.last().copied().unwrap_or(0)
    }

    /// In whose share of the weights a number falls.
    pub(crate) fn at(&self, number: u64) -> Option<usize> {
        let number = number.checked_rem(self.total())?;
        Some(self.tier.ends.partition_point(|end| *end <= number))
    }

    pub(crate) fn is_usable(&self, position: usize) -> bool {
        self.tier
            .indices
            .get(position)
            .is_some_and(|index| !self.ask.tried.contains(*index) && self.group.is_usable(*index, self.ask.now))
    }

    /// In thousandths: a server that warms up has less than its own.
    pub(crate) fn weight(&self, position: usize) -> u64 {
        self.pair(position)
            .map_or(1, |(server, peer)| u64::from(server.weight) * peer.warmth(server, self.ask.now).max(1) as u64)
    }

    pub(crate) fn connections(&self, position: usize) -> u32 {
        self.pair(position).map_or(0, |(_, peer)| peer.connections())
    }

    pub(crate) fn estimate(&self, position: usize, until: Until) -> u64 {
        self.pair(position).map_or(0, |(server, peer)| {
            let quiet = peer.quiet(seconds(self.ask.now));
            peer.times.estimate(until, quiet, server.fail_timeout, peer.connections())
        })
    }

    fn pair(&self, position: usize) -> Option<&(Server, Arc<Peer>)> {
        self.group.servers.get(*self.tier.indices.get(position)?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ask::Tried;

    /// What a request sees that has been nowhere.
    pub(crate) fn seen<T>(servers: &[Server], look: impl FnOnce(&View<'_>) -> T) -> T {
        let servers = servers.iter().map(|server| (server.clone(), Arc::default())).collect();
        let group = Group::new(Method::default(), servers);
        let tier = Tier::new(Method::default(), &group.servers, false);
        look(&View { group: &group, tier: &tier, ask: &Ask { key: b"", tried: &Tried::default(), now: 0 } })
    }

    #[test]
    fn a_walk_past_very_many_servers_is_not_asked_for_all_its_steps_in_advance() {
        let servers = MOST_WALKED / 2;
        let weights = std::iter::repeat_n(1, servers);
        let mut progress = TierProgress::new(Method::LeastConn, weights, 1, &mut Rng::with_seed(0));
        progress.advance(5);
        let paid = (0..servers).filter(|position| progress.walk.current(*position).is_some_and(|current| current < 0));
        assert_eq!(paid.collect::<Vec<_>>(), [0, 1]);
    }
}
