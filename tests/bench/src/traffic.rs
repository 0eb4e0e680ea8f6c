//! CPU per proxied request and throughput, with bodies of three sizes.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::process::Command;

use crate::processes::{Server, backend, haproxy, limpet, nginx};

const ROUNDS: usize = 5;
const SIZES: [(&str, &str); 3] = [("19", "19 bytes"), ("64k", "64 KiB"), ("1m", "1 MiB")];

/// One server's figures for one size, in the middle of its rounds.
#[derive(Clone, Copy)]
pub struct Figures {
    user: f64,
    system: f64,
    throughput: f64,
}

impl Figures {
    pub fn cpu(self) -> f64 {
        self.user + self.system
    }
}

pub fn measure(page: &mut String) {
    let origin = backend();
    let servers = [nginx(origin.port), haproxy(origin.port), limpet(origin.port)];
    let _ = writeln!(page, "## Requests\n\n64 client connections, one worker, medians of {ROUNDS} rounds of 3 s.\n");
    let _ = writeln!(page, "| body | server | CPU µs per request | user | system | to nginx | requests/s | to nginx |\n|---|---|---|---|---|---|---|---|");
    for (target, size) in SIZES {
        let mut rounds: Vec<Vec<Figures>> = servers.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for (server, rounds) in servers.iter().zip(&mut rounds) {
                rounds.push(round(server, target));
            }
        }
        let middle: Vec<Figures> = rounds.iter().map(|rounds| median(rounds)).collect();
        for (server, figures) in servers.iter().zip(&middle) {
            let _ = writeln!(
                page,
                "| {size} | {} | {:.1} | {:.1} | {:.1} | {:.2} | {:.0} | {:.2} |",
                server.name,
                figures.cpu(),
                figures.user,
                figures.system,
                figures.cpu() / middle[0].cpu(),
                figures.throughput,
                figures.throughput / middle[0].throughput
            );
        }
    }
    page.push('\n');
}

/// The round whose CPU per request lies in the middle.
fn median(rounds: &[Figures]) -> Figures {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(|one, other| one.cpu().total_cmp(&other.cpu()));
    sorted[sorted.len() / 2]
}

fn round(server: &Server, target: &str) -> Figures {
    requests(server, target, &cookie(server.port, target))
}

/// What requests with a cookie cost, for three seconds.
pub fn requests(server: &Server, target: &str, cookie: &str) -> Figures {
    let before = server.cpu();
    let output = Command::new("wrk")
        .args(["-t1", "-c64", "-d3s", "-H", &format!("Cookie: {cookie}")])
        .arg(format!("http://127.0.0.1:{}/{target}", server.port))
        .output()
        .expect("wrk runs");
    let after = server.cpu();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let requests = number(&text, |line| line.contains("requests in"), 0);
    let throughput = number(&text, |line| line.starts_with("Requests/sec"), 1);
    assert!(!text.contains("Non-2xx"), "{} answered with errors: {text}", server.name);
    Figures { user: (after.0 - before.0) / requests, system: (after.1 - before.1) / requests, throughput }
}

fn number(text: &str, line: impl Fn(&str) -> bool, word: usize) -> f64 {
    let found = text.lines().find(|candidate| line(candidate)).and_then(|line| line.split_whitespace().nth(word)?.parse().ok());
    found.unwrap_or_else(|| panic!("wrk said {text}"))
}

/// The session's cookie that the server hands out.
pub fn cookie(port: u16, target: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    write!(stream, "GET /{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie:"));
    line.and_then(|line| line.split([':', ';']).nth(1)).unwrap_or("none=1").trim().to_owned()
}
