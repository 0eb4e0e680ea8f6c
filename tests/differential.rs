//! Mutated requests, in pieces, to both carriers and to nginx: the statuses, what the backend got, and where one request ends
//! and the next begins, must be the same. What may differ stands in `differences.txt`, with the reason.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use limpet_tests::{Backend, Limpet, nginx, port};

/// How many requests are made up, and by how many threads they are sent.
const REQUESTS: usize = 10_000;
const THREADS: usize = 32;
/// A run can be had again by its seed.
const SEED: u64 = 0x6c69_6d70_6574;

/// What the mutations begin with.
const BASES: [&str; 12] = [
    "GET /a?b=c HTTP/1.1\r\nHost: x\r\nUser-Agent: u\r\n\r\n",
    "GET /a/../b%20c HTTP/1.1\r\nHost: x:80\r\nAccept: */*\r\nCookie: a=b; route=1\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
    "PUT /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "GET http://h/abs?x HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "HEAD /h HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "DELETE /d;p=1 HTTP/1.1\r\nhost: X\r\nX-Long: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n\r\n",
];
/// What is put in somewhere.
const PIECES: [&str; 26] = [
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    "\0",
    "%",
    "%00",
    "%2f",
    "/",
    "//",
    "/../",
    "/./",
    "?",
    "#",
    "\\",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: y\r\n",
    "Connection: close\r\n",
    "X_Y: 1\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff",
    "\u{e9}",
    "HTTP/1.1",
];
/// Behind each of them, to see where it ended.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n";

struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }
}

/// A request with some mistakes, and where it is cut.
fn made_up(number: usize) -> (Vec<u8>, Vec<usize>) {
    let mut random = Random(SEED ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut request = BASES[random.below(BASES.len())].as_bytes().to_vec();
    for _ in 0..random.below(4) {
        let at = random.below(request.len());
        let end = (at + 1 + random.below(8)).min(request.len());
        match random.below(5) {
            0 => request[at] = random.below(256) as u8,
            1 => drop(request.drain(at..end)),
            2 => {
                let again = request[at..end].to_vec();
                request.splice(at..at, again);
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())].bytes();
                request.splice(at..at, piece);
            }
        }
        if request.is_empty() {
            request.push(b'G');
        }
    }
    request.extend_from_slice(NEXT.as_bytes());
    let mut cuts: Vec<usize> = (0..random.below(5)).map(|_| random.below(request.len())).collect();
    cuts.sort_unstable();
    (request, cuts)
}

/// What a server made of a request: each response's status and what the backend said it had got, and whether the connection
/// was closed in time.
fn seen(port: u16, request: &[u8], cuts: &[usize]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let _ = stream.set_nodelay(true);
    let mut from = 0;
    for cut in cuts.iter().copied().chain([request.len()]) {
        if stream.write_all(&request[from..cut]).is_err() {
            break;
        }
        from = cut;
        if cut < request.len() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let _ = stream.set_read_timeout(Some(Duration::from_secs(3)));
    let mut answer = Vec::new();
    let closed = stream.read_to_end(&mut answer).is_ok() || !answer.is_empty();
    let text = String::from_utf8_lossy(&answer);
    let mut seen: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(status) = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)) {
            seen.push(status.to_owned());
        } else if let Some(got) = line.split("got ").nth(1) {
            seen.push(got.to_owned());
        }
    }
    if !closed {
        seen.push("open".into());
    }
    seen.join(" ")
}

/// Answers with what it got: the request line, and the body.
fn telling() -> Backend {
    Backend::planned(|_, request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
        let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").trim_end_matches(" HTTP/1.0");
        let got = format!("got {line} [{body}]").escape_debug().to_string();
        limpet_tests::Script::ok(&format!("{got}\n"))
    })
}

/// A line of `differences.txt`: what the request, nginx's and our answer look like, and why that may be.
struct Allowed {
    request: pcre2::bytes::Regex,
    theirs: pcre2::bytes::Regex,
    ours: pcre2::bytes::Regex,
}

fn allowed() -> Vec<Allowed> {
    let pattern = |text: &str| {
        let pattern = if text == "-" { "" } else { text };
        pcre2::bytes::RegexBuilder::new().dotall(true).build(pattern).expect("a pattern")
    };
    let lines = include_str!("differences.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').filter(|column| !column.is_empty()).collect();
            assert_eq!(columns.len(), 4, "{line:?} has a request, nginx's answer, ours, and a reason");
            Allowed { request: pattern(columns[0]), theirs: pattern(columns[1]), ours: pattern(columns[2]) }
        })
        .collect()
}

#[test]
fn mutated_requests_mean_the_same_to_nginx_and_on_both_carriers() {
    let backend = telling();
    let directives = format!(
        "client_header_timeout 300ms; client_body_timeout 300ms; keepalive_timeout 300ms; lingering_time 1s; lingering_timeout 300ms;
         location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Connection ''; }}",
        backend.address()
    );
    let theirs = nginx(&directives);
    let ours = ["direct", "pingora"].map(|carrier| {
        let front = port();
        let directives = directives.replace("lingering_time 1s; lingering_timeout 300ms;", "");
        (front, Limpet::http(front, &format!("server {{ listen 127.0.0.1:{front}; carrier {carrier}; {directives} }}")))
    });
    let allowed = allowed();
    let next = AtomicUsize::new(0);
    let differing = parking_lot::Mutex::new(Vec::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= REQUESTS {
                        return;
                    }
                    let (request, cuts) = made_up(number);
                    let expected = seen(theirs.port, &request, &cuts);
                    for (front, _) in &ours {
                        let got = seen(*front, &request, &cuts);
                        let is = |pattern: &pcre2::bytes::Regex, text: &[u8]| pattern.is_match(text).expect("decided");
                        let may_be = |rule: &Allowed| {
                            is(&rule.request, &request)
                                && is(&rule.theirs, expected.as_bytes())
                                && is(&rule.ours, got.as_bytes())
                        };
                        if got != expected && !allowed.iter().any(may_be) {
                            let shown = String::from_utf8_lossy(&request[..request.len() - NEXT.len()])
                                .escape_debug()
                                .to_string();
                            differing
                                .lock()
                                .push(format!("{number} {cuts:?} \"{shown}\"\n  nginx: {expected}\n  here:  {got}"));
                        }
                    }
                }
            });
        }
    });
    let differing = differing.into_inner();
    assert!(differing.is_empty(), "{} in {:?}:\n{}", differing.len(), began.elapsed(), differing.join("\n"));
}
