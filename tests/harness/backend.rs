//! Backends that do as they are told, well or badly.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a backend does with a request.
#[derive(Debug, Clone)]
pub enum Script {
    /// Sends these bytes and waits for the next request.
    Answer(Vec<u8>),
    /// Sends these bytes and closes the connection.
    AnswerAndClose(Vec<u8>),
    /// Sends these bytes one by one.
    Dribble(Vec<u8>),
    /// Closes the connection without a word.
    Close,
    /// Resets the connection.
    Reset,
    /// Says nothing, ever.
    Hang,
    /// Sends these bytes and then nothing more.
    AnswerAndHang(Vec<u8>),
    /// Sends back what it gets, for as long as it gets something.
    Echo(Vec<u8>),
}

impl Script {
    /// A page of text.
    pub fn ok(text: &str) -> Script {
        Script::page(200, "", text)
    }

    /// A page with a status and header lines, each with its line end.
    pub fn page(status: u16, headers: &str, text: &str) -> Script {
        let length = text.len();
        Script::Answer(
            format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n{headers}\r\n{text}").into_bytes(),
        )
    }
}

type Plan = Arc<dyn Fn(usize, &str) -> Script + Send + Sync>;

/// A server on a port of its own. Its threads end with it.
pub struct Backend {
    pub port: u16,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Backend {
    /// Treats every request alike.
    pub fn new(script: Script) -> Backend {
        Backend::planned(move |_, _| script.clone())
    }

    /// Decides by the number of the request, from 0, and by its text.
    pub fn planned(plan: impl Fn(usize, &str) -> Script + Send + Sync + 'static) -> Backend {
        let listener = crate::listener();
        let backend = Backend {
            port: listener.local_addr().expect("an address").port(),
            stop: Arc::default(),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let plan: Plan = Arc::new(plan);
        let (stop, seen, connections) =
            (Arc::clone(&backend.stop), Arc::clone(&backend.seen), Arc::clone(&backend.connections));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                connections.fetch_add(1, Ordering::AcqRel);
                let (plan, seen, stop) = (Arc::clone(&plan), Arc::clone(&seen), Arc::clone(&stop));
                std::thread::spawn(move || serve(stream, &plan, &seen, &stop));
            }
        });
        backend
    }

    /// Leaves each connection, and when to end it, to the test. They are numbered from 0.
    pub fn driven(drive: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Backend {
        let listener = crate::listener();
        let backend = Backend {
            port: listener.local_addr().expect("an address").port(),
            stop: Arc::default(),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let (stop, connections) = (Arc::clone(&backend.stop), Arc::clone(&backend.connections));
        let drive = Arc::new(drive);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
                let number = connections.fetch_add(1, Ordering::AcqRel);
                let drive = Arc::clone(&drive);
                std::thread::spawn(move || drive(number, stream));
            }
        });
        backend
    }

    /// A port on which nobody listens.
    pub fn refusing() -> u16 {
        crate::port()
    }

    /// The requests that came, each with its body.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// The address for an `upstream` block.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(mut stream: TcpStream, plan: &Plan, seen: &Mutex<Vec<String>>, stop: &AtomicBool) {
    let _ = stream.set_nodelay(true);
    let mut waiting = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut waiting, stop) {
        let number = {
            let mut seen = seen.lock().expect("no panic");
            seen.push(request.clone());
            seen.len() - 1
        };
        let hang = || {
            while !stop.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        match plan(number, &request) {
            Script::Answer(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Script::AnswerAndClose(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Script::Dribble(bytes) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            Script::Close => return,
            Script::Reset => {
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                return;
            }
            Script::Hang => return hang(),
            Script::AnswerAndHang(bytes) => {
                let _ = stream.write_all(&bytes);
                return hang();
            }
            Script::Echo(bytes) => {
                let _ = stream.write_all(&bytes).and_then(|()| stream.write_all(&waiting));
                let _ = stream.set_read_timeout(None);
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
                return;
            }
        }
    }
}

/// A request with its body, by Content-Length or chunks; `None` at the end of the connection.
fn read_request(stream: &mut TcpStream, waiting: &mut Vec<u8>, stop: &AtomicBool) -> Option<String> {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    loop {
        if let Some(end) = whole(waiting) {
            let request: Vec<u8> = waiting.drain(..end).collect();
            return Some(String::from_utf8_lossy(&request).into_owned());
        }
        let mut buffer = [0; 65_536];
        match stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(count) => waiting.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                if stop.load(Ordering::Acquire) {
                    return None;
                }
            }
            Err(_) => return None,
        }
    }
}

/// Where the first request ends, if it is there whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let value = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|v| v.trim().to_owned()))
    };
    if value("transfer-encoding").is_some() {
        let end = bytes[head..].windows(5).position(|window| window == b"0\r\n\r\n")? + 5;
        return Some(head + end);
    }
    let length: usize = value("content-length").map_or(0, |length| length.parse().unwrap_or(0));
    (bytes.len() >= head + length).then_some(head + length)
}
