//! One client or one backend that is slow, broken or hostile takes nothing from the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use limpet_tests::{Backend, Client, Limpet, Script, eventually, get, port};

/// A proxy before some backends, with `location /` as it is given.
fn before(backends: &[&Backend], upstream: &str, location: &str) -> (Limpet, u16) {
    let port = port();
    let servers: String = backends.iter().map(|backend| format!("server {};", backend.address())).collect();
    let limpet = Limpet::http(
        port,
        &format!(
            "upstream u {{ {servers} {upstream} }}
             server {{ listen 127.0.0.1:{port}; location / {{ {location} proxy_pass http://u; }} }}"
        ),
    );
    (limpet, port)
}

/// Reads up to the end of a head; what is behind it is given back.
fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            return read.split_off(end + 4);
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => read.extend_from_slice(&buffer[..count]),
            _ => return Vec::new(),
        }
    }
}

fn assert_nobody_was_marked(limpet: &Limpet, port: u16) {
    for _ in 0..6 {
        assert_eq!(get(port, "/", &[]).status, 200, "{}", limpet.error_log());
    }
    assert!(!limpet.error_log().contains("temporarily disabled"), "{}", limpet.error_log());
}

#[test]
fn a_slow_client_marks_no_server_and_is_answered_when_it_is_done() {
    let backends = [Backend::new(Script::ok("one")), Backend::new(Script::ok("two"))];
    let (limpet, port) = before(&[&backends[0], &backends[1]], "", "proxy_read_timeout 200ms;");
    let mut slow = [Client::connect(port), Client::connect(port)];
    slow[0].send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    slow[1].send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n");
    let pace = limpet_tests::pace(Duration::from_millis(100));
    for (byte, ()) in b"slowly so".iter().zip(pace) {
        slow.iter_mut().for_each(|client| {
            client.send([*byte]);
        });
    }
    slow[1].send("\r\n0\r\n\r\n");
    assert_eq!(slow.each_mut().map(|client| client.response().status), [200, 200], "{}", limpet.error_log());
    assert_nobody_was_marked(&limpet, port);
}

#[test]
fn a_server_has_its_whole_time_once_it_has_the_request() {
    let backend = Backend::new(Script::Hang);
    let (limpet, port) = before(&[&backend], "", "proxy_read_timeout 700ms;");
    let mut client = Client::connect(port);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    let began = Instant::now();
    for (byte, ()) in b"slowly so".iter().zip(limpet_tests::pace(Duration::from_millis(100))) {
        client.send([*byte]);
    }
    assert_eq!(client.response().status, 504);
    assert!(began.elapsed() >= Duration::from_millis(800 + 600), "{:?}", began.elapsed());
    limpet.logs("upstream timed out (110: Connection timed out) while reading response header from upstream");
}

#[test]
fn what_the_client_owes_is_not_the_servers_fault() {
    // The connection of an unfinished request breaks, in three ways.
    for way in 0..3 {
        let drive = move |_: usize, mut stream: TcpStream| {
            let _ = read_head(&mut stream);
            match way {
                0 => {}
                1 => {
                    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                }
                _ => {
                    let _ = stream.write_all(b"HTTP/1.1 101 Now\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
                    let _ = stream.read(&mut [0; 100]);
                }
            }
        };
        let bad = Arc::new(AtomicUsize::new(0));
        let tell = |bad: &Arc<AtomicUsize>| {
            let bad = Arc::clone(bad);
            move |number, mut stream: TcpStream| {
                // Only the first connection of each is broken.
                if bad.fetch_add(1, Ordering::AcqRel) < 2 {
                    return drive(number, stream);
                }
                let _ = read_head(&mut stream);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        };
        let backends = [Backend::driven(tell(&bad)), Backend::driven(tell(&bad))];
        let upgrade =
            "proxy_request_buffering off; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
        let (limpet, port) = before(&[&backends[0], &backends[1]], "", upgrade);
        for _ in 0..2 {
            let mut client = Client::connect(port);
            client.send(
                "POST / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 1000\r\n\r\nhalf",
            );
            assert_eq!(client.response().status, 502, "way {way}");
        }
        assert_eq!(bad.load(Ordering::Acquire), 2, "both servers were asked");
        assert_nobody_was_marked(&limpet, port);
    }
}

#[test]
fn a_client_that_goes_away_or_falls_silent_in_its_body_marks_no_server() {
    let backends = [Backend::new(Script::ok("one")), Backend::new(Script::ok("two"))];
    let (limpet, port) = before(&[&backends[0], &backends[1]], "", "client_body_timeout 200ms;");
    for _ in 0..4 {
        let mut client = Client::connect(port);
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf");
        drop(client);
        let mut silent = Client::connect(port);
        silent.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf");
        assert!(silent.is_closed(), "without a word");
    }
    assert_eq!(limpet.access_log(8).iter().filter(|line| line.contains("\" 408 ")).count(), 4);
    assert_nobody_was_marked(&limpet, port);
}

const PASSED_ON: &str = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;";

#[test]
fn only_who_asks_for_another_protocol_gets_a_tunnel() {
    for (headers, location) in [
        ("", ""),
        ("", PASSED_ON),
        // Nothing of it, or a half of it, reached the backend.
        ("Upgrade: x\r\nConnection: upgrade\r\n", ""),
        ("Upgrade: x\r\nConnection: upgrade\r\n", "proxy_set_header Upgrade $http_upgrade;"),
        ("Upgrade: x\r\nConnection: close\r\n", PASSED_ON),
        // It did, and the client had not asked.
        ("", "proxy_set_header Upgrade x; proxy_set_header Connection upgrade;"),
    ] {
        let behind = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&behind);
        let backend = Backend::driven(move |_, mut stream| {
            let _ = read_head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 101 S\r\n\r\n");
            let mut buffer = [0; 100];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                counted.fetch_add(count, Ordering::AcqRel);
            }
        });
        let (limpet, port) = before(&[&backend], "", location);
        let mut client = Client::connect(port);
        client.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\nGET /admin HTTP/1.1\r\nHost: y\r\n\r\n"));
        assert_eq!(client.response().status, 502, "{headers:?} {location:?}");
        limpet.logs("upstream changed the protocol without being asked to");
        limpet.access_log(1);
        assert_eq!(behind.load(Ordering::Acquire), 0, "{headers:?} {location:?}");
    }
}

#[test]
fn a_request_with_a_body_becomes_a_tunnel_once_the_body_is_over() {
    for (framing, body) in [
        ("Content-Length: 0\r\n", ""),
        ("Content-Length: 5\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        // The body comes with the head, or when the backend has the head.
        for comes_later in [false, true] {
            let (sent, length) = (body.to_owned(), body.len());
            let backend = Backend::driven(move |_, mut stream| {
                let mut read = read_head(&mut stream);
                let mut buffer = [0; 100];
                while read.len() < length {
                    let count = stream.read(&mut buffer).expect("the body");
                    read.extend_from_slice(&buffer[..count]);
                }
                assert_eq!(String::from_utf8_lossy(&read), sent);
                let _ = stream.write_all(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    let _ = stream.write_all(&buffer[..count]);
                }
            });
            let (limpet, port) = before(&[&backend], "", &format!("{PASSED_ON} proxy_request_buffering off;"));
            let mut client = Client::connect(port);
            client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: Upgrade\r\n{framing}\r\n"));
            if comes_later {
                eventually("the backend is asked", || backend.connections() == 1);
            }
            client.send(body);
            assert_eq!(client.response().status, 101, "{framing} {comes_later}: {}", limpet.error_log());
            client.send("ping");
            assert_eq!(client.exactly(4), b"ping", "{framing} {comes_later}");
        }
    }
}

/// A backend that reads a head, sends something, and reads nothing more until its client has ended the connection.
fn deaf(answer: &'static str) -> Backend {
    Backend::driven(move |_, mut stream| {
        let _ = socket2::SockRef::from(&stream).set_recv_buffer_size(4096);
        let _ = read_head(&mut stream);
        let _ = stream.write_all(answer.as_bytes());
        eventually("the proxy lets go", || {
            let mut state = [0; 1];
            stream.peek(&mut state).is_err() || has_hung_up(&stream)
        });
    })
}

fn has_hung_up(stream: &TcpStream) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let hung_up = PollFlags::from_bits_retain(nix::libc::POLLRDHUP) | PollFlags::POLLHUP | PollFlags::POLLERR;
    let mut asked = [PollFd::new(stream.as_fd(), hung_up)];
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|found| found > 0)
}

/// Uploads until `done`, and gives up after a while.
fn upload(port: u16, done: impl Fn() -> bool) -> Client {
    let mut client = Client::connect(port);
    client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
    client.set_write_patience(Duration::from_millis(20));
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(10), "the upload goes on and on");
        client.try_send([b'x'; 65_536]);
    }
    client
}

#[test]
fn an_upload_that_the_backend_does_not_take_ends_after_proxy_send_timeout() {
    let backend = deaf("");
    let (limpet, port) = before(
        &[&backend],
        "",
        "client_max_body_size 0; proxy_send_timeout 1s; proxy_read_timeout 30s; proxy_request_buffering off;",
    );
    let timed_out = "upstream timed out (110: Connection timed out) while sending request to upstream";
    let mut client = upload(port, || limpet.error_log().contains(timed_out));
    assert_eq!(client.response().status, 504);
}

#[test]
fn what_the_libraries_beneath_say_is_not_lost() {
    let backend = deaf("");
    let settings = "carrier pingora;\nclient_max_body_size 0; proxy_send_timeout 100ms; proxy_request_buffering off;";
    let (limpet, port) = before(&[&backend], "", settings);
    let of_library = |line: &str| line.contains("[warn]") && line.contains(" pingora_proxy::");
    drop(upload(port, || limpet.error_log().lines().any(of_library)));
}

#[test]
fn a_client_that_leaves_a_stuck_upload_is_missed_soon_and_the_server_not_marked() {
    let backend = deaf("");
    let (limpet, port) =
        before(&[&backend], "", "client_max_body_size 0; proxy_send_timeout 30s; proxy_request_buffering off;");
    let began = Instant::now();
    upload(port, || began.elapsed() > Duration::from_millis(500)).reset();
    assert!(limpet.access_log(1)[0].contains("\" 499 "), "{:?}", limpet.access_log(1));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(!limpet.error_log().contains("temporarily disabled"), "{}", limpet.error_log());
}

#[test]
fn an_answer_that_comes_before_a_stuck_upload_is_over_is_passed_on() {
    let backend = deaf("HTTP/1.1 413 Enough\r\nContent-Length: 6\r\n\r\nenough");
    let (limpet, port) =
        before(&[&backend], "", "client_max_body_size 0; proxy_send_timeout 2s; proxy_request_buffering off;");
    let began = Instant::now();
    let mut client = upload(port, || began.elapsed() > Duration::from_millis(200));
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "enough"), "{}", limpet.error_log());
    assert!(!limpet.error_log().contains("temporarily disabled"), "{}", limpet.error_log());
}

fn tunnel(port: u16) -> Client {
    let mut client = Client::connect(port);
    assert_eq!(client.request("GET /", &["Upgrade: x", "Connection: upgrade"]).status, 101);
    client
}

const SWITCH: &[u8] = b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

#[test]
fn a_tunnel_that_one_end_has_left_is_over_whatever_the_other_does() {
    // The backend ignores the end of its client for as long as it likes.
    let backend = deaf(std::str::from_utf8(SWITCH).expect("text"));
    let port = port();
    let limpet = Limpet::http(
        port,
        &format!(
            "upstream u {{ server {} max_conns=1; }} server {{ listen 127.0.0.1:{port};
             location / {{ {PASSED_ON} proxy_read_timeout 1h; proxy_pass http://u; }} }}",
            backend.address()
        ),
    );
    for round in 1..=3 {
        let client = tunnel(port);
        assert_eq!(get(port, "/", &[]).status, 502, "the only place is taken");
        drop(client);
        eventually("the tunnel is logged", || {
            limpet.access_log(1).iter().filter(|line| line.contains("\" 101 ")).count() == round
        });
    }
    // And a client that ignores the end of its backend.
    let backend = Backend::driven(|_, mut stream| {
        let _ = read_head(&mut stream);
        let _ = stream.write_all(SWITCH);
    });
    let (limpet, port) = before(&[&backend], "", &format!("{PASSED_ON} proxy_read_timeout 1h;"));
    let _client = tunnel(port);
    assert!(limpet.access_log(1)[0].contains("\" 101 "));
}

#[test]
fn what_was_sent_before_a_tunnel_ends_arrives() {
    let arrived = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&arrived);
    let backend = Backend::driven(move |_, mut stream| {
        let _ = read_head(&mut stream);
        let _ = stream.write_all(SWITCH);
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read);
        count.store(read.len(), Ordering::Relaxed);
    });
    let (_limpet, port) = before(&[&backend], "", PASSED_ON);
    let mut client = tunnel(port);
    let sent = "x".repeat(200_000);
    client.send(&sent).half_close();
    eventually("all of it arrives", || arrived.load(Ordering::Relaxed) == sent.len());
}

#[test]
fn a_tunnel_ends_with_one_end_whatever_the_other_does() {
    let backend = Backend::driven(|_, mut stream| {
        let _ = read_head(&mut stream);
        let _ = stream.write_all(SWITCH);
        // It sends on and on, and hears nothing.
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let (limpet, port) = before(&[&backend], "", &format!("{PASSED_ON} proxy_read_timeout 1h;"));
    let mut client = tunnel(port);
    assert_eq!(client.exactly(1), b"x");
    drop(client);
    assert!(limpet.access_log(1)[0].contains("\" 101 "));
    // And who hears that the client is done, and says nothing to that.
    let backend = Backend::driven(|_, mut stream| {
        let _ = read_head(&mut stream);
        let _ = stream.write_all(SWITCH);
        std::thread::sleep(Duration::from_secs(60));
    });
    let (limpet, port) = before(&[&backend], "", &format!("{PASSED_ON} proxy_read_timeout 300ms;"));
    let mut client = tunnel(port);
    client.half_close();
    assert!(limpet.access_log(1)[0].contains("\" 101 "));
    assert!(!limpet.error_log().contains("timed out"), "{}", limpet.error_log());
}

#[test]
fn a_client_that_is_done_hears_what_its_backend_still_says() {
    let backend = Backend::driven(|_, mut stream| {
        let _ = read_head(&mut stream);
        let _ = stream.write_all(SWITCH);
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        let _ = stream.write_all(format!("{} bytes", said.len()).as_bytes());
        std::thread::sleep(Duration::from_millis(50));
        let _ = stream.write_all(b", and that is all");
    });
    let (limpet, port) = before(&[&backend], "", PASSED_ON);
    let mut client = tunnel(port);
    client.send("x".repeat(200_000)).half_close();
    assert_eq!(String::from_utf8_lossy(&client.to_end()), "200000 bytes, and that is all");
    assert!(limpet.access_log(1)[0].contains("\" 101 "));
}

#[test]
fn a_tunnel_ends_when_one_end_takes_nothing() {
    let backend = Backend::driven(|_, mut stream| {
        let _ = read_head(&mut stream);
        let _ = stream.write_all(SWITCH);
        std::thread::sleep(Duration::from_secs(60));
    });
    let (limpet, port) =
        before(&[&backend], "", &format!("{PASSED_ON} proxy_read_timeout 1h; proxy_send_timeout 500ms;"));
    let mut client = tunnel(port);
    client.set_write_patience(Duration::from_secs(1));
    while client.try_send([b'x'; 65_536]) {}
    assert!(limpet.access_log(1)[0].contains("\" 101 "));
    limpet.logs("upstream timed out (110: Connection timed out) while proxying upgraded connection");
}

/// nginx sends head and body at once and reads what is there; a server may answer without having read.
#[test]
fn an_early_answer_counts_though_the_body_can_not_be_sent() {
    let backend = Backend::driven(|_, mut stream| {
        let _ = read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    });
    let (_limpet, port) = before(&[&backend], "", "");
    for round in 0..20 {
        let mut client = Client::connect(port);
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        std::thread::sleep(Duration::from_millis(5));
        client.try_send("2\r\nab\r\n0\r\n\r\n");
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (401, "no"), "{round}");
    }
}

#[test]
fn a_place_is_free_when_the_answer_is_over() {
    let backend = Backend::driven(|_, mut stream| {
        let _ = read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
        std::thread::sleep(Duration::from_secs(60));
    });
    let port = port();
    let http = format!(
        "upstream u {{ server {} max_conns=1; }}
         server {{ listen 127.0.0.1:{port}; client_max_body_size 0; proxy_request_buffering off;
         location / {{ proxy_pass http://u; }} }}",
        backend.address()
    );
    let _limpet = Limpet::http(port, &http);
    for round in 0..5 {
        let mut client = Client::connect(port);
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n");
        client.set_write_patience(Duration::from_millis(500));
        client.try_send(vec![b'x'; 3_000_000]);
        assert_eq!(client.response().status, 413, "{round}");
        // This client stays and says no more; the next one is served.
        std::mem::forget(client);
    }
}

#[test]
fn a_backend_that_answers_early_and_reads_on_gets_the_whole_body() {
    let backend = Backend::driven(|_, mut stream| {
        let _ = read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let mut body = [0; 300];
        if stream.read_exact(&mut body).is_ok() {
            let _ = read_head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole");
        }
    });
    let (_limpet, port) = before(&[&backend], "", "proxy_request_buffering off;");
    let mut client = Client::connect(port);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    for _ in 0..3 {
        client.send([b'x'; 100]);
        std::thread::sleep(Duration::from_millis(20));
    }
    // The connection is good for another request.
    assert_eq!(client.request("GET /", &[]).text(), "whole");
    assert_eq!(backend.connections(), 1);
}
