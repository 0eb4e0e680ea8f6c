//! The words of a directive to values, by nginx's rules for each kind.

pub mod address;
mod flag;
mod number;
mod size;
mod time;

pub(crate) use flag::flag;
pub(crate) use number::number;
pub(crate) use size::{offset, size};
pub(crate) use time::{milliseconds, seconds};
