//! Addresses of listening sockets and of servers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use limpet_kernel::Outside;
use limpet_wire::Address;

/// A host and port, or a path, before any name is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Unix(PathBuf),
    Host { host: String, port: Option<u16> },
}

/// Reads `host`, `host:port`, `[ipv6]`, `[ipv6]:port` or `unix:path`.
///
/// # Errors
/// nginx's words for what is wrong with it, to be followed by ` in "…"`.
pub fn target(text: &str) -> Result<Target, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err("no path in the unix domain socket"),
            _ if path.len() > 107 => Err("too long path in the unix domain socket"),
            _ => Ok(Target::Unix(path.into())),
        };
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("invalid host")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "invalid IPv6 address")?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err("invalid host"),
            }
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err("no host");
    }
    let port = match port {
        Some(port) => Some(parse_port(port).ok_or("invalid port")?),
        None => None,
    };
    Ok(Target::Host { host: host.to_owned(), port })
}

/// A port from 1 to 65535; leading zeros are no matter.
pub fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u16>().ok().filter(|port| digits && *port != 0)
}

impl Target {
    /// The addresses that a server's name stands for, in the resolver's order, IPv4 before IPv6 as nginx has them.
    ///
    /// # Errors
    /// `host not found` when a name has no address.
    pub fn resolve(&self, default_port: u16, outside: &dyn Outside) -> Result<Vec<Address>, &'static str> {
        let (host, port) = match self {
            Target::Unix(path) => return Ok(vec![Address::Unix(path.clone())]),
            // Some protocols have no port of their own.
            Target::Host { port: None, .. } if default_port == 0 => return Err("no port"),
            Target::Host { host, port } => (host.as_str(), port.unwrap_or(default_port)),
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![Address::Ip(SocketAddr::new(ip, port))]);
        }
        let found = outside.lookup(host).map_err(|_| "host not found")?;
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in found.into_iter().map(|ip| SocketAddr::new(ip, port)) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses.sort_by_key(SocketAddr::is_ipv6);
        if addresses.is_empty() { Err("host not found") } else { Ok(addresses.into_iter().map(Address::Ip).collect()) }
    }
}

/// The addresses that a `listen` names: `port`, `*:port`, `address`, `address:port`, `unix:path`; port 80 where none is, and
/// for `port` also a range, `first-last`.
///
/// # Errors
/// nginx's words for what is wrong, to be followed by ` in "…" of the "listen" directive`.
pub fn listen(text: &str, outside: &dyn Outside) -> Result<Vec<Address>, &'static str> {
    let Some((before, first, last)) = port_range(text) else { return listen_one(text, outside) };
    let (first, last) = (parse_port(first).ok_or("invalid port")?, parse_port(last).ok_or("invalid port")?);
    if last < first {
        return Err("invalid port range");
    }
    let addresses = (first..=last).map(|port| listen_one(&format!("{before}{port}"), outside));
    Ok(addresses.collect::<Result<Vec<_>, _>>()?.concat())
}

/// `8100-8103`, alone or behind an address and its colon: what is before it, and the two ports.
fn port_range(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.rfind(':').map_or(0, |colon| colon + 1);
    let (before, ports) = text.split_at_checked(start)?;
    let (first, last) = ports.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(first) && is_number(last) && !before.starts_with("unix:")).then_some((before, first, last))
}

fn listen_one(text: &str, outside: &dyn Outside) -> Result<Vec<Address>, &'static str> {
    let any = |port| vec![Address::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))];
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_port(text).map(any).ok_or("invalid port");
    }
    if text == "*" {
        return Ok(any(80));
    }
    if let Some(port) = text.strip_prefix("*:") {
        return parse_port(port).map(any).ok_or("invalid port");
    }
    target(text)?.resolve(80, outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that knows no name.
    struct Nobody;

    impl limpet_kernel::FileSystem for Nobody {
        fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
            Err(std::io::ErrorKind::NotFound.into())
        }
        fn matches(&self, _: &std::path::Path) -> Vec<PathBuf> {
            Vec::new()
        }
    }

    impl Outside for Nobody {
        fn lookup(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
            Err(std::io::ErrorKind::NotFound.into())
        }
        fn has_user(&self, _: &str) -> bool {
            false
        }
        fn has_group(&self, _: &str) -> bool {
            false
        }
        fn hostname(&self) -> String {
            String::new()
        }
    }

    fn resolved(text: &str) -> String {
        match target(text).and_then(|target| target.resolve(80, &Nobody)) {
            Ok(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(message) => message.into(),
        }
    }

    #[test]
    fn peers_have_their_normal_names() {
        assert_eq!(resolved("127.0.0.1"), "127.0.0.1:80");
        assert_eq!(resolved("127.0.0.1:083"), "127.0.0.1:83");
        assert_eq!(resolved("[::1]:81"), "[::1]:81");
        assert_eq!(resolved("[0:0::1]"), "[::1]:80");
        assert_eq!(resolved("unix:/tmp/x.sock"), "unix:/tmp/x.sock");
    }

    #[test]
    fn wrong_addresses_are_told_apart() {
        assert_eq!(resolved("127.0.0.1:0"), "invalid port");
        assert_eq!(resolved("127.0.0.1:65536"), "invalid port");
        assert_eq!(resolved("127.0.0.1:+80"), "invalid port");
        assert_eq!(resolved("127.0.0.1:"), "invalid port");
        assert_eq!(resolved(":80"), "no host");
        assert_eq!(resolved("[::1"), "invalid host");
        assert_eq!(resolved("[zz]:80"), "invalid IPv6 address");
        assert_eq!(resolved("unix:"), "no path in the unix domain socket");
    }

    #[test]
    fn listen_knows_bare_ports_and_stars() {
        let listen = |text| listen(text, &Nobody).map(|addresses| addresses[0].to_string());
        assert_eq!(listen("8080").unwrap(), "0.0.0.0:8080");
        assert_eq!(listen("*:81").unwrap(), "0.0.0.0:81");
        assert_eq!(listen("127.0.0.1").unwrap(), "127.0.0.1:80");
        assert_eq!(listen("[::]:80").unwrap(), "[::]:80");
        assert_eq!(listen("0"), Err("invalid port"));
        assert_eq!(listen("70000"), Err("invalid port"));
    }

    #[test]
    fn a_range_of_ports_is_an_address_for_each() {
        let range = |text: &str| match listen(text, &Nobody) {
            Ok(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(message) => message.to_owned(),
        };
        assert_eq!(range("8100-8102"), "0.0.0.0:8100 0.0.0.0:8101 0.0.0.0:8102");
        assert_eq!(range("127.0.0.1:8100-8100"), "127.0.0.1:8100");
        assert_eq!(range("*:1-2"), "0.0.0.0:1 0.0.0.0:2");
        assert_eq!(range("[::1]:8100-8101"), "[::1]:8100 [::1]:8101");
        assert_eq!(range("unix:/tmp/a:1-2"), "unix:/tmp/a:1-2");
        for (wrong, message) in [
            ("8103-8100", "invalid port range"),
            ("0-5", "invalid port"),
            ("65535-65536", "invalid port"),
            ("127.0.0.1:0-5", "invalid port"),
            ("127.0.0.1:8100-", "invalid port"),
        ] {
            assert_eq!(range(wrong), message, "{wrong}");
        }
    }
}
