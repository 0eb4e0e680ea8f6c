//! Connections to backends: making them, keeping idle ones, and what travels over them.

mod dial;
mod pool;
mod trace;
mod transaction;

pub(crate) use dial::{Dial, is_our_own};
pub(crate) use pool::{Pools, Slice};
pub(crate) use trace::{Failure, FailureKind, Trace};
pub(crate) use transaction::Transaction;
