//! Sockets, and what waiting for them takes: time-outs, turns, buffers that are lent, places for connections.

pub mod address;
pub mod http2;
mod io_timeout;
pub mod listen;
mod pipe;
mod plain;
pub mod scratch;
mod slots;
mod socket;
mod tls;
mod turn;

pub use address::Address;
pub use io_timeout::IoTimeout;
pub use pipe::{Fault, Outward, Pipe, PipeEnd};
pub use plain::Plain;
pub use slots::{Slot, Slots};
pub use socket::Socket;
pub use tls::{HandshakeError, LARGEST_RECORD, Opening, Tls};
pub use turn::Turn;
