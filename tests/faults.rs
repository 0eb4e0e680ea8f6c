//! Two minutes of trouble: backends are killed, frozen, restarted and sick in turn, and clients with sessions go on.
//!
//! `FAULT_SECONDS` shortens or lengthens the run.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use limpet_tests::{Client, Limpet, Process, eventually, pace, port};
use nix::sys::signal::Signal;

const BACKENDS: usize = 5;
const CLIENTS: usize = 100;
/// Between two requests of a client.
const RATE: Duration = Duration::from_millis(400);
/// How long a fault lasts, and how long all is well after it: within `fail_timeout` there are always servers left.
const LASTS: Duration = Duration::from_secs(4);
/// How long before and behind a fault a request may still be touched by it.
const SLACK: Duration = Duration::from_millis(1500);

/// An nginx that says its number, and 503 while there is a file `sick` in its folder.
struct Backend {
    number: usize,
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Process>,
}

impl Backend {
    fn new(number: usize) -> Backend {
        let folder = tempfile::tempdir().expect("a folder");
        let mut backend = Backend { number, port: port(), folder, process: None };
        backend.start();
        backend
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&mut self) {
        let folder = self.path().display();
        let configuration = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
             events {{}}
             http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
             fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
             server {{ listen 127.0.0.1:{}; location / {{ if (-f {folder}/sick) {{ return 503; }} return 200 {}; }} }} }}",
            self.port, self.number
        );
        std::fs::write(self.path().join("nginx.conf"), configuration).expect("a configuration");
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let mut command = Command::new("nginx");
        command.env("PATH", path).arg("-p").arg(self.path()).arg("-c").arg(self.path().join("nginx.conf"));
        self.process = Some(Process::start("nginx", &mut command, self.path()));
        eventually("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Ends at once, as by SIGKILL.
    fn kill(&mut self) {
        self.process = None;
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Frozen,
    Restarted,
    Sick,
}

/// A fault of a backend, and when it was.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    backend: usize,
    fault: Fault,
    from: Instant,
    to: Instant,
}

/// What a client saw of one request.
#[derive(Debug, Clone, Copy)]
struct Seen {
    sent: Instant,
    received: Instant,
    status: u16,
    /// Who answered, where somebody did.
    backend: Option<usize>,
}

/// A client with a session, from its first request until it is told to stop.
fn client(front: u16, target: &str, stop: &AtomicBool) -> Vec<Seen> {
    let mut cookie = String::new();
    let mut all = Vec::new();
    let mut connection = Client::connect(front);
    for () in pace(RATE) {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let sent = Instant::now();
        let headers = [format!("Cookie: {cookie}")];
        let headers: Vec<&str> = headers.iter().filter(|_| !cookie.is_empty()).map(String::as_str).collect();
        let response = connection.request(&format!("GET {target}"), &headers);
        if let Some(line) = response.values("set-cookie").first() {
            cookie = line.split(';').next().unwrap_or_default().to_owned();
        }
        let backend = (response.status == 200).then(|| response.text().parse().expect("a number"));
        if response.value("connection") == "close" {
            connection = Client::connect(front);
        }
        all.push(Seen { sent, received: Instant::now(), status: response.status, backend });
    }
    all
}

/// Brings the faults about, one after the other.
fn trouble(backends: &mut [Backend], seconds: u64) -> Vec<Trouble> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let faults = [Fault::Killed, Fault::Frozen, Fault::Restarted, Fault::Sick];
    let mut all = Vec::new();
    let wait = |time: Duration| pace(time).nth(1);
    for (backend, fault) in (0..).map(|turn: usize| (turn % BACKENDS, faults[(turn / BACKENDS + turn) % 4])) {
        if Instant::now() + LASTS * 2 > end {
            return all;
        }
        let from = Instant::now();
        let chosen = &mut backends[backend];
        match fault {
            Fault::Killed => {
                chosen.kill();
                wait(LASTS);
                chosen.start();
            }
            Fault::Frozen => {
                chosen.signal(Signal::SIGSTOP);
                wait(LASTS);
                chosen.signal(Signal::SIGCONT);
            }
            Fault::Restarted => {
                chosen.kill();
                chosen.start();
            }
            Fault::Sick => {
                std::fs::write(chosen.path().join("sick"), "").expect("a file");
                wait(LASTS);
                std::fs::remove_file(chosen.path().join("sick")).expect("it was there");
            }
        }
        all.push(Trouble { backend, fault, from, to: Instant::now() });
        wait(LASTS);
    }
    all
}

impl Trouble {
    fn touches(&self, backend: usize, seen: &Seen) -> bool {
        self.backend == backend && seen.received + SLACK >= self.from && seen.sent <= self.to + SLACK
    }
}

#[test]
fn sessions_live_through_two_minutes_of_trouble() {
    let seconds = std::env::var("FAULT_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(120);
    let mut backends: Vec<Backend> = (0..BACKENDS).map(Backend::new).collect();
    let servers: String = backends.iter().map(|backend| format!("server 127.0.0.1:{};", backend.port)).collect();
    let front = port();
    let http = format!(
        "upstream on {{ {servers} session_sticky; keepalive 16; }}
         upstream off {{ {servers} session_sticky fallback=off; keepalive 16; }}
         proxy_connect_timeout 1s; proxy_read_timeout 1s; proxy_next_upstream error timeout http_503;
         server {{ listen 127.0.0.1:{front}; keepalive_requests 1000000;
         location /on {{ proxy_pass http://on; }} location /off {{ proxy_pass http://off; }} }}"
    );
    let _limpet = Limpet::http_with(front, "worker_processes 2;", &http);
    let stop = Arc::new(AtomicBool::new(false));
    let troubles = Mutex::new(Vec::new());
    let (mut on, mut off) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let run = |target: &'static str| {
            let stop = Arc::clone(&stop);
            scope.spawn(move || client(front, target, &stop))
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| (run("/on"), run("/off"))).collect();
        *troubles.lock().expect("no panic") = trouble(&mut backends, seconds);
        stop.store(true, Ordering::Release);
        for (one, other) in clients {
            on.push(one.join().expect("the client saw answers"));
            off.push(other.join().expect("the client saw answers"));
        }
    });
    let troubles = troubles.into_inner().expect("no panic");
    assert!(!troubles.is_empty(), "the time is too short");
    on.iter().for_each(|seen| check_fallback_on(seen, &troubles));
    off.iter().for_each(|seen| check_fallback_off(seen, &troubles));
    let errors = off.iter().flatten().filter(|seen| seen.status != 200).count();
    assert!(errors > 0, "somebody was held to a server that failed");
}

/// No error, ever; and a session leaves its server only when that has failed, once for each fault.
fn check_fallback_on(all: &[Seen], troubles: &[Trouble]) {
    let mut moves = Vec::new();
    for pair in all.windows(2) {
        let [before, after] = [pair[0], pair[1]];
        assert_eq!(after.status, 200, "{after:?} in {troubles:?}");
        let (Some(old), Some(new)) = (before.backend, after.backend) else { panic!("{pair:?}") };
        if old != new {
            let cause = troubles.iter().position(|trouble| trouble.touches(old, &after));
            moves.push(cause.unwrap_or_else(|| panic!("a session left {old} for {new}: {after:?} in {troubles:?}")));
        }
    }
    let mut once = moves.clone();
    once.dedup();
    assert_eq!(once, moves, "a session moved twice");
}

/// Errors for the sessions of the server that fails, and for nobody else; nobody ever moves.
fn check_fallback_off(all: &[Seen], troubles: &[Trouble]) {
    let home = all[0].backend.expect("all is well in the beginning");
    for seen in all {
        match seen.backend {
            Some(backend) => assert_eq!(backend, home, "a session that is held moved: {seen:?}"),
            None => {
                assert!(matches!(seen.status, 502..=504), "{seen:?}");
                let at_home = troubles.iter().any(|trouble| trouble.touches(home, seen));
                assert!(at_home, "an error without a cause at {home}: {seen:?} in {troubles:?}");
            }
        }
    }
    // Whoever asked in the middle of a fault of its server saw it.
    for trouble in troubles.iter().filter(|t| t.backend == home && !matches!(t.fault, Fault::Restarted)) {
        let within = |seen: &&Seen| seen.sent > trouble.from + SLACK && seen.received + SLACK < trouble.to;
        assert!(all.iter().filter(within).all(|seen| seen.status != 200), "{trouble:?}");
    }
}
