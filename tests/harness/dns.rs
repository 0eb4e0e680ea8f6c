//! A DNS server whose answers a test changes.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What stands behind a name.
#[derive(Debug, Clone)]
pub enum Record {
    Address(IpAddr),
    Service {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
    /// The name stands for another one.
    Alias(String),
    /// Queries of the type of this record are answered with an error: this code (RFC 1035, section 4.1.1), or nothing at
    /// all.
    Failure(Box<Record>, Option<u8>),
}

impl Record {
    pub fn address(text: &str) -> Record {
        Record::Address(text.parse().expect("an address"))
    }

    /// In place of an address: the server fails.
    pub fn failure(text: &str) -> Record {
        Record::failing(text, Some(2))
    }

    /// In place of an address: an error of this code, or silence.
    pub fn failing(text: &str, code: Option<u8>) -> Record {
        Record::Failure(Box::new(Record::address(text)), code)
    }

    fn kind(&self) -> u16 {
        match self {
            Record::Address(IpAddr::V4(_)) => 1,
            Record::Address(IpAddr::V6(_)) => 28,
            Record::Service { .. } => 33,
            Record::Alias(_) => 5,
            Record::Failure(record, _) => record.kind(),
        }
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Record::Address(IpAddr::V4(address)) => address.octets().to_vec(),
            Record::Address(IpAddr::V6(address)) => address.octets().to_vec(),
            Record::Service { priority, weight, port, target } => {
                let mut data: Vec<u8> = [priority, weight, port].iter().flat_map(|word| word.to_be_bytes()).collect();
                append_name(target, &mut data);
                data
            }
            Record::Alias(target) => {
                let mut data = Vec::new();
                append_name(target, &mut data);
                data
            }
            Record::Failure(..) => Vec::new(),
        }
    }
}

fn append_name(name: &str, out: &mut Vec<u8>) {
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
}

/// The server. Names that it does not know do not exist; every answer counts for a second.
pub struct Dns {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    names: Mutex<HashMap<String, Vec<Record>>>,
    silent: AtomicBool,
    lying: AtomicBool,
    stop: AtomicBool,
    queries: AtomicUsize,
}

impl Dns {
    pub fn start() -> Dns {
        // One port for UDP and TCP.
        let both = || {
            let listener = crate::listener();
            let socket = UdpSocket::bind(listener.local_addr().expect("an address")).ok()?;
            Some((socket, listener))
        };
        let (socket, listener) = std::iter::repeat_with(both).flatten().next().expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
        let dns = Dns { port: socket.local_addr().expect("an address").port(), state: Arc::default() };
        let state = Arc::clone(&dns.state);
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while !state.stop.load(Ordering::Acquire) {
                let Ok((count, from)) = socket.recv_from(&mut buffer) else { continue };
                let Some(mut answer) = state.answer(&buffer[..count]) else { continue };
                if answer.len() > 1232 {
                    // Too long for a datagram: that is all it says.
                    answer.truncate(12 + question(&buffer).len());
                    answer[2] |= 2;
                    answer[6..8].fill(0);
                }
                let _ = socket.send_to(&answer, from);
            }
        });
        let state = Arc::clone(&dns.state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if state.stop.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), state) = (stream, Arc::clone(&state)) else { continue };
                std::thread::spawn(move || state.converse(stream));
            }
        });
        dns
    }

    /// What a name stands for from now on; nothing: there is no such name.
    pub fn set(&self, name: &str, records: &[Record]) {
        let mut names = self.state.names.lock().expect("no panic");
        match records {
            [] => drop(names.remove(name)),
            _ => drop(names.insert(name.to_owned(), records.to_vec())),
        }
    }

    /// Says nothing any more, or again something.
    pub fn set_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::Release);
    }

    /// Answers what nobody has asked, or the truth again.
    pub fn set_lying(&self, lying: bool) {
        self.state.lying.store(lying, Ordering::Release);
    }

    /// How often it was asked.
    pub fn queries(&self) -> usize {
        self.state.queries.load(Ordering::Acquire)
    }

    /// The directive that names it.
    pub fn resolver(&self) -> String {
        format!("resolver 127.0.0.1:{};", self.port)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        self.queries.fetch_add(1, Ordering::AcqRel);
        if self.silent.load(Ordering::Acquire) {
            return None;
        }
        let mut answer = answer(query, &self.names.lock().expect("no panic"))?;
        if self.lying.load(Ordering::Acquire) {
            // The name's first letter is another one.
            answer[13] ^= 1;
        }
        Some(answer)
    }

    /// Over TCP each message has its length before it.
    fn converse(&self, mut stream: TcpStream) {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut query).is_err() {
                return;
            }
            let Some(answer) = self.answer(&query) else { continue };
            let message = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
            if stream.write_all(&message).is_err() {
                return;
            }
        }
    }
}

/// A query's name, type and class, as they came.
fn question(query: &[u8]) -> &[u8] {
    let mut at = 12;
    while query[at] != 0 {
        at += usize::from(query[at]) + 1;
    }
    &query[12..at + 5]
}

/// RFC 1035, section 4.1: the query's own question, and an answer for each record of its type; an alias is one for all
/// types.
fn answer(query: &[u8], names: &HashMap<String, Vec<Record>>) -> Option<Vec<u8>> {
    let question = question(query);
    let (mut at, mut labels) = (0, Vec::new());
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..=at + length]).to_ascii_lowercase());
        at += length + 1;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    let known = names.get(&labels.join("."));
    let is_wanted = |record: &&Record| record.kind() == kind || matches!(record, Record::Alias(_));
    let mut records: Vec<&Record> = known.into_iter().flatten().filter(is_wanted).collect();
    let failure = records.iter().find_map(|record| match record {
        Record::Failure(_, code) => Some(*code),
        _ => None,
    });
    records.retain(|_| failure.is_none());
    // A response, recursion wanted and available; 3: no such name.
    let code = match (known, failure) {
        (Some(_), Some(code)) => code?,
        (Some(_), None) => 0,
        (None, _) => 3,
    };
    let [high, low] = (records.len() as u16).to_be_bytes();
    let mut out = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, high, low, 0, 0, 0, 0];
    out.extend_from_slice(question);
    for record in records {
        // The name of the question, class IN, one second.
        out.extend_from_slice(&[0xc0, 12, 0, record.kind() as u8, 0, 1, 0, 0, 0, 1]);
        let data = record.data();
        out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        out.extend_from_slice(&data);
    }
    Some(out)
}
