//! Accepting clients, waiting for their requests, judging them, and handing them to a carrier.
//!
//! An idle connection holds its socket and little else. A request's head is read and judged here, so that what Pingora
//! gets is already framed: the heads that travel on the wires, in both directions, are ours; bodies are Pingora's.

mod clients;
pub mod conn;
mod counters;
pub mod exchange;
mod handler;
mod serve;
pub mod tunnel;

pub use clients::Clients;
pub use conn::Conn;
pub use counters::Counters;
pub use exchange::Exchange;
pub use handler::Handler;
pub use serve::accept;
