//! HTTP/1 messages as data: bytes to heads, fields and paths, and where a body ends, by nginx's rules.
//!
//! Nothing here waits, reads a clock or knows a socket; what is read and judged is an argument.

#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod body;
pub mod field;
pub mod host;
#[cfg(test)]
mod properties;
pub mod request;
pub mod response;
pub mod uri;
