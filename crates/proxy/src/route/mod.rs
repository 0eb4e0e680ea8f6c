//! From a request to the server and location that are asked.

pub(crate) mod host;
pub(crate) mod location;
