//! One try at one backend: an idle connection, or a new one.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use limpet_config::Address;
use limpet_config::model::LogLevel;
use nix::errno::Errno;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use parking_lot::Mutex;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::VirtualSocketStream;
use pingora::{Error, ErrorType};
use tokio::net::{TcpSocket, UnixStream};
use tokio::time::timeout;

use super::head::ResponseHead;
use super::pool::{Connection, Pools, Slice, Way};
use super::socket::BackendSocket;
use crate::clock::{self, Moment};
use crate::front::conn::{Conn, Socket};
use crate::front::head::Body;
use crate::log::{self, os_error};
use crate::patience::Patience;
use crate::runtime::Backend;
use crate::turn::Turn;

/// What a try is made with. Pingora asks it for the connection.
pub(crate) struct Dial {
    pub(crate) backend: Arc<Backend>,
    pub(crate) pools: Arc<Pools>,
    pub(crate) worker: usize,
    /// The request's head as the backend gets it.
    pub(crate) head: Bytes,
    /// Idle connections are left alone: one has just failed.
    pub(crate) fresh: bool,
    /// The request can't be sent twice: it takes no idle connection that may be about to end.
    pub(crate) careful: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) send_timeout: Duration,
    /// `proxy_bind`, and whether the address need not be the machine's own.
    pub(crate) bind: Option<(std::net::SocketAddr, bool)>,
    pub(crate) socket_keepalive: bool,
    /// Which requests share its connection.
    pub(crate) slice: Option<Slice>,
    /// How the request's body is delimited on its way to the backend.
    pub(crate) body: Body,
    /// The request asks for another protocol, so that the backend may change it.
    pub(crate) upgrades: bool,
    /// The method is HEAD.
    pub(crate) is_head: bool,
    pub(crate) trace: Arc<Trace>,
    /// Whose request it is.
    pub(crate) client: Arc<Conn>,
}

/// What is known of a try from the outside.
#[derive(Debug)]
pub(crate) struct Trace {
    started: Moment,
    /// It went over a connection that had served other requests.
    reused: AtomicBool,
    /// Microseconds until connected, plus one; 0: not yet.
    connected: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// Why no connection came about, or why the response is none, in nginx's words.
    failure: Mutex<Option<String>>,
    /// There was more of the response than what came with its head.
    continued: AtomicBool,
    /// The backend made no progress for too long.
    timed_out: AtomicBool,
    /// The failure is one of the response's head.
    invalid: AtomicBool,
    /// The request could not be sent.
    sending_failed: AtomicBool,
    /// All of the request's body has come from the client.
    body_ended: AtomicBool,
    /// The connection is not to serve another request, whatever came of this one.
    spoiled: AtomicBool,
    head: OnceLock<Arc<ResponseHead>>,
    /// The connection after a 101, and what came behind its head.
    tunnel: Mutex<Option<(Socket, Vec<u8>)>>,
}

impl Trace {
    /// A try that begins now, of a request with this body.
    pub(crate) fn new(body: Body) -> Self {
        Trace {
            started: clock::now(),
            reused: AtomicBool::new(false),
            connected: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            failure: Mutex::new(None),
            continued: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
            invalid: AtomicBool::new(false),
            body_ended: AtomicBool::new(matches!(body, Body::None | Body::Length(0))),
            sending_failed: AtomicBool::new(false),
            spoiled: AtomicBool::new(false),
            head: OnceLock::new(),
            tunnel: Mutex::new(None),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        clock::now().since(self.started)
    }

    pub(crate) fn is_reused(&self) -> bool {
        self.reused.load(Relaxed)
    }

    pub(crate) fn connected(&self) -> Option<Duration> {
        self.connected.load(Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    pub(crate) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// The response's head, once it is there.
    pub(crate) fn head(&self) -> Option<&Arc<ResponseHead>> {
        self.head.get()
    }

    pub(crate) fn is_invalid(&self) -> bool {
        self.invalid.load(Relaxed)
    }

    /// Whether the response was there with one read.
    pub(crate) fn came_at_once(&self) -> bool {
        !self.continued.load(Relaxed)
    }

    pub(super) fn set_continued(&self) {
        self.continued.store(true, Relaxed);
    }

    pub(crate) fn has_timed_out(&self) -> bool {
        self.timed_out.load(Relaxed)
    }

    pub(super) fn set_sending_failed(&self) {
        self.sending_failed.store(true, Relaxed);
    }

    /// Whether the server has not taken the request.
    pub(crate) fn has_sending_failed(&self) -> bool {
        self.sending_failed.load(Relaxed)
    }

    pub(super) fn noting_timeout<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(&result, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut) {
            self.timed_out.store(true, Relaxed);
        }
        result
    }

    /// The client has sent the last of its body.
    pub(crate) fn set_body_ended(&self) {
        self.body_ended.store(true, Relaxed);
    }

    /// Whether it is the client that the server waits for.
    pub(crate) fn is_owed_body(&self) -> bool {
        !self.body_ended.load(Relaxed)
    }

    /// The server has failed: its connection serves no other request.
    pub(crate) fn spoil(&self) {
        self.spoiled.store(true, Relaxed);
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.spoiled.load(Relaxed)
    }

    pub(super) fn set_head(&self, head: ResponseHead) {
        // A connection reads one head.
        let _ = self.head.set(Arc::new(head));
    }

    pub(super) fn set_tunnel(&self, socket: Socket, early: Vec<u8>) {
        *self.tunnel.lock() = Some((socket, early));
    }

    pub(crate) fn take_tunnel(&self) -> Option<(Socket, Vec<u8>)> {
        self.tunnel.lock().take()
    }

    /// The response's head can't be read.
    pub(super) fn set_invalid(&self, message: String) {
        self.invalid.store(true, Relaxed);
        self.set_failure(message);
    }

    pub(super) fn set_failure(&self, message: String) {
        *self.failure.lock() = Some(message);
    }

    fn set_connected(&self) {
        self.connected.store(self.elapsed().as_micros() as u64 + 1, Relaxed);
    }
}

#[async_trait]
impl L4Connect for Dial {
    async fn connect(&self, _address: &SocketAddr) -> pingora::Result<Stream> {
        let way = Way {
            peer: Arc::clone(&self.backend.state),
            from: self.bind.map(|(address, _)| address),
            slice: self.slice.clone(),
        };
        let idle = if self.fresh { None } else { self.pools.take(self.worker, &way, self.careful) };
        let mut connection = match idle {
            Some(idle) => {
                self.trace.reused.store(true, Relaxed);
                idle
            }
            None => Connection::new(self.open().await?, self.client.slots.take()),
        };
        connection.requests += 1;
        self.trace.set_connected();
        let socket = BackendSocket {
            connection: Some(connection),
            head: self.head.clone(),
            head_taken: false,
            out: Vec::new(),
            input: Vec::new(),
            answered: false,
            framing: None,
            body: self.body,
            body_sent: 0,
            last_chunk_sent: false,
            send_failed: None,
            read_failed: None,
            worker: self.worker,
            way,
            pools: Arc::clone(&self.pools),
            trace: Arc::clone(&self.trace),
            read_timeout: self.read_timeout,
            send_timeout: self.send_timeout,
            sending: Patience::new(),
            upgrades: self.upgrades,
            client: Arc::clone(&self.client),
            watch: None,
            is_head: self.is_head,
            turn: Turn::default(),
        };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(socket))))
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "try at {}", self.backend.name)
    }
}

impl Dial {
    async fn open(&self) -> pingora::Result<Socket> {
        let opened = match &self.backend.address {
            Address::Ip(address) => timeout(self.connect_timeout, connect_tcp(self.socket(*address)?, *address)).await,
            Address::Unix(path) => timeout(self.connect_timeout, connect_unix(path)).await,
        };
        let (kind, failure) = match opened {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => {
                let call = match &self.backend.address {
                    Address::Ip(_) => "connect()".to_owned(),
                    Address::Unix(path) => format!("connect() to unix:{}", path.display()),
                };
                let kind = match error.kind() {
                    _ if is_our_own(&error) => ErrorType::SocketError,
                    io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                    io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
                    _ => ErrorType::ConnectError,
                };
                (kind, format!("{call} failed ({})", os_error(&error)))
            }
            Err(_) => (ErrorType::ConnectTimedout, "upstream timed out (110: Connection timed out)".to_owned()),
        };
        Err(self.failed(kind, failure))
    }

    /// A socket with the options that the configuration wants.
    fn socket(&self, address: std::net::SocketAddr) -> pingora::Result<TcpSocket> {
        let made = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let failed = |call: &str, error: &io::Error| format!("{call} failed ({})", os_error(error));
        let socket = made.map_err(|error| self.failed(ErrorType::SocketError, failed("socket()", &error)))?;
        if self.socket_keepalive && socket.set_keepalive(true).is_err() {
            // Probes are a precaution: the connection goes without.
            log::write_default(LogLevel::Alert, "setsockopt(SO_KEEPALIVE) failed, ignored");
        }
        if let Some((local, transparent)) = self.bind {
            let options = socket2::SockRef::from(&socket);
            if transparent {
                let set = if address.is_ipv4() {
                    options.set_ip_transparent_v4(true)
                } else {
                    options.set_ip_transparent_v6(true)
                };
                set.map_err(|error| self.failed(ErrorType::BindError, failed("setsockopt(IP_TRANSPARENT)", &error)))?;
            }
            if local.port() == 0 {
                // The port is chosen by the connect then, for this server alone: more of them fit on one address.
                let _ = nix::sys::socket::setsockopt(&socket, IpBindAddressNoPort, &true);
            }
            let call = if local.port() == 0 { local.ip().to_string() } else { local.to_string() };
            socket
                .bind(local)
                .map_err(|error| self.failed(ErrorType::BindError, failed(&format!("bind({call})"), &error)))?;
        }
        Ok(socket)
    }

    fn failed(&self, kind: ErrorType, failure: String) -> Box<Error> {
        clock::tick();
        self.trace.set_failure(failure.clone());
        Error::explain(kind, failure)
    }
}

/// Whether an error is about this machine, and not about the server: it has no descriptor, port or memory left.
pub(crate) fn is_our_own(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EADDRNOTAVAIL)
    )
}

async fn connect_tcp(socket: TcpSocket, address: std::net::SocketAddr) -> io::Result<Socket> {
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Socket::Tcp(stream))
}

async fn connect_unix(path: &Path) -> io::Result<Socket> {
    Ok(Socket::Unix(UnixStream::connect(path).await?))
}
