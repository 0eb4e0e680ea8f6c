//! The peers of an upstream, primary and backup, and how one of them is chosen.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;

use crate::ask::{Ask, Choice, Tried};
use crate::method::Method;
use crate::peer::{Peer, Server};
use crate::tier::{Tier, TierProgress, View};
use crate::times::Until;
use crate::{hash, interleaved, least, random};

/// The servers of an upstream in the order of the file, backups among them.
#[derive(Debug)]
pub struct Group {
    method: Method,
    pub(crate) servers: Vec<(Server, Arc<Peer>)>,
    primary: Tier,
    backup: Tier,
    /// Each server's place in its tier.
    positions: Vec<usize>,
    /// How many are not down.
    up: usize,
    /// The servers with `slow_start`.
    warming: Vec<usize>,
    /// Grows when a server that was unusable may be usable again, for workers to look at those that they passed over.
    returns: AtomicU64,
}

/// How far one worker has come in going round the servers of a group.
#[derive(Debug)]
pub struct Progress {
    primary: TierProgress,
    backup: TierProgress,
    /// The choice before: it may have filled its server.
    last: Option<usize>,
    /// When all servers were last looked at, in seconds.
    looked: i64,
    returns: u64,
    random: Rng,
}

/// Times of failures are in seconds, as nginx has them.
pub(crate) fn seconds(milliseconds: i64) -> i64 {
    milliseconds.div_euclid(1000)
}

impl Group {
    /// The servers in the order of the file, backups among them.
    pub fn new(method: Method, servers: Vec<(Server, Arc<Peer>)>) -> Self {
        let (primary, backup) = (Tier::new(method, &servers, false), Tier::new(method, &servers, true));
        let mut positions = vec![0; servers.len()];
        for tier in [&primary, &backup] {
            for (position, index) in tier.indices.iter().enumerate() {
                if let Some(slot) = positions.get_mut(*index) {
                    *slot = position;
                }
            }
        }
        let warming = servers.iter().enumerate().filter(|(_, (server, _))| server.slow_start > 0);
        let warming = warming.map(|(index, _)| index).collect();
        let up = servers.iter().filter(|(server, _)| !server.down).count();
        Group { method, servers, primary, backup, positions, up, warming, returns: AtomicU64::new(0) }
    }

    /// How many servers there are.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// How it chooses.
    pub fn method(&self) -> Method {
        self.method
    }

    /// A server as the file has it.
    pub fn server(&self, index: usize) -> Option<&Server> {
        self.servers.get(index).map(|(server, _)| server)
    }

    /// What is known of a server.
    pub fn peer(&self, index: usize) -> Option<&Arc<Peer>> {
        self.servers.get(index).map(|(_, peer)| peer)
    }

    /// The beginning of going round, for one worker.
    pub fn progress(&self, seed: u64) -> Progress {
        let mut random = Rng::with_seed(seed);
        let mut progress = |tier: &Tier| {
            let weights = tier.indices.iter().filter_map(|index| self.server(*index)).map(|server| server.weight);
            TierProgress::new(self.method, weights, if self.warming.is_empty() { 1 } else { 1000 }, &mut random)
        };
        let (primary, backup) = (progress(&self.primary), progress(&self.backup));
        Progress { primary, backup, last: None, looked: i64::MIN, returns: 0, random }
    }

    /// Begins elsewhere in the round: so many choices later. Workers that all begin with the first server would give it a
    /// client each.
    pub fn advance(&self, progress: &mut Progress, choices: usize) {
        progress.primary.advance(choices);
    }

    /// The servers that were in a group before, and what their places were then.
    pub fn kept_of(&self, before: &Group) -> Vec<(usize, usize)> {
        let places: HashMap<_, _> =
            before.servers.iter().enumerate().map(|(index, (_, peer))| (Arc::as_ptr(peer), index)).collect();
        let kept = self.servers.iter().enumerate();
        kept.filter_map(|(index, (_, peer))| Some((index, *places.get(&Arc::as_ptr(peer))?))).collect()
    }

    /// Goes on where a worker had come with the servers of a group before, as far as they are [kept](Group::kept_of): a
    /// reload that began anew would give its first server a client each time.
    pub fn resume(&self, progress: &mut Progress, before: &Group, old: &Progress, kept: &[(usize, usize)]) {
        for (index, old_index) in kept {
            let position = before.positions.get(*old_index).copied();
            let other = if before.is_backup(*old_index) { &old.backup } else { &old.primary };
            if let (Some(old_position), Some((own, position))) = (position, self.place(progress, *index)) {
                own.resume(position, other, old_position);
            }
        }
        if self.method != Method::Iwrr || before.method != Method::Iwrr {
            return;
        }
        for (backup, own, other) in
            [(false, &mut progress.primary, &old.primary), (true, &mut progress.backup, &old.backup)]
        {
            let both =
                kept.iter().filter(|(index, old)| [self.is_backup(*index), before.is_backup(*old)] == [backup; 2]);
            let places = both.filter_map(|(index, old)| {
                Some((self.positions.get(*index).copied()?, before.positions.get(*old).copied()?))
            });
            own.rounds.resume(&other.rounds, &places.collect::<Vec<_>>());
        }
    }

    /// The next server for a request without a session; `None` when no live one is left. The request has entered it
    /// then, and must leave by [`Group::finished`].
    pub fn next(&self, progress: &mut Progress, ask: &Ask<'_>) -> Option<usize> {
        loop {
            let index = match self.is_single() {
                // Alone, a server is never left out for its failures: there is no other.
                true => self
                    .primary
                    .indices
                    .first()
                    .copied()
                    .filter(|index| !ask.tried.contains(*index) && self.takes_clients(*index)),
                false => self.choose(progress, ask, false).or_else(|| self.choose(progress, ask, true)),
            }?;
            progress.last = Some(index);
            let (server, peer) = self.servers.get(index)?;
            // Another worker may have taken the last place, and then the server is full for the next look.
            if peer.enter(server) {
                peer.chosen(server, seconds(ask.now));
                self.launched(peer, ask.now);
                return Some(index);
            }
        }
    }

    fn choose(&self, progress: &mut Progress, ask: &Ask<'_>, backup: bool) -> Option<usize> {
        let tier = if backup { &self.backup } else { &self.primary };
        if tier.indices.is_empty() {
            return None;
        }
        let position = self.by_method(progress, ask, backup).or_else(|| self.by_turns(progress, ask, backup))?;
        tier.indices.get(position).copied()
    }

    fn by_method(&self, progress: &mut Progress, ask: &Ask<'_>, backup: bool) -> Option<usize> {
        let Progress { primary, backup: backups, random, .. } = progress;
        let (tier, own) = if backup { (&self.backup, backups) } else { (&self.primary, primary) };
        let view = View { group: self, tier, ask };
        match self.method {
            Method::RoundRobin => None,
            Method::AddressHash => hash::by_address(ask.key, &view),
            Method::Hash | Method::Ketama if ask.key.is_empty() => None,
            Method::Hash => hash::by_key(ask.key, &view),
            Method::Ketama => tier.ring.as_ref()?.next_clockwise(ask.key, &view, &mut own.walk),
            Method::Consistent => tier.ring.as_ref()?.nearest(ask.key, &view),
            Method::LeastConn => least::least(&view, &mut own.walk, |position| view.connections(position).into()),
            Method::LeastTime { until, inflight } => {
                if inflight {
                    let peers = tier.indices.iter().filter_map(|index| self.peer(*index));
                    peers.for_each(|peer| peer.times.look(ask.now));
                }
                least::least(&view, &mut own.walk, |position| view.estimate(position, until))
            }
            Method::Random => random::one(&view, random),
            Method::RandomTwo => random::two(&view, random),
            Method::Vnswrr => interleaved::vnswrr(&view, &mut own.rotation, random),
            Method::Iwrr => interleaved::iwrr(&view, &mut own.rounds, random),
        }
    }

    /// The round robin: the method itself, or what is left to it.
    fn by_turns(&self, progress: &mut Progress, ask: &Ask<'_>, backup: bool) -> Option<usize> {
        if matches!(self.method, Method::Vnswrr | Method::Iwrr | Method::LeastConn | Method::LeastTime { .. }) {
            return None;
        }
        self.look_again(progress, ask.now);
        let (tier, own) =
            if backup { (&self.backup, &mut progress.backup) } else { (&self.primary, &mut progress.primary) };
        let tried = ask.tried.iter().filter(|index| self.is_backup(*index) == backup);
        let tried = tried.filter_map(|index| self.positions.get(index).copied());
        let usable = |position: usize| tier.indices.get(position).is_some_and(|index| self.is_usable(*index, ask.now));
        own.rotation.next(tried, usable)
    }

    /// How many servers there are that a request has not been sent to, those that are down aside.
    pub fn others(&self, tried: &Tried) -> usize {
        let tried = tried.iter().filter(|index| self.server(*index).is_some_and(|server| !server.down)).count();
        self.up.saturating_sub(tried)
    }

    /// Whether a client with a session may go to its server. Failure marks and `down` are not asked: sessions stay
    /// (compatibility: C7.7, C7.10). With [`Choice::Usable`] the request has entered the server, and must leave by
    /// [`Group::finished`].
    pub fn visit(&self, index: usize, tried: &Tried, now: i64) -> Choice {
        match self.servers.get(index) {
            _ if tried.contains(index) => Choice::Tried,
            Some((_, peer)) if !peer.is_alive() => Choice::Dead,
            Some((server, peer)) if peer.enter(server) => {
                self.launched(peer, now);
                Choice::Usable
            }
            _ => Choice::Full,
        }
    }

    /// The request enters the server that it has just left, with another connection.
    pub fn visit_again(&self, index: usize, now: i64) {
        if let Some(peer) = self.peer(index) {
            peer.enter_again();
            self.launched(peer, now);
        }
    }

    /// A request has entered the server: for `inflight`.
    fn launched(&self, peer: &Peer, now: i64) {
        if let Method::LeastTime { inflight: true, .. } = self.method {
            peer.times.launched(now);
        }
    }

    /// A request to the server failed. `true` when the server is out for a while with that.
    pub fn failed(&self, progress: &mut Progress, index: usize, now: i64) -> bool {
        let Some((server, peer)) = self.servers.get(index) else { return false };
        if self.is_single() {
            return false;
        }
        let disabled = peer.failed(server, seconds(now));
        if let Some((own, position)) = self.place(progress, index)
            && self.method != Method::Vnswrr
        {
            own.walk.failed(position, server.max_fails);
            own.rotation.failed(position, server.max_fails);
            own.rotation.look_at(position, self.is_usable(index, now));
        }
        disabled
    }

    /// A request to the server succeeded.
    pub fn succeeded(&self, index: usize, now: i64) {
        if self.servers.get(index).is_some_and(|(server, peer)| peer.succeeded(server, now)) {
            self.returned();
        }
    }

    /// A request has left the server, whatever came of it.
    pub fn finished(&self, index: usize) {
        let Some((server, peer)) = self.servers.get(index) else { return };
        if peer.finished(server) {
            self.returned();
        }
    }

    /// The head of an answer has come, `took` milliseconds after the request went out. `true` when the method waits for
    /// no more.
    pub fn answered(&self, index: usize, took: u64, now: i64) -> bool {
        let (Method::LeastTime { until: Until::Header, inflight: true }, Some(peer)) = (self.method, self.peer(index))
        else {
            return false;
        };
        peer.times.answered(took);
        peer.times.landed(took, now);
        true
    }

    /// A request that was answered has its answer whole; the times are in milliseconds.
    pub fn completed(&self, index: usize, header: u64, whole: u64, now: i64) {
        let (Method::LeastTime { until, inflight }, Some(peer)) = (self.method, self.peer(index)) else { return };
        peer.times.completed(whole);
        match (until, inflight) {
            (Until::Header, true) => {}
            (Until::LastByte, true) => {
                peer.times.answered(header);
                peer.times.landed(whole, now);
            }
            (_, false) => peer.times.answered(header),
        }
    }

    /// A request ends, after `took`, without what `inflight` waits for.
    pub fn given_up(&self, index: usize, took: u64, now: i64) {
        if let (Method::LeastTime { inflight: true, .. }, Some(peer)) = (self.method, self.peer(index)) {
            peer.times.landed(took, now);
        }
    }

    /// A server that could not be asked may be able to answer again: workers look at those that they passed over.
    pub fn returned(&self) {
        self.returns.fetch_add(1, Ordering::Relaxed);
    }

    /// All servers are looked at once a second, as times are in seconds; those that were passed over also when
    /// something happened to one of them.
    fn look_again(&self, progress: &mut Progress, now: i64) {
        if let Some(last) = progress.last.take()
            && let Some((own, position)) = self.place(progress, last)
        {
            own.rotation.look_at(position, self.is_usable(last, now));
        }
        let returns = self.returns.load(Ordering::Relaxed);
        if progress.looked == seconds(now) && progress.returns == returns {
            return;
        }
        let all = progress.looked != seconds(now);
        for index in self.warming.iter().filter(|_| all) {
            if let (Some((server, peer)), Some((own, position))) =
                (self.servers.get(*index), self.place(progress, *index))
            {
                own.rotation.warm(position, peer.warmth(server, now));
            }
        }
        (progress.looked, progress.returns) = (seconds(now), returns);
        for (own, tier) in [(&mut progress.primary, &self.primary), (&mut progress.backup, &self.backup)] {
            let usable = |position: usize| tier.indices.get(position).is_some_and(|index| self.is_usable(*index, now));
            if all {
                (0..tier.indices.len()).for_each(|position| own.rotation.look_at(position, usable(position)));
            } else {
                own.rotation.look_at_those_out(usable);
            }
        }
    }

    fn place<'a>(&self, progress: &'a mut Progress, index: usize) -> Option<(&'a mut TierProgress, usize)> {
        let position = self.positions.get(index).copied()?;
        Some((if self.is_backup(index) { &mut progress.backup } else { &mut progress.primary }, position))
    }

    fn is_backup(&self, index: usize) -> bool {
        self.server(index).is_some_and(|server| server.backup)
    }

    fn is_single(&self) -> bool {
        self.primary.indices.len() == 1 && self.backup.indices.is_empty()
    }

    fn takes_clients(&self, index: usize) -> bool {
        self.servers.get(index).is_some_and(|(server, peer)| !server.down && peer.is_alive() && !peer.is_full(server))
    }

    pub(crate) fn is_usable(&self, index: usize, now: i64) -> bool {
        let failing = |(server, peer): &(Server, Arc<Peer>)| peer.is_failing(server, seconds(now));
        self.takes_clients(index) && self.servers.get(index).is_some_and(|pair| !failing(pair))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(servers: &[Server]) -> Group {
        Group::new(Method::RoundRobin, servers.iter().map(|server| (server.clone(), Arc::default())).collect())
    }

    fn plain() -> Server {
        Server::default()
    }

    fn backup() -> Server {
        Server { backup: true, ..plain() }
    }

    fn down() -> Server {
        Server { down: true, ..plain() }
    }

    /// The next server at a time in seconds.
    fn next(group: &Group, progress: &mut Progress, tried: &Tried, now: i64) -> Option<usize> {
        group.next(progress, &Ask { key: b"", tried, now: now * 1000 })
    }

    fn take(group: &Group, progress: &mut Progress, count: usize) -> Vec<Option<usize>> {
        (0..count).map(|_| next(group, progress, &Tried::default(), 0)).collect()
    }

    #[test]
    fn servers_that_are_down_get_no_new_clients() {
        let group = group(&[plain(), down(), plain()]);
        assert_eq!(take(&group, &mut group.progress(0), 4), [Some(0), Some(2), Some(0), Some(2)]);
        assert_eq!(group.visit(1, &Tried::default(), 0), Choice::Usable);
    }

    #[test]
    fn those_who_stay_keep_their_turn_over_a_change_of_servers() {
        for method in [Method::RoundRobin, Method::LeastConn, Method::Iwrr] {
            let peers: Vec<Arc<Peer>> = (0..5).map(|_| Arc::default()).collect();
            let of = |places: &[usize]| {
                Group::new(method, places.iter().map(|place| (plain(), Arc::clone(&peers[*place]))).collect())
            };
            let before = of(&[0, 1, 2, 3]);
            let mut old = before.progress(0);
            let chosen = take(&before, &mut old, 2);
            chosen.iter().flatten().for_each(|index| before.finished(*index));
            // The same again, in other orders: who begins anew begins with the same servers in one of them at least.
            for places in [[3, 2, 1, 0], [1, 0, 3, 2], [0, 1, 2, 3], [2, 3, 0, 1]] {
                let after = of(&places);
                let mut progress = after.progress(1);
                after.resume(&mut progress, &before, &old, &after.kept_of(&before));
                let next = take(&after, &mut progress, 2);
                next.iter().flatten().for_each(|index| after.finished(*index));
                let next = next.iter().map(|index| index.map(|index| places[index]));
                let mut all: Vec<Option<usize>> = next.chain(chosen.iter().copied()).collect();
                all.sort();
                assert_eq!(all, [Some(0), Some(1), Some(2), Some(3)], "{method:?} {places:?}");
            }
            // And with one more.
            let more = of(&[3, 2, 1, 0, 4]);
            let mut progress = more.progress(2);
            more.resume(&mut progress, &before, &old, &more.kept_of(&before));
            assert!(take(&more, &mut progress, 5).contains(&Some(4)), "{method:?}");
        }
    }

    #[test]
    fn workers_may_begin_at_different_places() {
        let group = group(&[plain(), plain(), plain(), plain()]);
        let firsts = (0..4).map(|worker| {
            let mut progress = group.progress(0);
            group.advance(&mut progress, worker);
            take(&group, &mut progress, 1)[0]
        });
        assert_eq!(firsts.collect::<Vec<_>>(), [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn backups_are_used_when_no_other_server_is_left() {
        let group = group(&[plain(), backup()]);
        let mut progress = group.progress(0);
        assert_eq!(next(&group, &mut progress, &Tried::default(), 0), Some(0));
        let mut tried = Tried::default();
        tried.add(0);
        assert_eq!(next(&group, &mut progress, &tried, 0), Some(1));
        tried.add(1);
        assert_eq!(next(&group, &mut progress, &tried, 0), None);
    }

    #[test]
    fn a_request_never_gets_the_same_server_twice() {
        let group = group(&[plain(), plain(), plain()]);
        let (mut progress, mut tried) = (group.progress(0), Tried::default());
        let mut seen = Vec::new();
        while let Some(index) = next(&group, &mut progress, &tried, 0) {
            tried.add(index);
            seen.push(index);
        }
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn a_failed_server_is_left_out_for_its_time_but_sessions_still_reach_it() {
        let group = group(&[plain(), plain()]);
        let mut progress = group.progress(0);
        assert!(group.failed(&mut progress, 0, 100_000));
        let next = |progress: &mut Progress, now| next(&group, progress, &Tried::default(), now);
        assert_eq!([next(&mut progress, 100), next(&mut progress, 110)], [Some(1), Some(1)]);
        assert_eq!(group.visit(0, &Tried::default(), 0), Choice::Usable);
        assert!([next(&mut progress, 111), next(&mut progress, 111)].contains(&Some(0)));
    }

    #[test]
    fn a_server_that_is_alone_is_never_left_out_for_failures() {
        let group = group(&[plain()]);
        let mut progress = group.progress(0);
        assert!(!group.failed(&mut progress, 0, 100_000));
        assert_eq!(next(&group, &mut progress, &Tried::default(), 100), Some(0));
    }

    #[test]
    fn a_server_with_slow_start_comes_back_by_and_by() {
        for method in [Method::RoundRobin, Method::LeastConn] {
            let slow = Server { slow_start: 100_000, ..plain() };
            let group = Group::new(method, [slow, plain()].map(|server| (server, Arc::default())).into());
            let mut progress = group.progress(0);
            let mut share = |seconds: i64| {
                let choices = (0..100).filter_map(|_| next(&group, &mut progress, &Tried::default(), seconds));
                choices.inspect(|index| group.finished(*index)).filter(|index| *index == 0).count()
            };
            assert_eq!(share(1000), 50);
            let peer = group.peer(0).unwrap();
            peer.begin_checks(false);
            assert!(peer.probed(false, 1, 1, 1_000_000) && peer.probed(true, 1, 1, 2_000_000));
            let shares = [share(2000), share(2025), share(2100)];
            assert_eq!(shares, [0, 20, 50], "{method:?}");
        }
    }

    #[test]
    fn max_conns_counts_visits_and_choices_alike() {
        let group = group(&[Server { max_conns: 1, ..plain() }, plain()]);
        assert_eq!(group.visit(0, &Tried::default(), 0), Choice::Usable);
        assert_eq!(group.visit(0, &Tried::default(), 0), Choice::Full);
        assert_eq!(take(&group, &mut group.progress(0), 2), [Some(1), Some(1)]);
        group.finished(0);
        assert_eq!(group.visit(0, &Tried::default(), 0), Choice::Usable);
    }

    #[test]
    fn backups_keep_their_turn_over_a_change_of_servers_too() {
        for method in [Method::RoundRobin, Method::LeastConn, Method::Iwrr] {
            let servers = [plain(), plain(), backup(), backup()].map(|server| (server, Arc::default()));
            let before = Group::new(method, servers.to_vec());
            let after = Group::new(method, [2, 3, 0, 1].map(|place: usize| servers[place].clone()).to_vec());
            let choose = |group: &Group, progress: &mut Progress, tried: [usize; 2]| {
                let mut been = Tried::default();
                tried.into_iter().for_each(|index| been.add(index));
                let index = next(group, progress, &been, 0).unwrap();
                group.finished(index);
                index
            };
            for seed in 0..4 {
                let mut old = before.progress(0);
                let chosen = choose(&before, &mut old, [0, 1]);
                let mut progress = after.progress(seed);
                after.resume(&mut progress, &before, &old, &after.kept_of(&before));
                let mut all = [chosen, choose(&after, &mut progress, [2, 3]) + 2];
                all.sort();
                assert_eq!(all, [2, 3], "{method:?} {seed}");
            }
        }
    }

    #[test]
    fn a_change_to_or_from_iwrr_leaves_nobody_out() {
        let peers: [Arc<Peer>; 8] = Default::default();
        let of = |method| Group::new(method, peers.iter().map(|peer| (plain(), Arc::clone(peer))).collect());
        for (before, after) in [(Method::RoundRobin, Method::Iwrr), (Method::Iwrr, Method::RoundRobin)] {
            let (before, after) = (of(before), of(after));
            let (old, mut progress) = (before.progress(0), after.progress(0));
            after.resume(&mut progress, &before, &old, &after.kept_of(&before));
            let mut round = take(&after, &mut progress, 8);
            round.sort();
            assert_eq!(round, [0, 1, 2, 3, 4, 5, 6, 7].map(Some), "{:?}", after.method());
        }
    }

    #[test]
    fn a_group_knows_its_servers_and_its_method() {
        let empty = Group::new(Method::Iwrr, Vec::new());
        assert_eq!((empty.len(), empty.is_empty(), empty.method()), (0, true, Method::Iwrr));
        let group = group(&[plain(), down(), backup()]);
        assert_eq!((group.len(), group.is_empty(), group.method()), (3, false, Method::RoundRobin));
    }

    #[test]
    fn the_servers_kept_are_those_that_share_their_peers() {
        let peers: [Arc<Peer>; 4] = Default::default();
        let of = |places: &[usize]| {
            Group::new(Method::RoundRobin, places.iter().map(|place| (plain(), Arc::clone(&peers[*place]))).collect())
        };
        assert_eq!(of(&[3, 0, 2]).kept_of(&of(&[0, 1, 2])), [(1, 0), (2, 2)]);
    }

    #[test]
    fn others_are_those_that_are_neither_down_nor_tried() {
        let (group, mut tried) = (group(&[plain(), plain(), down(), backup()]), Tried::default());
        assert_eq!(group.others(&tried), 3);
        // A session may lead to a server that is down.
        for (index, others) in [(2, 3), (0, 2), (3, 1), (1, 0)] {
            tried.add(index);
            assert_eq!(group.others(&tried), others, "{index}");
        }
    }

    #[test]
    fn a_server_that_is_alone_is_not_asked_where_it_cant_be() {
        let mut tried = Tried::default();
        tried.add(0);
        let alone = |server: Server| (group(&[server]), Tried::default());
        let full = alone(Server { max_conns: 1, ..plain() });
        assert_eq!(full.0.visit(0, &full.1, 0), Choice::Usable);
        let dead = alone(plain());
        dead.0.peer(0).unwrap().begin_checks(true);
        for (group, tried) in [(group(&[plain()]), tried), alone(down()), dead, full] {
            assert_eq!(next(&group, &mut group.progress(0), &tried, 0), None);
        }
    }

    #[test]
    fn a_session_does_not_reach_its_server_where_that_was_tried_or_is_dead() {
        let (group, mut tried) = (group(&[plain(), plain(), plain()]), Tried::default());
        tried.add(0);
        group.peer(1).unwrap().begin_checks(true);
        let choices = [0, 1, 2].map(|index| group.visit(index, &tried, 0));
        assert_eq!(choices, [Choice::Tried, Choice::Dead, Choice::Usable]);
        assert_eq!([0, 1, 2].map(|index| group.peer(index).unwrap().connections()), [0, 0, 1]);
        group.visit_again(2, 0);
        assert_eq!(group.peer(2).unwrap().connections(), 2);
    }

    #[test]
    fn a_key_that_is_empty_leaves_the_choice_to_the_round_robin() {
        for method in [Method::Hash, Method::Ketama] {
            let group = Group::new(method, (0..4).map(|_| Default::default()).collect());
            assert_eq!(take(&group, &mut group.progress(0), 4), [0, 1, 2, 3].map(Some), "{method:?}");
        }
    }

    /// A group whose first server could not be asked, was passed over at a second, and can be asked again in that second.
    fn is_asked_again(
        server: Server,
        keep_away: impl Fn(&Group, &mut Progress),
        release: impl Fn(&Group),
    ) -> [bool; 3] {
        let group = group(&[server, plain()]);
        let mut progress = group.progress(0);
        keep_away(&group, &mut progress);
        let mut is_asked = || {
            let choices = [(); 4].map(|()| next(&group, &mut progress, &Tried::default(), 111));
            choices.contains(&Some(0))
        };
        let before = is_asked();
        release(&group);
        [before, is_asked(), is_asked()]
    }

    #[test]
    fn a_server_that_can_be_asked_again_is_so_within_the_second() {
        let full = Server { max_conns: 1, ..plain() };
        let fill = |group: &Group, _: &mut Progress| assert_eq!(group.visit(0, &Tried::default(), 0), Choice::Usable);
        // It is full again with the request that it gets then.
        assert_eq!(is_asked_again(full, fill, |group| group.finished(0)), [false, true, false]);
        let fail = |group: &Group, progress: &mut Progress| {
            assert!(group.failed(progress, 0, 100_000));
            let mut chosen = || next(group, progress, &Tried::default(), 111);
            assert!([chosen(), chosen()].contains(&Some(0)), "the request that it shall show itself with");
        };
        assert_eq!(is_asked_again(plain(), fail, |group| group.succeeded(0, 111_000)), [false, true, true]);
        let lose = |group: &Group, _: &mut Progress| group.peer(0).unwrap().set_lost(true);
        let find = |group: &Group| {
            group.peer(0).unwrap().set_lost(false);
            group.returned();
        };
        assert_eq!(is_asked_again(plain(), lose, find), [false, true, true]);
    }

    const TIMED: [(Until, bool); 4] =
        [(Until::Header, false), (Until::Header, true), (Until::LastByte, false), (Until::LastByte, true)];

    fn timed(until: Until, inflight: bool) -> Group {
        Group::new(Method::LeastTime { until, inflight }, (0..2).map(|_| Default::default()).collect())
    }

    /// What the times of the first server are taken for: its header's, its last byte's.
    fn estimates(group: &Group) -> [u64; 2] {
        [Until::Header, Until::LastByte].map(|until| group.peer(0).unwrap().times.estimate(until, 0, 10, 0))
    }

    #[test]
    fn the_times_of_an_answer_are_learned_when_the_method_has_waited_for_it() {
        for (until, inflight) in TIMED {
            let group = timed(until, inflight);
            assert_eq!(group.visit(0, &Tried::default(), 0), Choice::Usable);
            let is_over = (until, inflight) == (Until::Header, true);
            assert_eq!(group.answered(0, 100, 100), is_over, "{until:?} {inflight}");
            assert_eq!(estimates(&group), [if is_over { 120 } else { 20 }, 20], "{until:?} {inflight}");
            group.completed(0, 100, 300, 300);
            assert_eq!(estimates(&group), [120, 320], "{until:?} {inflight}");
        }
        let other = group(&[plain(), plain()]);
        assert!(!other.answered(0, 100, 100));
        other.completed(0, 100, 300, 300);
        assert_eq!(estimates(&other), [20, 20]);
    }

    #[test]
    fn requests_count_for_inflight_from_their_choice_until_what_is_waited_for() {
        type Event = fn(&Group);
        let answered = |group: &Group| {
            group.answered(0, 0, 0);
        };
        let ends: [(Event, [bool; 4]); 4] = [
            (|_| {}, [false, true, false, true]),
            (answered, [false, false, false, true]),
            (|group| group.completed(0, 0, 0, 0), [false, true, false, false]),
            (|group| group.given_up(0, 0, 0), [false; 4]),
        ];
        let begins: [Event; 3] = [
            |group| assert_eq!(next(group, &mut group.progress(0), &Tried::default(), 0), Some(0)),
            |group| assert_eq!(group.visit(0, &Tried::default(), 0), Choice::Usable),
            |group| group.visit_again(0, 0),
        ];
        for begin in begins {
            for (end, expected) in ends {
                let flies = TIMED.map(|(until, inflight)| {
                    let group = timed(until, inflight);
                    begin(&group);
                    end(&group);
                    group.peer(0).unwrap().times.look(1000);
                    estimates(&group)[0] > 1000
                });
                assert_eq!(flies, expected);
            }
        }
    }

    #[test]
    fn the_server_that_answers_sooner_is_next() {
        for (until, inflight) in TIMED {
            let (group, tried) = (timed(until, inflight), Tried::default());
            // The first server is sooner with its header, the other one with the last byte.
            for (index, header, whole) in [(0, 100, 900), (1, 300, 500)] {
                assert_eq!(group.visit(index, &tried, 0), Choice::Usable);
                group.answered(index, header, 0);
                group.completed(index, header, whole, 0);
                group.finished(index);
            }
            let mut progress = group.progress(0);
            let expected = if until == Until::Header { 0 } else { 1 };
            for _ in 0..3 {
                assert_eq!(next(&group, &mut progress, &tried, 0), Some(expected), "{until:?} {inflight}");
                group.given_up(expected, 0, 0);
                group.finished(expected);
            }
        }
    }
}
