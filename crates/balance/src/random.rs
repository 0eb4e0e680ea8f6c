//! `random` and `random two least_conn`, after `ngx_http_upstream_random_module.c`.

use fastrand::Rng;

use crate::tier::View;

/// Draws that may miss before the round robin takes over.
const MISSES: usize = 20;

pub(crate) fn one(view: &View<'_>, random: &mut Rng) -> Option<usize> {
    (0..=MISSES).find_map(|_| draw(view, random))
}

/// Of two servers the one with fewer connections for its weight.
pub(crate) fn two(view: &View<'_>, random: &mut Rng) -> Option<usize> {
    let mut first = None;
    for _ in 0..=MISSES {
        let Some(second) = draw(view, random).filter(|second| first != Some(*second)) else { continue };
        match first {
            None => first = Some(second),
            Some(first) if load(view, second, first) > load(view, first, second) => return Some(first),
            Some(_) => return Some(second),
        }
    }
    None
}

/// Connections of one, times the weight of the other.
fn load(view: &View<'_>, one: usize, other: usize) -> u64 {
    u64::from(view.connections(one)) * view.weight(other)
}

fn draw(view: &View<'_>, random: &mut Rng) -> Option<usize> {
    view.at(random.u64(..view.total().max(1))).filter(|position| view.is_usable(*position))
}
