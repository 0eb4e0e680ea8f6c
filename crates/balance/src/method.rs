//! How an upstream chooses among its servers.

use crate::peer::Server;
use crate::ring::Ring;
use crate::times::Until;

/// How an upstream chooses among its servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    #[default]
    RoundRobin,
    /// `ip_hash`
    AddressHash,
    /// `hash KEY`
    Hash,
    /// `hash KEY consistent`
    Ketama,
    /// Tengine's `consistent_hash KEY`
    Consistent,
    LeastConn,
    /// `inflight`: requests that wait for their answer count as well.
    LeastTime {
        until: Until,
        inflight: bool,
    },
    Random,
    /// `random two`
    RandomTwo,
    /// Tengine's `vnswrr`
    Vnswrr,
    /// Tengine's `iwrr`
    Iwrr,
}

impl Method {
    pub(crate) fn ring(self, servers: &[&Server]) -> Option<Ring> {
        let servers = servers.iter().copied();
        match self {
            Method::Ketama => Some(Ring::ketama(servers)),
            Method::Consistent => Some(Ring::tengine(servers)),
            _ => None,
        }
    }
}
