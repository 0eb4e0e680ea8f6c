//! `upstream{}` blocks.

use std::ops::{Deref, DerefMut};

use limpet_upstream::written;

use limpet_kernel::Place;

/// A group of servers, and where it was written.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    pub written: written::Upstream,
    /// Made from the address in a `proxy_pass`, not written as a block.
    pub implicit: bool,
    pub place: Place,
    /// Of its `session_sticky`.
    pub sticky_place: Place,
}

impl Upstream {
    /// One without servers.
    pub fn named(name: &str) -> Upstream {
        let written = written::Upstream { name: name.to_owned(), ..written::Upstream::default() };
        Upstream { written, ..Upstream::default() }
    }
}

impl Deref for Upstream {
    type Target = written::Upstream;

    fn deref(&self) -> &Self::Target {
        &self.written
    }
}

impl DerefMut for Upstream {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.written
    }
}
