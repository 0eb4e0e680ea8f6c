//! gRPC and HTTP/2 towards backends: real peers on both sides, and servers that break off.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, Request, Response};
use limpet_tests::{Backend, Identity, Limpet, Script, eventually, get, listener, nginx, port};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status, Streaming};

/// Messages are bytes as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

type Reply<T> = Result<tonic::Response<T>, Status>;

/// The service of one server: it answers with its name and what it was sent.
#[derive(Clone)]
struct Echo {
    name: Arc<str>,
    calls: Arc<AtomicUsize>,
}

impl Echo {
    fn said(&self, message: &[u8]) -> Vec<u8> {
        [self.name.as_bytes(), b":", message].concat()
    }
}

#[derive(Clone)]
struct Say(Echo);

impl Service<tonic::Request<Vec<u8>>> for Say {
    type Response = tonic::Response<Vec<u8>>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Vec<u8>>) -> Self::Future {
        let echo = self.0.clone();
        Box::pin(async move {
            match request.get_ref().as_slice() {
                b"fail" => Err(Status::not_found("nobody of that name")),
                message => {
                    let mut reply = tonic::Response::new(echo.said(message));
                    let te = request.metadata().get("x-given").cloned();
                    te.into_iter().for_each(|given| {
                        reply.metadata_mut().insert("x-given", given);
                    });
                    Ok(reply)
                }
            }
        })
    }
}

#[derive(Clone)]
struct Chat(Echo);

type Messages = std::pin::Pin<Box<dyn Stream<Item = Result<Vec<u8>, Status>> + Send>>;

impl Service<tonic::Request<Streaming<Vec<u8>>>> for Chat {
    type Response = tonic::Response<Messages>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Streaming<Vec<u8>>>) -> Self::Future {
        let echo = self.0.clone();
        Box::pin(async move {
            let said = request.into_inner().map(move |message| message.map(|message| echo.said(&message)));
            Ok(tonic::Response::new(Box::pin(said) as Messages))
        })
    }
}

impl tonic::server::NamedService for Echo {
    const NAME: &'static str = "e.Echo";
}

impl Service<Request<tonic::body::Body>> for Echo {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let echo = self.clone();
        echo.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Raw);
            Ok(match request.uri().path() {
                "/e.Echo/Say" => grpc.unary(Say(echo), request).await,
                "/e.Echo/Chat" => grpc.streaming(Chat(echo), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// A thread with a runtime, which ends with the test.
fn on_a_thread(run: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run);
    });
}

/// A gRPC server on a port of its own; how many calls it had.
fn server(name: &str) -> (u16, Arc<AtomicUsize>) {
    let listener = listener();
    let port = listener.local_addr().expect("an address").port();
    let calls = Arc::new(AtomicUsize::new(0));
    let echo = Echo { name: name.into(), calls: Arc::clone(&calls) };
    on_a_thread(async move {
        listener.set_nonblocking(true).expect("set");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let _ = tonic::transport::Server::builder().add_service(echo).serve_with_incoming(incoming).await;
    });
    (port, calls)
}

/// Runs what a client does.
fn block_on<R>(run: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), run).await.expect("in time") })
}

/// A client of the service.
struct Stub(tonic::client::Grpc<tonic::transport::Channel>);

impl Stub {
    async fn connect(port: u16) -> Stub {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("a URL");
        Stub(tonic::client::Grpc::new(endpoint.connect().await.expect("connected")))
    }

    async fn say(&mut self, message: &str, metadata: MetadataMap) -> Reply<Vec<u8>> {
        self.0.ready().await.expect("ready");
        let mut request = tonic::Request::new(message.as_bytes().to_vec());
        *request.metadata_mut() = metadata;
        self.0.unary(request, http::uri::PathAndQuery::from_static("/e.Echo/Say"), Raw).await
    }

    async fn text(&mut self, message: &str) -> String {
        let reply = self.say(message, MetadataMap::new()).await.expect("a reply");
        String::from_utf8(reply.into_inner()).expect("text")
    }

    async fn chat(&mut self, messages: impl Stream<Item = Vec<u8>> + Send + 'static) -> Reply<Streaming<Vec<u8>>> {
        self.0.ready().await.expect("ready");
        let path = http::uri::PathAndQuery::from_static("/e.Echo/Chat");
        self.0.streaming(tonic::Request::new(messages), path, Raw).await
    }
}

/// A proxy for these servers.
fn before(servers: &[u16], upstream: &str, location: &str) -> (Limpet, u16) {
    let port = port();
    let servers: String = servers.iter().map(|port| format!("server 127.0.0.1:{port};")).collect();
    let http = format!(
        "upstream u {{ {servers} {upstream} }}
         server {{ listen 127.0.0.1:{port}; http2 on; location / {{ {location} grpc_pass grpc://u; }} }}"
    );
    (Limpet::http(port, &http), port)
}

fn metadata(name: &'static str, value: &str) -> MetadataMap {
    let mut map = MetadataMap::new();
    map.insert(name, value.parse().expect("a value"));
    map
}

#[test]
fn calls_go_to_a_server_and_their_status_comes_back() {
    let (to, _) = server("a");
    let (limpet, port) = before(&[to], "keepalive 8;", "");
    block_on(async {
        let mut stub = Stub::connect(port).await;
        let reply = stub.say("hello", metadata("x-given", "17")).await.expect("a reply");
        assert_eq!(reply.metadata().get("x-given").expect("passed on"), "17");
        assert_eq!(reply.into_inner(), b"a:hello");
        // What a server says in its trailers, alone or behind a message, is the client's.
        let failed = stub.say("fail", MetadataMap::new()).await.expect_err("a failure");
        assert_eq!((failed.code(), failed.message()), (Code::NotFound, "nobody of that name"));
        let large = "x".repeat(1_000_000);
        assert_eq!(stub.text(&large).await, format!("a:{large}"));
    });
    let lines = limpet.access_log(3);
    assert!(lines.iter().all(|line| line.contains("\"POST /e.Echo/Say HTTP/2.0\" 200")), "{lines:?}");
}

#[test]
fn both_directions_stream_at_once() {
    let (to, _) = server("a");
    let (_limpet, port) = before(&[to], "keepalive 8;", "client_max_body_size 0;");
    block_on(async {
        let mut stub = Stub::connect(port).await;
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let mut replies = stub.chat(ReceiverStream::new(receiver)).await.expect("a reply").into_inner();
        // Each message is answered before the next one is sent.
        for round in 0..20 {
            sender.send(format!("{round}").into_bytes()).await.expect("sent");
            assert_eq!(replies.message().await.expect("fine"), Some(format!("a:{round}").into_bytes()));
        }
        let large = vec![b'x'; 300_000];
        for _ in 0..10 {
            sender.send(large.clone()).await.expect("sent");
            assert_eq!(replies.message().await.expect("fine").map(|reply| reply.len()), Some(large.len() + 2));
        }
        drop(sender);
        assert_eq!(replies.message().await.expect("the end"), None);
        let trailers = replies.trailers().await.expect("fine").expect("trailers");
        assert!(trailers.get("grpc-status").is_none_or(|status| status == "0"), "{trailers:?}");
    });
}

#[test]
fn many_small_messages_are_no_attack() {
    let (to, _) = server("a");
    let (_limpet, port) = before(&[to], "keepalive 8;", "client_max_body_size 0;");
    block_on(async {
        let mut stub = Stub::connect(port).await;
        let messages = tokio_stream::iter((0..30_000).map(|number: u32| vec![number as u8]));
        let mut replies = stub.chat(messages).await.expect("a reply").into_inner();
        let mut count = 0;
        while let Some(reply) = replies.message().await.expect("fine") {
            assert_eq!(reply, [b'a', b':', count as u8]);
            count += 1;
        }
        assert_eq!(count, 30_000);
    });
}

#[test]
fn a_stream_that_is_larger_than_a_body_may_be_is_cut_and_told() {
    let (to, _) = server("a");
    let (limpet, port) = before(&[to], "", "client_max_body_size 100k;");
    block_on(async {
        let mut stub = Stub::connect(port).await;
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let mut replies = stub.chat(ReceiverStream::new(receiver)).await.expect("a reply").into_inner();
        sender.send(b"1".to_vec()).await.expect("sent");
        assert_eq!(replies.message().await.expect("fine"), Some(b"a:1".to_vec()));
        sender.send(vec![b'x'; 200_000]).await.expect("sent");
        replies.message().await.expect_err("it is cut");
    });
    limpet.logs("[error]");
    limpet.logs("client intended to send too large chunked body: ");
}

#[test]
fn a_session_keeps_its_calls_and_its_streams_on_one_server() {
    let servers = [server("a"), server("b")];
    let ports = servers.each_ref().map(|(port, _)| *port);
    let (_limpet, port) = before(&ports, "session_sticky; keepalive 8;", "");
    block_on(async {
        let mut stub = Stub::connect(port).await;
        let first = stub.say("1", MetadataMap::new()).await.expect("a reply");
        let cookie = first.metadata().get("set-cookie").expect("a session").to_str().expect("text").to_owned();
        let cookie = cookie.split(';').next().expect("a cookie").to_owned();
        let name = String::from_utf8(first.into_inner()).expect("text").split(':').next().expect("a name").to_owned();
        for round in 0..10 {
            let reply = stub.say("x", metadata("cookie", &cookie)).await.expect("a reply");
            assert_eq!(reply.into_inner(), format!("{name}:x").into_bytes(), "{round}");
            stub.0.ready().await.expect("ready");
            let mut request = tonic::Request::new(tokio_stream::iter(vec![b"1".to_vec(), b"2".to_vec()]));
            *request.metadata_mut() = metadata("cookie", &cookie);
            let path = http::uri::PathAndQuery::from_static("/e.Echo/Chat");
            let replies: tonic::Response<Streaming<Vec<u8>>> = stub.0.streaming(request, path, Raw).await.expect("one");
            let replies: Vec<_> = replies.into_inner().map(|reply| reply.expect("fine")).collect().await;
            assert_eq!(replies, [format!("{name}:1").into_bytes(), format!("{name}:2").into_bytes()]);
        }
        // Without it the servers take turns.
        let names = [stub.text("x").await, stub.text("x").await];
        assert_ne!(names[0], names[1]);
    });
}

#[test]
fn a_call_goes_to_another_server_where_one_is_gone_and_to_nobody_where_all_are() {
    let (to, _) = server("a");
    let (limpet, port) = before(&[Backend::refusing(), to], "", "");
    block_on(async {
        let mut stub = Stub::connect(port).await;
        for _ in 0..4 {
            assert_eq!(stub.text("x").await, "a:x");
        }
    });
    limpet.logs("connect() failed (111: Connection refused) while connecting to upstream");
    limpet.logs("upstream: \"grpc://127.0.0.1:");
    let (limpet, port) = before(&[Backend::refusing()], "", "");
    block_on(async {
        // gRPC's own mapping of the status 502.
        let failed = Stub::connect(port).await.say("x", MetadataMap::new()).await.expect_err("a failure");
        assert_eq!(failed.code(), Code::Unavailable, "{failed:?}");
    });
    assert!(limpet.access_log(1)[0].contains(" 502 "), "{:?}", limpet.access_log(1));
}

/// What a server of HTTP/2 does with one request.
enum Act {
    Reset(h2::Reason),
    /// The connection ends, whatever is going on.
    Close,
    /// The last stream that counts is one before.
    Refuse,
    /// A body that ends with a reset.
    Broken,
    Answer(Box<(Response<()>, &'static str, HeaderMap)>),
}

/// A server of HTTP/2 that does as it is told: by the number of the request. Where it was asked for what.
fn acting(
    act: impl Fn(usize, &Request<()>) -> Act + Send + Sync + 'static,
) -> (u16, Arc<parking_lot::Mutex<Vec<String>>>) {
    let listener = listener();
    let port = listener.local_addr().expect("an address").port();
    let heads = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    on_a_thread(async move {
        listener.set_nonblocking(true).expect("set");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let (act, count) = (Arc::new(act), Arc::new(AtomicUsize::new(0)));
        loop {
            let Ok((socket, peer)) = listener.accept().await else { return };
            let (act, count, seen) = (Arc::clone(&act), Arc::clone(&count), Arc::clone(&seen));
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(socket).await else { return };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let (parts, mut body) = request.into_parts();
                    let request = Request::from_parts(parts, ());
                    let (method, uri) = (request.method(), request.uri());
                    seen.lock().push(format!("{} {method} {uri} {:?}", peer.port(), request.headers()));
                    match act(count.fetch_add(1, Ordering::Relaxed), &request) {
                        Act::Reset(reason) => respond.send_reset(reason),
                        Act::Close => return,
                        Act::Refuse => {
                            connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
                        }
                        Act::Broken => {
                            let mut stream = respond.send_response(Response::new(()), false).expect("sent");
                            stream.send_data(Bytes::from_static(b"half"), false).expect("sent");
                            tokio::spawn(async move {
                                tokio::time::sleep(Duration::from_millis(100)).await;
                                stream.send_reset(h2::Reason::INTERNAL_ERROR);
                            });
                        }
                        Act::Answer(answer) => {
                            let (response, text, trailers) = *answer;
                            tokio::spawn(async move {
                                while let Some(Ok(data)) = body.data().await {
                                    let _ = body.flow_control().release_capacity(data.len());
                                }
                                let mut stream = respond.send_response(response, false).expect("sent");
                                let is_last = trailers.is_empty();
                                stream.send_data(Bytes::from_static(text.as_bytes()), is_last).expect("sent");
                                if !is_last {
                                    stream.send_trailers(trailers).expect("sent");
                                }
                            });
                        }
                    }
                }
            });
        }
    });
    (port, heads)
}

fn answer(
    fields: &[(&'static str, &'static str)],
    text: &'static str,
    trailers: &[(&'static str, &'static str)],
) -> Act {
    let map = |fields: &[(&'static str, &'static str)]| {
        fields.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    };
    let mut response = Response::new(());
    *response.headers_mut() = map(fields);
    Act::Answer(Box::new((response, text, map(trailers))))
}

/// A proxy that speaks HTTP/2 with these servers.
fn proxy(servers: &[u16], upstream: &str, location: &str) -> (Limpet, u16) {
    let port = port();
    let servers: String = servers.iter().map(|port| format!("server 127.0.0.1:{port};")).collect();
    let http = format!(
        "log_format t '$request_method $status [$upstream_status] $upstream_addr';
         upstream u {{ {servers} {upstream} }} server {{ listen 127.0.0.1:{port}; access_log logs/access.log t;
         location / {{ proxy_http_version 2; proxy_pass http://u; {location} }} }}"
    );
    (Limpet::http(port, &http), port)
}

#[test]
fn http_2_is_spoken_to_servers_of_http_1_clients() {
    let (to, heads) = acting(|_, _| answer(&[("content-length", "2"), ("x-y", "z"), ("server", "h")], "ok", &[]));
    let (_limpet, port) = proxy(&[to], "keepalive 4;", "proxy_set_header X-A b; proxy_set_header Connection close;");
    for _ in 0..3 {
        let response = get(port, "/a%20b?c", &["Cookie: d=e", "TE: trailers"]);
        assert_eq!((response.status, response.text().as_str(), response.value("x-y")), (200, "ok", "z"));
        assert_eq!((response.value("content-length"), response.value("server")), ("2", "limpet/0.1.0"));
        assert!(response.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", response.head);
    }
    let heads = heads.lock().clone();
    assert!(heads[0].contains(" GET http://u/a%20b?c "), "{heads:?}");
    assert!(heads[0].contains("\"x-a\": \"b\"") && heads[0].contains("\"cookie\": \"d=e\""), "{heads:?}");
    assert!(!heads[0].contains("connection") && !heads[0].contains("\"te\""), "{heads:?}");
    let connections: std::collections::HashSet<_> = heads.iter().map(|head| head.split(' ').next()).collect();
    assert_eq!(connections.len(), 1, "one connection after the other request: {heads:?}");
}

#[test]
fn bodies_go_to_servers_of_http_2_read_before_or_as_they_come() {
    let (to, heads) = acting(|_, _| answer(&[], "ok", &[]));
    let large = "y".repeat(500_000);
    for buffering in ["on", "off"] {
        let (_limpet, port) = proxy(&[to], "keepalive 4;", &format!("proxy_request_buffering {buffering};"));
        for framing in ["Content-Length: 500000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n7a120\r\n"] {
            let mut client = limpet_tests::Client::connect(port);
            let end = if framing.contains("chunked") { "\r\n0\r\n\r\n" } else { "" };
            client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}{large}{end}"));
            assert_eq!(client.response().text(), "ok", "{buffering} {framing}");
            // The connection is good for another request.
            assert_eq!(client.request("GET /", &[]).text(), "ok");
        }
    }
    let heads = heads.lock().clone();
    assert_eq!(heads.iter().filter(|head| head.contains("\"content-length\": \"500000\"")).count(), 3, "{heads:?}");
}

#[test]
fn trailers_are_passed_on_where_that_is_wanted() {
    let trailers = [("x-sum", "17"), ("x-accel-redirect", "/"), ("date", "never")];
    let (to, _) = acting(move |_, _| answer(&[("trailer", "x-sum"), ("content-length", "2")], "ok", &trailers));
    let (_limpet, port) = proxy(&[to], "", "proxy_pass_trailers on;");
    let mut client = limpet_tests::Client::connect(port);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let text = String::from_utf8(client.to_end()).expect("text");
    assert!(text.ends_with("\r\n\r\n2\r\nok\r\n0\r\nx-sum: 17\r\n\r\n"), "{text}");
    let (_limpet, port) = proxy(&[to], "", "");
    let mut client = limpet_tests::Client::connect(port);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let text = String::from_utf8(client.to_end()).expect("text");
    assert!(text.ends_with("\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "{text}");
    // The same of a server of HTTP/1, whatever it sends at a time.
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 17\r\n\r\n".to_vec();
    for script in [Script::Answer(answer.clone()), Script::Dribble(answer)] {
        let backend = Backend::new(script);
        let port = limpet_tests::port();
        let http = format!(
            "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass_trailers on; proxy_pass http://{}; }} }}",
            backend.address()
        );
        let _limpet = Limpet::http(port, &http);
        let mut client = limpet_tests::Client::connect(port);
        client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let text = String::from_utf8(client.to_end()).expect("text");
        assert!(text.ends_with("\r\n0\r\nX-Sum: 17\r\n\r\n"), "{text}");
    }
}

#[test]
fn what_a_server_breaks_off_is_told_and_tried_elsewhere_as_configured() {
    for (act, message, status) in [
        (0, "upstream rejected request with error 2 while reading response header from upstream", "invalid_header"),
        (1, "upstream prematurely closed connection while reading response header from upstream", "error"),
        (2, "upstream prematurely closed connection while reading response header from upstream", "error"),
        (3, "upstream rejected request with error 7 while reading response header from upstream", "error"),
    ] {
        let (bad, _) = acting(move |_, _| match act {
            0 => Act::Reset(h2::Reason::INTERNAL_ERROR),
            1 => Act::Close,
            2 => Act::Refuse,
            _ => Act::Reset(h2::Reason::REFUSED_STREAM),
        });
        let (good, _) = acting(|_, _| answer(&[], "good", &[]));
        let (limpet, port) = proxy(&[bad], "", "");
        assert_eq!(get(port, "/", &[]).status, 502, "{message}");
        limpet.logs(message);
        let (limpet, port) = proxy(&[bad, good], "", &format!("proxy_next_upstream {status};"));
        assert_eq!(get(port, "/", &[]).text(), "good", "{message}");
        assert!(limpet.access_log(1)[0].starts_with("GET 200 [502, 200]"), "{:?}", limpet.access_log(1));
    }
}

#[test]
fn a_request_that_a_server_has_not_begun_with_when_it_goes_away_goes_elsewhere() {
    let bad = Backend::driven(|_, mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        // Its settings, and: nothing was done of stream 1.
        let frames = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b";
        let _ = stream.write_all(frames);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (good, _) = acting(|_, _| answer(&[], "good", &[]));
    let to = bad.address().rsplit(':').next().expect("a port").parse().expect("a port");
    let (limpet, port) = proxy(&[to, good], "", "");
    assert_eq!(get(port, "/", &[]).text(), "good");
    limpet.logs("upstream sent goaway with error 11 while reading response header from upstream");
}

/// A server may end its connection behind each answer, as nginx does after so many requests.
#[test]
fn answers_are_whole_whose_connection_ends_behind_them() {
    let to = port();
    let _nginx = nginx(&format!(
        "listen 127.0.0.1:{to} http2; keepalive_requests 3; location / {{ return 200 {}; }}",
        "x".repeat(3000)
    ));
    eventually("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", to)).is_ok());
    let (limpet, port) = proxy(&[to], "keepalive 8;", "");
    for round in 0..60 {
        let response = get(port, "/", &[]);
        assert_eq!((response.status, response.body.len()), (200, 3000), "{round}: {}", limpet.error_log());
    }
    assert!(!limpet.error_log().contains("[error]"), "{}", limpet.error_log());
}

#[test]
fn a_call_that_a_server_has_refused_goes_elsewhere() {
    let (bad, _) = acting(|_, _| Act::Reset(h2::Reason::REFUSED_STREAM));
    let (good, _) = server("a");
    let (limpet, port) = before(&[bad, good], "", "");
    block_on(async {
        let mut stub = Stub::connect(port).await;
        for _ in 0..4 {
            // A POST, and nothing was done of it.
            assert_eq!(stub.text("x").await, "a:x");
        }
    });
    limpet.logs("upstream rejected request with error 7 while reading response header from upstream");
}

#[test]
fn trailers_behind_a_length_are_not_lost_to_grpc() {
    let (to, _) = acting(|_, _| answer(&[("content-length", "2")], "ok", &[("grpc-status", "0")]));
    let (_limpet, port) = before(&[to], "", "");
    let mut client = limpet_tests::Client::connect(port);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let text = String::from_utf8(client.to_end()).expect("text");
    assert!(text.ends_with("\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n"), "{text}");
}

#[test]
fn what_is_wrong_with_grpc_pass_is_told_at_load() {
    for (target, message) in [
        ("grpc://127.0.0.1", "no port in upstream \"127.0.0.1\" in "),
        ("http://127.0.0.1:1", "invalid host in upstream \"http://127.0.0.1:1\" in "),
        ("127.0.0.1:1/x", "invalid host in upstream \"127.0.0.1:1/x\" in "),
        ("grpc://u$x", "variables in \"grpc_pass\" are not supported by limpet in "),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!("events {{}} http {{ server {{ location / {{ grpc_pass {target}; }} }} }}");
        std::fs::write(folder.path().join("nginx.conf"), text).expect("written");
        let output = limpet_tests::run(&["-t", "-p", folder.path().to_str().expect("a path"), "-c", "nginx.conf"]);
        assert!(output.status == 1 && output.stderr.contains(message), "{target}: {}", output.stderr);
    }
}

#[test]
fn an_answer_that_breaks_off_is_cut_where_it_stands() {
    let (bad, _) = acting(|_, _| Act::Broken);
    let (limpet, port) = proxy(&[bad], "", "");
    let mut client = limpet_tests::Client::connect(port);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let text = String::from_utf8(client.to_end()).expect("text");
    assert!(text.ends_with("4\r\nhalf\r\n"), "{text}");
    limpet.logs("upstream rejected request with error 2 while reading upstream");
}

#[test]
fn an_idle_connection_that_its_server_has_ended_is_not_used() {
    let (to, heads) = acting(|count, _| if count % 2 == 1 { Act::Refuse } else { answer(&[], "ok", &[]) });
    // Whoever is refused over a connection that had served others is asked again over a new one.
    let (limpet, port) = proxy(&[to], "keepalive 4;", "");
    assert_eq!(get(port, "/", &[]).text(), "ok");
    assert_eq!(get(port, "/", &[]).text(), "ok");
    assert_eq!(heads.lock().len(), 3);
    assert!(limpet.access_log(2)[1].starts_with("GET 200 [200]"), "{:?}", limpet.access_log(2));
}

#[test]
fn a_client_that_leaves_ends_the_stream() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let listener = listener();
    let to = listener.local_addr().expect("an address").port();
    on_a_thread(async move {
        listener.set_nonblocking(true).expect("set");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        while let Ok((socket, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(socket).await.expect("a handshake");
            let (_request, mut respond) = connection.accept().await.expect("a request").expect("fine");
            let mut stream = respond.send_response(Response::new(()), false).expect("sent");
            stream.send_data(Bytes::from_static(b"half"), false).expect("sent");
            let gone = poll_fn(|cx| stream.poll_reset(cx));
            tokio::select! { _ = gone => {}, _ = connection.accept() => {} }
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (_limpet, port) = proxy(&[to], "keepalive 4;", "");
    let mut client = limpet_tests::Client::connect(port);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("something has come", || !client.exactly(1).is_empty());
    client.reset();
    eventually("the server is told", || ended.load(Ordering::Relaxed) == 1);
}

#[test]
fn over_tls_http_2_is_agreed_upon_and_grpcs_works() {
    let (to, _) = server("a");
    let identity = Identity::own(&["backend"]);
    let folder = tempfile::tempdir().expect("a folder");
    identity.write(folder.path(), "a");
    let path = folder.path().display();
    let ports = [port(), port()];
    let nginx = nginx(&format!(
        "listen 127.0.0.1:{0} ssl http2; ssl_certificate {path}/a.crt; ssl_certificate_key {path}/a.key;
         location /e.Echo/ {{ grpc_pass grpc://127.0.0.1:{to}; }}
         location / {{ return 200 \"$ssl_alpn_protocol $ssl_server_name $server_protocol\"; }}",
        ports[0]
    ));
    let limpet = Limpet::http(
        ports[1],
        &format!(
            "server {{ listen 127.0.0.1:{1}; http2 on;
             grpc_ssl_verify on; grpc_ssl_trusted_certificate {path}/a.crt; grpc_ssl_name backend; grpc_ssl_server_name on;
             location / {{ grpc_pass grpcs://127.0.0.1:{0}; }}
             location /other {{ grpc_ssl_name other; grpc_pass grpcs://127.0.0.1:{0}; }}
             location /proxy/ {{ proxy_http_version 2; proxy_pass https://127.0.0.1:{0}/; }} }}",
            ports[0], ports[1]
        ),
    );
    eventually("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", ports[0])).is_ok());
    block_on(async {
        let mut stub = Stub::connect(ports[1]).await;
        assert_eq!(stub.text("over TLS").await, "a:over TLS");
    });
    assert_eq!(get(ports[1], "/", &[]).text(), "h2 backend HTTP/2.0");
    assert_eq!(get(ports[1], "/proxy/", &[]).text(), "h2  HTTP/2.0");
    assert_eq!(get(ports[1], "/other", &[]).status, 502);
    limpet.logs("upstream SSL certificate does not match \"other\" while SSL handshaking to upstream");
    drop(nginx);
}

#[test]
fn headers_of_servers_are_hidden_and_passed_on_as_told() {
    let fields =
        [("server", "h"), ("x-hide", "1"), ("x-accel-expires", "2"), ("content-type", "a/b"), ("set-cookie", "c")];
    let (to, _) = acting(move |_, _| answer(&fields, "ok", &[("x-hide", "2"), ("x-end", "3")]));
    let port = port();
    let http = format!(
        "server {{ listen 127.0.0.1:{port};
         location /proxy {{ proxy_http_version 2; proxy_pass http://127.0.0.1:{to}; proxy_pass_header Server;
         proxy_hide_header X-Hide; proxy_hide_header content-type; proxy_hide_header Set-Cookie; }}
         location / {{ grpc_pass 127.0.0.1:{to}; grpc_hide_header X-Hide; grpc_pass_header X-Accel-Expires; }} }}"
    );
    let _limpet = Limpet::http(port, &http);
    let response = get(port, "/proxy", &[]);
    assert_eq!(response.values("server"), ["h"]);
    for name in ["x-hide", "x-accel-expires", "content-type", "set-cookie"] {
        assert!(response.values(name).is_empty(), "{name}: {}", response.head);
    }
    let mut client = limpet_tests::Client::connect(port);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let text = String::from_utf8(client.to_end()).expect("text").to_lowercase();
    assert!(!text.contains("x-hide") && text.contains("\r\nx-accel-expires: 2\r\n"), "{text}");
    assert!(text.contains("\r\nserver: limpet/") && text.contains("\r\ncontent-type: a/b\r\n"), "{text}");
    assert!(text.ends_with("\r\n0\r\nx-end: 3\r\n\r\n"), "{text}");
}
