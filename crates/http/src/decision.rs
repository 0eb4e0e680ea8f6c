//! What a step of a request says, and how an internal redirect is followed.

use super::file;
use super::reply::Reply;

/// The word of a step. What it means for the bytes on the wires is the carrier's business; why it came to it has been
/// logged when it is said.
#[derive(Debug)]
pub enum Decision {
    /// On to the next step; after routing: to a server of the location's upstream.
    Pass,
    /// This answers the request, and no backend does.
    Answer(Answer),
    /// The request goes on somewhere else, as an internal redirect. Only routing says it, and to itself.
    Reroute(Target),
    /// The try is over, and another server is chosen, or the same one over a new connection.
    NextServer,
    /// Nothing more is sent: the connection is closed.
    Close,
}

/// An answer of our own.
#[derive(Debug)]
pub enum Answer {
    /// A head and its body.
    Local(Reply, Vec<u8>),
    File(Box<file::Opened>),
}

/// Where an internal redirect leads.
#[derive(Debug)]
pub enum Target {
    /// A normal path; the arguments stay.
    Path(Vec<u8>),
    /// A named location, the `@` included. URI and arguments stay.
    Named(Vec<u8>),
}
