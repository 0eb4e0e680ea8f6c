//! From a request to the server and location that are asked.

pub mod host;
pub mod location;
