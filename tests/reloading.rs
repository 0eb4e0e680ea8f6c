//! Signals: reload, reopen, stop.

use std::time::Duration;

use limpet_tests::{Backend, Client, Limpet, Script, eventually, get, port};
use nix::sys::signal::Signal;

fn returning(port: u16, text: &str) -> String {
    format!("server {{ listen 127.0.0.1:{port}; return 200 {text}; }}")
}

#[test]
fn a_reload_swaps_the_configuration_and_keeps_connections() {
    let port = port();
    let limpet = Limpet::http(port, &returning(port, "old"));
    let mut kept = Client::connect(port);
    assert_eq!(kept.request("GET /", &[]).text(), "old");
    limpet.rewrite(&returning(port, "new"));
    limpet.signal(Signal::SIGHUP);
    eventually("new requests see the new configuration", || get(port, "/", &[]).text() == "new");
    assert_eq!(kept.request("GET /", &[]).text(), "new", "the connection goes on, with the new configuration");
}

#[test]
fn a_request_in_flight_ends_with_the_configuration_it_began_with() {
    let slow = Backend::planned(|_, _| {
        Script::Dribble([b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n".to_vec(), vec![b'x'; 300]].concat())
    });
    let front = port();
    let limpet = Limpet::http(
        front,
        &format!(
            "server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://{}; }} location /v {{ return 200 old; }} }}",
            slow.address()
        ),
    );
    let mut client = Client::connect(front);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("the request is there", || !slow.requests().is_empty());
    limpet.rewrite(&format!("server {{ listen 127.0.0.1:{front}; location /v {{ return 200 new; }} }}"));
    limpet.signal(Signal::SIGHUP);
    eventually("the new configuration is in place", || get(front, "/v", &[]).text() == "new");
    assert_eq!(client.response().body.len(), 300);
}

#[test]
fn a_broken_file_changes_nothing_and_says_why() {
    let port = port();
    let mut limpet = Limpet::http(port, &returning(port, "old"));
    for (http, message) in [
        ("nope;", "unknown directive \"nope\""),
        ("server { listen 80", "unexpected \"}\""),
        ("include /none;", "open() \"/none\" failed"),
        ("upstream u { }", "no servers are inside upstream"),
    ] {
        limpet.rewrite(http);
        limpet.signal(Signal::SIGHUP);
        limpet.logs(message);
        assert_eq!(get(port, "/", &[]).text(), "old");
    }
    std::fs::remove_file(limpet.path("nginx.conf")).expect("removed");
    limpet.signal(Signal::SIGHUP);
    limpet.logs("nginx.conf\" failed (2: No such file or directory)");
    assert_eq!(get(port, "/", &[]).text(), "old");
    limpet.signal(Signal::SIGTERM);
    assert!(limpet.wait().success());
}

#[test]
fn a_reload_opens_and_closes_addresses() {
    let (one, two) = (port(), port());
    let limpet = Limpet::http(one, &returning(one, "one"));
    let mut kept = Client::connect(one);
    kept.request("GET /", &[]);
    limpet.rewrite(&returning(two, "two"));
    limpet.signal(Signal::SIGHUP);
    eventually("the new address is served", || std::net::TcpStream::connect(("127.0.0.1", two)).is_ok());
    assert_eq!(get(two, "/", &[]).text(), "two");
    eventually("the old address is closed", || std::net::TcpStream::connect(("127.0.0.1", one)).is_err());
    assert!(kept.request("GET /", &[]).status > 0, "its connections still get an answer");
}

#[test]
fn failure_marks_survive_a_reload() {
    let failing = Backend::new(Script::Close);
    let other = Backend::new(Script::ok("other"));
    let front = port();
    let http = format!(
        "upstream u {{ server {} fail_timeout=1h; server {}; }} server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
        failing.address(),
        other.address()
    );
    let limpet = Limpet::http(front, &http);
    get(front, "/", &[]);
    assert_eq!(failing.requests().len(), 1);
    limpet.rewrite(&http.replace("location / {", "location /v { return 200 new; } location / {"));
    limpet.signal(Signal::SIGHUP);
    eventually("the new configuration is in place", || get(front, "/v", &[]).text() == "new");
    for _ in 0..6 {
        assert_eq!(get(front, "/", &[]).text(), "other");
    }
    assert_eq!(failing.requests().len(), 1, "the failed server was asked again after the reload");
}

#[test]
fn quit_lets_requests_end_and_closes_idle_connections() {
    let slow = Backend::planned(|_, _| {
        Script::Dribble([b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n".to_vec(), vec![b'x'; 200]].concat())
    });
    let front = port();
    let http = format!(
        "server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://{}; }} location /v {{ return 200 x; }} }}",
        slow.address()
    );
    let mut limpet = Limpet::http(front, &http);
    let mut idle = Client::connect(front);
    idle.request("GET /v", &[]);
    let mut busy = Client::connect(front);
    busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("the request is there", || !slow.requests().is_empty());
    limpet.signal(Signal::SIGQUIT);
    idle.set_patience(Duration::from_secs(10));
    assert!(idle.is_closed());
    assert_eq!(busy.response().body.len(), 200);
    assert!(limpet.wait().success());
    assert!(!limpet.path("logs/nginx.pid").exists(), "the pid file goes away");
}

#[test]
fn quit_closes_the_listening_sockets_at_once() {
    let hanging = Backend::new(Script::Hang);
    let front = port();
    let http =
        format!("server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://{}; }} }}", hanging.address());
    let limpet = Limpet::http(front, &http);
    let mut busy = Client::connect(front);
    busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("the request is there", || !hanging.requests().is_empty());
    limpet.signal(Signal::SIGQUIT);
    eventually("nobody can connect any more", || std::net::TcpStream::connect(("127.0.0.1", front)).is_err());
    let _another = std::net::TcpListener::bind(("127.0.0.1", front)).expect("another process can listen there");
}

#[test]
fn a_reload_that_fails_leaves_the_idle_connections_alone_and_names_the_address() {
    let backend = Backend::new(Script::ok("x"));
    let (front, taken) = (port(), limpet_tests::listener());
    let taken = taken.local_addr().map(|address| (address, taken)).expect("an address");
    let http = |keepalive: u32| {
        format!(
            "upstream u {{ server {}; keepalive {keepalive}; }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
            backend.address()
        )
    };
    let limpet = Limpet::http(front, &http(4));
    get(front, "/", &[]);
    limpet.rewrite(&format!("{} server {{ listen {}; }}", http(0), taken.0));
    limpet.signal(Signal::SIGHUP);
    limpet.logs(&format!("[emerg] {}#", limpet.pid()));
    limpet.logs(&format!("bind() to {} failed (98: Address already in use)", taken.0));
    limpet.logs("still could not bind()");
    for _ in 0..3 {
        get(front, "/", &[]);
    }
    assert_eq!(backend.connections(), 1, "the old configuration keeps connections");
}

#[test]
fn term_and_int_stop_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let hanging = Backend::new(Script::Hang);
        let front = port();
        let http =
            format!("server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://{}; }} }}", hanging.address());
        let mut limpet = Limpet::http(front, &http);
        let mut client = Client::connect(front);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        eventually("the request is there", || !hanging.requests().is_empty());
        limpet.signal(signal);
        assert!(limpet.wait().success());
        assert!(!limpet.path("logs/nginx.pid").exists());
    }
}

#[test]
fn usr1_reopens_the_logs() {
    let port = port();
    let limpet = Limpet::http(port, &returning(port, "x"));
    get(port, "/1", &[]);
    limpet.access_log(1);
    std::fs::rename(limpet.path("logs/access.log"), limpet.path("logs/old.log")).expect("moved");
    limpet.signal(Signal::SIGUSR1);
    eventually("the log is there again", || limpet.path("logs/access.log").exists());
    get(port, "/2", &[]);
    assert!(limpet.access_log(1)[0].contains("GET /2 "));
    assert_eq!(std::fs::read_to_string(limpet.path("logs/old.log")).expect("the old log").lines().count(), 1);
}

/// Four servers with sessions, and how many of some new clients each of them gets when there is a reload after every few.
fn shares(workers: usize, method: &str, clients: usize, each: usize) -> Vec<usize> {
    let backends: Vec<Backend> = (0..4).map(|number| Backend::new(Script::ok(&number.to_string()))).collect();
    let front = port();
    let servers: String = backends.iter().map(|backend| format!("server {};", backend.address())).collect();
    let http = |round: usize| {
        format!(
            "upstream u {{ {method} {servers} session_sticky; }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} location /round {{ return 200 {round}; }} }}"
        )
    };
    let limpet = Limpet::http_with(front, &format!("worker_processes {workers};"), &http(0));
    let mut shares = vec![0; 4];
    for client in 0..clients {
        let server: usize = get(front, "/", &[]).text().parse().expect("a number");
        shares[server] += 1;
        if client % each == each - 1 {
            let text = std::fs::read_to_string(limpet.path("nginx.conf")).expect("a configuration");
            let (from, to) = (format!("return 200 {};", client / each), format!("return 200 {};", client / each + 1));
            std::fs::write(limpet.path("nginx.conf"), text.replace(&from, &to)).expect("a configuration");
            limpet.signal(Signal::SIGHUP);
            let round = (client / each + 1).to_string();
            eventually("the new configuration is in place", || get(front, "/round", &[]).text() == round);
        }
    }
    shares
}

#[test]
fn new_sessions_are_spread_evenly_over_reloads_and_workers() {
    // One worker goes on where it was.
    assert_eq!(shares(1, "", 12, 3), [3, 3, 3, 3]);
    assert_eq!(shares(1, "least_conn;", 12, 1), [3, 3, 3, 3]);
    // Which worker takes a client is the kernel's choice.
    let shares = shares(4, "", 40, 4);
    assert!(shares.iter().all(|share| (4..=17).contains(share)), "{shares:?}");
}
