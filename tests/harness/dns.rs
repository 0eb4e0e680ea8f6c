//! A DNS server whose answers a test changes.

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
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
    /// Queries of the type of this record are answered with a failure of the server.
    Failure(Box<Record>),
}

impl Record {
    pub fn address(text: &str) -> Record {
        Record::Address(text.parse().expect("an address"))
    }

    /// In place of an address: the server fails.
    pub fn failure(text: &str) -> Record {
        Record::Failure(Box::new(Record::address(text)))
    }

    fn kind(&self) -> u16 {
        match self {
            Record::Address(IpAddr::V4(_)) => 1,
            Record::Address(IpAddr::V6(_)) => 28,
            Record::Service { .. } => 33,
            Record::Failure(record) => record.kind(),
        }
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Record::Address(IpAddr::V4(address)) => address.octets().to_vec(),
            Record::Address(IpAddr::V6(address)) => address.octets().to_vec(),
            Record::Service { priority, weight, port, target } => {
                let mut data: Vec<u8> = [priority, weight, port].iter().flat_map(|word| word.to_be_bytes()).collect();
                for label in target.split('.') {
                    data.push(label.len() as u8);
                    data.extend_from_slice(label.as_bytes());
                }
                data.push(0);
                data
            }
            Record::Failure(_) => Vec::new(),
        }
    }
}

/// The server. Names that it does not know do not exist; every answer counts for a second.
pub struct Dns {
    pub port: u16,
    names: Arc<Mutex<HashMap<String, Vec<Record>>>>,
    silent: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    queries: Arc<AtomicUsize>,
}

impl Dns {
    pub fn start() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
        let dns = Dns {
            port: socket.local_addr().expect("an address").port(),
            names: Arc::default(),
            silent: Arc::default(),
            stop: Arc::default(),
            queries: Arc::default(),
        };
        let (names, silent) = (Arc::clone(&dns.names), Arc::clone(&dns.silent));
        let (stop, queries) = (Arc::clone(&dns.stop), Arc::clone(&dns.queries));
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while !stop.load(Ordering::Acquire) {
                let Ok((count, from)) = socket.recv_from(&mut buffer) else { continue };
                queries.fetch_add(1, Ordering::AcqRel);
                if !silent.load(Ordering::Acquire) {
                    let answer = answer(&buffer[..count], &names.lock().expect("no panic"));
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        dns
    }

    /// What a name stands for from now on; nothing: there is no such name.
    pub fn set(&self, name: &str, records: &[Record]) {
        let mut names = self.names.lock().expect("no panic");
        match records {
            [] => drop(names.remove(name)),
            _ => drop(names.insert(name.to_owned(), records.to_vec())),
        }
    }

    /// Says nothing any more, or again something.
    pub fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Release);
    }

    /// How often it was asked.
    pub fn queries(&self) -> usize {
        self.queries.load(Ordering::Acquire)
    }

    /// The directive that names it.
    pub fn resolver(&self) -> String {
        format!("resolver 127.0.0.1:{};", self.port)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// RFC 1035, section 4.1: the query's own question, and an answer for each record of its type.
fn answer(query: &[u8], names: &HashMap<String, Vec<Record>>) -> Vec<u8> {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..=at + length]).to_ascii_lowercase());
        at += length + 1;
    }
    let question = &query[12..at + 5];
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let known = names.get(&labels.join("."));
    let mut records: Vec<&Record> = known.into_iter().flatten().filter(|record| record.kind() == kind).collect();
    let fails = records.iter().any(|record| matches!(record, Record::Failure(_)));
    records.retain(|_| !fails);
    // A response, recursion wanted and available; 2: the server has failed, 3: no such name.
    let code = match known {
        Some(_) if fails => 2,
        Some(_) => 0,
        None => 3,
    };
    let mut out = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
    out.extend_from_slice(question);
    for record in records {
        // The name of the question, class IN, one second.
        out.extend_from_slice(&[0xc0, 12, 0, record.kind() as u8, 0, 1, 0, 0, 0, 1]);
        let data = record.data();
        out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        out.extend_from_slice(&data);
    }
    out
}
