//! Memory of an idle client connection.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;

use crate::processes::{Server, backend, haproxy, limpet, nginx};

const CONNECTIONS: usize = 4000;

pub fn measure(page: &mut String) {
    let origin = backend();
    let _ = writeln!(page, "## Idle connections\n\n{CONNECTIONS} client connections, each after one request.\n");
    let _ = writeln!(page, "| server | bytes per connection |\n|---|---|");
    for server in [nginx(origin.port), haproxy(origin.port), limpet(origin.port)] {
        let _ = writeln!(page, "| {} | {} |", server.name, idle(&server));
    }
    page.push('\n');
}

fn idle(server: &Server) -> u64 {
    // What the first connections cost is paid before.
    let warm: Vec<TcpStream> = (0..200).map(|_| one(server.port)).collect();
    let before = server.memory();
    let open: Vec<TcpStream> = (0..CONNECTIONS).map(|_| one(server.port)).collect();
    // Freed pages go back in the allocators' own time.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let after = server.memory();
    drop((warm, open));
    after.saturating_sub(before) / CONNECTIONS as u64
}

/// A connection that has served one request.
fn one(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.write_all(b"GET /19 HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let mut answer = [0; 2048];
    let count = stream.read(&mut answer).expect("an answer");
    assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
    stream
}
