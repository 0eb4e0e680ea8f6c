//! What backends get, and what clients get of their answers.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use limpet_tests::{Backend, Client, Limpet, Script, eventually, get, nginx, port, scheme};

fn through(backend: &Backend, location: &str) -> (Limpet, u16) {
    let front = port();
    let http = format!(
        "upstream u {{ server {}; }} server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; {location} }} }}",
        backend.address()
    );
    (Limpet::http(front, &http), front)
}

#[test]
fn the_request_is_what_nginx_sends() {
    let backend = Backend::new(Script::ok("x"));
    let (_limpet, port) = through(&backend, "");
    let mut client = Client::connect(port);
    client.send(
        "POST /u?b=c HTTP/1.1\r\nX-A: 1\r\nHost: d.example\r\nConnection: keep-alive, X-A\r\nKeep-Alive: 5\r\nTE: trailers\r\n\
         Proxy-Connection: x\r\nContent-Length: 003\r\nX-Empty:\r\nx-a: 2\r\nX_Dropped: 1\r\n\r\nabc",
    );
    client.response();
    assert_eq!(
        backend.requests(),
        ["POST /u?b=c HTTP/1.1\r\nHost: u\r\nContent-Length: 3\r\nX-A: 1\r\nX-Empty: \r\nx-a: 2\r\n\r\nabc"]
    );
}

#[test]
fn proxy_set_header_replaces_adds_and_removes() {
    let backend = Backend::new(Script::ok("x"));
    let location = "proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr; proxy_set_header Accept \"\";
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Connection close; proxy_http_version 1.0;";
    let (_limpet, port) = through(&backend, location);
    get(port, "/", &["Accept: a/b", "x-real-ip: 6.6.6.6", "X-Forwarded-For: 1.2.3.4"]);
    assert_eq!(
        backend.requests(),
        [
            "GET / HTTP/1.0\r\nHost: localhost\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 1.2.3.4, 127.0.0.1\r\nConnection: close\r\n\r\n"
        ]
    );
}

#[test]
fn the_uri_of_proxy_pass_takes_the_place_of_the_locations() {
    let backend = Backend::planned(|_, request| Script::ok(request.split(' ').nth(1).unwrap_or("")));
    let front = port();
    let http = format!(
        "upstream u {{ server {}; }} server {{ listen 127.0.0.1:{front};
         location /a/ {{ proxy_pass http://u/; }} location /b/ {{ proxy_pass http://u/x/; }} location /c/ {{ proxy_pass http://u; }}
         location /d {{ proxy_pass http://u/y; }} location = /g {{ proxy_pass http://u/z; }} location ~ ^/h/ {{ proxy_pass http://u; }}
         location /i/ {{ proxy_pass http://{0}/addr/; }} location /j/ {{ proxy_pass http://u/k?z=1; }} }}",
        backend.address()
    );
    let _limpet = Limpet::http(front, &http);
    for (asked, expected) in [
        ("/a/", "/"),
        ("/a/b?x=%20y", "/b?x=%20y"),
        ("/a/b%20c", "/b%20c"),
        ("/a/b%2Fc", "/b/c"),
        ("/a/%41", "/A"),
        ("/a//b", "/b"),
        ("/a/b%3Fc", "/b%3Fc"),
        ("/a/b?", "/b"),
        ("/a/b\"c", "/b\"c"),
        ("/b/c?q", "/x/c?q"),
        ("/c//b%2Fc?", "/c//b%2Fc?"),
        ("/d/x", "/y/x"),
        ("/g?q=1", "/z?q=1"),
        ("/h/a%20b?x", "/h/a%20b?x"),
        ("/i/v", "/addr/v"),
        ("/j/a?b=c", "/k?z=1a?b=c"),
    ] {
        assert_eq!(get(front, asked, &[]).text(), expected, "{asked}");
    }
    let redirect = get(front, "/a?x=1", &[]);
    assert_eq!(
        (redirect.status, redirect.value("location")),
        (301, format!("{}://localhost:{front}/a/?x=1", scheme()).as_str())
    );
}

#[test]
fn the_response_is_what_nginx_sends() {
    let headers = "Server: theirs\r\nDate: theirs\r\nX-Accel-Expires: 1\r\nX-Pad: p\r\nKeep-Alive: 5\r\nx-Low: 1\r\nX-A: 1\r\nX-A: 2\r\nContent-Type: a/b\r\n";
    let backend = Backend::new(Script::Answer(
        format!("HTTP/1.1 200 Fine Reason\r\nContent-Length: 2\r\n{headers}\r\nok").into_bytes(),
    ));
    let (_limpet, port) = through(&backend, "");
    let response = Client::connect(port).request("GET /", &[]);
    let lines: Vec<&str> = response.head.split("\r\n").collect();
    assert_eq!(lines[0], "HTTP/1.1 200 Fine Reason");
    assert!(
        lines[1].starts_with("Server: limpet/") && lines[2].starts_with("Date: ") && lines[2].ends_with(" GMT"),
        "{lines:?}"
    );
    let rest = ["Content-Type: a/b", "Content-Length: 2", "Connection: keep-alive", "x-Low: 1", "X-A: 1", "X-A: 2"];
    assert_eq!(lines[3..], rest);
}

#[test]
fn bodies_without_length_are_chunked_for_1_1() {
    let backend = Backend::planned(|_, request| match request.contains("/close") {
        true => Script::AnswerAndClose(b"HTTP/1.0 200 OK\r\n\r\nto the end".to_vec()),
        false => Script::Answer(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n".to_vec(),
        ),
    });
    let (_limpet, port) = through(&backend, "");
    let mut client = Client::connect(port);
    for (target, body) in [("/", "abcde"), ("/close", "to the end"), ("/", "abcde")] {
        let response = client.request(&format!("GET {target}"), &[]);
        assert_eq!((response.value("transfer-encoding"), response.text().as_str()), ("chunked", body));
    }
}

#[test]
fn heads_and_empty_answers_have_no_body() {
    let backend = Backend::planned(|_, request| match request.split(' ').nth(1) {
        Some("/304") => Script::Answer(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n".to_vec()),
        Some("/204") => Script::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        // A body where there must be none.
        Some("/wrong") => Script::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec()),
        _ => Script::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".to_vec()),
    });
    let (_limpet, port) = through(&backend, "");
    let mut client = Client::connect(port);
    assert_eq!(client.request("HEAD /", &[]).value("content-length"), "10");
    assert_eq!(client.request("GET /304", &[]).value("etag"), "\"x\"");
    assert_eq!(client.request("GET /204", &[]).status, 204);
    assert_eq!(client.request("HEAD /", &[]).status, 200);
    assert_eq!(client.request("HEAD /wrong", &[]).value("content-length"), "5");
    assert_eq!(client.request("GET /204", &[]).status, 204);
}

#[test]
fn a_body_counts_the_same_however_it_comes() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec();
    let backend = Backend::planned(move |_, request| match request.contains("/slow") {
        true => Script::Dribble(page.clone()),
        false => Script::Answer(page.clone()),
    });
    let front = port();
    let limpet = Limpet::http(
        front,
        &format!(
            "log_format t '$body_bytes_sent $bytes_sent $upstream_response_length $upstream_bytes_received';
             server {{ listen 127.0.0.1:{front}; access_log logs/access.log t; location / {{ proxy_pass http://{}; }} }}",
            backend.address()
        ),
    );
    let mut client = Client::connect(front);
    let sent: Vec<usize> = ["GET /slow", "GET /"]
        .map(|line| {
            let response = client.request(line, &[]);
            assert_eq!(response.text(), "hello");
            response.head.len() + 4 + 5
        })
        .into();
    let lines = limpet.access_log(2);
    assert_eq!(lines[0], format!("5 {} 5 43", sent[0]));
    assert_eq!(lines[1], lines[0]);
}

#[test]
fn a_redirect_to_the_backend_becomes_one_to_the_location() {
    let front = port();
    let backend = Backend::planned(|_, request| {
        let target = request.lines().find_map(|line| line.strip_prefix("X-To: ")).unwrap_or_default();
        Script::page(302, &format!("Location: {target}\r\n"), "")
    });
    let http = format!(
        "upstream u {{ server {}; }} server {{ listen 127.0.0.1:{front};
         location /one/ {{ proxy_pass http://u/two/; }} location /plain/ {{ proxy_pass http://u; }} }}",
        backend.address()
    );
    let _limpet = Limpet::http(front, &http);
    for (asked, to, expected) in [
        ("/one/", "http://u/two/z", format!("{}://localhost:{front}/one/z", scheme())),
        ("/one/", "http://u/other", "http://u/other".to_owned()),
        ("/one/", "/two/z", "/two/z".to_owned()),
        ("/plain/", "http://u/z", format!("{}://localhost:{front}/z", scheme())),
    ] {
        assert_eq!(get(front, asked, &[&format!("X-To: {to}")]).value("location"), expected);
    }
}

#[test]
fn backend_connections_are_kept_and_shared() {
    let backend = Backend::new(Script::ok("x"));
    let (_limpet, port) = through(&backend, "");
    for _ in 0..5 {
        get(port, "/", &[]);
    }
    assert_eq!(backend.connections(), 1);
    let closing = Backend::new(Script::AnswerAndClose(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx".to_vec(),
    ));
    let (_limpet, port) = through(&closing, "");
    for _ in 0..3 {
        assert_eq!(get(port, "/", &[]).text(), "x");
    }
    assert_eq!(closing.connections(), 3);
}

#[test]
fn an_idle_connection_that_died_is_replaced_without_a_word() {
    let backend = Backend::planned(|n, _| match n {
        // The answer says that the connection is kept; then it is closed all the same.
        0 => Script::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0".to_vec()),
        // A request on a kept connection is met by its end.
        2 => Script::Close,
        n => Script::ok(&n.to_string()),
    });
    let (_limpet, port) = through(&backend, "");
    assert_eq!(get(port, "/", &[]).text(), "0");
    assert_eq!(get(port, "/", &[]).text(), "1");
    assert_eq!(get(port, "/", &[]).text(), "3", "the request is repeated on a new connection");
}

#[test]
fn keepalive_bounds_the_idle_connections() {
    let backend = Backend::new(Script::ok("x"));
    let front = port();
    let http = format!(
        "upstream u {{ server {}; keepalive 1; }} upstream none {{ server {0}; keepalive 0; }} server {{ listen 127.0.0.1:{front};
         location / {{ proxy_pass http://u; }} location /none {{ proxy_pass http://none; }} location /addr {{ proxy_pass http://{0}; }} }}",
        backend.address()
    );
    let _limpet = Limpet::http(front, &http);
    for target in ["/none", "/none", "/addr", "/addr"] {
        get(front, target, &[]);
    }
    assert_eq!(backend.connections(), 4);
    for _ in 0..3 {
        get(front, "/", &[]);
    }
    assert_eq!(backend.connections(), 5);
}

#[test]
fn of_two_connections_at_a_time_keepalive_1_keeps_one() {
    let both = std::sync::Arc::new(std::sync::Barrier::new(2));
    let meeting = std::sync::Arc::clone(&both);
    let backend = Backend::planned(move |_, request| {
        if request.starts_with("GET /pair") {
            meeting.wait();
        }
        Script::ok("x")
    });
    for (keepalive, expected) in [(1, 3), (2, 2)] {
        let before = backend.connections();
        let front = port();
        let http = format!(
            "upstream u {{ server {}; keepalive {keepalive}; }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
            backend.address()
        );
        let _limpet = Limpet::http(front, &http);
        for _ in 0..2 {
            let clients = [(); 2].map(|()| std::thread::spawn(move || get(front, "/pair", &[]).text()));
            for client in clients {
                assert_eq!(client.join().expect("an answer"), "x");
            }
        }
        assert_eq!(backend.connections() - before, expected, "keepalive {keepalive}");
    }
}

#[test]
fn an_upgraded_connection_is_a_tunnel() {
    let backend = Backend::new(Script::Echo(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n".to_vec(),
    ));
    let (_limpet, port) =
        through(&backend, "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;");
    let mut client = Client::connect(port);
    let response = client.request("GET /", &["Connection: Upgrade", "Upgrade: echo"]);
    assert_eq!((response.status, response.value("upgrade"), response.value("connection")), (101, "echo", "upgrade"));
    for word in ["hello", "again"] {
        client.send(word);
        assert_eq!(client.exactly(5), word.as_bytes());
    }
    // As in nginx: one end is enough for both.
    client.half_close();
    assert!(client.is_closed());
}

#[test]
fn what_is_sent_before_and_right_behind_a_101_arrives() {
    let backend =
        Backend::new(Script::Echo(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly".to_vec()));
    let (limpet, port) =
        through(&backend, "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;");
    for round in 1..=50 {
        let mut client = Client::connect(port);
        client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello");
        assert_eq!(client.response().status, 101, "round {round}");
        assert_eq!(client.exactly(10), b"earlyhello", "round {round}");
        drop(client);
    }
    assert!(limpet.access_log(50)[0].contains("\" 101 "), "a tunnel is logged when it ends");
}

#[test]
fn large_answers_of_a_real_server_arrive_whole() {
    let server = nginx("location /big { return 200 $request_uri; } location /sized { default_type text/plain; }");
    let front = port();
    let http = format!(
        "upstream u {{ server {}; session_sticky; }} server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
        server.address()
    );
    let _limpet = Limpet::http(front, &http);
    let long = format!("/big{}", "x".repeat(6000));
    let mut client = Client::connect(front);
    for _ in 0..3 {
        assert_eq!(client.request(&format!("GET {long}"), &[]).text(), long);
    }
    let index = client.request("GET /", &[]);
    assert_eq!(index.text(), format!("nginx on {}\n", server.port));
    let etag = index.value("etag").to_owned();
    assert_eq!(client.request("GET /", &[&format!("If-None-Match: {etag}")]).status, 304);
}

#[test]
fn slices_of_kept_connections_are_not_shared() {
    for (size, other) in [("slice_conn=1", 0), ("slice_dyn=arg_n", 0), ("slice_dyn=$arg_none slice_conn=1", 1)] {
        let backend = Backend::new(Script::ok("ok"));
        let front = port();
        let http = format!(
            "upstream u {{ server {}; keepalive 8 slice_key=$arg_k slice_keylen=2 {size}; }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
            backend.address()
        );
        let limpet = Limpet::http(front, &http);
        let mut connections = Vec::new();
        for key in ["aa", "aa", "b", "aa", "b", "aaa"] {
            assert_eq!(get(front, &format!("/?k={key}&n=1"), &[]).status, 200);
            connections.push(backend.connections());
        }
        match other {
            0 => assert_eq!(connections, [1, 1, 2, 2, 2, 2], "{size}"),
            _ => {
                assert_eq!(connections, [1, 2, 3, 4, 5, 6], "{size}");
                limpet.logs("[warn]");
                assert!(limpet.error_log().contains("keepalive slice: invalid variable value"));
            }
        }
    }
}

#[test]
fn kept_connections_end_by_requests_age_and_idleness() {
    for (directive, ends) in
        [("", false), ("keepalive_requests 2;", true), ("keepalive_time 1ms;", true), ("keepalive_timeout 1ms;", true)]
    {
        let backend = Backend::new(Script::ok("ok"));
        let front = port();
        let http = format!(
            "upstream u {{ server {}; keepalive 4; {directive} }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
            backend.address()
        );
        let _limpet = Limpet::http(front, &http);
        let mut asked = 0_usize;
        let mut ask = || {
            assert_eq!(get(front, "/", &[]).status, 200);
            asked += 1;
            asked
        };
        match ends {
            true => eventually(directive, || ask() >= 6 && backend.connections() >= 3),
            false => eventually("it is asked", || ask() >= 12),
        }
        if !ends {
            assert_eq!(backend.connections(), 1);
        }
        if directive.starts_with("keepalive_requests") {
            assert_eq!(backend.connections(), asked.div_ceil(2));
        }
    }
}

#[test]
fn connections_to_backends_are_probed_by_tcp_where_it_is_switched_on() {
    for (switch, timer) in [("on", "02"), ("off", "00")] {
        let backend = Backend::new(Script::ok("ok"));
        let front = port();
        let http = format!(
            "upstream u {{ server {}; }} server {{ listen 127.0.0.1:{front}; proxy_socket_keepalive {switch};
             location / {{ proxy_pass http://u; }} }}",
            backend.address()
        );
        let _limpet = Limpet::http(front, &http);
        assert_eq!(get(front, "/", &[]).status, 200);
        let remote = format!("0100007F:{:04X}", backend.port);
        // Of our end: the remote address is column 2, the state column 3, and column 5 begins with the timer that runs;
        // 02 is that of the probes.
        eventually(switch, || {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
            table.lines().any(|line| {
                let columns: Vec<&str> = line.split_whitespace().collect();
                columns[2] == remote && columns[3] == "01" && columns[5].starts_with(timer)
            })
        });
    }
}

/// How much of a body the kernel takes for a backend that reads nothing.
#[test]
fn the_kernels_buffers_towards_backends_are_as_large_as_told() {
    let taken = |setting: &str| {
        let backend = Backend::driven(|_, stream| {
            let _ = socket2::SockRef::from(&stream).set_recv_buffer_size(4096);
            std::thread::sleep(std::time::Duration::from_secs(20));
        });
        let front = port();
        let http = format!(
            "log_format t '$upstream_bytes_sent'; server {{ listen 127.0.0.1:{front}; access_log logs/access.log t;
             proxy_send_timeout 300ms; client_max_body_size 0; proxy_socket_rcvbuf 8k; {setting}
             location / {{ proxy_pass http://{}; }} }}",
            backend.address()
        );
        let limpet = Limpet::http(front, &http);
        let mut client = Client::connect(front);
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n{}", "x".repeat(8_000_000)));
        assert_eq!(client.response().status, 504);
        limpet.access_log(1)[0].parse::<u64>().expect("a number")
    };
    let (small, usual) = (taken("proxy_socket_sndbuf 8k;"), taken(""));
    assert!(small * 2 < usual, "{small} and {usual}");
}

/// A proxy with a pool before one backend.
fn pooling(backend: &Backend) -> (Limpet, u16) {
    pooling_with(backend, "")
}

fn pooling_with(backend: &Backend, server: &str) -> (Limpet, u16) {
    let front = port();
    let http = format!(
        "upstream u {{ server {}; keepalive 4; }}
         server {{ listen 127.0.0.1:{front}; {server} location / {{ proxy_pass http://u; }} }}",
        backend.address()
    );
    (Limpet::http(front, &http), front)
}

#[test]
fn what_can_not_be_sent_twice_goes_over_a_connection_that_was_just_used() {
    // A body that was read before can be sent again, however large.
    for (buffering, [large_one, chunked]) in [("on", [2, 2]), ("off", [3, 4])] {
        connections_by_request(buffering, large_one, chunked);
    }
}

fn connections_by_request(buffering: &str, large_one: usize, chunked: usize) {
    let backend = Backend::new(Script::ok("x"));
    let (_limpet, front) = pooling_with(&backend, &format!("proxy_request_buffering {buffering};"));
    let mut client = Client::connect(front);
    let mut send = |line: &str, headers: &[&str], body: &str| {
        let head: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        client.send(format!("{line} HTTP/1.1\r\nHost: x\r\n{head}\r\n{body}"));
        assert_eq!(client.response().status, 200, "{line}");
        backend.connections()
    };
    let large = "x".repeat(70_000);
    let length = format!("Content-Length: {}", large.len());
    assert_eq!(send("GET /", &[], ""), 1);
    assert_eq!(send("POST /", &["Content-Length: 1"], "x"), 1, "it was used in this second");
    // One that has been idle for longer serves what can be sent again.
    let pause = || std::thread::sleep(std::time::Duration::from_millis(1200));
    pause();
    assert_eq!(send("PUT /", &["Content-Length: 1"], "x"), 1);
    pause();
    assert_eq!(send("POST /", &["Content-Length: 0"], ""), 2);
    pause();
    assert_eq!(send("PUT /", &[&length], &large), large_one, "{buffering}");
    pause();
    assert_eq!(send("PUT /", &["Transfer-Encoding: chunked"], "1\r\nx\r\n0\r\n\r\n"), chunked, "{buffering}");
}

#[test]
fn connections_are_not_kept_for_longer_than_the_backend_says() {
    for (headers, reused) in [("Keep-Alive: timeout=1\r\n", false), ("Keep-Alive: timeout=5, max=100\r\n", true)] {
        let backend = Backend::new(Script::page(200, headers, "x"));
        let (_limpet, front) = pooling(&backend);
        for _ in 0..3 {
            assert_eq!(get(front, "/", &[]).status, 200);
        }
        assert_eq!(backend.connections(), if reused { 1 } else { 3 }, "{headers}");
    }
}

#[test]
fn a_408_over_an_idle_connection_is_about_the_connection() {
    let timed_out = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    // Every other request, which comes over a kept connection, gets it.
    let backend = Backend::planned(move |number, request| match number % 2 {
        0 => Script::ok(&format!("{}", request.len())),
        _ => Script::AnswerAndClose(timed_out.to_vec()),
    });
    let (limpet, front) = pooling(&backend);
    let mut client = Client::connect(front);
    for line in ["GET /", "GET /", "POST /", "HEAD /"] {
        client.send(format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"));
        assert_eq!(client.response_to(line.starts_with("HEAD")).status, 200, "{line}: {}", limpet.error_log());
    }
    // Over a new one it is the answer.
    let backend = Backend::new(Script::AnswerAndClose(timed_out.to_vec()));
    let (_limpet, front) = pooling(&backend);
    assert_eq!(get(front, "/", &[]).status, 408);
}

#[test]
fn a_post_behind_a_connection_that_its_backend_has_ended_takes_a_new_one() {
    // It keeps connections by its word, and ends them nevertheless.
    let ended = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ended);
    let backend = Backend::driven(move |_, mut stream| {
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        while !read.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => read.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        drop(stream);
        counted.fetch_add(1, Ordering::AcqRel);
    });
    let (limpet, front) = pooling(&backend);
    let mut client = Client::connect(front);
    let mut requests = 0;
    for round in 0..40 {
        for (line, headers) in [("HEAD /", &[][..]), ("POST /", &["Content-Length: 0"])] {
            let response = client.request(line, headers);
            assert_eq!(response.status, 200, "{line} {round}: {}", limpet.error_log());
            requests += 1;
            eventually("the backend has ended the connection", || ended.load(Ordering::Acquire) == requests);
            // Where there is much to do the kernel delivers that a moment later.
            let remote = format!("0100007F:{:04X}", backend.port);
            eventually("the proxy's end of it knows", || {
                let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
                let is_open = |columns: Vec<&str>| columns[2] == remote && columns[3] == "01";
                !table.lines().any(|line| is_open(line.split_whitespace().collect()))
            });
        }
    }
}
