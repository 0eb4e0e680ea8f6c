//! The peers of an upstream, primary and backup.

use std::sync::Arc;

use crate::peer::{Peer, Server};
use crate::round_robin::Rotation;

/// The servers of an upstream in the order of the file, backups among them.
#[derive(Debug)]
pub struct Group {
    servers: Vec<(Server, Arc<Peer>)>,
    primary: Vec<usize>,
    backup: Vec<usize>,
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
        let indices = |backup: bool| {
            let of_kind = move |(_, (server, _)): &(usize, &(Server, Arc<Peer>))| server.backup == backup;
            servers.iter().enumerate().filter(of_kind).map(|(index, _)| index).collect()
        };
        let (primary, backup) = (indices(false), indices(true));
        Group { servers, primary, backup }
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

    /// A fresh [`Rotation`] for one worker.
    pub fn rotation(&self) -> Rotation {
        Rotation::new(self.servers.iter().map(|(server, _)| server.weight))
    }

    /// The next server for a request without a session, at `now` in seconds; `None` when no live one is left.
    pub fn next(&self, rotation: &mut Rotation, tried: &Tried, now: i64) -> Option<usize> {
        let index = if self.is_single() {
            // Alone, a server is never left out for its failures: there is no other.
            self.primary.iter().copied().find(|index| self.takes_clients(*index, tried))
        } else {
            [&self.primary, &self.backup].into_iter().find_map(|tier| {
                rotation.next(tier.iter().copied().filter(|index| {
                    self.takes_clients(*index, tried)
                        && self.servers.get(*index).is_some_and(|(server, peer)| !peer.is_failing(server, now))
                }))
            })
        }?;
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
    pub fn failed(&self, rotation: &mut Rotation, index: usize, now: i64) -> bool {
        let Some((server, peer)) = self.servers.get(index) else { return false };
        if self.is_single() {
            return false;
        }
        rotation.failed(index, server.max_fails);
        peer.failed(server, now)
    }

    fn is_single(&self) -> bool {
        self.primary.len() == 1 && self.backup.is_empty()
    }

    fn takes_clients(&self, index: usize, tried: &Tried) -> bool {
        self.servers
            .get(index)
            .is_some_and(|(server, peer)| !server.down && !peer.is_full(server) && !tried.contains(index))
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

    fn take(group: &Group, rotation: &mut Rotation, count: usize) -> Vec<Option<usize>> {
        (0..count).map(|_| group.next(rotation, &Tried::default(), 0)).collect()
    }

    #[test]
    fn servers_that_are_down_get_no_new_clients() {
        let group = group(&[plain(), down(), plain()]);
        assert_eq!(take(&group, &mut group.rotation(), 4), [Some(0), Some(2), Some(0), Some(2)]);
        assert_eq!(group.visit(1, &Tried::default()), Choice::Usable);
    }

    #[test]
    fn backups_are_used_when_no_other_server_is_left() {
        let group = group(&[plain(), backup()]);
        let mut rotation = group.rotation();
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
        let (mut rotation, mut tried) = (group.rotation(), Tried::default());
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
        let mut rotation = group.rotation();
        assert!(group.failed(&mut rotation, 0, 100));
        let next = |rotation: &mut Rotation, now| group.next(rotation, &Tried::default(), now);
        assert_eq!([next(&mut rotation, 100), next(&mut rotation, 110)], [Some(1), Some(1)]);
        assert_eq!(group.visit(0, &Tried::default()), Choice::Usable);
        assert!([next(&mut rotation, 111), next(&mut rotation, 111)].contains(&Some(0)));
    }

    #[test]
    fn a_server_that_is_alone_is_never_left_out_for_failures() {
        let group = group(&[plain()]);
        let mut rotation = group.rotation();
        assert!(!group.failed(&mut rotation, 0, 100));
        assert_eq!(group.next(&mut rotation, &Tried::default(), 100), Some(0));
    }

    #[test]
    fn max_conns_counts_visits_and_choices_alike() {
        let group = group(&[Server { max_conns: 1, ..plain() }, plain()]);
        group.peer(0).unwrap().started();
        assert_eq!(group.visit(0, &Tried::default()), Choice::Full);
        assert_eq!(take(&group, &mut group.rotation(), 2), [Some(1), Some(1)]);
        group.peer(0).unwrap().finished();
        assert_eq!(group.visit(0, &Tried::default()), Choice::Usable);
    }
}
