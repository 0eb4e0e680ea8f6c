//! CPU per proxied request and throughput, with bodies of three sizes.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::process::Command;

use crate::processes::{Server, backend, counting, haproxy, limpet, limpet_of, limpet_on_pingora, nginx, nginx_of};

/// Many short rounds: a machine that others use as well is disturbed for seconds at a time.
const ROUNDS: usize = 15;
const SIZES: [(&str, &str); 3] = [("19", "19 bytes"), ("64k", "64 KiB"), ("1m", "1 MiB")];

/// What a server took in a round, for each request.
#[derive(Clone, Copy)]
pub struct Figures {
    pub user: f64,
    pub system: f64,
    pub throughput: f64,
}

impl Figures {
    pub fn cpu(self) -> f64 {
        self.user + self.system
    }
}

pub fn measure(page: &mut String) {
    let origin = backend();
    let servers = [nginx(origin.port), haproxy(origin.port), limpet(origin.port), limpet_on_pingora(origin.port)];
    let _ = writeln!(
        page,
        "## Requests\n\n64 client connections, one worker. The servers take turns for {ROUNDS} rounds of a second; medians, and for the \
         ratios the median of the rounds' ratios.\n"
    );
    let _ = writeln!(page, "| body | server | CPU µs per request | user | system | to nginx | requests/s | to nginx |\n|---|---|---|---|---|---|---|---|");
    for (target, size) in SIZES {
        table(page, &servers, target, size);
    }
    drop(servers);
    let to = format!("server 127.0.0.1:{};", origin.port);
    let logging = [nginx_of("nginx", &to, "access_log log combined;"), limpet_of("limpet", &to, "access_log log combined;")];
    table(page, &logging, "19", "19 bytes, logged");
    page.push('\n');
}

/// The rows of some servers, the first of which is nginx.
fn table<const N: usize>(page: &mut String, servers: &[Server; N], target: &str, size: &str) {
    let cookies = servers.each_ref().map(|server| cookie(server.port, target));
    let rounds = in_turns(ROUNDS, servers.len(), |server| requests(&servers[server], target, &cookies[server]));
    rows(page, servers, &rounds, size);
}

/// The rows of what was measured.
pub fn rows(page: &mut String, servers: &[Server], rounds: &[Vec<Figures>], size: &str) {
    for (server, figures) in servers.iter().zip(rounds) {
        let middle = |figure: fn(Figures) -> f64| median(figures.iter().map(|figures| figure(*figures)));
        let to_nginx = |figure: fn(Figures) -> f64| {
            median(figures.iter().zip(&rounds[0]).map(|(figures, nginx)| figure(*figures) / figure(*nginx)))
        };
        let _ = writeln!(
            page,
            "| {size} | {} | {:.1} | {:.1} | {:.1} | {:.2} | {:.0} | {:.2} |",
            server.name,
            middle(Figures::cpu),
            middle(|figures| figures.user),
            middle(|figures| figures.system),
            to_nginx(Figures::cpu),
            middle(|figures| figures.throughput),
            to_nginx(|figures| figures.throughput)
        );
    }
}

/// Rounds in which each of some servers is measured, every other one in the opposite order. The result has the rounds of
/// each server.
pub fn in_turns(rounds: usize, servers: usize, measure: impl Fn(usize) -> Figures) -> Vec<Vec<Figures>> {
    let mut figures = vec![Vec::new(); servers];
    for round in 0..rounds {
        for turn in 0..servers {
            let server = if round % 2 == 0 { turn } else { servers - 1 - turn };
            figures[server].push(measure(server));
        }
    }
    figures
}

pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// What requests with a cookie cost, for a second.
pub fn requests(server: &Server, target: &str, cookie: &str) -> Figures {
    requests_over("http", server, target, cookie)
}

/// The same over a scheme.
pub fn requests_over(scheme: &str, server: &Server, target: &str, cookie: &str) -> Figures {
    let before = server.cpu();
    let output = Command::new("wrk")
        .args(["-t1", "-c64", "-d1s", "-H", &format!("Cookie: {cookie}")])
        .arg(format!("{scheme}://127.0.0.1:{}/{target}", server.port))
        .output()
        .expect("wrk runs");
    let after = server.cpu();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let requests = number(&text, |line| line.contains("requests in"), 0);
    let throughput = number(&text, |line| line.starts_with("Requests/sec"), 1);
    assert!(!text.contains("Non-2xx"), "{} answered with errors: {text}", server.name);
    Figures { user: (after.0 - before.0) / requests, system: (after.1 - before.1) / requests, throughput }
}

/// What a request of 19 bytes takes outside the kernel: the counts of a short and of a long run, one behind the other over
/// one connection, apart.
pub fn instructions(page: &mut String) {
    let _ = writeln!(page, "## Instructions\n");
    if Command::new("valgrind").arg("--version").output().is_err() {
        let _ = writeln!(page, "valgrind is not there: not counted.\n");
        return;
    }
    let _ = writeln!(page, "Instructions outside the kernel for a request of 19 bytes, as valgrind counts them.\n");
    let _ = writeln!(page, "| server | instructions | to nginx |\n|---|---|---|");
    let origin = backend();
    let servers: [fn(u16) -> Server; 4] = [nginx, haproxy, limpet, limpet_on_pingora];
    let mut first = None;
    for start in servers {
        let count = |requests: usize| {
            let server = counting(|| start(origin.port));
            let cookie = cookie(server.port, "19");
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("connected");
            let request = format!("GET /19 HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n");
            for _ in 0..requests {
                stream.write_all(request.as_bytes()).expect("sent");
                let (mut answer, mut space) = (Vec::new(), [0; 4096]);
                while !answer.ends_with(b"nineteen bytes here") {
                    let count = stream.read(&mut space).expect("an answer");
                    assert!(count > 0, "{} has ended the connection", server.name);
                    answer.extend_from_slice(&space[..count]);
                }
            }
            (server.name, server.instructions())
        };
        let ((name, short), (_, long)) = (count(500), count(1500));
        let each = long.saturating_sub(short) as f64 / 1000.0;
        let first = *first.get_or_insert(each);
        let _ = writeln!(page, "| {name} | {each:.0} | {:.2} |", each / first);
    }
    page.push('\n');
}

pub fn number(text: &str, line: impl Fn(&str) -> bool, word: usize) -> f64 {
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
