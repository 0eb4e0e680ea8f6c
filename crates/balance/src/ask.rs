//! What a request brings to the choice of its server, and what it may hear.

/// What a request brings to the choice.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The text of `hash KEY`, or the octets of the client's address for `ip_hash`.
    pub key: &'a [u8],
    pub tried: &'a Tried,
    /// Milliseconds.
    pub now: i64,
}

/// The servers that one request has been sent to.
#[derive(Debug, Clone, Default)]
pub struct Tried(Vec<u32>);

impl Tried {
    pub fn add(&mut self, index: usize) {
        self.0.push(index as u32);
    }

    pub fn contains(&self, index: usize) -> bool {
        self.0.contains(&(index as u32))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.0.iter().map(|index| *index as usize)
    }
}

/// What came of asking for a server by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Usable,
    /// It has `max_conns` connections.
    Full,
    /// This request has been there.
    Tried,
    /// An active check says so.
    Dead,
}
