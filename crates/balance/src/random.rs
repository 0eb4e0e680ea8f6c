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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Server;
    use crate::tier::tests::seen;

    type Draw = fn(&View<'_>, &mut Rng) -> Option<usize>;

    /// How often each server is chosen in 6000 draws, where they have these weights and connections.
    fn shares<const N: usize>(draw: Draw, servers: [(u32, u32); N]) -> [usize; N] {
        seen(&servers.map(|(weight, _)| Server { weight, ..Server::default() }), |view| {
            for (index, (_, connections)) in servers.iter().enumerate() {
                (0..*connections).for_each(|_| view.group.visit_again(index, 0));
            }
            let (mut random, mut shares) = (Rng::with_seed(1), [0; N]);
            // Now and then all draws miss.
            (0..6000).filter_map(|_| draw(view, &mut random)).for_each(|index| shares[index] += 1);
            shares
        })
    }

    fn is_about(shares: &[usize], expected: &[usize]) -> bool {
        shares.iter().zip(expected).all(|(share, expected)| share.abs_diff(*expected) < 200)
    }

    #[test]
    fn one_is_drawn_by_weight_whatever_its_connections() {
        let shares = shares(one, [(1, 0), (2, 9), (3, 0)]);
        assert!(is_about(&shares, &[1000, 2000, 3000]), "{shares:?}");
    }

    #[test]
    fn of_two_the_one_with_fewer_connections_for_its_weight_is_taken() {
        for (servers, other) in
            [([(1, 0), (1, 1)], 1), ([(1, 1), (1, 0)], 0), ([(1, 1), (3, 2)], 0), ([(1, 0), (3, 2)], 1)]
        {
            let shares = shares(two, servers);
            assert!(shares[other] == 0 && shares[1 - other] > 5900, "weights and connections {servers:?}: {shares:?}");
        }
    }

    #[test]
    fn of_two_equals_the_one_drawn_last_is_taken() {
        // The heavy one is most often drawn first.
        let shares = shares(two, [(1, 0), (3, 0)]);
        assert!(is_about(&shares, &[4500, 1500]), "{shares:?}");
    }

    #[test]
    fn a_server_that_cant_be_asked_is_drawn_again() {
        let down = Server { down: true, ..Server::default() };
        seen(&[down.clone(), Server::default(), Server::default()], |view| {
            let mut random = Rng::with_seed(2);
            assert!((0..100).all(|_| matches!(one(view, &mut random), Some(1 | 2))));
            assert!((0..100).all(|_| matches!(two(view, &mut random), Some(1 | 2))));
        });
        seen(&[down, Server::default()], |view| {
            assert_eq!(two(view, &mut Rng::with_seed(3)), None, "there are no two");
        });
    }
}
