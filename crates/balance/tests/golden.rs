//! The choices of a real nginx and a real Tengine, server by server. The recipe for nginx's stands beside the data.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use std::sync::Arc;

use limpet_balance::{Ask, Group, Method, Progress, Server, Tried};

/// A line of the data: a method, servers, and requests, each with the servers that it went to.
struct Line<'a> {
    method: Method,
    port: u16,
    servers: &'a str,
    requests: Vec<(&'a str, &'a str)>,
}

fn lines(text: &str, port: u16) -> Vec<Line<'_>> {
    let line = |line| {
        let [method, servers, requests] =
            str::split(line, " | ").collect::<Vec<_>>().try_into().expect("three columns");
        let method = match method {
            "round robin" => Method::RoundRobin,
            "least_conn" => Method::LeastConn,
            "ip_hash" => Method::AddressHash,
            "hash $arg_k" => Method::Hash,
            "hash $arg_k consistent" => Method::Ketama,
            "consistent_hash" => Method::Consistent,
            "vnswrr" => Method::Vnswrr,
            "iwrr" => Method::Iwrr,
            other => panic!("{other}"),
        };
        let request = |request| str::split_once(request, '=').expect("a key and servers");
        Line { method, port, servers, requests: requests.split_whitespace().map(request).collect() }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

impl Line<'_> {
    fn group(&self) -> Group {
        let servers = self.servers.split(' ').zip(self.port..).map(|(text, port)| (server(port, text), Arc::default()));
        Group::new(self.method, servers.collect())
    }

    /// Asks for each request in turn, in the notation of the line.
    fn choose(&self, group: &Group, progress: &mut Progress) -> Vec<String> {
        let dead: Vec<bool> = self.servers.split(' ').map(|server| server.ends_with('x')).collect();
        let now = 1_000_000_000;
        let mut choices = Vec::new();
        for (key, _) in &self.requests {
            let octets = key.parse().map(octets).unwrap_or_default();
            let key = if self.method == Method::AddressHash { octets.as_slice() } else { key.as_bytes() };
            let mut tried = Tried::default();
            let mut chosen = Vec::new();
            while let Some(index) = group.next(progress, &Ask { key, tried: &tried, now }) {
                group.finished(index);
                chosen.push((index + 1).to_string());
                if !dead[index] {
                    break;
                }
                group.failed(progress, index, now);
                tried.add(index);
            }
            choices.push(chosen.join("+"));
        }
        choices
    }

    fn expected(&self) -> Vec<&str> {
        self.requests.iter().map(|(_, servers)| *servers).collect()
    }
}

#[test]
fn the_choices_are_nginxs() {
    let lines = lines(include_str!("../golden/nginx.txt"), 18301);
    for line in &lines {
        let group = line.group();
        assert_eq!(line.choose(&group, &mut group.progress(0)), line.expected(), "{:?} {}", line.method, line.servers);
    }
    assert!(lines.len() > 50);
}

#[test]
fn the_choices_are_tengines() {
    for line in lines(include_str!("../golden/tengine.txt"), 18401) {
        let group = line.group();
        // Where a worker begins hangs on its seed.
        let any = (0..100).any(|seed| line.choose(&group, &mut group.progress(seed)) == line.expected());
        assert!(any, "{:?} {}", line.method, line.servers);
    }
}

fn server(port: u16, text: &str) -> Server {
    let name = format!("127.0.0.1:{port}");
    let (text, id) = text.split_once('@').unwrap_or((text, ""));
    let weight = text.trim_end_matches(['d', 'x']).parse().expect("a weight");
    let (max_fails, fail_timeout) = if text.ends_with('x') { (2, 3600) } else { (1, 10) };
    let (number, down) = (id.parse().ok(), text.ends_with('d'));
    let name = name.into_boxed_str();
    Server { text: name.clone(), name, number, weight, max_fails, fail_timeout, down, ..Server::default() }
}

fn octets(address: std::net::IpAddr) -> Vec<u8> {
    match address {
        std::net::IpAddr::V4(address) => address.octets()[..3].to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    }
}
