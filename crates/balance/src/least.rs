//! `least_conn` and `least_time`: the server with the least load for its weight; among equals, the round robin.
//!
//! Follow `ngx_http_upstream_least_conn_module.c` and `ngx_http_upstream_least_time_module.c`. Both look at every server,
//! as loads change with every request.

use crate::tier::View;
use crate::walk::Walk;

pub(crate) fn least(view: &View<'_>, walk: &mut Walk, load: impl Fn(usize) -> u64) -> Option<usize> {
    // Loads are compared for the same weight; the products of large weights need the room.
    let load = |position: usize| u128::from(load(position));
    let weight = |position: usize| u128::from(view.weight(position));
    let mut best: Option<(usize, u128, u128)> = None;
    let mut many = false;
    for position in (0..view.len()).filter(|position| view.is_usable(*position)) {
        let (load, weight) = (load(position), weight(position));
        match best {
            Some((_, least, of)) if load * of > least * weight => {}
            Some((_, least, of)) if load * of == least * weight => many = true,
            _ => (best, many) = (Some((position, load, weight)), false),
        }
    }
    let (first, least, of) = best?;
    if !many {
        return Some(first);
    }
    let is_equal = |position: &usize| view.is_usable(*position) && load(*position) * of == least * weight(*position);
    walk.next((first..view.len()).filter(is_equal).map(|position| (position, view.weight(position))))
}

#[cfg(test)]
mod tests {
    use crate::{Ask, Group, Method, Server, Tried};

    #[test]
    fn the_server_with_the_fewest_connections_for_its_weight_is_next() {
        for (servers, expected) in [
            (&[(1, 0), (1, 1)][..], [0, 0, 0]),
            (&[(1, 1), (1, 0)], [1, 1, 1]),
            (&[(2, 3), (1, 1)], [1, 1, 1]),
            (&[(1, 1), (3, 2)], [1, 1, 1]),
            // Equals take turns by weight, and nobody else takes part.
            (&[(1, 1), (2, 2)], [1, 0, 1]),
            (&[(2, 1), (1, 1), (2, 1)], [0, 2, 0]),
            (&[(1, 1), (1, 0), (1, 0)], [1, 2, 1]),
        ] {
            let server = |weight| (Server { weight, ..Server::default() }, Default::default());
            let group = Group::new(Method::LeastConn, servers.iter().map(|(weight, _)| server(*weight)).collect());
            for (index, (_, connections)) in servers.iter().enumerate() {
                (0..*connections).for_each(|_| group.visit_again(index, 0));
            }
            let (mut progress, tried) = (group.progress(0), Tried::default());
            let chosen = [(); 3].map(|()| {
                let index = group.next(&mut progress, &Ask { key: b"", tried: &tried, now: 0 }).unwrap();
                group.finished(index);
                index
            });
            assert_eq!(chosen, expected, "weights and connections {servers:?}");
        }
    }
}
