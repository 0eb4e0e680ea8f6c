//! Requests' bodies that are read before a server is asked, and responses that are taken in faster than the client reads.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use limpet_tests::{Backend, Client, Limpet, Script, eventually, port};

/// A proxy before a backend, with directives for its server block.
fn before(backend: &Backend, server: &str) -> (Limpet, u16) {
    let front = port();
    let http = format!(
        "server {{ listen 127.0.0.1:{front}; {server} location / {{ proxy_pass http://{}; }} }}",
        backend.address()
    );
    (Limpet::http(front, &http), front)
}

/// A backend that answers with the body that it got.
fn echo() -> Backend {
    Backend::planned(|_, request| Script::ok(request.split_once("\r\n\r\n").expect("a head").1))
}

#[test]
fn nobody_is_asked_before_the_body_is_there() {
    let backend = echo();
    let (limpet, front) = before(&backend, "");
    for (framing, parts) in [
        ("Content-Length: 9", ["abc", "def", "ghi"]),
        ("Transfer-Encoding: chunked", ["3;x\r\nabc\r\n6\r", "\nde", "fghi\r\n0\r\n\r\n"]),
    ] {
        let mut client = Client::connect(front);
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"));
        let asked = backend.connections();
        for part in parts {
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(backend.connections(), asked, "{framing}");
            client.send(part);
        }
        assert_eq!(client.response().text(), "abcdefghi");
        let request = backend.requests().pop().expect("a request");
        assert!(request.contains("Content-Length: 9\r\n") && !request.contains("chunked"), "{request}");
        // The next request follows the body.
        assert_eq!(client.request("POST /", &["Content-Length: 0"]).text(), "");
    }
    // A body that comes together with what follows it.
    let mut client = Client::connect(front);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nokGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((client.response().text().as_str(), client.response().status), ("ok", 200));
    assert!(!limpet.error_log().contains("[error]"), "{}", limpet.error_log());
}

#[test]
fn what_is_wrong_with_a_body_is_answered_and_nobody_asked() {
    let backend = echo();
    let (limpet, front) = before(&backend, "client_max_body_size 10; client_body_timeout 300ms;");
    let post = |body: &str| format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    for (body, status) in [("5\r\nhelloworld\r\n", 400), ("x\r\n", 400), ("64\r\n", 413), ("6\r\nabcdef\r\n5\r\n", 413)]
    {
        let mut client = Client::connect(front);
        client.send(post(body));
        assert_eq!(client.response().status, status, "{body:?}");
        assert!(client.is_closed(), "{body:?}");
    }
    // One that falls silent, and one that goes away.
    let mut silent = Client::connect(front);
    silent.send(post("5\r\nhel"));
    assert!(silent.is_closed());
    let mut gone = Client::connect(front);
    gone.send(post("5\r\nhel")).half_close();
    assert!(gone.is_closed());
    assert_eq!(backend.connections(), 0);
    limpet.logs("client intended to send too large chunked body: 0+100 bytes");
    limpet.logs("client timed out (110: Connection timed out)");
    limpet.logs("client prematurely closed connection");
    let log = limpet.access_log(6);
    let statuses: Vec<&str> = log.iter().filter_map(|line| line.split('"').nth(2)?.split_whitespace().next()).collect();
    assert_eq!(statuses, ["400", "400", "413", "413", "408", "400"], "{log:?}");
}

#[test]
fn a_large_body_is_in_a_file_that_nobody_sees() {
    let backend = echo();
    let (limpet, front) = before(&backend, "client_max_body_size 0; client_body_buffer_size 1k;");
    let body = "0123456789abcdef".repeat(20_000);
    for _ in 0..2 {
        let mut client = Client::connect(front);
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        assert!(client.response().text() == body);
    }
    limpet.logs("a client request body is buffered to a temporary file");
    let folder = limpet.path("client_body_temp");
    assert_eq!(std::fs::read_dir(folder).expect("the folder").count(), 0);
}

#[test]
fn a_body_may_be_left_in_a_file_with_a_name() {
    for (word, stays) in [("on", true), ("clean", false)] {
        let backend = Backend::planned(|_, request| {
            let path = request.lines().find_map(|line| line.strip_prefix("X-File: ")).unwrap_or_default();
            Script::ok(&std::fs::read_to_string(path).unwrap_or_else(|error| format!("{path}: {error}")))
        });
        let (limpet, front) = before(
            &backend,
            &format!(
                "client_body_in_file_only {word}; client_body_temp_path bodies 1 2;
                 proxy_set_header X-File $request_body_file;"
            ),
        );
        let mut client = Client::connect(front);
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().text(), "hello", "{word}");
        drop(client);
        let mut files = Vec::new();
        fn all(folder: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => all(&path, files),
                    path => files.push(path),
                }
            }
        }
        eventually(word, || {
            files.clear();
            all(&limpet.path("bodies"), &mut files);
            files.len() == usize::from(stays)
        });
        if let Some(file) = files.first() {
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            let expected = limpet.path("bodies").join(&name[9..]).join(&name[7..9]).join(&name);
            assert_eq!((*file).clone(), expected);
        }
    }
}

#[test]
fn a_body_of_any_size_is_sent_again() {
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    // It takes the whole body, and then closes.
    let bad = Backend::driven(move |_, mut stream| {
        let mut buffer = [0; 65_536];
        let mut read = 0;
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            read += count;
            if read >= 300_000 {
                break;
            }
        }
        counted.fetch_add(1, Ordering::AcqRel);
    });
    let good = echo();
    let front = port();
    let http = format!(
        "upstream u {{ server {}; server {}; }}
         server {{ listen 127.0.0.1:{front}; client_max_body_size 0; location / {{ proxy_pass http://u; }} }}",
        bad.address(),
        good.address()
    );
    let _limpet = Limpet::http(front, &http);
    for body in ["0123456789".repeat(30_000), "x".repeat(300_001)] {
        let mut client = Client::connect(front);
        client.send(format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()));
        client.send(&body);
        assert!(client.response().text() == body);
    }
    assert!(refused.load(Ordering::Acquire) >= 1);
}

#[test]
fn an_answer_before_the_body_was_taken_is_passed_on() {
    let backend = Backend::driven(|_, mut stream| {
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.write_all(b"HTTP/1.1 413 Enough\r\nContent-Length: 6\r\n\r\nenough");
        std::thread::sleep(Duration::from_secs(60));
    });
    let (limpet, front) = before(&backend, "client_max_body_size 0;");
    let mut client = Client::connect(front);
    let body = "x".repeat(20_000_000);
    client.send(format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "enough"), "{}", limpet.error_log());
}

/// A backend that sends a body of so many bytes as fast as it can, and tells how much it has sent.
fn large(length: usize, headers: &'static str) -> (Backend, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let backend = Backend::driven(move |_, mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{headers}\r\n").as_bytes());
        let mut at = 0;
        while at < length {
            // Each byte says where it stands.
            let piece: Vec<u8> = (at..length.min(at + 65_536)).map(|place| (place % 251) as u8).collect();
            if stream.write_all(&piece).is_err() {
                return;
            }
            at += piece.len();
            counted.store(at, Ordering::Release);
        }
        let _ = stream.read(&mut [0; 1]);
    });
    (backend, sent)
}

/// More than the sockets on the way hold.
const LARGE: usize = 40_000_000;

fn assert_is_whole(body: &[u8]) {
    assert_eq!(body.len(), LARGE);
    assert!(body.iter().enumerate().all(|(place, byte)| *byte == (place % 251) as u8));
}

#[test]
fn a_backend_does_not_wait_for_a_slow_client() {
    for headers in ["", "X-Accel-Buffering: yes\r\n"] {
        let (backend, sent) = large(LARGE, headers);
        let buffering = if headers.is_empty() { "on" } else { "off" };
        let (limpet, front) = before(&backend, &format!("proxy_buffering {buffering};"));
        let mut client = Client::connect(front);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        eventually("the backend has sent all", || sent.load(Ordering::Acquire) == LARGE);
        // What waits is in a file that nobody sees.
        assert_eq!(std::fs::read_dir(limpet.path("proxy_temp")).expect("the folder").count(), 0);
        assert_is_whole(&client.response().body);
        assert!(limpet.access_log(1)[0].contains(&format!(" 200 {LARGE} ")), "{:?}", limpet.access_log(1));
        // The connection goes on.
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_is_whole(&client.response().body);
    }
}

#[test]
fn a_backend_waits_for_its_client_where_nothing_is_buffered() {
    for (directives, headers) in [
        ("proxy_buffering off;", ""),
        ("", "X-Accel-Buffering: no\r\n"),
        ("proxy_max_temp_file_size 0;", ""),
        ("proxy_max_temp_file_size 1m;", ""),
        ("proxy_buffering off; proxy_ignore_headers X-Accel-Buffering;", "X-Accel-Buffering: yes\r\n"),
    ] {
        let (backend, sent) = large(LARGE, headers);
        let (_limpet, front) = before(&backend, directives);
        let mut client = Client::connect(front);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut before = 0;
        eventually("the backend stops", || {
            let now = sent.load(Ordering::Acquire);
            std::thread::sleep(Duration::from_millis(300));
            now > 0 && now == std::mem::replace(&mut before, now)
        });
        assert!(before < LARGE, "{directives} {headers}");
        assert_is_whole(&client.response().body);
    }
}

#[test]
fn a_response_goes_on_where_there_is_no_place_for_its_file() {
    let (backend, _) = large(LARGE, "");
    let (limpet, front) = before(&backend, "proxy_temp_path temp;");
    std::fs::remove_dir(limpet.path("temp")).expect("it was made");
    std::fs::write(limpet.path("temp"), "no folder").expect("a file");
    let mut client = Client::connect(front);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    limpet.logs("an upstream response can't be buffered to a temporary file");
    assert_is_whole(&client.response().body);
    assert_eq!(limpet.error_log().matches("[crit]").count(), 1, "{}", limpet.error_log());
}

#[test]
fn a_buffered_response_in_chunks_arrives_whole() {
    let backend = Backend::driven(|_, mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..300 {
            let _ = stream.write_all(format!("{:x}\r\n{}\r\n", 65_536, "c".repeat(65_536)).as_bytes());
        }
        let _ = stream.write_all(b"0\r\n\r\n");
        let _ = stream.read(&mut [0; 1]);
    });
    let (_limpet, front) = before(&backend, "");
    let mut client = Client::connect(front);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    std::thread::sleep(Duration::from_millis(300));
    let body = client.response().body;
    assert!(body.len() == 300 * 65_536 && body.iter().all(|byte| *byte == b'c'));
}

#[test]
fn what_a_backend_sent_before_it_broke_off_arrives() {
    let (backend, sent) = large(LARGE, "");
    // It says that there is more.
    let cut = Backend::driven({
        let inner = backend.address();
        move |_, mut stream| {
            let mut source = std::net::TcpStream::connect(&*inner).expect("connected");
            let _ = stream.read(&mut [0; 4096]);
            let _ = source.write_all(b"GET / HTTP/1.1\r\n\r\n");
            let mut head = [0; 1024];
            let count = source.read(&mut head).expect("a head");
            let text =
                String::from_utf8_lossy(&head[..count]).replace(&format!("{LARGE}"), &format!("{}", LARGE + 1000));
            let end = text.find("\r\n\r\n").expect("a head") + 4;
            let _ = stream.write_all(&text.as_bytes()[..end]);
            let rest = count - head.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") - 4;
            let _ = stream.write_all(&head[count - rest..count]);
            let mut left = LARGE - rest;
            let mut buffer = vec![0; 65_536];
            while left > 0 {
                let count = source.read(&mut buffer).expect("a body");
                let _ = stream.write_all(&buffer[..count]);
                left -= count;
            }
        }
    });
    let (limpet, front) = before(&cut, "");
    let mut client = Client::connect(front);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("the backend has sent all", || sent.load(Ordering::Acquire) == LARGE);
    limpet.logs("upstream prematurely closed connection");
    let answer = client.to_end();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    assert_is_whole(&answer[head..]);
}

#[test]
fn the_time_of_a_server_ends_with_its_last_byte() {
    let (backend, sent) = large(LARGE, "");
    let front = port();
    let http = format!(
        "log_format t '$upstream_response_time $request_time';
         server {{ listen 127.0.0.1:{front}; access_log logs/t.log t; location / {{ proxy_pass http://{}; }} }}",
        backend.address()
    );
    let limpet = Limpet::http(front, &http);
    let mut client = Client::connect(front);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("the backend has sent all", || sent.load(Ordering::Acquire) == LARGE);
    std::thread::sleep(Duration::from_millis(1500));
    assert_is_whole(&client.response().body);
    let log = || std::fs::read_to_string(limpet.path("logs/t.log")).unwrap_or_default();
    eventually("it is logged", || log().lines().count() == 1);
    let times: Vec<f64> = log().split_whitespace().map(|time| time.parse().expect("a time")).collect();
    assert!(times[0] + 1.0 < times[1], "{times:?}");
}

#[test]
fn a_folder_that_can_not_be_made_is_an_error_at_load() {
    let folder = tempfile::tempdir().expect("a folder");
    for directive in ["proxy_temp_path", "client_body_temp_path"] {
        let path = folder.path().join("nginx.conf");
        let text = format!(
            "events {{}} http {{ server {{ listen 127.0.0.1:8080; location / {{ {directive} /nonexistent/a/b; proxy_pass http://127.0.0.1:1; }} }} }}"
        );
        std::fs::write(&path, text).expect("a file");
        let prefix = folder.path().display().to_string();
        let output = limpet_tests::run(&["-t", "-p", &prefix, "-c", &path.display().to_string()]);
        assert_eq!(output.status, 1, "{}", output.stderr);
        let message = "mkdir() \"/nonexistent/a/b\" failed (2: No such file or directory)";
        assert!(output.stderr.contains(message), "{}", output.stderr);
    }
}

#[test]
fn memory_is_given_back_when_a_crowd_has_gone() {
    let backend = Backend::driven(|_, mut stream| {
        let mut head = [0; 1024];
        let length = stream.read(&mut head).unwrap_or(0);
        if !head[..length].starts_with(b"GET /long") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
            return;
        }
        let block = [b'x'; 65_536];
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 65536000\r\n\r\n");
        while stream.write_all(&block).is_ok() {}
    });
    let (limpet, front) = before(&backend, "proxy_buffers 8 64k; proxy_max_temp_file_size 0;");
    let crowd = |count: usize, request: &str| -> Vec<Client> {
        let join = |_| {
            let mut client = Client::connect(front);
            client.send(request);
            client
        };
        (0..count).map(join).collect()
    };
    let short = "GET /short HTTP/1.1\r\nHost: x\r\n\r\n";
    crowd(20, short).iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    let start = limpet.memory();
    let readers = crowd(100, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("what waits for the readers is held", || limpet.memory() > start + 100 * 256);
    let upload = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n{}", "x".repeat(8000));
    let uploads = crowd(100, &upload);
    drop((readers, uploads));
    eventually("it is given back", || limpet.memory() < start * 6 / 5);
}
