//! gRPC, and connections that were upgraded.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::memory::of_idle;
use crate::processes::{Trio, grpc_backend};
use crate::tls::h2load;
use crate::traffic::{in_turns, rows};

const ROUNDS: usize = 7;
const IDLE: usize = 5000;

/// The handshake, with the key of RFC 6455's example.
const ASKED: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPTED: &[u8] = b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

pub fn measure(page: &mut String) {
    let head = "CPU µs | user | system | to nginx | in a second | to nginx |\n|---|---|---|---|---|---|---|---|";
    let _ = writeln!(page, "## gRPC\n\nUnary calls in the clear: 10 clients with 10 calls each at a time.\n");
    let _ = writeln!(page, "| calls | server | {head}");
    let origin = grpc_backend();
    let servers = Trio::grpc().start(origin.port);
    let message = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(message.path(), b"\0\0\0\0\x0efourteen bytes").expect("written");
    let message = message.path().to_str().expect("a path");
    let rounds = in_turns(ROUNDS, servers.len(), |server| {
        let url = format!("http://127.0.0.1:{}/e.Echo/Say", servers[server].port);
        let headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"];
        h2load(&servers[server], &[&["-c10", "-m10", "-n", "20000", "-d", message], &headers[..], &[&url]].concat())
    });
    rows(page, &servers, &rounds, "14 bytes, answered with 19");
    drop((servers, origin));
    let _ = writeln!(page, "\n## WebSockets\n\n{IDLE} idle WebSockets.\n\n| server | bytes per connection |\n|---|---|");
    for (place, name) in ["nginx", "HAProxy", "limpet"].into_iter().enumerate() {
        let (backend, open) = listening();
        let server = &Trio::websockets().start(backend)[place];
        let _ = writeln!(page, "| {name} | {} |", of_idle(server, IDLE, || upgraded(server.port)));
        open.lock().expect("no panic").clear();
    }
    page.push('\n');
}

/// A backend that changes the protocol with everybody, and then says nothing, and its connections. It ends with the program.
fn listening() -> (u16, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let open = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&open);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            if head(&mut stream) {
                let _ = stream.write_all(ACCEPTED);
                all.lock().expect("no panic").push(stream);
            }
        }
    });
    (port, open)
}

/// Reads up to the end of a head.
fn head(stream: &mut TcpStream) -> bool {
    let mut read = Vec::new();
    let mut space = [0; 1024];
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read(&mut space) {
            Ok(count @ 1..) => read.extend_from_slice(&space[..count]),
            _ => return false,
        }
    }
    true
}

/// A connection that has been upgraded.
fn upgraded(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.write_all(ASKED).expect("sent");
    assert!(head(&mut stream), "port {port} says nothing");
    stream
}
