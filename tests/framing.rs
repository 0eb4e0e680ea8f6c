//! Where messages end: heads and bodies that could be read in more ways than one are not read at all.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use limpet_tests::{Backend, Client, Limpet, Script, eventually, port};

/// A backend that keeps what it gets to itself until its client ends the connection, and a proxy before it.
struct Swallowed {
    port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
    limpet: Limpet,
    _backend: Backend,
}

fn swallowing(more: &str) -> Swallowed {
    let seen = Arc::<Mutex<Vec<u8>>>::default();
    let all = Arc::clone(&seen);
    let backend = Backend::driven(move |_, mut stream| {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let mut all = all.lock().expect("no panic");
            all.extend_from_slice(&buffer[..count]);
            if all.ends_with(b"0\r\n\r\n")
                && stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell").is_err()
            {
                return;
            }
        }
    });
    let port = port();
    let limpet = Limpet::http(
        port,
        &format!(
            "server {{ listen 127.0.0.1:{port}; {more} location /local {{ return 200 local; }}
             location / {{ proxy_pass http://{}; }} }}",
            backend.address()
        ),
    );
    Swallowed { port, seen, limpet, _backend: backend }
}

const CHUNKED: &str = "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n";
const SECOND: &str = "GET /local HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Chunks that nobody can read, as a client or a backend may send them.
const BROKEN: &[&str] = &[
    "5\r\nhello\r\n\r\nrest\r\n\r\n",
    "2\r\nok\r\n\r\n",
    "2\r\nok\r\n;\r\n\r\n",
    "2\r\nok\r\n;x\r\n\r\n",
    ";\r\n\r\n",
    "\r\n\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
    "0;a\nb\r\n\r\n",
    "5\r\nhelloX\r\n0\r\n\r\n",
    "zz\r\n\r\n",
    "FFFFFFFFFFFFFFFFF\r\n\r\n",
    "0\r\n\r\r\n",
    "0\r\n\rX\r\n\r\n",
    "0\r\nT: 1\r\r\n\r\n",
];

/// The same body in chunks that look odd and are read by everybody alike, and its data.
const ODD: &[(&str, &str)] = &[
    ("5\nhello\n0\n\n", "hello"),
    ("00000000000000000000005\r\nhello\r\n00000000000000000000\r\n\r\n", "hello"),
    ("2;x=y\r\nhe\r\n3 \r\nllo\r\n0;z\r\nTrailer: 1\r\n\r\n", "hello"),
];

#[test]
fn a_client_with_broken_chunks_gets_400_and_the_backend_no_end() {
    for broken in BROKEN {
        let Swallowed { port, seen, limpet, _backend } = &swallowing("proxy_request_buffering off;");
        for (target, parts) in [("/", 1), ("/", 2), ("/local", 1)] {
            let mut client = Client::connect(*port);
            let head = format!("POST {target} HTTP/1.1\r\n{CHUNKED}");
            // In two parts the request is on its way before anybody knows that it is broken.
            if parts == 2 {
                client.send(&head);
                eventually("the head is passed on", || seen.lock().expect("no panic").ends_with(b"\r\n\r\n"));
                client.send(format!("{broken}{SECOND}"));
            } else {
                client.send(format!("{head}{broken}{SECOND}"));
            }
            let answer = String::from_utf8_lossy(&client.to_end()).into_owned();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{target} {parts} {broken:?}: {answer}");
            assert!(!answer.contains("local"), "nothing behind it is served: {broken:?}");
            let seen = String::from_utf8_lossy(&seen.lock().expect("no panic")).into_owned();
            assert!(!seen.ends_with("0\r\n\r\n"), "{broken:?}: {seen}");
        }
        limpet.logs("client sent invalid chunked body");
    }
}

#[test]
fn odd_chunks_of_a_client_are_passed_on_in_plain_ones() {
    for (odd, data) in ODD {
        let Swallowed { port, seen, .. } = &swallowing("proxy_request_buffering off;");
        let mut client = Client::connect(*port);
        client.send(format!("POST / HTTP/1.1\r\n{CHUNKED}{odd}{SECOND}"));
        assert_eq!(
            (client.response().text().as_str(), client.response().text().as_str()),
            ("well", "local"),
            "{odd:?}"
        );
        let seen = String::from_utf8_lossy(&seen.lock().expect("no panic")).into_owned();
        let body = seen.split_once("\r\n\r\n").expect("a head").1;
        assert_eq!(body, format!("{:x}\r\n{data}\r\n0\r\n\r\n", data.len()), "{odd:?}");
    }
}

#[test]
fn a_chunk_that_is_announced_too_large_is_413_at_once() {
    let Swallowed { port, limpet, .. } = &swallowing("client_max_body_size 10; proxy_request_buffering off;");
    for body in ["64\r\n", "6\r\nabcdef\r\n5\r\n", "b\r\nhello"] {
        let mut client = Client::connect(*port);
        client.send(format!("POST / HTTP/1.1\r\n{CHUNKED}{body}"));
        assert_eq!(client.response().status, 413, "{body:?}");
        assert!(client.is_closed(), "{body:?}");
    }
    limpet.logs("client intended to send too large chunked body: 0+100 bytes");
    let mut client = Client::connect(*port);
    client.send(format!("POST / HTTP/1.1\r\n{CHUNKED}a\r\n0123456789\r\n0\r\n\r\n"));
    assert_eq!(client.response().text(), "well");
}

#[test]
fn a_backend_with_broken_chunks_is_cut_off_and_not_asked_again_over_the_connection() {
    for broken in BROKEN {
        for parts in [1, 2] {
            let broken = *broken;
            let backend = Backend::driven(move |_, mut stream| {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                    let pieces = if parts == 1 {
                        vec![format!("{head}{broken}")]
                    } else {
                        vec![head.to_owned(), broken.to_owned()]
                    };
                    for piece in pieces {
                        let _ = stream.write_all(piece.as_bytes());
                        std::thread::yield_now();
                    }
                    assert!(buffer[..count].ends_with(b"\r\n\r\n"));
                }
            });
            let port = port();
            let limpet = Limpet::http(
                port,
                &format!(
                    "upstream u {{ server {} max_fails=0; keepalive 4; }}
                     server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; }} }}",
                    backend.address()
                ),
            );
            let before = backend.connections();
            for round in 1..=2 {
                let mut client = Client::connect(port);
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                let answer = String::from_utf8_lossy(&client.to_end()).into_owned();
                assert!(!answer.ends_with("0\r\n\r\n"), "the client sees that it is cut: {broken:?}: {answer:?}");
                assert_eq!(backend.connections() - before, round, "{broken:?}");
            }
            limpet.logs("upstream sent invalid chunked response");
        }
    }
}

#[test]
fn odd_chunks_of_a_backend_are_read_and_its_connection_kept() {
    for (odd, data) in ODD {
        let backend =
            Backend::new(Script::Answer(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{odd}").into()));
        let port = port();
        let _limpet = Limpet::http(
            port,
            &format!(
                "upstream u {{ server {}; keepalive 4; }} server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; }} }}",
                backend.address()
            ),
        );
        let mut client = Client::connect(port);
        for _ in 0..3 {
            assert_eq!(client.request("GET /", &[]).text(), *data, "{odd:?}");
        }
        assert_eq!(backend.connections(), 1, "{odd:?}");
    }
}

#[test]
fn bytes_behind_a_response_are_nobodys_and_end_the_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ] {
        let backend = Backend::new(Script::Answer(answer.into()));
        let port = port();
        let _limpet = Limpet::http(
            port,
            &format!(
                "upstream u {{ server {}; keepalive 4; }} server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; }} }}",
                backend.address()
            ),
        );
        let mut client = Client::connect(port);
        for round in 1..=3 {
            assert_eq!(client.request("GET /", &[]).text(), "ok", "{answer:?}");
            assert_eq!(backend.connections(), round, "{answer:?}");
        }
    }
}

#[test]
fn heads_that_end_in_two_carriage_returns_are_refused() {
    let Swallowed { port, .. } = &swallowing("");
    for head in ["GET /local HTTP/1.1\r\r\nHost: x\r\n\r\n", "GET /local HTTP/1.1\r\nHost: x\r\n\r\r\n"] {
        let mut client = Client::connect(*port);
        client.send(head);
        assert_eq!(client.response().status, 400, "{head:?}");
        assert!(client.is_closed(), "{head:?}");
    }
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\r\nContent-Length: 0\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\r\n\r\n", 200),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\r\n", 502),
        ("HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", 200),
    ] {
        let backend = Backend::new(Script::Answer(answer.into()));
        let port = limpet_tests::port();
        let http =
            format!("server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{}; }} }}", backend.address());
        let _limpet = Limpet::http(port, &http);
        assert_eq!(limpet_tests::get(port, "/", &[]).status, status, "{answer:?}");
    }
}
