//! What the tests are written with: the program under test, clients on raw sockets, backends that do as they are told,
//! and the real servers of other projects. Every process is ended by its guard.

mod backend;
mod client;
mod dns;
mod limpet;
mod process;
mod servers;
mod tls;

pub use backend::{Backend, Script};
pub use client::{Client, Response, get};
pub use dns::{Dns, Record};
pub use limpet::{Limpet, Output, binary, run};
pub use process::{Process, eventually, pace};
pub use servers::{apache, fcgiwrap, lighttpd, mariadb, nginx, openssl};
pub use tls::{Identity, connector, scheme};

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Mutex;

/// A port that the kernel says is free; never the same one twice in a test run.
pub fn port() -> u16 {
    listener().local_addr().expect("an address").port()
}

/// A listening socket on a port that nobody else in the test run was given, though it may not listen there yet.
pub fn listener() -> TcpListener {
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let mut taken = TAKEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if taken.get_or_insert_default().insert(port) {
            return listener;
        }
    }
}
