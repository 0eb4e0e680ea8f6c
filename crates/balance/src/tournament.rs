//! Which of many numbers is the largest, kept up to date at a cost of log2(n) for each change.

/// A number for each of a fixed count of places, or none.
#[derive(Debug, Clone)]
pub(crate) struct Tournament {
    /// A heap in which each node holds the larger of its two children; the places are its last half.
    nodes: Vec<i64>,
    half: usize,
}

/// Below every number that a place can hold.
const NOBODY: i64 = i64::MIN;

impl Tournament {
    pub(crate) fn new(places: usize) -> Self {
        let half = places.next_power_of_two();
        Tournament { nodes: vec![NOBODY; half * 2], half }
    }

    pub(crate) fn get(&self, place: usize) -> Option<i64> {
        self.nodes.get(self.half + place).copied().filter(|number| *number != NOBODY)
    }

    pub(crate) fn set(&mut self, place: usize, number: Option<i64>) {
        let mut at = self.half + place;
        let Some(node) = self.nodes.get_mut(at) else { return };
        *node = number.unwrap_or(NOBODY);
        while at != 1 {
            let (parent, pair) = (at / 2, at & !1);
            let largest = self.node(pair).max(self.node(pair + 1));
            let Some(node) = self.nodes.get_mut(parent) else { return };
            if *node == largest {
                return;
            }
            *node = largest;
            at = parent;
        }
    }

    /// The largest number and its place; of equals the first.
    pub(crate) fn best(&self) -> Option<(usize, i64)> {
        let largest = self.node(1);
        if largest == NOBODY {
            return None;
        }
        let mut at = 1;
        while at < self.half {
            at = if self.node(at * 2) == largest { at * 2 } else { at * 2 + 1 };
        }
        Some((at - self.half, largest))
    }

    fn node(&self, at: usize) -> i64 {
        self.nodes.get(at).copied().unwrap_or(NOBODY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_largest_wins() {
        let mut tournament = Tournament::new(5);
        assert_eq!(tournament.best(), None);
        for (place, number) in [3, 7, 1, 7, 2].into_iter().enumerate() {
            tournament.set(place, Some(number));
        }
        assert_eq!(tournament.best(), Some((1, 7)));
        tournament.set(1, None);
        assert_eq!((tournament.best(), tournament.get(1), tournament.get(3)), (Some((3, 7)), None, Some(7)));
        tournament.set(4, Some(8));
        assert_eq!(tournament.best(), Some((4, 8)));
    }

    #[test]
    fn one_place_is_enough() {
        let mut tournament = Tournament::new(1);
        tournament.set(0, Some(-5));
        assert_eq!(tournament.best(), Some((0, -5)));
        tournament.set(0, None);
        assert_eq!(tournament.best(), None);
    }
}
