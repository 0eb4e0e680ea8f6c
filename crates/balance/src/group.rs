//! The peers of an upstream, primary and backup.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::peer::{Peer, Server};
use crate::round_robin::Rotation;

/// The servers of an upstream in the order of the file, backups among them.
#[derive(Debug)]
pub struct Group {
    servers: Vec<(Server, Arc<Peer>)>,
    primary: Vec<usize>,
    backup: Vec<usize>,
    /// Each server's place in its tier.
    positions: Vec<usize>,
    /// Grows when a server that was unusable may be usable again, for workers to look at those that they passed over.
    returns: AtomicU64,
}

/// Where one worker stands in going round the servers of a group.
#[derive(Debug)]
pub struct Rotations {
    primary: Rotation,
    backup: Rotation,
    /// The choice before: it may have filled its server.
    last: Option<usize>,
    /// When all servers were last looked at, in seconds.
    looked: i64,
    returns: u64,
}

/// The servers that one request has been sent to.
#[derive(Debug, Clone, Default)]
pub struct Tried(Vec<u32>);

impl Tried {
    pub fn add(&mut self, index: usize) {
        self.0.push(index as u32);
    }

    pub fn contains(&self, index: usize) -> bool {
        self.0.contains(&(index as u32))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.0.iter().map(|index| *index as usize)
    }
}

/// What came of asking for a server by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Usable,
    /// It has `max_conns` connections.
    Full,
    /// This request has been there.
    Tried,
}

impl Group {
    pub fn new(servers: Vec<(Server, Arc<Peer>)>) -> Self {
        let (mut primary, mut backup, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (server, _)) in servers.iter().enumerate() {
            let tier = if server.backup { &mut backup } else { &mut primary };
            positions.push(tier.len());
            tier.push(index);
        }
        Group { servers, primary, backup, positions, returns: AtomicU64::new(0) }
    }

    pub fn len(&self) -> usize {
        self.servers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    pub fn server(&self, index: usize) -> Option<&Server> {
        self.servers.get(index).map(|(server, _)| server)
    }

    pub fn peer(&self, index: usize) -> Option<&Arc<Peer>> {
        self.servers.get(index).map(|(_, peer)| peer)
    }

    /// The beginning of going round, for one worker.
    pub fn rotations(&self) -> Rotations {
        let rotation = |tier: &[usize]| {
            Rotation::new(tier.iter().filter_map(|index| self.server(*index)).map(|server| server.weight))
        };
        let (primary, backup) = (rotation(&self.primary), rotation(&self.backup));
        Rotations { primary, backup, last: None, looked: i64::MIN, returns: 0 }
    }

    /// The next server for a request without a session, at `now` in seconds; `None` when no live one is left.
    pub fn next(&self, rotations: &mut Rotations, tried: &Tried, now: i64) -> Option<usize> {
        let index = if self.is_single() {
            // Alone, a server is never left out for its failures: there is no other.
            self.primary.first().copied().filter(|index| !tried.contains(*index) && self.takes_clients(*index))
        } else {
            self.look_again(rotations, now);
            let Rotations { primary, backup, .. } = rotations;
            [(primary, &self.primary, false), (backup, &self.backup, true)].into_iter().find_map(
                |(rotation, tier, is_backup)| {
                    let tried = tried.iter().filter(|index| self.is_backup(*index) == is_backup);
                    let tried = tried.filter_map(|index| self.positions.get(index).copied());
                    let usable = |position: usize| tier.get(position).is_some_and(|index| self.is_usable(*index, now));
                    tier.get(rotation.next(tried, usable)?).copied()
                },
            )
        }?;
        rotations.last = Some(index);
        let (server, peer) = self.servers.get(index)?;
        peer.chosen(server, now);
        Some(index)
    }

    /// Whether a client with a session may go to its server. Failure marks and `down` are not asked: sessions stay
    /// (compatibility: C7.7, C7.10).
    pub fn visit(&self, index: usize, tried: &Tried) -> Choice {
        match self.servers.get(index) {
            _ if tried.contains(index) => Choice::Tried,
            Some((server, peer)) if peer.is_full(server) => Choice::Full,
            _ => Choice::Usable,
        }
    }

    /// A request to the server failed at `now`. `true` when that takes the server out for a while.
    pub fn failed(&self, rotations: &mut Rotations, index: usize, now: i64) -> bool {
        let Some((server, peer)) = self.servers.get(index) else { return false };
        if self.is_single() {
            return false;
        }
        let disabled = peer.failed(server, now);
        if let Some((rotation, position)) = self.place(rotations, index) {
            rotation.failed(position, server.max_fails);
            rotation.look_at(position, self.is_usable(index, now));
        }
        disabled
    }

    /// A request to the server succeeded.
    pub fn succeeded(&self, index: usize) {
        if self.peer(index).is_some_and(|peer| peer.succeeded()) {
            self.returns.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request has left the server, whatever came of it.
    pub fn finished(&self, index: usize) {
        let Some((server, peer)) = self.servers.get(index) else { return };
        peer.finished();
        if server.max_conns != 0 {
            self.returns.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All servers are looked at once a second, as times are in seconds; those that were passed over also when
    /// something happened to one of them.
    fn look_again(&self, rotations: &mut Rotations, now: i64) {
        if let Some(last) = rotations.last.take()
            && let Some((rotation, position)) = self.place(rotations, last)
        {
            rotation.look_at(position, self.is_usable(last, now));
        }
        let returns = self.returns.load(Ordering::Relaxed);
        if rotations.looked == now && rotations.returns == returns {
            return;
        }
        let all = rotations.looked != now;
        (rotations.looked, rotations.returns) = (now, returns);
        for (rotation, tier) in [(&mut rotations.primary, &self.primary), (&mut rotations.backup, &self.backup)] {
            let usable = |position: usize| tier.get(position).is_some_and(|index| self.is_usable(*index, now));
            if all {
                (0..tier.len()).for_each(|position| rotation.look_at(position, usable(position)));
            } else {
                rotation.look_at_those_out(usable);
            }
        }
    }

    fn place<'a>(&self, rotations: &'a mut Rotations, index: usize) -> Option<(&'a mut Rotation, usize)> {
        let position = self.positions.get(index).copied()?;
        Some((if self.is_backup(index) { &mut rotations.backup } else { &mut rotations.primary }, position))
    }

    fn is_backup(&self, index: usize) -> bool {
        self.server(index).is_some_and(|server| server.backup)
    }

    fn is_single(&self) -> bool {
        self.primary.len() == 1 && self.backup.is_empty()
    }

    fn takes_clients(&self, index: usize) -> bool {
        self.servers.get(index).is_some_and(|(server, peer)| !server.down && !peer.is_full(server))
    }

    fn is_usable(&self, index: usize, now: i64) -> bool {
        self.takes_clients(index) && self.servers.get(index).is_some_and(|(server, peer)| !peer.is_failing(server, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(servers: &[Server]) -> Group {
        Group::new(servers.iter().map(|server| (server.clone(), Arc::default())).collect())
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

    fn take(group: &Group, rotation: &mut Rotations, count: usize) -> Vec<Option<usize>> {
        (0..count).map(|_| group.next(rotation, &Tried::default(), 0)).collect()
    }

    #[test]
    fn servers_that_are_down_get_no_new_clients() {
        let group = group(&[plain(), down(), plain()]);
        assert_eq!(take(&group, &mut group.rotations(), 4), [Some(0), Some(2), Some(0), Some(2)]);
        assert_eq!(group.visit(1, &Tried::default()), Choice::Usable);
    }

    #[test]
    fn backups_are_used_when_no_other_server_is_left() {
        let group = group(&[plain(), backup()]);
        let mut rotation = group.rotations();
        assert_eq!(group.next(&mut rotation, &Tried::default(), 0), Some(0));
        let mut tried = Tried::default();
        tried.add(0);
        assert_eq!(group.next(&mut rotation, &tried, 0), Some(1));
        tried.add(1);
        assert_eq!(group.next(&mut rotation, &tried, 0), None);
    }

    #[test]
    fn a_request_never_gets_the_same_server_twice() {
        let group = group(&[plain(), plain(), plain()]);
        let (mut rotation, mut tried) = (group.rotations(), Tried::default());
        let mut seen = Vec::new();
        while let Some(index) = group.next(&mut rotation, &tried, 0) {
            tried.add(index);
            seen.push(index);
        }
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn a_failed_server_is_left_out_for_its_time_but_sessions_still_reach_it() {
        let group = group(&[plain(), plain()]);
        let mut rotation = group.rotations();
        assert!(group.failed(&mut rotation, 0, 100));
        let next = |rotation: &mut Rotations, now| group.next(rotation, &Tried::default(), now);
        assert_eq!([next(&mut rotation, 100), next(&mut rotation, 110)], [Some(1), Some(1)]);
        assert_eq!(group.visit(0, &Tried::default()), Choice::Usable);
        assert!([next(&mut rotation, 111), next(&mut rotation, 111)].contains(&Some(0)));
    }

    #[test]
    fn a_server_that_is_alone_is_never_left_out_for_failures() {
        let group = group(&[plain()]);
        let mut rotation = group.rotations();
        assert!(!group.failed(&mut rotation, 0, 100));
        assert_eq!(group.next(&mut rotation, &Tried::default(), 100), Some(0));
    }

    #[test]
    fn max_conns_counts_visits_and_choices_alike() {
        let group = group(&[Server { max_conns: 1, ..plain() }, plain()]);
        group.peer(0).unwrap().started();
        assert_eq!(group.visit(0, &Tried::default()), Choice::Full);
        assert_eq!(take(&group, &mut group.rotations(), 2), [Some(1), Some(1)]);
        group.finished(0);
        assert_eq!(group.visit(0, &Tried::default()), Choice::Usable);
    }
}
