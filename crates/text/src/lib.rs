//! Texts with variables in them: cut at load, put together for each request or connection.
//!
//! Nothing here knows what a request is: a [`Scope`] answers for it, and the modules that know a variable add it to the
//! [`Registry`].

#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod regex;
mod registry;
mod template;
mod text;

pub use self::regex::{Regex, RegexError, regex};
pub use registry::{Names, Registry, Standing, Variable};
pub use template::{Part, Template};
pub use text::{Scope, Text, is_true};
