//! nginx's own walk of the smooth weighted round robin, for a choice among some servers of a tier.

/// Current and effective weights of a tier's servers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Walk(Vec<Step>);

#[derive(Debug, Clone)]
struct Step {
    current: i64,
    effective: i64,
    weight: i64,
}

impl Walk {
    pub(crate) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let step = |weight: u32| Step { current: 0, effective: weight.into(), weight: weight.into() };
        Walk(weights.map(step).collect())
    }

    /// Everybody among the candidates grows, the largest pays.
    pub(crate) fn next(&mut self, candidates: impl Iterator<Item = usize>) -> Option<usize> {
        let (mut total, mut best) = (0, None);
        for position in candidates {
            let Some(step) = self.0.get_mut(position) else { continue };
            step.current += step.effective;
            total += step.effective;
            step.effective = (step.effective + 1).min(step.weight);
            if best.is_none_or(|(_, most)| step.current > most) {
                best = Some((position, step.current));
            }
        }
        let (position, _) = best?;
        self.0.get_mut(position)?.current -= total;
        Some(position)
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
