//! Accepting clients, waiting for their requests, judging them, and handing them to a carrier.
//!
//! An idle connection holds its socket and little else. A request's head is read and judged here, so that a carrier gets what
//! is framed already.

mod clients;
pub mod conn;
mod counters;
pub mod exchange;
mod handler;
pub mod outgoing;
mod request;
mod serve;
mod streams;
mod temp_file;
pub mod tunnel;

pub use clients::Clients;
pub use conn::Conn;
pub use counters::Counters;
pub use exchange::Exchange;
pub use handler::Handler;
pub use serve::accept;
pub use streams::Terms;
pub(crate) use temp_file::{make_folder, nameless};
