//! nginx's own walk of the smooth weighted round robin, for a choice among some servers of a tier.

/// Current and effective weights of a tier's servers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Walk(Vec<Weighted>);

#[derive(Debug, Clone)]
struct Weighted {
    current: i64,
    effective: i64,
    weight: i64,
}

impl Walk {
    pub(crate) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let step = |weight: u32| Weighted { current: 0, effective: weight.into(), weight: weight.into() };
        Walk(weights.map(step).collect())
    }

    /// Everybody among the candidates grows, at most by what is said with it in thousandths; the largest pays.
    pub(crate) fn next(&mut self, candidates: impl Iterator<Item = (usize, u64)>) -> Option<usize> {
        let (mut total, mut best) = (0, None);
        for (position, most) in candidates {
            let Some(step) = self.0.get_mut(position) else { continue };
            let growth = (step.effective * 1000).min(i64::try_from(most).unwrap_or(i64::MAX));
            step.current += growth;
            total += growth;
            step.effective = (step.effective + 1).min(step.weight);
            if best.is_none_or(|(_, most)| step.current > most) {
                best = Some((position, step.current));
            }
        }
        let (position, _) = best?;
        self.0.get_mut(position)?.current -= total;
        Some(position)
    }

    /// The current weight of a server.
    pub(crate) fn current(&self, position: usize) -> Option<i64> {
        self.0.get(position).map(|step| step.current)
    }

    /// Gives a server a current weight that it had elsewhere.
    pub(crate) fn resume(&mut self, position: usize, current: i64) {
        if let Some(step) = self.0.get_mut(position) {
            step.current = current;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A server failed: its weight falls by its share of `max_fails`.
    pub(crate) fn failed(&mut self, position: usize, max_fails: u32) {
        if let Some(step) = self.0.get_mut(position)
            && max_fails != 0
        {
            step.effective = (step.effective - step.weight / i64::from(max_fails)).max(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(walk: &mut Walk, count: usize) -> Vec<usize> {
        let servers = walk.len();
        (0..count).filter_map(|_| walk.next((0..servers).map(|position| (position, u64::MAX)))).collect()
    }

    #[test]
    fn a_walk_goes_on_where_another_one_had_come() {
        let [mut one, mut other] = [(); 2].map(|()| Walk::new([3, 2, 2].into_iter()));
        assert_eq!(one.len(), 3);
        assert_eq!(steps(&mut one, 2), [0, 1]);
        assert_eq!([0, 1, 2, 3].map(|position| one.current(position)), [Some(-1000), Some(-3000), Some(4000), None]);
        for position in 0..3 {
            other.resume(position, one.current(position).unwrap());
        }
        assert_eq!(steps(&mut one, 5), [2, 0, 1, 2, 0]);
        assert_eq!(steps(&mut other, 5), [2, 0, 1, 2, 0]);
    }
}
