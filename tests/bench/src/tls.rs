//! TLS and HTTP/2: handshakes, requests, and memory of idle connections.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use openssl::ssl::{SslConnector, SslMethod, SslSession, SslSessionCacheMode, SslStream, SslVerifyMode};

use crate::memory::of_idle;
use crate::processes::{Server, Trio, backend};
use crate::traffic::{Figures, in_turns, number, requests_over, rows};

const ROUNDS: usize = 7;
const IDLE: usize = 5000;

pub fn measure(page: &mut String) {
    let origin = backend();
    let folder = tempfile::tempdir().expect("a folder");
    let kinds: [(&str, &str, &[&str]); 2] = [
        ("RSA 2048", "rsa.pem", &["-newkey", "rsa:2048"]),
        ("P-256", "ec.pem", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]),
    ];
    let head = "CPU µs | user | system | to nginx | in a second | to nginx |\n|---|---|---|---|---|---|---|---|";
    let _ = writeln!(page, "## TLS\n\nTLS 1.3, one worker, two clients that shake hands and leave.\n");
    let _ = writeln!(page, "| handshakes | server | {head}");
    for (kind, file, arguments) in kinds {
        let identity = identity(&folder.path().join(file), arguments);
        let servers = Trio::tls(&identity).start(origin.port);
        for (resumes, how) in [(false, "full"), (true, "resumed")] {
            let rounds = in_turns(ROUNDS, servers.len(), |server| handshakes(&servers[server], resumes));
            rows(page, &servers, &rounds, &format!("{kind}, {how}"));
        }
    }
    let servers = Trio::tls(&folder.path().join("ec.pem")).start(origin.port);
    let cookies = servers.each_ref().map(|server| cookie(server.port));
    let _ = writeln!(page, "\n64 clients of HTTP/1.1 over TLS; 10 clients of HTTP/2 over TLS with 100 streams each.\n");
    let _ = writeln!(page, "| requests | server | {head}");
    for (target, size) in [("19", "19 bytes"), ("64k", "64 KiB")] {
        let rounds = in_turns(ROUNDS, servers.len(), |server| requests_over("https", &servers[server], target, &cookies[server]));
        rows(page, &servers, &rounds, size);
    }
    for (target, size) in [("19", "19 bytes, HTTP/2"), ("64k", "64 KiB, HTTP/2")] {
        let rounds = in_turns(ROUNDS, servers.len(), |server| streams(&servers[server], target, &cookies[server]));
        rows(page, &servers, &rounds, size);
    }
    drop(servers);
    let _ = writeln!(page, "\n{IDLE} idle connections over TLS, each after one request.\n\n| server | bytes per connection |\n|---|---|");
    let (connector, _) = client();
    for server in Trio::tls(&folder.path().join("ec.pem")).start(origin.port) {
        let _ = writeln!(page, "| {} | {} |", server.name, of_idle(&server, IDLE, || one(&connector, server.port)));
    }
    page.push('\n');
}

/// A certificate and its key in one file.
fn identity(path: &Path, arguments: &[&str]) -> std::path::PathBuf {
    let (key, certificate) = (path.with_extension("key"), path.with_extension("crt"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(arguments)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let both = [std::fs::read(certificate).expect("a file"), std::fs::read(key).expect("a file")].concat();
    std::fs::write(path, both).expect("a file");
    path.to_owned()
}

fn connect(connector: &SslConnector, port: u16, session: Option<&SslSession>) -> SslStream<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let mut ssl = connector.configure().expect("a client").verify_hostname(false).into_ssl("localhost").expect("a client");
    if let Some(session) = session {
        // SAFETY: the session is of the same client.
        unsafe { ssl.set_session(session).expect("a session") };
    }
    ssl.connect(stream).expect("a handshake")
}

fn client() -> (SslConnector, Arc<Mutex<Option<SslSession>>>) {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("a client");
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_session_cache_mode(SslSessionCacheMode::CLIENT);
    let last = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&last);
    builder.set_new_session_callback(move |_, session| *keep.lock().expect("no panic") = Some(session));
    (builder.build(), last)
}

fn ask(stream: &mut SslStream<TcpStream>) {
    stream.write_all(b"GET /19 HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut space = [0; 4096];
    let count = stream.read(&mut space).expect("an answer");
    assert!(space[..count].starts_with(b"HTTP/1.1 200"));
}

/// What a handshake costs: two clients, a second.
fn handshakes(server: &Server, resumes: bool) -> Figures {
    let (port, before, started) = (server.port, server.cpu(), Instant::now());
    let clients: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(move || {
                let (connector, last) = client();
                let mut count = 0;
                while started.elapsed() < Duration::from_secs(1) {
                    let session = last.lock().expect("no panic").take().filter(|_| resumes);
                    let mut stream = connect(&connector, port, session.as_ref());
                    if resumes {
                        // The tickets come with the first answer.
                        ask(&mut stream);
                    }
                    let _ = stream.shutdown();
                    count += 1;
                }
                count
            })
        })
        .collect();
    let count: u32 = clients.into_iter().map(|client| client.join().expect("a client")).sum();
    let (after, count, seconds) = (server.cpu(), f64::from(count), started.elapsed().as_secs_f64());
    Figures { user: (after.0 - before.0) / count, system: (after.1 - before.1) / count, throughput: count / seconds }
}

/// What a request of HTTP/2 costs.
fn streams(server: &Server, target: &str, cookie: &str) -> Figures {
    let requests = if target == "19" { "60000" } else { "15000" };
    let url = format!("https://127.0.0.1:{}/{target}", server.port);
    h2load(server, &["-c10", "-m100", "-n", requests, "-H", &format!("cookie: {cookie}"), &url])
}

/// What a request costs that h2load makes.
pub fn h2load(server: &Server, arguments: &[&str]) -> Figures {
    let before = server.cpu();
    let started = Instant::now();
    let output = Command::new("h2load").args(arguments).output().expect("h2load runs");
    let (after, text) = (server.cpu(), String::from_utf8_lossy(&output.stdout).into_owned());
    let (total, count) = (number(&text, |line| line.starts_with("requests:"), 1), number(&text, |line| line.starts_with("requests:"), 7));
    assert!(count > 0.0 && count >= total * 0.999, "{}: {text}", server.name);
    Figures {
        user: (after.0 - before.0) / count,
        system: (after.1 - before.1) / count,
        throughput: count / started.elapsed().as_secs_f64(),
    }
}

/// The session's cookie that the server hands out.
fn cookie(port: u16) -> String {
    let output = Command::new("curl").args(["-sk", "-D-", "-o/dev/null"]).arg(format!("https://127.0.0.1:{port}/19")).output();
    let text = String::from_utf8_lossy(&output.expect("curl runs").stdout).into_owned();
    let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie:")).map(str::to_owned);
    line.and_then(|line| Some(line.split([':', ';']).nth(1)?.trim().to_owned())).unwrap_or_else(|| "none=1".to_owned())
}

/// A connection over TLS that has served one request.
fn one(connector: &SslConnector, port: u16) -> SslStream<TcpStream> {
    let mut stream = connect(connector, port, None);
    ask(&mut stream);
    stream
}
