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
