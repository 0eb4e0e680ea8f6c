//! What a step of a request decides, and where an internal redirect leads.

use super::file;
use super::reply::Reply;

/// What a step decides. The carrier carries it out; the reason has been logged by then.
#[derive(Debug)]
pub enum Decision {
    /// On to the next step; after routing: to a server of the location's upstream.
    Continue,
    /// This answers the request, and no backend does.
    Answer(Box<Answer>),
    /// An internal redirect. Steps within routing return it, and routing follows it: nobody else sees it.
    Reroute(Target),
    /// The try is over, and another server is chosen, or the same one over a new connection.
    NextServer,
    /// Nothing more is sent: the connection is closed.
    Close,
}

impl Decision {
    /// Answers with a head and its body.
    pub fn local(reply: Reply, body: Vec<u8>) -> Decision {
        Decision::Answer(Box::new(Answer::Local(reply, body)))
    }

    /// Answers with a file.
    pub fn file(opened: file::Opened) -> Decision {
        Decision::Answer(Box::new(Answer::File(opened)))
    }
}

/// An answer of our own.
#[derive(Debug)]
pub enum Answer {
    /// A head and its body.
    Local(Reply, Vec<u8>),
    File(file::Opened),
}

/// Where an internal redirect leads.
#[derive(Debug)]
pub enum Target {
    /// A normal path; the arguments stay.
    Path(Vec<u8>),
    /// A named location, the `@` included. URI and arguments stay.
    Named(Vec<u8>),
}
