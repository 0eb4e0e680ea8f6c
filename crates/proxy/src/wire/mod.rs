//! Sockets, and what waiting for them takes: time-outs, turns, buffers that are lent, places for connections.

pub mod listen;
mod patience;
pub(crate) mod scratch;
mod slots;
mod socket;
mod turn;

pub(crate) use patience::Patience;
pub(crate) use slots::{Slot, Slots};
pub(crate) use socket::Socket;
pub(crate) use turn::Turn;
