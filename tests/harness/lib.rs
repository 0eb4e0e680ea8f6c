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

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, Once};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

/// A port that the kernel chose and gives to nobody else while the tests run, be it for a listening socket or for
/// the near end of a connection: a socket stays bound to it. That does not listen, and lets others listen that allow
/// addresses to be reused, as servers do.
pub fn port() -> u16 {
    static RESERVED: Mutex<Vec<Socket>> = Mutex::new(Vec::new());
    static MORE_FILES: Once = Once::new();
    MORE_FILES.call_once(|| {
        if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        }
    });
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("set");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    let port = socket.local_addr().expect("an address").as_socket().expect("an address of the internet").port();
    RESERVED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(socket);
    port
}

/// A listening socket on a port of its own (see [`port`]), which stays its own when it is closed.
pub fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port())).expect("a port of its own")
}
