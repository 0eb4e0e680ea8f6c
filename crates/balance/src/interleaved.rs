//! Tengine's `vnswrr` and `iwrr`: sequences of servers that are laid out in advance, so that a choice takes the next.
//!
//! Each worker begins at a place of its own, for many of them not to begin with the same server.

use std::collections::{HashMap, HashSet, VecDeque};

use fastrand::Rng;

use crate::round_robin::Rotation;
use crate::tier::View;

/// `vnswrr`: the order of the smooth weighted round robin, from which nobody ever drops out. Tengine keeps it in a list
/// as long as the sum of weights; the rotation makes it as it goes.
pub(crate) fn vnswrr(view: &View<'_>, rotation: &mut Rotation, random: &mut Rng) -> Option<usize> {
    sequence(view, || rotation.next(std::iter::empty(), |_| true), random)
}

/// Where a worker begins in it.
pub(crate) fn begin_vnswrr(rotation: &mut Rotation, servers: usize, random: &mut Rng) {
    for _ in 0..=random.usize(..servers.max(1)) {
        rotation.next(std::iter::empty(), |_| true);
    }
}

/// `iwrr`: rounds in which each server has a turn, until its weight is used up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds {
    active: VecDeque<Turn>,
    expired: VecDeque<Turn>,
}

#[derive(Debug, Clone)]
struct Turn {
    position: usize,
    weight: u32,
    left: u32,
}

impl Rounds {
    pub(crate) fn new(weights: impl Iterator<Item = u32> + Clone, random: &mut Rng) -> Self {
        let divisor = weights.clone().fold(0, gcd).max(1);
        let turn = |(position, weight)| Turn { position, weight: weight / divisor, left: weight / divisor };
        let active: VecDeque<Turn> = weights.enumerate().map(turn).collect();
        let begin = random.usize(..active.len().max(1));
        let mut rounds = Rounds { active, expired: VecDeque::new() };
        for _ in 0..begin {
            rounds.step();
        }
        rounds
    }

    /// Goes on where other rounds had come. `places` are the positions here and there of the servers that both have; the others
    /// take their turns after them.
    pub(crate) fn resume(&mut self, other: &Rounds, places: &[(usize, usize)]) {
        let own: Vec<Turn> = self.active.drain(..).chain(self.expired.drain(..)).collect();
        let weights: HashMap<usize, u32> = own.iter().map(|turn| (turn.position, turn.weight)).collect();
        let from: HashMap<usize, usize> = places.iter().map(|(here, there)| (*there, *here)).collect();
        let kept: HashSet<usize> = places.iter().map(|(here, _)| *here).collect();
        let here = |turn: &Turn| {
            let position = *from.get(&turn.position)?;
            Some((position, *weights.get(&position)?))
        };
        for turn in &other.active {
            if let Some((position, weight)) = here(turn) {
                self.active.push_back(Turn { position, weight, left: turn.left.clamp(1, weight.max(1)) });
            }
        }
        for turn in &other.expired {
            if let Some((position, weight)) = here(turn) {
                self.expired.push_back(Turn { position, weight, left: weight });
            }
        }
        let is_new = |turn: &Turn| !kept.contains(&turn.position);
        self.active
            .extend(own.iter().filter(|turn| is_new(turn)).map(|turn| Turn { left: turn.weight, ..turn.clone() }));
    }

    fn step(&mut self) -> Option<usize> {
        if self.active.is_empty() {
            std::mem::swap(&mut self.active, &mut self.expired);
        }
        let mut turn = self.active.pop_front()?;
        let position = turn.position;
        turn.left = turn.left.saturating_sub(1);
        if turn.left > 0 {
            self.active.push_back(turn);
        } else {
            turn.left = turn.weight;
            self.expired.push_back(turn);
        }
        Some(position)
    }
}

pub(crate) fn iwrr(view: &View<'_>, rounds: &mut Rounds, random: &mut Rng) -> Option<usize> {
    sequence(view, || rounds.step(), random)
}

/// The next in the sequence that can be asked. Where heavy servers that can't be fill it, one of those that can: the first
/// from a random place on.
fn sequence(view: &View<'_>, mut step: impl FnMut() -> Option<usize>, random: &mut Rng) -> Option<usize> {
    let next = (0..view.len()).find_map(|_| step().filter(|position| view.is_usable(*position)));
    next.or_else(|| {
        let begin = random.usize(..view.len().max(1));
        (begin..view.len()).chain(0..begin).find(|position| view.is_usable(*position))
    })
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of servers with these weights, so many steps after the beginning.
    fn rounds(weights: &[u32], stepped: usize) -> Rounds {
        let mut rounds = Rounds::new(weights.iter().copied(), &mut Rng::with_seed(0));
        steps(&mut rounds, stepped);
        rounds
    }

    fn steps(rounds: &mut Rounds, count: usize) -> Vec<usize> {
        (0..count).filter_map(|_| rounds.step()).collect()
    }

    #[test]
    fn rounds_go_on_where_others_had_come() {
        for stepped in 0..12 {
            let mut before = rounds(&[3, 2, 1], stepped);
            let mut after = rounds(&[1, 2, 3], 0);
            after.resume(&before, &[(2, 0), (1, 1), (0, 2)]);
            let places = steps(&mut after, 12).into_iter().map(|position| 2 - position);
            assert_eq!(places.collect::<Vec<_>>(), steps(&mut before, 12), "{stepped}");
        }
    }

    #[test]
    fn who_is_new_begins_with_its_whole_weight() {
        for stepped in 0..5 {
            let mut rounds = rounds(&[3, 2], stepped);
            rounds.resume(&Rounds::default(), &[]);
            let mut round = steps(&mut rounds, 5);
            round.sort();
            assert_eq!(round, [0, 0, 0, 1, 1], "{stepped}");
        }
    }
}
