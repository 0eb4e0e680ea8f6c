//! nginx's smooth weighted round robin.
//!
//! At each choice every candidate's current weight grows by its effective weight; the largest one is taken and pays the
//! sum. Of equals the one named first in the file wins.
//!
//! nginx walks over all servers for that. Here servers of one weight are a class that grows as a whole, by one number,
//! and a [`Tournament`] knows its largest: a choice costs the number of different weights, times the logarithm of the
//! number of servers. Only servers that are on their way back after a failure grow one by one. The sequence is nginx's.

use std::cmp::Reverse;

use crate::tournament::Tournament;

/// Where one worker stands in going round the servers of a tier.
///
/// Whether a server is usable is asked when its turn has come. One that is not leaves, and comes back when it is
/// [looked at](Rotation::look_at) again.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    turns: Vec<Turn>,
    classes: Vec<Class>,
    /// Servers in service whose effective weight is below their weight.
    recovering: Vec<usize>,
    /// Servers that were found unusable.
    out: Vec<usize>,
    /// What a weight of 1 counts: more where servers warm up, for their weights to have steps below 1.
    unit: i64,
}

/// One server.
#[derive(Debug, Clone)]
struct Turn {
    standing: Standing,
    class: usize,
    /// Its place in the class.
    slot: usize,
    /// Kept here unless the server stands in its class, which keeps it then.
    current: i64,
    /// Falls with failures, and grows back by one at each choice.
    effective: i64,
    /// How far it may grow while the server warms up.
    most: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    InClass,
    Recovering,
    Out,
    /// Not for this request.
    Aside,
}

/// The servers of one weight.
#[derive(Debug, Clone)]
struct Class {
    weight: i64,
    /// What each of its servers has grown since the beginning.
    grown: i64,
    /// The servers by their slots.
    members: Vec<usize>,
    /// Current weights, less `grown`.
    weights: Tournament,
    in_service: i64,
}

/// Where a class begins to count anew: far from where the numbers end.
const MOST_GROWN: i64 = 1 << 60;

impl Class {
    fn grow(&mut self) {
        self.grown += self.weight;
        if self.grown > MOST_GROWN {
            for slot in 0..self.members.len() {
                let current = self.weights.get(slot).map(|current| current + self.grown);
                self.weights.set(slot, current);
            }
            self.grown = 0;
        }
    }
}

impl Rotation {
    pub(crate) fn new(weights: impl Iterator<Item = u32>, unit: i64) -> Self {
        let mut classes: Vec<(i64, Vec<usize>)> = Vec::new();
        let mut of_weight = std::collections::HashMap::new();
        let mut turns = Vec::new();
        for (position, weight) in weights.map(|weight| i64::from(weight) * unit).enumerate() {
            let class = *of_weight.entry(weight).or_insert_with(|| {
                classes.push((weight, Vec::new()));
                classes.len() - 1
            });
            let Some((_, members)) = classes.get_mut(class) else { continue };
            let (standing, slot) = (Standing::Out, members.len());
            turns.push(Turn { standing, class, slot, current: 0, effective: weight, most: weight });
            members.push(position);
        }
        let class = |(weight, members): (i64, Vec<usize>)| {
            let weights = Tournament::new(members.len());
            Class { weight, grown: 0, members, weights, in_service: 0 }
        };
        let classes = classes.into_iter().map(class).collect();
        let mut rotation = Rotation { turns, classes, recovering: Vec::new(), out: Vec::new(), unit };
        (0..rotation.turns.len()).for_each(|position| rotation.enter(position));
        rotation
    }

    /// The next server, passing over those that this request has `tried`.
    pub(crate) fn next(
        &mut self,
        tried: impl Iterator<Item = usize> + Clone,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        for position in tried.clone() {
            self.leave(position, Standing::Aside);
        }
        let mut next = self.take(&usable);
        if next.is_none() && !self.out.is_empty() {
            self.look_at_those_out(&usable);
            next = self.take(&usable);
        }
        for position in tried {
            if self.turns.get(position).is_some_and(|turn| turn.standing == Standing::Aside) {
                self.enter(position);
            }
        }
        next
    }

    /// The current weight of a server, for what a weight of 1 counts.
    pub(crate) fn current(&self, position: usize) -> Option<(i64, i64)> {
        let turn = self.turns.get(position)?;
        let current = match (turn.standing, self.classes.get(turn.class)) {
            (Standing::InClass, Some(class)) => class.weights.get(turn.slot).unwrap_or(0) + class.grown,
            _ => turn.current,
        };
        Some((current, self.unit))
    }

    /// Gives a server a [current weight](Rotation::current) that it had elsewhere.
    pub(crate) fn resume(&mut self, position: usize, (current, unit): (i64, i64)) {
        let own = self.unit;
        self.leave(position, Standing::Aside);
        if let Some(turn) = self.turns.get_mut(position) {
            turn.current = current / unit.max(1) * own;
            if turn.standing == Standing::Aside {
                self.enter(position);
            }
        }
    }

    /// A server may have become usable, or may have ceased to be.
    pub(crate) fn look_at(&mut self, position: usize, usable: bool) {
        match self.turns.get(position).map(|turn| turn.standing) {
            Some(Standing::Out) if usable => {
                self.out.retain(|out| *out != position);
                self.enter(position);
            }
            Some(Standing::InClass | Standing::Recovering) if !usable => self.leave(position, Standing::Out),
            _ => (),
        }
    }

    /// Takes back each server that has become usable.
    pub(crate) fn look_at_those_out(&mut self, usable: impl Fn(usize) -> bool) {
        let mut out = std::mem::take(&mut self.out);
        out.retain(|position| {
            let back = usable(*position);
            if back {
                self.enter(*position);
            }
            !back
        });
        self.out = out;
    }

    /// A server failed: its weight falls by its share of `max_fails`.
    pub(crate) fn failed(&mut self, position: usize, max_fails: u32) {
        let Some(turn) = self.turns.get(position) else { return };
        let weight = self.classes.get(turn.class).map_or(0, |class| class.weight);
        let effective = match max_fails {
            0 => turn.effective,
            fails => (turn.effective - weight / self.unit / i64::from(fails) * self.unit).max(0),
        };
        self.weigh(position, effective);
    }

    /// A server warms up: in thousandths of its weight, the most that it may have.
    pub(crate) fn warm(&mut self, position: usize, thousandths: i64) {
        let Some(turn) = self.turns.get_mut(position) else { return };
        let Some(class) = self.classes.get(turn.class) else { return };
        turn.most = (class.weight * thousandths / 1000).clamp(1, class.weight);
        let effective = turn.effective.min(turn.most);
        self.weigh(position, effective);
    }

    fn weigh(&mut self, position: usize, effective: i64) {
        let Some(turn) = self.turns.get(position).filter(|turn| turn.effective != effective) else { return };
        if turn.standing == Standing::InClass {
            self.leave(position, Standing::Aside);
        }
        if let Some(turn) = self.turns.get_mut(position) {
            turn.effective = effective;
            if turn.standing == Standing::Aside {
                self.enter(position);
            }
        }
    }

    /// One step: everybody in service grows, the largest pays.
    fn take(&mut self, usable: &impl Fn(usize) -> bool) -> Option<usize> {
        let mut at = 0;
        while let Some(position) = self.recovering.get(at).copied() {
            match usable(position) {
                true => at += 1,
                false => self.leave(position, Standing::Out),
            }
        }
        let mut best = self.best_of_classes(usable);
        let mut total = 0;
        for class in &mut self.classes {
            class.grow();
            total += class.weight * class.in_service;
        }
        let mut at = 0;
        while let Some(position) = self.recovering.get(at).copied() {
            let Some(turn) = self.turns.get_mut(position) else { break };
            turn.current += turn.effective;
            total += turn.effective;
            turn.effective = (turn.effective + self.unit).min(turn.most);
            best = better(best, Some((position, turn.current)));
            match self.classes.get(turn.class).is_some_and(|class| turn.effective >= class.weight) {
                true => {
                    self.recovering.swap_remove(at);
                    self.enter(position);
                }
                false => at += 1,
            }
        }
        let (position, _) = best?;
        let turn = self.turns.get_mut(position)?;
        match turn.standing {
            Standing::InClass => {
                let class = self.classes.get_mut(turn.class)?;
                let current = class.weights.get(turn.slot)?;
                class.weights.set(turn.slot, Some(current - total));
            }
            _ => turn.current -= total,
        }
        Some(position)
    }

    /// The usable server whose current weight will be the largest after the step.
    fn best_of_classes(&mut self, usable: &impl Fn(usize) -> bool) -> Option<(usize, i64)> {
        loop {
            let best = self.classes.iter().fold(None, |best, class| {
                let own = class.weights.best();
                let own = own.and_then(|(slot, current)| {
                    Some((*class.members.get(slot)?, current + class.grown + class.weight))
                });
                better(best, own)
            });
            let (position, _) = best?;
            if usable(position) {
                return best;
            }
            self.leave(position, Standing::Out);
        }
    }

    /// Puts a server that stands nowhere into service.
    fn enter(&mut self, position: usize) {
        let Some(turn) = self.turns.get_mut(position) else { return };
        let Some(class) = self.classes.get_mut(turn.class) else { return };
        if turn.effective < class.weight {
            turn.standing = Standing::Recovering;
            self.recovering.push(position);
        } else {
            turn.standing = Standing::InClass;
            class.weights.set(turn.slot, Some(turn.current - class.grown));
            class.in_service += 1;
        }
    }

    /// Takes a server out of service; its current weight stays as it is.
    fn leave(&mut self, position: usize, standing: Standing) {
        let Some(turn) = self.turns.get_mut(position) else { return };
        match turn.standing {
            Standing::InClass => {
                let Some(class) = self.classes.get_mut(turn.class) else { return };
                turn.current = class.weights.get(turn.slot).unwrap_or(0) + class.grown;
                class.weights.set(turn.slot, None);
                class.in_service -= 1;
            }
            Standing::Recovering => self.recovering.retain(|recovering| *recovering != position),
            Standing::Out | Standing::Aside => return,
        }
        turn.standing = standing;
        if standing == Standing::Out {
            self.out.push(position);
        }
    }
}

/// The larger of two current weights; of equals the server named first.
fn better(one: Option<(usize, i64)>, other: Option<(usize, i64)>) -> Option<(usize, i64)> {
    one.into_iter().chain(other).max_by_key(|(position, weight)| (*weight, Reverse(*position)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::walk::Walk;

    fn sequence(weights: &[u32], length: usize) -> Vec<usize> {
        steps(&mut Rotation::new(weights.iter().copied(), 1), length)
    }

    fn steps(rotation: &mut Rotation, length: usize) -> Vec<usize> {
        (0..length).map(|_| rotation.next(std::iter::empty(), |_| true).unwrap()).collect()
    }

    fn currents(rotation: &Rotation) -> Vec<i64> {
        (0..rotation.turns.len())
            .filter_map(|position| rotation.current(position))
            .map(|(current, _)| current)
            .collect()
    }

    #[test]
    fn equal_weights_go_round() {
        assert_eq!(sequence(&[1, 1, 1], 6), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn heavy_servers_are_spread_over_the_round() {
        assert_eq!(sequence(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_failed_server_comes_back_step_by_step() {
        for (max_fails, expected) in
            [(1, [1, 1, 0, 1, 0, 1, 0, 1]), (2, [1, 0, 1, 0, 1, 0, 1, 0]), (0, [0, 1, 0, 1, 0, 1, 0, 1])]
        {
            for unit in [1, 1000] {
                let mut rotation = Rotation::new([4, 4].into_iter(), unit);
                rotation.failed(0, max_fails);
                assert_eq!(steps(&mut rotation, 8), expected, "{max_fails} {unit}");
            }
        }
    }

    #[test]
    fn the_largest_weights_never_overflow() {
        let mut rotation = Rotation::new([u32::MAX, u32::MAX / 2, 1].into_iter(), 1000);
        rotation.classes.iter_mut().for_each(|class| {
            for slot in 0..class.members.len() {
                class.weights.set(slot, class.weights.get(slot).map(|current| current - MOST_GROWN));
            }
            class.grown = MOST_GROWN;
        });
        assert_eq!(steps(&mut rotation, 6), [0, 1, 0, 0, 1, 0]);
    }

    #[test]
    fn a_class_counts_anew_where_the_numbers_get_large_and_not_before() {
        let mut rotation = Rotation::new([7].into_iter(), 1);
        let class = &mut rotation.classes[0];
        class.grow();
        assert_eq!(class.grown, 7);
        class.grown = MOST_GROWN - 7;
        assert_eq!(MOST_GROWN, i64::MAX / 8 + 1);
        for expected in [MOST_GROWN, 0, 7] {
            class.grow();
            assert_eq!(class.grown, expected);
        }
    }

    #[test]
    fn a_server_that_warms_up_gets_its_share_step_by_step() {
        let mut rotation = Rotation::new([1, 1].into_iter(), 1000);
        let mut share = |thousandths| {
            rotation.warm(0, thousandths);
            (0..100).filter(|_| rotation.next(std::iter::empty(), |_| true) == Some(0)).count()
        };
        assert_eq!([share(0), share(250), share(500), share(1000)], [0, 20, 33, 50]);
    }

    #[test]
    fn a_server_that_cools_down_again_has_no_more_than_it_may() {
        let mut rotation = Rotation::new([1, 1].into_iter(), 1000);
        rotation.warm(0, 500);
        assert_eq!(steps(&mut rotation, 2), [1, 0]);
        // What it has is cut at once, whether it is in service or not.
        for usable in [true, false] {
            rotation.warm(0, 500);
            rotation.look_at(0, usable);
            rotation.warm(0, 250);
            assert_eq!(rotation.turns[0].effective, 250);
        }
    }

    #[test]
    fn servers_go_on_with_the_current_weights_that_they_had_elsewhere() {
        for (from, to) in [(1, 1), (1, 1000), (1000, 1), (1000, 1000)] {
            let mut one = Rotation::new([5, 1, 1].into_iter(), from);
            assert_eq!(steps(&mut one, 3), [0, 0, 1]);
            assert_eq!(currents(&one), [1, -4, 3].map(|current| current * from));
            one.look_at(1, false);
            let mut other = Rotation::new([5, 1, 1].into_iter(), to);
            for position in 0..3 {
                other.resume(position, one.current(position).unwrap());
            }
            assert_eq!(currents(&other), [1, -4, 3].map(|current| current * to));
            assert_eq!(steps(&mut other, 4), [0, 2, 0, 0], "{from} {to}");
        }
        assert_eq!(Rotation::new([1].into_iter(), 1).current(1), None);
    }

    #[test]
    fn servers_that_are_out_are_looked_at_when_nobody_else_is_left() {
        let mut rotation = Rotation::new([1, 1].into_iter(), 1);
        assert_eq!(rotation.next(std::iter::empty(), |_| false), None);
        assert_eq!(steps(&mut rotation, 4), [0, 1, 0, 1]);
    }

    #[test]
    fn each_server_that_is_out_comes_back_when_it_can_be_asked() {
        let mut rotation = Rotation::new([1, 1, 1].into_iter(), 1);
        [0, 1].into_iter().for_each(|position| rotation.look_at(position, false));
        assert_eq!(steps(&mut rotation, 2), [2, 2]);
        rotation.look_at_those_out(|position| position == 1);
        assert_eq!(steps(&mut rotation, 2), [1, 2]);
        rotation.look_at_those_out(|_| true);
        assert_eq!(steps(&mut rotation, 3), [0, 1, 2]);
    }

    #[derive(Debug, Clone)]
    enum Event {
        Next(Vec<usize>),
        Failed(usize, u32),
        Turned(usize),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            6 => prop::collection::vec(0..12_usize, 0..3).prop_map(Event::Next),
            1 => (0..12_usize, 1..4_u32).prop_map(|(index, fails)| Event::Failed(index, fails)),
            1 => (0..12_usize).prop_map(Event::Turned),
        ]
    }

    proptest! {
        #[test]
        fn the_sequence_is_that_of_the_walk(
            weights in prop::collection::vec(1..6_u32, 1..12),
            events in prop::collection::vec(event(), 0..200),
        ) {
            let mut rotation = Rotation::new(weights.iter().copied(), 1);
            let mut walk = Walk::new(weights.iter().copied());
            let mut usable = vec![true; weights.len()];
            let place = |index: usize| index % weights.len();
            for event in events {
                match event {
                    Event::Next(tried) => {
                        let tried: Vec<usize> = tried.into_iter().map(place).collect();
                        let is_candidate = |index: &usize| usable[*index] && !tried.contains(index);
                        let candidates = (0..weights.len()).filter(is_candidate);
                        let expected = walk.next(candidates.map(|index| (index, u64::MAX)));
                        prop_assert_eq!(rotation.next(tried.into_iter(), |index| usable[index]), expected);
                    }
                    Event::Failed(index, fails) => {
                        walk.failed(place(index), fails);
                        rotation.failed(place(index), fails);
                    }
                    Event::Turned(index) => {
                        usable[place(index)] = !usable[place(index)];
                        rotation.look_at(place(index), usable[place(index)]);
                    }
                }
            }
        }
    }
}
