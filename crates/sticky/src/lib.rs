//! Tengine's `session_sticky` as pure functions over bytes.
//!
//! What a client sent goes in, what it means comes out; what a backend answered goes in, what the client gets comes out.
//! The time is an argument. Nothing here knows a socket, a clock, a log or a random number, so every rule of
//! `docs/compatibility.md` can be shown by a call.
//!
//! The way of one request: [`read`] finds the session in the Cookie headers, [`hide`] takes the cookie out of what the
//! backend gets to see, [`answer`] says what happens to the response's Set-Cookie lines, and [`write`] renders ours.

#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod answer;
pub mod date;
pub mod hide;
mod pairs;
pub mod policy;
pub mod read;
pub mod seal;
pub mod sid;
pub mod stamp;
pub mod write;

pub use answer::{CookieAction, answer};
pub use hide::{Hidden, hide};
pub use policy::{Attributes, Limits, Mode, Policy, PolicySettings, SameSite, Secure};
pub use read::{FoundSession, read};
pub use seal::Seal;
pub use sid::SidTable;
