//! Connections to backends: making them, keeping idle ones, and what travels over them.

mod connect;
mod head;
mod pool;
mod socket;

pub(crate) use connect::{Dial, Trace, is_our_own};
pub(crate) use head::{Framing, ResponseHead};
pub(crate) use pool::{Pools, Slice};
