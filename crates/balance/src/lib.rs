//! The servers of an upstream, and which one is next.
//!
//! The rules of nginx's and Tengine's upstream modules as plain code: no socket, no clock, no log. The time is an
//! argument, in milliseconds of any clock that only goes forward, and so is the seed of what is random.
//!
//! A [`Server`] is what the file says about one address, a [`Peer`] is the server with its counters, a [`Group`] is the
//! peers of an upstream with its [`Method`], and [`Progress`] is how far one worker has come in going round them.
//!
//! What a choice among n servers costs: round robin, `vnswrr` the logarithm of n; `ip_hash`, `hash`, `random` and both
//! rings the same for each server that they have to pass over; `iwrr` a step for each; `least_conn` and `least_time` n.

#![deny(missing_docs)]

mod ask;
mod failure;
mod group;
mod hash;
mod interleaved;
mod least;
mod method;
mod peer;
mod random;
mod ring;
mod round_robin;
mod tier;
mod times;
mod tournament;
mod walk;

pub use ask::{Ask, Choice, Tried};
pub use group::{Group, Progress};
pub use method::Method;
pub use peer::{Peer, Server};
pub use times::Until;
