//! HTTP/2 for clients: streams, bodies, flow control, ends, and clients that mean no good.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Response};
use limpet_tests::{Backend, Client, Identity, Limpet, Script, eventually, get, port};
use nix::sys::signal::Signal;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn front(server: &str) -> (Limpet, u16) {
    let port = port();
    (Limpet::http(port, &format!("http2 on; server {{ listen 127.0.0.1:{port}; {server} }}")), port)
}

/// Runs what a client of HTTP/2 does.
fn block_on<R>(run: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), run).await.expect("in time") })
}

/// A connection in the clear. What becomes of it says the handle.
async fn connect(port: u16) -> (SendRequest<Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
    let (sender, connection) = h2::client::handshake(stream).await.expect("a handshake");
    (sender, tokio::spawn(connection))
}

fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://localhost{path}"))
}

/// The whole of a response.
async fn whole(response: h2::client::ResponseFuture) -> Result<(Response<()>, Vec<u8>), h2::Error> {
    let (parts, mut body) = response.await?.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok((Response::from_parts(parts, ()), bytes))
}

async fn ask(sender: &mut SendRequest<Bytes>, request: http::request::Builder) -> (Response<()>, Vec<u8>) {
    poll_fn(|cx| sender.poll_ready(cx)).await.expect("room for a stream");
    let (response, _) = sender.send_request(request.body(()).expect("a request"), true).expect("sent");
    whole(response).await.expect("a response")
}

/// The same with a body, in pieces as the other side gives room.
async fn post(sender: &mut SendRequest<Bytes>, request: http::request::Builder, body: Vec<u8>) -> (u16, Vec<u8>) {
    let (response, mut stream) = sender.send_request(request.body(()).expect("a request"), false).expect("sent");
    let mut body = Bytes::from(body);
    let send = async move {
        while !body.is_empty() {
            stream.reserve_capacity(body.len());
            let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
            let now = body.split_to(room.min(body.len()));
            if stream.send_data(now, body.is_empty()).is_err() {
                return;
            }
        }
    };
    let (_, answer) = tokio::join!(send, whole(response));
    let (response, bytes) = answer.expect("a response");
    (response.status().as_u16(), bytes)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn both_protocols_are_spoken_on_one_port() {
    let port = port();
    let said = "return 200 \"$http2 $scheme $server_protocol $request\";";
    let http = format!(
        "server {{ listen 127.0.0.1:{port} http2; listen 127.0.0.2:{port} ssl; ssl_certificate a.crt; ssl_certificate_key a.key; http2 on; {said} }}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("logs")).expect("a folder");
    Identity::own(&["localhost"]).write(folder.path(), "a");
    let text_of = format!("error_log logs/error.log info; events {{}} http {{ access_log logs/access.log; {http} }}");
    std::fs::write(folder.path().join("nginx.conf"), text_of).expect("written");
    let limpet = Limpet::start_in(folder, port);
    assert_eq!(get(port, "/", &[]).text(), " http HTTP/1.1 GET / HTTP/1.1");
    block_on(async {
        let (mut sender, _) = connect(port).await;
        let (response, body) = ask(&mut sender, request("GET", "/x?y")).await;
        assert_eq!((response.status().as_u16(), &*text(&body)), (200, "h2c http HTTP/2.0 GET /x?y HTTP/2.0"));
        assert_eq!(response.headers()["content-length"], "35");
        let names = ["connection", "keep-alive", "transfer-encoding"];
        assert!(names.iter().all(|name| !response.headers().contains_key(*name)), "{response:?}");
    });
    // Over TLS the handshake decides.
    let curl = |arguments: &[&str]| {
        let mut command = std::process::Command::new("curl");
        let url = format!("https://127.0.0.2:{port}/");
        text(&command.args(["-sk", &url]).args(arguments).output().expect("curl runs").stdout)
    };
    assert_eq!(curl(&["--http2"]), "h2 https HTTP/2.0 GET / HTTP/2.0");
    assert_eq!(curl(&["--http1.1"]), " https HTTP/1.1 GET / HTTP/1.1");
    assert!(limpet.access_log(4)[1].contains("\"GET /x?y HTTP/2.0\" 200 35"), "{:?}", limpet.access_log(4));
    // In pieces it is known all the same, and what only begins like it is HTTP/1.
    let mut slow = Client::connect(port);
    for piece in PREFACE.chunks(5) {
        slow.send(piece);
        std::thread::sleep(Duration::from_millis(5));
    }
    slow.send(b"\0\0\0\x04\0\0\0\0\0");
    assert_eq!(slow.exactly(4)[3], 4, "its settings");
    let mut other = Client::connect(port);
    other.send("P");
    std::thread::sleep(Duration::from_millis(20));
    other.send("RI / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(other.response().status, 200);
}

#[test]
fn a_session_is_found_in_crumbs_of_cookies() {
    let backends: Vec<Backend> = (0..3).map(|_| Backend::planned(|_, request| Script::ok(request))).collect();
    let servers: String = backends.iter().map(|backend| format!("server {};", backend.address())).collect();
    let port = port();
    let http = format!(
        "http2 on; upstream u {{ session_sticky; {servers} }} server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; }} }}"
    );
    let _limpet = Limpet::http(port, &http);
    block_on(async {
        let (mut sender, _) = connect(port).await;
        let (response, _) = ask(&mut sender, request("GET", "/")).await;
        let set = response.headers()["set-cookie"].to_str().expect("text").to_owned();
        let session = set.split(';').next().expect("a pair").to_owned();
        let asked = |backends: &[Backend]| backends.iter().map(|backend| backend.requests().len()).collect::<Vec<_>>();
        let before = asked(&backends);
        for _ in 0..9 {
            let crumbs = request("GET", "/").header("cookie", "a=1").header("cookie", &session).header("cookie", "b=2");
            let (response, body) = ask(&mut sender, crumbs).await;
            assert!(!response.headers().contains_key("set-cookie"));
            assert!(text(&body).contains(&format!("a=1; {session}; b=2\r\n")), "{}", text(&body));
        }
        let after = asked(&backends);
        assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1, "{after:?}");
    });
}

#[test]
fn bodies_pass_both_ways_whatever_their_framing() {
    let backend = Backend::planned(|_, request| {
        let (head, body) = request.split_once("\r\n\r\n").expect("a head");
        match head.contains("/chunked") {
            true => Script::Answer(
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
                    .into_bytes(),
            ),
            false => Script::ok(body),
        }
    });
    let to = backend.address();
    let (limpet, port) = front(&format!(
        "client_max_body_size 3m; location / {{ proxy_pass http://{to}; }} location /stream {{ proxy_request_buffering off; proxy_pass http://{to}; }}"
    ));
    let body: Vec<u8> = (0..2_000_000_u32).map(|place| b'a' + (place % 23) as u8).collect();
    block_on(async {
        let (mut sender, _) = connect(port).await;
        for path in ["/", "/chunked", "/stream"] {
            // What the backend gets in chunks it would send back with them.
            let lengths = if path == "/stream" { vec![Some(body.len())] } else { vec![Some(body.len()), None] };
            for length in lengths {
                let mut head = request("POST", path);
                if let Some(length) = length {
                    head = head.header("content-length", length);
                }
                let (status, answer) = post(&mut sender, head, body.clone()).await;
                assert!(status == 200 && answer == body, "{path} {length:?}: {status}, {} bytes", answer.len());
            }
        }
        let (status, _) = post(&mut sender, request("POST", "/"), vec![b'x'; 4_000_000]).await;
        assert_eq!(status, 413);
        let (response, none) = ask(&mut sender, request("HEAD", "/")).await;
        assert!(response.status() == 200 && none.is_empty());
    });
    assert!(!limpet.error_log().contains("[crit]"), "{}", limpet.error_log());
}

#[test]
fn a_stream_that_takes_nothing_holds_up_no_other() {
    let large = "x".repeat(5_000_000);
    let backend = Backend::planned(move |_, request| match request.contains("/large") {
        true => Script::ok(&large),
        false => Script::ok("small"),
    });
    let (_limpet, port) = front(&format!("location / {{ proxy_pass http://{}; }}", backend.address()));
    block_on(async {
        // Its connection has room for more than one stream may take.
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        let mut builder = h2::client::Builder::new();
        builder.initial_connection_window_size(1 << 20);
        let (mut sender, connection) = builder.handshake::<_, Bytes>(stream).await.expect("a handshake");
        tokio::spawn(connection);
        let (large, _) =
            sender.send_request(request("GET", "/large").body(()).expect("a request"), true).expect("sent");
        let (_, mut body) = large.await.expect("a head").into_parts();
        let first = body.data().await.expect("data").expect("data");
        // What has come is not given back, so the stream gets no more.
        for _ in 0..20 {
            assert_eq!(ask(&mut sender, request("GET", "/small")).await.1, b"small");
        }
        let mut count = first.len();
        let _ = body.flow_control().release_capacity(first.len());
        while let Some(data) = body.data().await {
            let data = data.expect("data");
            count += data.len();
            let _ = body.flow_control().release_capacity(data.len());
        }
        assert_eq!(count, 5_000_000);
    });
}

#[test]
fn many_streams_at_a_time_each_get_their_own_answer() {
    let backend = Backend::planned(|_, request| Script::ok(request.split(' ').nth(1).expect("a path")));
    let (_limpet, port) =
        front(&format!("http2_max_concurrent_streams 50; location / {{ proxy_pass http://{}; }}", backend.address()));
    block_on(async {
        let (mut sender, _) = connect(port).await;
        // The server's settings have come with the first answer.
        ask(&mut sender, request("GET", "/")).await;
        let tasks: Vec<_> = (0..300)
            .map(|number| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut sender = sender.ready().await.expect("room");
                    let path = format!("/{number}");
                    assert_eq!(text(&ask(&mut sender, request("GET", &path)).await.1), path);
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("an answer");
        }
    });
}

#[test]
fn a_stream_that_breaks_off_ends_alone() {
    let backend = Backend::planned(|_, request| match () {
        () if request.contains("/hang") => Script::Hang,
        () if request.contains("/broken") => {
            Script::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec())
        }
        () => Script::ok("well"),
    });
    let (limpet, port) =
        front(&format!("proxy_buffering off; location / {{ proxy_pass http://{}; }}", backend.address()));
    block_on(async {
        let (mut sender, connection) = connect(port).await;
        let (response, mut stream) =
            sender.send_request(request("GET", "/hang").body(()).expect("a request"), true).expect("sent");
        while backend.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stream.send_reset(h2::Reason::CANCEL);
        assert!(whole(response).await.is_err());
        let (broken, _) =
            sender.send_request(request("GET", "/broken").body(()).expect("a request"), true).expect("sent");
        let error = whole(broken).await.expect_err("no end");
        assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
        assert_eq!(ask(&mut sender, request("GET", "/")).await.1, b"well");
        assert!(!connection.is_finished());
    });
    eventually("it is logged", || limpet.access_log(1).iter().any(|line| line.contains("/hang HTTP/2.0\" 499")));
}

#[test]
fn connections_end_by_requests_by_time_and_by_a_signal_and_lose_nothing() {
    let backend = Backend::planned(|_, request| match request.contains("/slow") {
        true => Script::Dribble([b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n".to_vec(), vec![b'x'; 50]].concat()),
        false => Script::ok("x"),
    });
    let to = backend.address();
    let (limpet, port) = front(&format!("keepalive_requests 3; location / {{ proxy_pass http://{to}; }}"));
    block_on(async {
        let (mut sender, connection) = connect(port).await;
        for _ in 0..3 {
            assert_eq!(ask(&mut sender, request("GET", "/")).await.1, b"x");
        }
        connection.await.expect("a task").expect("a clean end");
        // One that waits, one that is at work.
        let (_idle, idle) = connect(port).await;
        let (mut sender, busy) = connect(port).await;
        let (response, _) =
            sender.send_request(request("GET", "/slow").body(()).expect("a request"), true).expect("sent");
        let response = tokio::spawn(whole(response));
        let started = async {
            while backend.requests().len() < 4 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        started.await;
        limpet.signal(Signal::SIGQUIT);
        assert_eq!(response.await.expect("a task").expect("a response").1.len(), 50);
        idle.await.expect("a task").expect("a clean end");
        busy.await.expect("a task").expect("a clean end");
    });
    let (_limpet, port) = front("keepalive_timeout 300ms; return 200 x;");
    block_on(async {
        let (mut sender, connection) = connect(port).await;
        ask(&mut sender, request("GET", "/")).await;
        connection.await.expect("a task").expect("a clean end");
    });
}

#[test]
fn heads_that_can_not_be_served_are_answered() {
    let (_limpet, port) = front("large_client_header_buffers 2 1k; return 200 x;");
    block_on(async {
        let (mut sender, _) = connect(port).await;
        for (request, status) in [
            (request("GET", "/").header("x", "y".repeat(900)), 200),
            (request("GET", &format!("/{}", "p".repeat(2000))), 414),
            (request("GET", "/%00"), 400),
            (request("GET", "/../x"), 400),
        ] {
            assert_eq!(ask(&mut sender, request).await.0.status().as_u16(), status);
        }
    });
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends frames until the server ends the connection, at most so many; whether it did.
fn is_ended_by(port: u16, most: usize, frames: impl Fn(u32) -> Vec<u8>) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    stream.set_write_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    stream.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).expect("sent");
    let mut reader = stream.try_clone().expect("a second handle");
    let drain = std::thread::spawn(move || {
        let mut space = [0; 65_536];
        while matches!(reader.read(&mut space), Ok(1..)) {}
    });
    let mut is_over = false;
    for number in 0..most {
        if stream.write_all(&frames(u32::try_from(number).expect("few"))).is_err() {
            is_over = true;
            break;
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = drain.join();
    is_over
}

#[test]
fn floods_are_ended_and_hurt_nobody_else() {
    let backend = Backend::new(Script::ok("x"));
    let (limpet, port) = front(&format!("location / {{ proxy_pass http://{}; }}", backend.address()));
    // `:method GET`, `:scheme http`, `:path /`, `:authority x`.
    let get = b"\x82\x86\x84\x41\x01x";
    let before = limpet.memory();
    let is_well = || {
        block_on(async {
            let (mut sender, _) = connect(port).await;
            assert_eq!(ask(&mut sender, request("GET", "/")).await.1, b"x");
        });
    };
    // Streams that are opened and given up at once.
    let reset =
        |number: u32| [frame(1, 5, number * 2 + 1, get), frame(3, 0, number * 2 + 1, &8_u32.to_be_bytes())].concat();
    assert!(is_ended_by(port, 100_000, reset), "rapid resets");
    is_well();
    // A head that never ends.
    let endless = |number: u32| match number {
        0 => frame(1, 0, 1, get),
        _ => frame(9, 0, 1, &[b"\x40\x01a\x01".as_slice(), b"b"].concat()),
    };
    assert!(is_ended_by(port, 300_000, endless), "continuations");
    is_well();
    // A frame that breaks the rules.
    assert!(is_ended_by(port, 100_000, |_| frame(0, 0, 0, b"data of no stream")), "broken");
    is_well();
    // Pings and settings are answered one by one; what waits for a client is bounded.
    is_ended_by(port, 50_000, |_| frame(6, 0, 0, &[0; 8]));
    is_ended_by(port, 50_000, |_| frame(4, 0, 0, &[]));
    is_well();
    assert!(limpet.memory() < before + 32 * 1024, "{before} to {} KiB", limpet.memory());
    assert!(!limpet.error_log().contains("panicked"), "{}", limpet.error_log());
}

#[test]
fn a_client_that_takes_nothing_is_let_go_after_send_timeout() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("large"), vec![b'x'; 1_000_000]).expect("a file");
    let root = folder.path().display();
    let (limpet, port) = front(&format!("send_timeout 300ms; keepalive_timeout 200ms; root {root};"));
    block_on(async {
        // No window is left, and none is given.
        let (mut sender, connection) = connect(port).await;
        let (response, _) =
            sender.send_request(request("GET", "/large").body(()).expect("a request"), true).expect("sent");
        let (_, mut body) = response.await.expect("a head").into_parts();
        let mut taken = 0;
        let error = loop {
            match body.data().await {
                Some(Ok(data)) => taken += data.len(),
                Some(Err(error)) => break error,
                None => panic!("all of it came"),
            }
        };
        assert!(error.is_reset() && taken <= 65_535, "{error} after {taken}");
        let _ = connection.await.expect("a task");
    });
    // And who does not read at all.
    let mut silent = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let window = [frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]), frame(8, 0, 0, &[0x7f, 0xff, 0, 0])].concat();
    let get = |stream| frame(1, 5, stream, b"\x82\x86\x01\x01x\x04\x06/large");
    let streams: Vec<u8> = (0..40).flat_map(|number| get(2 * number + 1)).collect();
    silent.write_all(&[PREFACE, &window, &streams].concat()).expect("sent");
    limpet.logs("client timed out (110: Connection timed out)");
}

#[test]
fn uploads_that_a_backend_does_not_take_hold_no_others_up() {
    let deaf = Backend::driven(|_, mut stream| {
        let _ = stream.read(&mut [0; 100]);
        std::thread::sleep(Duration::from_secs(60));
    });
    let quick = Backend::planned(|_, request| Script::ok(&request.len().to_string()));
    let (_limpet, port) = front(&format!(
        "client_max_body_size 0; proxy_request_buffering off; location /deaf {{ proxy_pass http://{}; }}
         location / {{ proxy_pass http://{}; }}",
        deaf.address(),
        quick.address()
    ));
    block_on(async {
        let (sender, _) = connect(port).await;
        for _ in 0..4 {
            let mut sender = sender.clone();
            tokio::spawn(async move { post(&mut sender, request("POST", "/deaf"), vec![b'x'; 20_000_000]).await });
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut sender = sender;
        let (status, body) = post(&mut sender, request("POST", "/"), vec![b'x'; 200_000]).await;
        assert!(status == 200 && text(&body).parse::<usize>().expect("a number") > 200_000);
    });
}

#[test]
fn two_hosts_are_one_too_many() {
    let (limpet, port) = front("return 200 $host;");
    block_on(async {
        let (mut sender, _) = connect(port).await;
        let same = ask(&mut sender, request("GET", "/").header("host", "localhost")).await;
        assert_eq!((same.0.status().as_u16(), &*text(&same.1)), (200, "localhost"));
        assert_eq!(ask(&mut sender, request("GET", "/").header("host", "other")).await.0.status().as_u16(), 400);
    });
    limpet.logs("client sent duplicate host header");
}

#[test]
fn frames_that_only_make_work_are_bounded_and_many_fields_are_none() {
    let (limpet, port) = front("return 200 x;");
    for kind in [2, 4, 6] {
        let payload = [0; 8];
        let one = |stream| {
            frame(kind, 0, if kind == 2 { stream } else { 0 }, &payload[..[5, 0, 8][usize::from(kind) / 2 - 1]])
        };
        let many = move |number: u32| one(2 * number + 1).repeat(100);
        assert!(is_ended_by(port, 20_000, many), "{kind}");
    }
    limpet.logs("http2 flood detected");
    block_on(async {
        let (mut sender, _) = connect(port).await;
        let mut many = request("GET", "/");
        for number in 0..600 {
            many = many.header("cookie", format!("crumb{number}={}", "x".repeat(20)));
        }
        assert_eq!(ask(&mut sender, many).await.0.status().as_u16(), 200);
    });
}

#[test]
fn a_stream_that_is_given_up_is_told() {
    let backend = Backend::new(Script::Hang);
    let (limpet, port) = front(&format!("location / {{ proxy_pass http://{}; }}", backend.address()));
    block_on(async {
        let (mut sender, _) = connect(port).await;
        let (response, stream) =
            sender.send_request(request("GET", "/").body(()).expect("a request"), true).expect("sent");
        while backend.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop((response, stream));
        tokio::time::sleep(Duration::from_millis(50)).await;
    });
    limpet.logs("client canceled stream 1");
}
