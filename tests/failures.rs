//! Backends that fail in every way, and what clients see of it.

use std::time::{Duration, Instant};

use limpet_tests::{Backend, Client, Limpet, Script, get, port};

/// Two servers, the first as told, the second well.
fn pair(first: Script, location: &str) -> (Vec<Backend>, Limpet, u16) {
    let location =
        format!("proxy_read_timeout {}; {location}", if location.contains("patient") { "20s" } else { "300ms" })
            .replace("patient", "");
    let backends = vec![Backend::new(first), Backend::new(Script::ok("second"))];
    let front = port();
    let http = format!(
        "log_format u '$status $upstream_addr $upstream_status'; access_log logs/upstream.log u;
         upstream u {{ server {} max_fails=0; server {} max_fails=0; }}
         upstream one {{ server {0}; }}
         server {{ listen 127.0.0.1:{front}; {location}
         location / {{ proxy_pass http://u; }} location /one {{ proxy_pass http://one; }} location /two {{ proxy_pass http://{1}; }} }}",
        backends[0].address(),
        backends[1].address()
    );
    let limpet = Limpet::http(front, &http);
    (backends, limpet, front)
}

const PARTIAL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";

#[test]
fn a_server_that_fails_before_its_answer_is_replaced_by_the_next() {
    for script in [Script::Close, Script::Reset, Script::Hang, Script::AnswerAndClose(b"HTTP/1.1 20".to_vec())] {
        let (_backends, _limpet, port) = pair(script.clone(), "");
        let response = get(port, "/", &[]);
        assert_eq!((response.status, response.text().as_str()), (200, "second"), "{script:?}");
    }
}

#[test]
fn a_lone_server_that_fails_is_502_and_a_silent_one_504() {
    for (script, status, title) in [
        (Script::Close, 502, "502 Bad Gateway"),
        (Script::Reset, 502, "502 Bad Gateway"),
        (Script::AnswerAndClose(b"HTTP/1.1 200 OK\r\nX: ".to_vec()), 502, "502 Bad Gateway"),
        (Script::Answer(b"HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n".to_vec()), 502, "502 Bad Gateway"),
        (Script::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n".to_vec()), 502, "502 Bad Gateway"),
        (Script::Hang, 504, "504 Gateway Time-out"),
    ] {
        let (_backends, limpet, port) = pair(script.clone(), "");
        let mut client = Client::connect(port);
        let response = client.request("GET /one", &[]);
        assert_eq!(response.status, status, "{script:?}");
        assert_eq!(response.value("content-type"), "text/html");
        assert!(response.text().contains(&format!("<center><h1>{title}</h1></center>")), "{}", response.text());
        assert_eq!(response.value("connection"), "keep-alive", "nginx keeps the connection after {status}");
        assert_eq!(client.request("GET /two", &[]).text(), "second", "and serves the next request on it");
        limpet.logs("[error]");
        assert!(
            limpet.error_log().contains(
                ", client: 127.0.0.1, server: , request: \"GET /one HTTP/1.1\", upstream: \"http://127.0.0.1:"
            ),
            "{}",
            limpet.error_log()
        );
    }
}

#[test]
fn a_server_that_refuses_is_502_with_nginxs_words() {
    let dead = Backend::refusing();
    let front = port();
    let limpet = Limpet::http(
        front,
        &format!("server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://127.0.0.1:{dead}; }} }}"),
    );
    assert_eq!(get(front, "/x?y", &[]).status, 502);
    limpet.logs(&format!(
        "connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, server: , \
         request: \"GET /x?y HTTP/1.1\", upstream: \"http://127.0.0.1:{dead}/x?y\", host: \"localhost\""
    ));
}

#[test]
fn a_post_that_was_sent_is_not_repeated() {
    let (backends, _limpet, port) = pair(Script::Close, "");
    let mut client = Client::connect(port);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().status, 502);
    assert_eq!(backends[1].requests().len(), 0);

    let (backends, _limpet, port) = pair(Script::Close, "proxy_next_upstream error non_idempotent;");
    let mut client = Client::connect(port);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().text(), "second");
    assert!(backends[1].requests()[0].ends_with("\r\n\r\nhello"), "the body is sent again whole");
}

#[test]
fn a_post_to_a_refusing_server_goes_to_the_next() {
    let dead = Backend::refusing();
    let live = Backend::new(Script::ok("live"));
    let front = port();
    let http = format!(
        "client_max_body_size 0; upstream u {{ server 127.0.0.1:{dead}; server {}; }} server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
        live.address()
    );
    let _limpet = Limpet::http(front, &http);
    let mut client = Client::connect(front);
    let body = "x".repeat(300_000);
    client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n{body}"));
    assert_eq!(client.response().text(), "live");
    assert!(live.requests()[0].ends_with(&body));
}

#[test]
fn proxy_next_upstream_says_what_moves_on() {
    for (setting, script, status) in [
        ("proxy_next_upstream off;", Script::Close, 502),
        ("proxy_next_upstream timeout;", Script::Close, 502),
        ("proxy_next_upstream timeout;", Script::Hang, 200),
        ("proxy_next_upstream error;", Script::Hang, 504),
    ] {
        let (_backends, _limpet, port) = pair(script, setting);
        assert_eq!(get(port, "/", &[]).status, status, "{setting}");
    }
}

#[test]
fn every_try_is_in_the_log() {
    let (backends, limpet, port) = pair(Script::Close, "");
    get(port, "/", &[]);
    let path = limpet.path("logs/upstream.log");
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    limpet_tests::eventually("the line is there", || !read().is_empty());
    assert_eq!(read(), format!("200 {}, {} 502, 200\n", backends[0].address(), backends[1].address()));
}

#[test]
fn an_answer_that_breaks_off_ends_the_connection() {
    for script in [
        Script::AnswerAndClose(PARTIAL.to_vec()),
        Script::AnswerAndHang(PARTIAL.to_vec()),
        Script::AnswerAndClose(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec()),
    ] {
        let (_backends, limpet, port) = pair(script.clone(), "");
        let mut client = Client::connect(port);
        client.send("GET /one HTTP/1.1\r\nHost: x\r\n\r\n");
        let text = String::from_utf8(client.to_end()).expect("text");
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{script:?}: {text}");
        assert!(!text.ends_with("0\r\n\r\n"), "a broken body must not look whole: {text}");
        limpet.logs("while reading upstream");
    }
}

#[test]
fn a_slow_server_is_waited_for_as_long_as_bytes_come() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n".to_vec();
    let (_backends, _limpet, port) = pair(Script::Dribble([text, vec![b'x'; 400]].concat()), "");
    assert_eq!(get(port, "/one", &[]).body.len(), 400);
}

#[test]
fn a_failed_server_is_left_alone_for_its_time() {
    let backends = [Backend::new(Script::Close), Backend::new(Script::ok("second"))];
    let front = port();
    let http = format!(
        "upstream u {{ server {} max_fails=2 fail_timeout=1h; server {}; }} server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
        backends[0].address(),
        backends[1].address()
    );
    let limpet = Limpet::http(front, &http);
    for _ in 0..10 {
        assert_eq!(get(front, "/", &[]).text(), "second");
    }
    assert_eq!(backends[0].requests().len(), 2);
    limpet.logs("upstream server temporarily disabled");
}

#[test]
fn no_live_server_is_502_at_once() {
    let front = port();
    let limpet = Limpet::http(
        front,
        &format!(
            "upstream u {{ server 127.0.0.1:1 down; server 127.0.0.1:2 down; }} server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}"
        ),
    );
    let mut client = Client::connect(front);
    for _ in 0..2 {
        assert_eq!(client.request("GET /", &[]).status, 502);
    }
    limpet.logs("no live upstreams while connecting to upstream");
}

#[test]
fn connecting_is_bounded_in_time() {
    // A listener whose queue is full takes no more connections.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bound");
    listener.listen(0).expect("listening");
    let full = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("an address").port();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("not blocking");
            let _ = socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], full)).into());
            socket
        })
        .collect();
    let front = port();
    let http = format!(
        "server {{ listen 127.0.0.1:{front}; location / {{ proxy_connect_timeout 200ms; proxy_pass http://127.0.0.1:{full}; }} }}"
    );
    let limpet = Limpet::http(front, &http);
    let begun = Instant::now();
    assert_eq!(get(front, "/", &[]).status, 504);
    assert!(begun.elapsed() < Duration::from_secs(10));
    limpet.logs("upstream timed out (110: Connection timed out) while connecting to upstream");
    drop(waiting);
}

#[test]
fn other_clients_are_served_while_one_backend_hangs() {
    let (backends, _limpet, port) = pair(Script::Hang, "patient");
    let mut hanging: Vec<Client> = (0..20).map(|_| Client::connect(port)).collect();
    for client in &mut hanging {
        client.send("GET /one HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    // Every other request of the pair goes to the server that answers.
    let mut client = Client::connect(port);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    limpet_tests::eventually("the first one hangs", || {
        backends[0].requests().iter().any(|request| request.starts_with("GET / "))
    });
    let mut other = Client::connect(port);
    assert_eq!(other.request("GET /", &[]).text(), "second");
}
