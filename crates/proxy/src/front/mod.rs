//! Accepting clients, waiting for their requests, judging them, and handing them to a carrier.
//!
//! An idle connection holds its socket and little else. A request's head is read and judged here, so that what Pingora
//! gets is already framed: the heads that travel on the wires, in both directions, are ours; bodies are Pingora's.

mod clients;
pub(crate) mod conn;
mod counters;
pub(crate) mod exchange;
mod handler;
mod serve;
pub(crate) mod tunnel;

pub(crate) use clients::Clients;
pub(crate) use conn::Conn;
pub(crate) use counters::Counters;
pub(crate) use exchange::Exchange;
pub(crate) use handler::Handler;
pub(crate) use serve::accept;
