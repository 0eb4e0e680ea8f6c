//! Where to listen and where to connect to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Where to listen or to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    Ip(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    /// The peer's name as nginx prints it: `ip:port`, `[ipv6]:port`, `unix:path`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Reads the address that `proxy_bind` names: an IP address, with a port or without (0: any).
pub fn local(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return (bare.len() == text.len() || ip.is_ipv6()).then_some(SocketAddr::new(ip, 0));
    }
    text.parse().ok().filter(|address: &SocketAddr| address.port() != 0)
}
