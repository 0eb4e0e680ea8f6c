//! Sockets, and what waiting for them takes: time-outs, turns, buffers that are lent, places for connections.

mod io_timeout;
pub mod listen;
pub(crate) mod scratch;
mod slots;
mod socket;
mod turn;

pub(crate) use io_timeout::IoTimeout;
pub(crate) use slots::{Slot, Slots};
pub(crate) use socket::Socket;
pub(crate) use turn::Turn;
