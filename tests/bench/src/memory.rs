//! Memory of client connections that wait, read nothing, or are stuck in an upload.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::processes::{Server, backend, haproxy, limpet, limpet_of, limpet_on_pingora, nginx, nginx_of};

const IDLE: usize = 4000;
const STUCK: usize = 500;

pub fn measure(page: &mut String) {
    let origin = backend();
    let _ = writeln!(page, "## Idle connections\n\n{IDLE} client connections, each after one request.\n");
    let _ = writeln!(page, "| server | bytes per connection |\n|---|---|");
    for server in [nginx(origin.port), haproxy(origin.port), limpet(origin.port), limpet_on_pingora(origin.port)] {
        let _ = writeln!(page, "| {} | {} |", server.name, of_idle(&server, IDLE, || one(server.port)));
    }
    let _ = writeln!(
        page,
        "\n## Stuck connections\n\n{STUCK} clients that read nothing of a response of 100 MB, and as many that have sent a head and 1,000 of \
         the 10,000 bytes of its body; then the memory that is left when they have gone, against that before.\n"
    );
    let _ = writeln!(page, "| server | KiB per reader | KiB per upload | left when they have gone |\n|---|---|---|---|");
    let to = format!("server 127.0.0.1:{};", origin.port);
    let off = "proxy_buffering off;";
    // So much of each response may be on the disk.
    let on = "proxy_max_temp_file_size 4m;";
    let servers = [
        nginx_of("nginx", &to, on),
        nginx_of("nginx, proxy_buffering off", &to, off),
        limpet_of("limpet", &to, on),
        limpet_of("limpet, proxy_buffering off", &to, off),
        limpet_of("limpet, carrier pingora", &to, "carrier pingora; proxy_max_temp_file_size 4m;"),
    ];
    for server in &servers {
        // What the first connections cost is paid before.
        drop(stuck(server, b"GET /100m HTTP/1.1\r\nHost: x\r\n\r\n", STUCK));
        drop(stuck(server, UPLOAD, STUCK));
        std::thread::sleep(Duration::from_secs(3));
        let before = server.memory();
        let (readers, reading) = stuck(server, b"GET /100m HTTP/1.1\r\nHost: x\r\n\r\n", STUCK);
        drop(readers);
        let (uploads, uploading) = stuck(server, UPLOAD, STUCK);
        drop(uploads);
        std::thread::sleep(Duration::from_secs(4));
        let after = server.memory();
        let left = after as f64 / before as f64;
        let _ = writeln!(page, "| {} | {:.0} | {:.0} | {left:.2} |", server.name, reading / 1024.0, uploading / 1024.0);
    }
    page.push('\n');
}

/// A head and the beginning of its body.
const UPLOAD: &[u8] = &{
    let head = *b"POST /19 HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n";
    let mut upload = [b'x'; 1000 + 54];
    let mut at = 0;
    while at < head.len() {
        upload[at] = head[at];
        at += 1;
    }
    upload
};

/// Connections that have sent this and do nothing more, and the bytes that each costs.
fn stuck(server: &Server, sent: &[u8], count: usize) -> (Vec<TcpStream>, f64) {
    let before = server.memory();
    let open: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("connected");
            stream.write_all(sent).expect("sent");
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_secs(4));
    let bytes = server.memory().saturating_sub(before) as f64 / count as f64;
    (open, bytes)
}

/// The bytes that an idle connection costs, of as many as are asked for.
pub fn of_idle<C>(server: &Server, count: usize, connection: impl Fn() -> C) -> u64 {
    let open = |count: usize| -> Vec<C> { (0..count).map(|_| connection()).collect() };
    // What the first connections cost is paid before.
    let warm = open(200);
    let before = server.memory();
    let all = open(count);
    // Freed pages go back in the allocators' own time.
    std::thread::sleep(Duration::from_secs(3));
    let after = server.memory();
    drop((warm, all));
    after.saturating_sub(before) / count as u64
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
