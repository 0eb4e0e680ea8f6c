//! Consistent hashing: servers own points on a ring, and a key belongs to the point that it meets.
//!
//! Two rings, as two modules make them: nginx's `hash KEY consistent` (which is ketama's, as
//! Cache::Memcached::Fast has it) and Tengine's `consistent_hash KEY`.

use crate::peer::Server;
use crate::tier::View;
use crate::walk::Walk;

/// Points for each unit of weight.
const POINTS: u64 = 160;
/// Points of Tengine's ring that one server may have.
const MOST_POINTS: u64 = 1 << 14;
/// Points that nginx's ring may have; weights that would make more are scaled down.
const MOST_IN_ALL: u64 = 1 << 23;
/// Points that may miss before the round robin takes over.
const MISSES: usize = 20;

/// Points in the order of their hashes.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    points: Vec<Point>,
    /// The servers that share points: one, or the addresses of a name.
    nodes: Vec<Vec<u32>>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    hash: u32,
    node: u32,
}

impl Ring {
    /// nginx's: 160 points for each unit of weight, made from the server as it is written. The addresses of one name
    /// share their points.
    pub(crate) fn ketama<'a>(servers: impl Iterator<Item = &'a Server> + Clone) -> Self {
        let all: u64 = servers.clone().map(|server| u64::from(server.weight) * POINTS).sum();
        let scale = all.div_ceil(MOST_IN_ALL).max(1);
        let mut ring = Ring { points: Vec::new(), nodes: Vec::new() };
        let mut known = std::collections::HashMap::new();
        for (position, server) in servers.enumerate() {
            let node = *known.entry(&server.text).or_insert(ring.nodes.len());
            match ring.nodes.get_mut(node) {
                Some(positions) => positions.push(position as u32),
                None => ring.nodes.push(vec![position as u32]),
            }
            let (host, port) = host_and_port(&server.text);
            let mut base = crc32fast::Hasher::new();
            base.update(host.as_bytes());
            base.update(b"\0");
            base.update(port.as_bytes());
            let mut hash = 0_u32;
            for _ in 0..(u64::from(server.weight) * POINTS / scale).max(1) {
                let mut crc = base.clone();
                crc.update(&hash.to_le_bytes());
                hash = crc.finalize();
                ring.points.push(Point { hash, node: node as u32 });
            }
        }
        ring.points.sort_by_key(|point| point.hash);
        ring.points.dedup_by_key(|point| point.hash);
        ring
    }

    /// Tengine's: points from the `id=` if it is a number, else from the server's address.
    pub(crate) fn tengine<'a>(servers: impl Iterator<Item = &'a Server> + Clone) -> Self {
        let points = |server: &Server| (u64::from(server.weight) * POINTS).min(MOST_POINTS);
        let scale = servers.clone().map(points).sum::<u64>().div_ceil(MOST_IN_ALL).max(1);
        let mut ring = Ring { points: Vec::new(), nodes: Vec::new() };
        for (position, server) in servers.enumerate() {
            ring.nodes.push(vec![position as u32]);
            let base = server.number.map_or_else(|| murmur2(server.name.as_bytes()), u32::from);
            for number in 0..(points(server) / scale).max(1) as u32 {
                let hash = murmur2(&base.wrapping_mul(4096).wrapping_add(number).to_le_bytes());
                ring.points.push(Point { hash, node: position as u32 });
            }
        }
        ring.points.sort_by_key(|point| point.hash);
        ring
    }

    /// From the key's point on, the first that has a server to ask.
    pub(crate) fn next_clockwise(&self, key: &[u8], view: &View<'_>, walk: &mut Walk) -> Option<usize> {
        let hash = crc32fast::hash(key);
        let begin = self.points.partition_point(|point| point.hash < hash);
        (begin..=begin + MISSES).find_map(|at| {
            let point = self.points.get(at % self.points.len())?;
            match self.nodes.get(point.node as usize)?.as_slice() {
                [only] => Some(*only as usize).filter(|position| view.is_usable(*position)),
                several => walk.next(
                    several
                        .iter()
                        .map(|position| *position as usize)
                        .filter(|at| view.is_usable(*at))
                        .map(|at| (at, view.weight(at))),
                ),
            }
        })
    }

    /// The key's point. If its server can't be asked, the next point behind it, or the first of the ring if that is nearer
    /// to the key. The ends of the ring don't meet, but for keys behind its last point.
    pub(crate) fn nearest(&self, key: &[u8], view: &View<'_>) -> Option<usize> {
        let hash = murmur2(key);
        let begin = self.points.partition_point(|point| point.hash < hash);
        let begin = if begin == self.points.len() { 0 } else { begin };
        let usable = |point: &Point| {
            let position = *self.nodes.get(point.node as usize)?.first()? as usize;
            view.is_usable(position).then_some((position, point.hash.abs_diff(hash)))
        };
        let (before, behind) = self.points.split_at_checked(begin)?;
        if let Some((position, _)) = behind.first().and_then(usable) {
            return Some(position);
        }
        let before = before.iter().find_map(usable);
        let behind = behind.iter().skip(1).find_map(usable);
        match (before, behind) {
            (Some((_, left)), Some((position, right))) if left > right => Some(position),
            (Some((position, _)), _) | (None, Some((position, _))) => Some(position),
            (None, None) => None,
        }
    }
}

/// What nginx takes for host and port: the digits behind the last colon, if that is how the text ends.
fn host_and_port(text: &str) -> (&str, &str) {
    if let Some(path) = text.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("unix:")).and_then(|_| text.get(5..))
    {
        return (path, "");
    }
    match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (text, ""),
    }
}

/// Austin Appleby's MurmurHash2 with the seed 0.
fn murmur2(text: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5bd1_e995;
    let (words, rest) = text.as_chunks::<4>();
    let mut hash = text.len() as u32;
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        word ^= word >> 24;
        hash = hash.wrapping_mul(FACTOR) ^ word.wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(FACTOR);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use pingora_ketama::{Bucket, Continuum};
    use proptest::prelude::*;

    use super::*;
    use crate::tier::tests::seen;

    #[test]
    fn a_port_is_the_digits_behind_the_last_colon() {
        for (text, expected) in [
            ("a:80", ("a", "80")),
            ("a", ("a", "")),
            ("[::1]:8080", ("[::1]", "8080")),
            ("[::1]", ("[::1]", "")),
            ("unix:/run/a:1", ("/run/a:1", "")),
            ("a:", ("a", "")),
        ] {
            assert_eq!(host_and_port(text), expected, "{text}");
        }
    }

    #[test]
    fn no_ring_is_larger_than_the_bound_and_nobody_is_left_out() {
        let servers: Vec<Server> = (0..600)
            .map(|n| Server {
                text: format!("a{n}:1").into(),
                name: format!("a{n}:1").into(),
                weight: 102,
                ..Server::default()
            })
            .collect();
        for ring in [Ring::ketama(servers.iter()), Ring::tengine(servers.iter())] {
            assert!(ring.points.len() as u64 <= MOST_IN_ALL);
            let mut present = vec![false; servers.len()];
            ring.points.iter().for_each(|point| present[point.node as usize] = true);
            assert!(present.into_iter().all(|present| present));
        }
    }

    proptest! {
        /// Pingora's ring is the same where it can express the servers: addresses with a port.
        #[test]
        fn the_ring_is_pingoras(weights in prop::collection::vec(1..4_u32, 1..8), keys in prop::collection::vec(".{1,12}", 50)) {
            let address = |n: usize| format!("10.0.0.{n}:{}", 8000 + n);
            let servers: Vec<Server> = weights.iter().enumerate().map(|(n, weight)| {
                Server { text: address(n).into(), weight: *weight, ..Server::default() }
            }).collect();
            let buckets: Vec<Bucket> = weights.iter().enumerate().map(|(n, weight)| {
                Bucket::new(address(n).parse().unwrap(), *weight)
            }).collect();
            let (ring, continuum) = (Ring::ketama(servers.iter()), Continuum::new(&buckets));
            for key in keys {
                let hash = crc32fast::hash(key.as_bytes());
                let at = ring.points.partition_point(|point| point.hash < hash) % ring.points.len();
                let node = ring.points[at].node as usize;
                prop_assert_eq!(Some(address(node).parse().unwrap()), continuum.node(key.as_bytes()));
            }
        }
    }
    /// Points with the servers that own them.
    fn ring(points: impl IntoIterator<Item = (u32, u32)>) -> Ring {
        let points = points.into_iter().map(|(hash, node)| Point { hash, node }).collect();
        Ring { points, nodes: (0..3).map(|node| vec![node]).collect() }
    }

    fn up_and_down(up: [bool; 3]) -> [Server; 3] {
        up.map(|up| Server { down: !up, ..Server::default() })
    }

    #[test]
    fn a_key_on_a_point_belongs_to_it() {
        let around = |hash: u32| ring([(hash - 1, 0), (hash, 1), (hash + 1, 2)]);
        seen(&up_and_down([true; 3]), |view| {
            let ketama = around(crc32fast::hash(b"key"));
            assert_eq!(ketama.next_clockwise(b"key", view, &mut Walk::default()), Some(1));
            assert_eq!(around(murmur2(b"key")).nearest(b"key", view), Some(1));
        });
    }

    #[test]
    fn a_key_that_misses_too_often_is_left_to_the_round_robin() {
        let begin = crc32fast::hash(b"key");
        seen(&up_and_down([false, true, false]), |view| {
            for (misses, expected) in [(MISSES, Some(1)), (MISSES + 1, None)] {
                let points = (0..100).map(|at| (begin + at, u32::from(at as usize == misses)));
                assert_eq!(ring(points).next_clockwise(b"key", view, &mut Walk::default()), expected, "{misses}");
            }
        });
    }

    #[test]
    fn keys_of_a_server_that_cant_be_asked_go_to_its_nearer_neighbour() {
        let hash = murmur2(b"key");
        seen(&up_and_down([true, false, true]), |view| {
            for (before, behind, expected) in [(5, 6, 0), (6, 5, 2), (5, 5, 0)] {
                let ring = ring([(hash - before, 0), (hash, 1), (hash + behind, 2)]);
                assert_eq!(ring.nearest(b"key", view), Some(expected), "{before} and {behind}");
            }
        });
    }
}
