//! The servers of an upstream, and which one is next.
//!
//! nginx's rules (`ngx_http_upstream_module`) as plain code: no socket, no clock, no log. The time is an argument, in
//! seconds of any clock that only goes forward.
//!
//! A [`Server`] is what the file says about one address, a [`Peer`] is the server with its counters, a [`Group`] is the
//! peers of an upstream, and [`Rotations`] are where one worker stands in going round them.

mod failure;
mod group;
mod peer;
mod round_robin;
mod tournament;

pub use group::{Choice, Group, Rotations, Tried};
pub use peer::{Peer, Server};
