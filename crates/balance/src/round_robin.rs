//! nginx's smooth weighted round robin.
//!
//! At each choice every candidate's current weight grows by its effective weight; the largest one is taken and pays the
//! sum. Of equals the one named first in the file wins.

/// Where one worker stands in going round a group. It starts afresh with each configuration, as in nginx.
#[derive(Debug, Clone, Default)]
pub struct Rotation {
    turns: Vec<Turn>,
}

#[derive(Debug, Clone)]
struct Turn {
    current: i64,
    /// Falls with failures, and grows back by one at each choice.
    effective: i64,
    weight: i64,
}

impl Rotation {
    pub(crate) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let turns = weights.map(i64::from).map(|weight| Turn { current: 0, effective: weight, weight }).collect();
        Rotation { turns }
    }

    /// The next of the candidates, each an index into the group.
    pub(crate) fn next(&mut self, candidates: impl Iterator<Item = usize>) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for index in candidates {
            let Some(turn) = self.turns.get_mut(index) else { continue };
            turn.current += turn.effective;
            total += turn.effective;
            if turn.effective < turn.weight {
                turn.effective += 1;
            }
            if best.is_none_or(|(_, current)| turn.current > current) {
                best = Some((index, turn.current));
            }
        }
        let (index, _) = best?;
        if let Some(turn) = self.turns.get_mut(index) {
            turn.current -= total;
        }
        Some(index)
    }

    /// A server failed: its weight falls by its share of `max_fails`.
    pub(crate) fn failed(&mut self, index: usize, max_fails: u32) {
        if let Some(turn) = self.turns.get_mut(index)
            && max_fails != 0
        {
            turn.effective = (turn.effective - turn.weight / i64::from(max_fails)).max(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(weights: &[u32], length: usize) -> Vec<usize> {
        let mut rotation = Rotation::new(weights.iter().copied());
        (0..length).map(|_| rotation.next(0..weights.len()).unwrap()).collect()
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
    fn the_sequences_are_nginxs() {
        for (name, weights, expected) in golden() {
            assert_eq!(sequence(&weights, expected.len()), expected, "{name}");
        }
    }

    /// What a real nginx chose; the recipe stands beside the data.
    fn golden() -> Vec<(String, Vec<u32>, Vec<usize>)> {
        let text = include_str!("../golden/round_robin.txt");
        let numbers = |text: &str| text.split_whitespace().map(|number| number.parse().unwrap()).collect::<Vec<u32>>();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (weights, chosen) = line.split_once(':').unwrap();
                (line.to_owned(), numbers(weights), numbers(chosen).iter().map(|index| *index as usize).collect())
            })
            .collect()
    }

    #[test]
    fn a_failed_server_comes_back_step_by_step() {
        let mut rotation = Rotation::new([4, 4].into_iter());
        rotation.failed(0, 1);
        let chosen: Vec<usize> = (0..8).map(|_| rotation.next(0..2).unwrap()).collect();
        assert_eq!(chosen, [1, 1, 0, 1, 0, 1, 0, 1]);
    }
}
