//! The words of a directive to values, by nginx's rules for each kind.

mod flag;
mod number;
mod size;
mod time;

pub use flag::flag;
pub use number::number;
pub use size::{offset, size};
pub use time::{milliseconds, seconds};
