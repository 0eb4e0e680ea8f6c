//! Servers at work: who they are, whether they answer, connections to them, and what travels over those.

mod background;
pub mod check;
mod dial;
mod http2;
mod kept;
mod members;
mod names;
mod pool;
mod staples;
mod stored;
mod trace;
mod transaction;
pub mod written;

pub use background::Background;
pub use dial::{Client, Dial, Secure, SocketOptions};
pub use kept::Kept;
pub use members::{Backend, Members, Upstream, sessions_on_down_servers};
pub use pool::Slice;
pub use stored::{StoredBody, StoredFile};
pub use trace::{Failure, FailureKind, Trace};
pub use transaction::Transaction;
