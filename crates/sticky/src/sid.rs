//! The server id (SID): what a client's cookie says about its server.

use std::collections::hash_map::Entry;

use foldhash::HashMap;
use md5::{Digest, Md5};

/// The SID of `hash=md5`: lower-case hex MD5 of the peer's name, `ip:port`, `[ipv6]:port` or `unix:path`.
///
/// ```
/// assert_eq!(&limpet_sticky::sid::md5(b"127.0.0.1:80"), b"cef54f47984626c9efbf070c50bfad1b");
/// ```
pub fn md5(name: &[u8]) -> [u8; 32] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digest = Md5::digest(name);
    let mut hex = [0; 32];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
        for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = HEX.get(usize::from(nibble)).copied().unwrap_or_default();
        }
    }
    hex
}

/// The SIDs of an upstream's servers. Finding one costs the same for 2 and for 10,000.
#[derive(Debug, Clone, Default)]
pub struct SidTable {
    peers: HashMap<Box<[u8]>, usize>,
}

impl SidTable {
    /// Enters the peer with this index. Of two peers with the same SID the first one wins.
    ///
    /// # Errors
    /// The index of the peer that already has the SID.
    pub fn insert(&mut self, sid: &[u8], peer: usize) -> Result<(), usize> {
        match self.peers.entry(sid.into()) {
            Entry::Occupied(first) => Err(*first.get()),
            Entry::Vacant(slot) => {
                slot.insert(peer);
                Ok(())
            }
        }
    }

    /// The index of the peer with this SID; letters' case counts.
    pub fn find(&self, sid: &[u8]) -> Option<usize> {
        self.peers.get(sid).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_of_peer_names_is_the_references() {
        for (name, sid) in [
            ("127.0.0.1:80", "cef54f47984626c9efbf070c50bfad1b"),
            ("[::1]:81", "9a70ad7bdf417f6239f737609020794f"),
            ("unix:/tmp/x.sock", "fbded331a013f6b737a4afac9f9a1887"),
            ("127.0.0.1:9102", "49d93890628afec4f1964241841ebd2a"),
        ] {
            assert_eq!(md5(name.as_bytes()), sid.as_bytes(), "{name}");
        }
    }

    #[test]
    fn of_two_equal_ids_the_first_wins() {
        let mut table = SidTable::default();
        assert_eq!(table.insert(b"a", 0), Ok(()));
        assert_eq!(table.insert(b"a", 1), Err(0));
        assert_eq!(table.find(b"a"), Some(0));
    }

    #[test]
    fn sids_are_compared_exactly() {
        let mut table = SidTable::default();
        table.insert(b"Aa", 7).unwrap();
        assert_eq!(table.find(b"aa"), None);
        assert_eq!(table.find(b"Aa "), None);
        assert_eq!(table.find(b"Aa"), Some(7));
    }
}
