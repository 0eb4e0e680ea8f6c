//! How an upstream chooses among its servers.

use crate::peer::Server;
use crate::ring::Ring;
use crate::times::Until;

/// How an upstream chooses among its servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// In turn, by weight.
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
    /// `least_conn`: the fewest connections by weight.
    LeastConn,
    /// `least_time`
    LeastTime {
        /// What is timed.
        until: Until,
        /// Requests that wait for their answer count as well.
        inflight: bool,
    },
    /// `random`
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
