//! Variables of the client's connection, and of this machine.

use std::net::IpAddr;

use limpet_log::clock;
use limpet_text::Registry;

use super::{number, seconds, text};
use crate::Request;

pub(super) fn add(registry: &mut Registry<Request>) {
    registry.add("binary_remote_addr", |request: &Request, out: &mut Vec<u8>| match request.conn.peer_ip() {
        Some(IpAddr::V4(ip)) => text(out, &ip.octets()),
        Some(IpAddr::V6(ip)) => text(out, &ip.octets()),
        None => text(out, b"unix:"),
    });
    registry.add("bytes_sent", |request: &Request, out: &mut Vec<u8>| number(out, request.conn.bytes_sent()));
    registry.add("connection", |request: &Request, out: &mut Vec<u8>| number(out, request.conn.number));
    registry.add("connection_requests", |request: &Request, out: &mut Vec<u8>| number(out, request.conn.requests()));
    registry.add("connection_time", |request: &Request, out: &mut Vec<u8>| {
        seconds(out, clock::now().since(request.conn.accepted))
    });
    registry.add("dollar", |_: &Request, out: &mut Vec<u8>| text(out, b"$"));
    registry.add("hostname", |_: &Request, out: &mut Vec<u8>| text(out, crate::hostname().as_bytes()));
    registry.add("nginx_version", |_: &Request, out: &mut Vec<u8>| text(out, crate::NGINX_VERSION.as_bytes()));
    registry.add("pid", |_: &Request, out: &mut Vec<u8>| number(out, u64::from(std::process::id())));
    registry.add("pipe", |request: &Request, out: &mut Vec<u8>| {
        text(out, if request.conn.is_pipelined() { b"p" } else { b"." })
    });
    for name in ["remote_addr", "realip_remote_addr"] {
        registry.add(name, |request: &Request, out: &mut Vec<u8>| text(out, request.conn.remote_addr().as_bytes()));
    }
    for name in ["remote_port", "realip_remote_port"] {
        registry.add(name, |request: &Request, out: &mut Vec<u8>| text(out, request.conn.remote_port().as_bytes()));
    }
    registry.add("scheme", |request: &Request, out: &mut Vec<u8>| text(out, request.conn.scheme().as_bytes()));
    registry.add("https", |request: &Request, out: &mut Vec<u8>| {
        text(out, if request.conn.is_secure() { b"on" } else { b"" })
    });
    registry.add("server_addr", |request: &Request, out: &mut Vec<u8>| text(out, request.conn.local_addr().as_bytes()));
    registry.add("server_port", |request: &Request, out: &mut Vec<u8>| text(out, request.conn.local_port().as_bytes()));
    tcp(registry, "tcpinfo_rcv_space", |info| info.tcpi_rcv_space);
    tcp(registry, "tcpinfo_rtt", |info| info.tcpi_rtt);
    tcp(registry, "tcpinfo_rttvar", |info| info.tcpi_rttvar);
    tcp(registry, "tcpinfo_snd_cwnd", |info| info.tcpi_snd_cwnd);
}

/// A number that the kernel knows of the connection.
fn tcp(registry: &mut Registry<Request>, name: &'static str, wanted: fn(&nix::libc::tcp_info) -> u32) {
    registry.add(name, move |request: &Request, out: &mut Vec<u8>| {
        request.conn.socket.tcp_info().is_some_and(|info| number(out, wanted(&info).into()))
    });
}
