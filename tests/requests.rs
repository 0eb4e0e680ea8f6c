//! What clients may send, on raw sockets: bodies, keep-alive, pipelines, and requests that are no requests.

use std::io::{Read, Write};
use std::time::Duration;

use limpet_tests::{Backend, Client, Limpet, Script, get, nginx, port};

fn echo_length() -> Backend {
    Backend::planned(|_, request| {
        let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Script::ok(&body.len().to_string())
    })
}

fn front(backend: &Backend, more: &str) -> (Limpet, u16) {
    let front = port();
    let limpet = Limpet::http(
        front,
        &format!(
            "{more} upstream u {{ server {}; keepalive 4; }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} location /local {{ return 200 local; }}
             location /files/ {{ alias {}/; }} }}",
            backend.address(),
            env!("CARGO_MANIFEST_DIR")
        ),
    );
    (limpet, front)
}

#[test]
fn broken_requests_are_answered_with_400_logged_and_closed() {
    let backend = echo_length();
    let (limpet, port) = front(&backend, "");
    for request in [
        "get / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /../etc HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\x16\x03\x01\x02\x00garbage",
    ] {
        let mut client = Client::connect(port);
        client.send(request);
        let response = client.response();
        assert_eq!((response.status, response.value("connection")), (400, "close"), "{request:?}");
        assert!(client.is_closed(), "{request:?}");
    }
    assert_eq!(backend.requests().len(), 0);
    let log = limpet.access_log(14);
    assert!(log.iter().all(|line| line.contains("\" 400 ")), "{log:?}");
    assert!(log[13].contains("\\x16\\x03\\x01"), "{}", log[13]);
}

#[test]
fn other_refusals_have_their_own_status() {
    let backend = echo_length();
    let (_limpet, port) = front(&backend, "");
    let long = "x".repeat(40_000);
    for (request, status) in [
        ("CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 405),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n".into(), 505),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"), 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n".into(), 501),
    ] {
        let mut client = Client::connect(port);
        client.send(&request);
        assert_eq!(client.response().status, status, "{}", &request[..40.min(request.len())]);
        assert!(client.is_closed());
    }
}

#[test]
fn the_size_of_a_head_is_bounded_as_configured() {
    let backend = echo_length();
    let (_limpet, port) = front(&backend, "large_client_header_buffers 1 2k;");
    for (request, status) in [
        (format!("GET /local?{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1000)), 200),
        (format!("GET /local?{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(2100)), 414),
        (format!("GET /local HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(2500)), 200),
        (format!("GET /local HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(3500)), 400),
    ] {
        let mut client = Client::connect(port);
        client.send(&request);
        assert_eq!(client.response().status, status, "{} bytes", request.len());
    }
}

#[test]
fn a_broken_request_does_not_touch_other_connections() {
    let backend = echo_length();
    let (_limpet, port) = front(&backend, "");
    let mut good = Client::connect(port);
    assert_eq!(good.request("GET /", &[]).status, 200);
    Client::connect(port).send("\0\0\0\0\r\n\r\n");
    assert_eq!(good.request("GET /", &[]).status, 200);
}

#[test]
fn connections_are_kept_and_closed_as_asked() {
    let backend = echo_length();
    let (_limpet, port) = front(&backend, "");
    for target in ["/", "/local", "/files/Cargo.toml", "/files/none"] {
        let mut client = Client::connect(port);
        for _ in 0..3 {
            assert_eq!(client.request(&format!("GET {target}"), &[]).value("connection"), "keep-alive");
        }
        assert_eq!(client.request(&format!("GET {target}"), &["Connection: close"]).value("connection"), "close");
        assert!(client.is_closed(), "{target}");
    }
}

#[test]
fn keepalive_requests_and_timeout_bound_a_connection() {
    let backend = echo_length();
    let (_limpet, port) = front(&backend, "keepalive_requests 2; keepalive_timeout 200ms 7s;");
    let mut client = Client::connect(port);
    let first = client.request("GET /", &[]);
    assert_eq!((first.value("connection"), first.value("keep-alive")), ("keep-alive", "timeout=7"));
    assert_eq!(client.request("GET /", &[]).value("connection"), "close");
    assert!(client.is_closed());

    let mut idle = Client::connect(port);
    idle.request("GET /", &[]);
    idle.set_patience(Duration::from_secs(10));
    assert!(idle.is_closed(), "an idle connection was kept for ever");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::planned(|_, request| Script::ok(request.split(' ').nth(1).unwrap_or("")));
    let (_limpet, port) = front(&backend, "");
    let mut client = Client::connect(port);
    client.send(
        "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /local HTTP/1.1\r\nHost: x\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPOST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\n\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    let answers: Vec<String> = (0..5).map(|_| client.response().text()).collect();
    assert_eq!(answers, ["/1", "local", "/2", "/3", "/4"]);
}

#[test]
fn a_pipelined_request_that_comes_in_flight_waits() {
    let slow = Backend::planned(|n, request| match n {
        0 => Script::Dribble(
            b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n0123456789012345678901234567890123456789".to_vec(),
        ),
        _ => Script::ok(request.split(' ').nth(1).unwrap_or("")),
    });
    let (_limpet, port) = front(&slow, "");
    let mut client = Client::connect(port);
    client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
    limpet_tests::eventually("the first request is there", || slow.requests().len() == 1);
    client.send("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().body.len(), 40);
    assert_eq!(client.response().text(), "/2");
}

#[test]
fn bodies_of_any_size_and_framing_reach_the_backend() {
    for (buffering, framing, ends) in
        [("on", "Content-Length: 3072\r\n", 0), ("off", "Transfer-Encoding: chunked\r\n", 1)]
    {
        bodies_reach_the_backend(buffering, framing, ends);
    }
}

/// `framing`: how a body that came in chunks goes on, and `ends`: how many last chunks there are then.
fn bodies_reach_the_backend(buffering: &str, framing: &str, ends: usize) {
    let backend = echo_length();
    let (_limpet, port) = front(&backend, &format!("client_max_body_size 0; proxy_request_buffering {buffering};"));
    let mut client = Client::connect(port);
    for size in [0, 1, 8191, 16_384, 16_385, 70_000, 3_000_000] {
        let body = "y".repeat(size);
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"));
        client.send(&body);
        assert_eq!(client.response().text(), size.to_string());
    }
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        client.send(format!("400\r\n{}\r\n", "z".repeat(1024)));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let last = backend.requests().pop().expect("a request");
    assert!(last.contains(framing) && last.matches('z').count() == 3072, "{buffering}");
    assert_eq!(last.matches("\r\n0\r\n\r\n").count(), ends, "the last chunk is sent once");
    assert_eq!(client.request("GET /", &[]).status, 200, "the connection goes on");
}

#[test]
fn expect_is_answered_here_and_not_passed_on() {
    let backend = echo_length();
    let (_limpet, port) = front(&backend, "");
    let mut client = Client::connect(port);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().head, "HTTP/1.1 100 Continue");
    client.send("hello");
    let response = client.response();
    assert_eq!((response.text().as_str(), response.value("connection")), ("5", "keep-alive"));
    assert!(!backend.requests()[0].contains("Expect"));
    assert_eq!(client.request("GET /", &[]).status, 200);
}

#[test]
fn too_large_bodies_are_413() {
    let backend = echo_length();
    let (limpet, port) = front(&backend, "client_max_body_size 100;");
    let mut client = Client::connect(port);
    client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n{}", "x".repeat(101)));
    let response = client.response();
    assert_eq!((response.status, response.value("connection")), (413, "close"));
    limpet.logs("client intended to send too large body: 101 bytes");

    let mut client = Client::connect(port);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200\r\n{}\r\n0\r\n\r\n",
        "x".repeat(512)
    ));
    assert_eq!(client.response().status, 413);
    limpet.logs("client intended to send too large chunked body: 0+512 bytes");
}

#[test]
fn a_body_that_nobody_wants_is_read_away() {
    let backend = echo_length();
    let (_limpet, port) = front(&backend, "");
    let mut client = Client::connect(port);
    client.send("POST /local HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.response().text(), "local");
    client.send("helloGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().text(), "0");
}

#[test]
fn an_answer_does_not_wait_for_the_rest_of_the_request() {
    let listener = limpet_tests::listener();
    let address = listener.local_addr().expect("an address");
    let backend = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        // It stays until limpet lets go of it.
        while matches!(stream.read(&mut head), Ok(1..)) {}
    });
    let port = port();
    let limpet = Limpet::http(
        port,
        &format!(
            "server {{ listen 127.0.0.1:{port}; location / {{ proxy_request_buffering off; proxy_pass http://{address}; }} }}"
        ),
    );
    let mut client = Client::connect(port);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf of it");
    assert_eq!(client.response().text(), "early");
    drop((client, limpet));
    backend.join().expect("the backend ends");
}

#[test]
fn clients_of_http_1_0_get_no_chunks_and_are_closed() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let backend = Backend::planned(move |_, request| match request.contains("/close") {
        true => Script::AnswerAndClose(b"HTTP/1.1 200 OK\r\n\r\nhello".to_vec()),
        false => Script::Answer(chunked.into()),
    });
    let (_limpet, port) = front(&backend, "");
    for (target, header) in [("/", ""), ("/", "Connection: keep-alive\r\n"), ("/close", "")] {
        let mut client = Client::connect(port);
        client.send(format!("GET {target} HTTP/1.0\r\n{header}\r\n"));
        let text = String::from_utf8(client.to_end()).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert_eq!(body, "hello");
        assert!(
            !head.to_ascii_lowercase().contains("transfer-encoding") && head.contains("Connection: close"),
            "{head}"
        );
    }
    let mut client = Client::connect(port);
    client.send("GET /local HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.response().value("connection"), "keep-alive");
    client.send("GET /local HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().value("connection"), "close");
}

#[test]
fn a_head_that_takes_too_long_ends_the_connection() {
    let backend = echo_length();
    let (limpet, port) = front(&backend, "client_header_timeout 1s;");
    let mut client = Client::connect(port);
    client.send("GET / HT");
    assert_eq!(client.to_end(), b"");
    assert!(limpet.access_log(1)[0].contains("\"GET / HT\" 408 0"), "{:?}", limpet.access_log(1));
    assert!(Client::connect(port).is_closed(), "a silent connection was kept");
}

#[test]
fn a_client_that_goes_away_is_499() {
    let backend = Backend::new(Script::Hang);
    let (limpet, port) = front(&backend, "");
    let mut client = Client::connect(port);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    limpet_tests::eventually("the request is there", || backend.requests().len() == 1);
    drop(client);
    assert!(limpet.access_log(1)[0].contains("\" 499 0"), "{:?}", limpet.access_log(1));
}

#[test]
fn absolute_targets_and_odd_bytes_reach_the_backend_as_nginx_sends_them() {
    let backend = Backend::planned(|_, request| Script::ok(request.lines().next().unwrap_or("")));
    let (_limpet, port) = front(&backend, "");
    for (sent, received) in [
        ("GET http://other/x?y HTTP/1.1\r\nHost: x", "GET /x?y HTTP/1.1"),
        ("GET http://other HTTP/1.1\r\nHost: x", "GET / HTTP/1.1"),
        ("GET /a%2Fb//c/./d?e%20f HTTP/1.1\r\nHost: x", "GET /a%2Fb//c/./d?e%20f HTTP/1.1"),
        ("GET /\"<>{}\\^`| HTTP/1.1\r\nHost: x", "GET /\"<>{}\\^`| HTTP/1.1"),
        ("PATCH-IT /x HTTP/1.1\r\nHost: x", "PATCH-IT /x HTTP/1.1"),
    ] {
        let mut client = Client::connect(port);
        client.send(format!("{sent}\r\n\r\n"));
        assert_eq!(client.response().text(), received);
    }
    let mut client = Client::connect(port);
    client.send(b"GET /\xff\xe9 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().status, 200);
}

#[test]
fn many_bytes_of_nonsense_do_no_harm() {
    let backend = echo_length();
    let (mut limpet, port) = front(&backend, "");
    let mut noise = 12345_u32;
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..300)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b"GET /HTP1.:\r\n \0\xffx;=|~%"[noise as usize >> 8 & 15 | (noise as usize >> 20 & 1) << 3]
            })
            .collect();
        let mut client = Client::connect(port);
        client.try_send(&bytes);
        client.try_send("\r\n\r\n");
        client.half_close();
        client.to_end();
    }
    assert_eq!(Client::connect(port).request("GET /local", &[]).text(), "local");
    assert!(!limpet.error_log().contains("panicked"), "{}", limpet.error_log());
    limpet.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(limpet.wait().success());
}

#[test]
fn blank_lines_before_a_request_are_read_over_however_many() {
    let backend = echo_length();
    let (limpet, port) = front(&backend, "");
    let mut client = Client::connect(port);
    client.request("GET /local", &[]);
    let before = limpet.memory();
    let lines = b"\r\n".repeat(32 * 1024);
    for _ in 0..256 {
        client.send(&lines);
    }
    assert_eq!(client.request("GET /local", &[]).text(), "local");
    let after = limpet.memory();
    assert!(after < before + 8 * 1024, "16 MB of line ends are kept: {before} to {after} kB");
}

#[test]
fn a_client_that_takes_nothing_is_let_go_after_send_timeout() {
    let backend = Backend::planned(|_, request| match request.contains("/page") {
        true => Script::ok("page"),
        false => Script::page(304, "", ""),
    });
    let (limpet, port) = front(&backend, "send_timeout 300ms; log_format t '$status'; ");
    for target in ["/local", "/", "/page"] {
        let mut client = Client::connect(port);
        let requests = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(500);
        // Until the connection is ended, or everything between the two ends is full.
        let mut sent = 0;
        client.set_patience(Duration::from_millis(500));
        while client.try_send(&requests) && sent < 400 {
            sent += 1;
        }
        limpet_tests::eventually("the connection is ended", || !is_established(limpet.pid(), port));
    }
}

/// Whether the process still has a connection of a client on the port.
fn is_established(_pid: i32, port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
    let local = format!("0100007F:{port:04X}");
    // Column 1 is the local address, column 3 the state; 01 is ESTABLISHED.
    table.lines().any(|line| {
        let mut columns = line.split_whitespace().skip(1);
        columns.next() == Some(&local) && columns.nth(1) == Some("01")
    })
}

#[test]
fn a_pattern_that_pcre_gives_up_on_lets_nobody_pass() {
    let front = port();
    let limpet = Limpet::http(
        front,
        &format!(
            "server {{ listen 127.0.0.1:{front}; return_pass;
             location ~ ^/deny/(([^/])+/)*admin$ {{ return 403; }}
             location /if {{ if ($uri ~ ^/if/(([^/])+/)*admin$) {{ return 403; }} return 200 open; }}
             location / {{ return 200 open; }} }}"
        )
        .replace("return_pass;", ""),
    );
    for path in ["/deny/", "/if/"] {
        let short = limpet_tests::get(front, &format!("{path}x/admin"), &[]);
        assert_eq!(short.status, 403);
        let long = limpet_tests::get(front, &format!("{path}{}admin", "x/".repeat(3500)), &[]);
        assert!(matches!(long.status, 403 | 500), "{} for {path}", long.status);
    }
    // A pattern that tries without end is given up, and says so.
    limpet.rewrite(&format!(
        "server {{ listen 127.0.0.1:{front}; location ~ ^/(a+)+$ {{ return 403; }} location / {{ return 200 open; }} }}"
    ));
    limpet.signal(nix::sys::signal::Signal::SIGHUP);
    let endless = format!("/{}b", "a".repeat(64));
    limpet_tests::eventually("the pattern is given up", || limpet_tests::get(front, &endless, &[]).status == 500);
    limpet.logs("pcre2_match() failed");
}

#[test]
fn a_line_end_in_a_variable_begins_no_header() {
    let backend = echo_length();
    let front = port();
    let _limpet = Limpet::http(
        front,
        &format!(
            "server {{ listen 127.0.0.1:{front}; add_header X-Uri $uri;
             location /local {{ return 200 local; }}
             location / {{ proxy_set_header X-Uri $uri; proxy_pass http://{}; }} }}",
            backend.address()
        ),
    );
    for target in ["/local%0d%0aX-Evil:%201", "/%0d%0aX-Evil:%201"] {
        let response = limpet_tests::get(front, target, &[]);
        assert_eq!(response.values("x-evil"), Vec::<&str>::new(), "{target}");
        assert!(response.value("x-uri").ends_with("X-Evil: 1"), "{target}");
    }
    let request = backend.requests().pop().expect("a request");
    assert!(request.contains("X-Uri: /X-Evil: 1\r\n"), "{request}");
}

#[test]
fn a_client_that_waits_for_100_continue_and_gets_an_error_is_told_that_the_connection_closes() {
    let backend = echo_length();
    let (_limpet, port) = front(&backend, "");
    let mut client = Client::connect(port);
    client.send("POST /files/none HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.value("connection")), (404, "close"));
}

#[test]
fn rejected_requests_are_logged_as_nginx_logs_them() {
    let front = port();
    let format = "$body_bytes_sent|$request_method|$server_protocol|$request_uri|$request_completion|$request_length|\
                  $status|$request|$host|$http_host|$uri";
    let limpet = Limpet::http(
        front,
        &format!(
            "log_format f '{format}'; client_header_timeout 2s; large_client_header_buffers 4 1k;
             server {{ listen 127.0.0.1:{front}; server_name srv.name; access_log logs/f.log f; server_tokens off;
             location / {{ return 200 ok; }} }}"
        ),
    );
    // What nginx 1.22.1 logs; its pages are longer by the rest of its name.
    let long = "v".repeat(9000);
    for (request, expected) in [
        ("GET /a?b HTTP/1.1\r\nHost: hh\r\n\r\n", "2|GET|HTTP/1.1|/a?b|OK|31|200|GET /a?b HTTP/1.1|hh|hh|/a"),
        (
            "GET http://a..b/x?y HTTP/1.1\r\nHost: hh\r\n\r\n",
            "P|GET|HTTP/1.1|/x?y|OK|30|400|GET http://a..b/x?y HTTP/1.1|srv.name|-|/x",
        ),
        ("GET /a?b HTTP/1.1\r\nHost: hh\r\nX A: b\r\n\r\n", "P|GET|HTTP/1.1|/a?b|OK|29|400|GET /a?b HTTP/1.1|hh|hh|/a"),
        (
            "GET /a?b HTTP/1.1\r\nX A: b\r\nHost: hh\r\n\r\n",
            "P|GET|HTTP/1.1|/a?b|OK|19|400|GET /a?b HTTP/1.1|srv.name|-|/a",
        ),
        ("GET /a?b HTTP/1.1\r\nHost: a/b\r\n\r\n", "P|GET|HTTP/1.1|/a?b|OK|30|400|GET /a?b HTTP/1.1|srv.name|a/b|/a"),
        (
            "GET /a?b HTTP/1.1\r\nHost: one\r\nHost: two\r\n\r\n",
            "P|GET|HTTP/1.1|/a?b|OK|41|400|GET /a?b HTTP/1.1|one|one|/a",
        ),
        ("GET /a?b HTTP/1.1\r\nX-A: bc\r\n\r\n", "P|GET|HTTP/1.1|/a?b|OK|30|400|GET /a?b HTTP/1.1|srv.name|-|/a"),
        (
            &format!("GET /a?b HTTP/1.1\r\nHost: hh\r\nX: {long}"),
            "P|GET|HTTP/1.1|/a?b|OK|29|400|GET /a?b HTTP/1.1|hh|hh|/a",
        ),
        ("get /a?b HTTP/1.1\r\nHost: hh\r\n\r\n", "P|-|-|-|OK|0|400|get /a?b HTTP/1.1|srv.name|-|-"),
        ("GET /a?b HTTX/1.1\r\nHost: hh\r\n\r\n", "P|-||-|OK|0|400|GET /a?b HTTX/1.1|srv.name|-|-"),
        ("GET /a?b http/1.1\r\nHost: hh\r\n\r\n", "P|-|-|-|OK|0|400|GET /a?b http/1.1|srv.name|-|-"),
        ("GET /a?b HTTP/2.0\r\nHost: hh\r\n\r\n", "P|-||-|OK|0|505|GET /a?b HTTP/2.0|srv.name|-|-"),
        ("GET a HTTP/1.1\r\nHost: hh\r\n\r\n", "P|-|-|-|OK|0|400|GET a HTTP/1.1|srv.name|-|-"),
        ("GET /a%zz HTTP/1.1\r\nHost: hh\r\n\r\n", "P|GET|HTTP/1.1|-|OK|20|400|GET /a%zz HTTP/1.1|srv.name|-|"),
        ("TRACE /a?b HTTP/1.1\r\nHost: hh\r\n\r\n", "P|TRACE|HTTP/1.1|/a?b|OK|33|405|TRACE /a?b HTTP/1.1|hh|hh|/a"),
        ("HEAD /a HTTP/1.1\r\nX A: b\r\n\r\n", "0|HEAD|HTTP/1.1|/a|OK|18|400|HEAD /a HTTP/1.1|srv.name|-|/a"),
        (
            "POST /a?b HTTP/1.1\r\nHost: hh\r\nTransfer-Encoding: gzip\r\n\r\n",
            "P|POST|HTTP/1.1|/a?b|OK|57|501|POST /a?b HTTP/1.1|hh|hh|/a",
        ),
        // Nothing more comes of these.
        ("GET /a?b HT", "0|-||-||0|408|GET /a?b HT|srv.name|-|-"),
        ("GET /a?b HTTP/1.1\r\nHost: hh\r\nX-", "0|GET|HTTP/1.1|/a?b||29|408|GET /a?b HTTP/1.1|hh|hh|/a"),
    ] {
        let _ = std::fs::write(limpet.path("logs/f.log"), "");
        let mut client = Client::connect(front);
        client.send(request);
        if expected.contains("|200|") {
            client.response();
        } else {
            client.to_end();
        }
        let read = || std::fs::read_to_string(limpet.path("logs/f.log")).unwrap_or_default();
        limpet_tests::eventually("the line is there", || read().ends_with('\n'));
        let line = read().trim_start_matches('\0').trim_end().to_owned();
        let (bytes, rest) = line.split_once('|').expect("fields");
        let (wanted, wanted_rest) = expected.split_once('|').expect("fields");
        assert_eq!(rest, wanted_rest, "{:.100}", request);
        let bytes: usize = bytes.parse().expect("a number");
        assert!(if wanted == "P" { bytes > 100 } else { bytes.to_string() == wanted }, "{line}");
    }
    limpet.logs("client timed out (110: Connection timed out) while reading client request line");
    limpet.logs("client timed out (110: Connection timed out) while reading client request headers");
}

#[test]
fn whoever_expects_100_continue_gets_it_and_keeps_the_connection() {
    let backend = echo_length();
    let (_limpet, port) = front(&backend, "");
    for (target, answer) in [("/local", ["local", "local", "local"]), ("/", ["3", "0", "0"])] {
        // With the body, without one, and with an empty one.
        for (length, body) in [("Content-Length: 3\r\n", "abc"), ("", ""), ("Content-Length: 0\r\n", "")] {
            let mut client = Client::connect(port);
            let expecting = format!("POST {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{length}\r\n{body}");
            client.send(format!("{expecting}GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(client.response().status, 100, "{expecting}");
            let answer = if body.is_empty() { answer[1] } else { answer[0] };
            let response = client.response();
            assert_eq!((response.text().as_str(), response.value("connection")), (answer, "keep-alive"), "{expecting}");
            assert_eq!(client.response().status, 200, "{expecting}");
        }
    }
    // Where the body comes later it is read away, or passed on.
    for target in ["/local", "/"] {
        let mut client = Client::connect(port);
        client.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
        assert_eq!(client.response().status, 100, "{target}");
        client.send(format!("abcGET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!((client.response().status, client.response().status), (200, 200), "{target}");
    }
}

#[test]
fn the_error_log_has_no_line_of_a_clients_making() {
    let backend = echo_length();
    let (limpet, port) = front(&backend, "");
    limpet_tests::get(port, "/files/%0a2026/01/01%2000:00:00%20[emerg]%20forged", &[]);
    limpet.logs("\\x0A2026/01/01");
    assert!(!limpet.error_log().lines().any(|line| line.starts_with("2026/01/01")), "{}", limpet.error_log());
}

#[test]
fn the_first_buffer_for_a_head_may_be_larger_than_the_others() {
    let directives = "client_header_buffer_size 64k; location / { return 200 x; }";
    let theirs = nginx(directives);
    let ours = port();
    let _limpet = Limpet::http(ours, &format!("server {{ listen 127.0.0.1:{ours}; {directives} }}"));
    let long = "x".repeat(40_000);
    for port in [theirs.port, ours] {
        assert_eq!(get(port, &format!("/{long}"), &[]).status, 200);
        assert_eq!(get(port, "/", &[&format!("X-Long: {long}")]).status, 200);
    }
}

#[test]
fn a_backends_head_may_be_as_large_as_its_buffer() {
    let backend = Backend::planned(|_, _| {
        let lines: String = (0..3000).map(|line| format!("X-{line}: {}\r\n", "x".repeat(30))).collect();
        Script::page(200, &lines, "body")
    });
    let directives = format!(
        "location / {{ proxy_buffer_size 256k; proxy_buffers 4 256k; proxy_busy_buffers_size 256k;
         proxy_pass http://{0}; }} location /usual {{ proxy_pass http://{0}; }}",
        backend.address()
    );
    let theirs = nginx(&directives);
    let ours = port();
    let _limpet = Limpet::http(ours, &format!("server {{ listen 127.0.0.1:{ours}; {directives} }}"));
    for port in [theirs.port, ours] {
        let response = get(port, "/", &[]);
        assert_eq!((response.status, response.text().as_str()), (200, "body"), "{port}");
        assert_eq!(get(port, "/usual", &[]).status, 502, "{port}");
    }
}

#[test]
fn no_body_answers_a_head_whose_line_is_broken() {
    let port = port();
    let _limpet = Limpet::http(port, &format!("server {{ listen 127.0.0.1:{port}; return 200 x; }}"));
    for line in [format!("HEAD /{} HTTP/1.1", "x".repeat(40_000)), "HEAD / HTTP/9.1".into(), "HEAD x HTTP/1.1".into()] {
        let mut client = Client::connect(port);
        client.try_send(format!("{line}\r\nHost: x\r\n\r\n"));
        let said = String::from_utf8_lossy(&client.to_end()).into_owned();
        assert!(said.starts_with("HTTP/1.1 ") && said.ends_with("\r\n\r\n"), "{line:.20}: {said}");
    }
}
