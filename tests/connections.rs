//! `worker_connections`, descriptors and listening sockets: what a process may hold, and what gives way when it is full.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use limpet_tests::{Backend, Client, Limpet, Script, eventually, get, port};

/// A client that has had an answer and keeps its connection.
fn idle(port: u16) -> Client {
    let mut client = Client::connect(port);
    assert_eq!(client.request("GET /", &[]).status, 200);
    client
}

fn local(port: u16) -> String {
    format!("server {{ listen 127.0.0.1:{port}; return 200 local; keepalive_timeout 1h; }}")
}

#[test]
fn where_descriptors_are_short_those_idle_longest_give_way_to_new_clients() {
    let port = port();
    let limpet = Limpet::with_descriptors(60, port, &local(port));
    let mut clients: Vec<Client> = (0..120).map(|_| idle(port)).collect();
    assert!(clients[0].is_closed(), "the first one had to go");
    let last = clients.last_mut().expect("a client");
    assert_eq!(last.request("GET /", &[]).status, 200, "the last one is still there");
    limpet.logs("[crit]");
    limpet.logs("accept4() failed (24: Too many open files)");
    let told = limpet.error_log().matches("accept4() failed").count();
    assert!(told <= 4, "once a second at most: {told}");
}

#[test]
fn a_file_that_no_descriptor_is_left_for_is_an_error_of_the_server() {
    let port = port();
    let http = format!("server {{ listen 127.0.0.1:{port}; root .; keepalive_timeout 1h; }}");
    let limpet = Limpet::with_descriptors(60, port, &http);
    // Connections that ask for something are not given up.
    let mut clients: Vec<TcpStream> = Vec::new();
    while clients.len() < 100 || !limpet.error_log().contains("accept4() failed (24: Too many open files)") {
        let mut client = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        let _ = client.write_all(b"GET /nginx.conf HTTP/1.1\r\n");
        clients.push(client);
    }
    // One that had not sent anything yet when it was accepted may have been given up, and has left a descriptor.
    let is_refused = |client: &mut TcpStream| {
        let _ = client.write_all(b"Host: x\r\nConnection: close\r\n\r\n");
        let mut response = Vec::new();
        let _ = client.read_to_end(&mut response);
        response.starts_with(b"HTTP/1.1 500 ")
    };
    assert!(clients.iter_mut().take(20).any(is_refused), "all of them got their file");
    limpet.logs("nginx.conf\" failed (24: Too many open files)");
}

#[test]
fn an_idle_process_sleeps() {
    let backend = Backend::new(Script::ok("x"));
    let port = port();
    let http = format!(
        "upstream u {{ server {}; }} server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; }} }}",
        backend.address()
    );
    let limpet = Limpet::http(port, &http);
    let _client = idle(port);
    let wakings = || -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", limpet.pid())).expect("threads");
        let status = tasks.map(|task| std::fs::read_to_string(task.expect("a thread").path().join("status")));
        let count = |status: String| -> Option<u64> {
            status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok())
        };
        status.filter_map(|status| count(status.ok()?)).sum()
    };
    // With an idle client and a connection kept to a backend, at most two a second; a hundred would be a timer's.
    eventually("it goes to sleep", || {
        let before = wakings();
        std::thread::sleep(Duration::from_secs(1));
        wakings() - before <= 2
    });
}

#[test]
fn worker_connections_are_obeyed_and_idle_ones_reused() {
    let port = port();
    let limpet = Limpet::http_with(port, "events { worker_connections 32; }", &local(port));
    let mut clients: Vec<Client> = (0..100).map(|_| idle(port)).collect();
    limpet.logs("[warn]");
    limpet.logs("32 worker_connections are not enough, reusing connections");
    assert!(clients[0].is_closed());
    let last = clients.last_mut().expect("a client");
    assert_eq!(last.request("GET /", &[]).status, 200);
    // Those that have said nothing yet are as good as idle.
    let silent: Vec<Client> = (0..100).map(|_| Client::connect(port)).collect();
    idle(port);
    drop(silent);
}

#[test]
fn beyond_worker_connections_nobody_is_accepted_until_one_has_ended() {
    let backend = Backend::planned(|_, request| if request.contains("/slow") { Script::Hang } else { Script::ok("x") });
    let port = port();
    let http =
        format!("server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{}; }} }}", backend.address());
    let limpet = Limpet::http_with(port, "events { worker_connections 8; }", &http);
    // Each of them has a connection to the backend as well.
    let mut slow: Vec<Client> = (0..4).map(|_| Client::connect(port)).collect();
    slow.iter_mut().for_each(|client| {
        client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    });
    eventually("all of them are asked for", || backend.requests().len() == 4);
    let mut waiting = Client::connect(port);
    waiting.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    limpet.logs("[alert]");
    limpet.logs("8 worker_connections are not enough");
    assert_eq!(backend.requests().len(), 4, "it waits");
    drop(slow.pop());
    assert_eq!(waiting.response().status, 200);
}

#[test]
fn workers_share_their_listening_sockets() {
    let first = port();
    let ports: Vec<u16> = std::iter::once(first).chain((0..40).map(|_| port())).collect();
    let listens: String = ports.iter().map(|port| format!("listen 127.0.0.1:{port}; ")).collect();
    let text = format!(
        "worker_processes 8; error_log logs/error.log; events {{}} http {{ server {{ {listens} return 200 x; }} }}"
    );
    let limpet = Limpet::start_with_descriptors(130, first, &text);
    for port in ports {
        assert_eq!(get(port, "/", &[]).text(), "x");
    }
    drop(limpet);
}

#[test]
fn the_limit_of_open_files_is_the_files() {
    let port = port();
    let limpet = Limpet::http_with(
        port,
        "worker_rlimit_nofile 333;",
        &format!("server {{ listen 127.0.0.1:{port}; return 200 x; }}"),
    );
    eventually("the limit is set", || {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", limpet.pid())).unwrap_or_default();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default().to_owned();
        line.split_whitespace().nth(3) == Some("333")
    });
}
