//! Servers at work: who they are, whether they answer, connections to them, and what travels over those.

mod background;
pub(crate) mod check;
mod dial;
mod kept;
mod members;
mod names;
mod pool;
mod trace;
mod transaction;

pub use background::Background;
pub(crate) use dial::{Client, Dial};
pub(crate) use kept::Kept;
pub(crate) use members::{Backend, Members, Upstream, sessions_on_down_servers};
pub(crate) use pool::Slice;
pub(crate) use trace::{Failure, FailureKind, Trace};
pub(crate) use transaction::Transaction;
