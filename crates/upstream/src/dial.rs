//! One try at one backend: an idle connection, or a new one.

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use limpet_log::{LogLevel, clock, os_error};
use limpet_message::body::Body;
use limpet_tls::client::Client as TlsClient;
use limpet_wire::{Address, HandshakeError, LARGEST_RECORD, Slot, Socket, Tls};
use nix::errno::Errno;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use tokio::net::{TcpSocket, UnixStream};
use tokio::time::timeout;

use super::http2;
use super::members::Backend;
use super::pool::{Connection, Endpoint, Pools, Slice};
use super::stored::StoredBody;
use super::trace::{Failure, FailureKind, Trace};
use super::transaction::Transaction;

/// What a try is made with.
pub struct Dial {
    pub backend: Arc<Backend>,
    pub pools: Arc<Pools>,
    pub worker: usize,
    /// The request's head as the backend gets it.
    pub head: Bytes,
    /// Idle connections are left alone: one has just failed.
    pub fresh: bool,
    /// The request can't be sent twice: it takes no idle connection that may be about to end.
    pub careful: bool,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
    pub send_timeout: Duration,
    /// `proxy_bind`, and whether the address need not be the machine's own.
    pub bind: Option<(std::net::SocketAddr, bool)>,
    pub socket: SocketOptions,
    /// What the connection is encrypted with; `None`: nothing.
    pub tls: Option<Secure>,
    /// HTTP/2 is spoken.
    pub is_http2: bool,
    /// Trailers must not be lost, whatever stands in the head.
    pub is_grpc: bool,
    /// Which requests share its connection.
    pub slice: Option<Slice>,
    /// How the request's body is delimited on its way to the backend.
    pub body: Body,
    /// All of the body, where it was read before; the connection sends it by itself.
    pub stored: Option<Arc<StoredBody>>,
    /// The request asks for another protocol, so that the backend may change it.
    pub upgrades: bool,
    /// The longest head of a response, in bytes.
    pub max_head_size: usize,
    /// What follows the body of a response is kept.
    pub wants_trailers: bool,
    /// The method is HEAD.
    pub is_head: bool,
    pub trace: Arc<Trace>,
    /// Whose request it is.
    pub client: Arc<dyn Client>,
}

/// What is asked of the kernel for a connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct SocketOptions {
    /// Probes while nothing moves.
    pub keepalive: bool,
    /// Bytes of its buffers; 0: as many as it likes.
    pub receive_buffer: u32,
    pub send_buffer: u32,
}

/// What a connection to a server is encrypted with.
#[derive(Debug, Clone)]
pub struct Secure {
    pub client: Arc<TlsClient>,
    /// The server's name, which its certificate has to be for.
    pub name: Arc<str>,
    /// It is told the name (SNI).
    pub tells: bool,
}

/// What is to be known of the client of a request.
pub trait Client: Send + Sync {
    /// Whether it has ended its connection, also where there is still something to read before that end.
    fn has_hung_up(&self) -> bool;

    /// A place among its worker's connections.
    fn take_slot(&self) -> Slot;
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "try at {}", self.backend.name)
    }
}

impl Dial {
    /// Takes an idle connection, or makes a new one. `None`: there is none, and the trace says why.
    pub async fn connect(dial: &Arc<Dial>) -> Option<Transaction> {
        let endpoint = Endpoint {
            peer: Arc::clone(&dial.backend.state),
            from: dial.bind.map(|(address, _)| address),
            slice: dial.slice.clone(),
            tls: dial.tls.clone(),
            is_http2: dial.is_http2,
            is_grpc: dial.is_grpc,
        };
        let idle = if dial.fresh { None } else { dial.pools.take(dial.worker, &endpoint, dial.careful) };
        let mut connection = match idle {
            Some(idle) => {
                dial.trace.set_reused();
                idle
            }
            None => match Box::pin(dial.open()).await {
                Ok(socket) => Connection::new(socket, dial.client.take_slot()),
                Err(failure) => {
                    clock::tick();
                    dial.trace.set_failure(failure);
                    return None;
                }
            },
        };
        connection.requests += 1;
        dial.trace.set_connected();
        Some(Transaction::new(Arc::clone(dial), connection, endpoint))
    }

    async fn open(&self) -> Result<Socket, Failure> {
        let socket = self.reach().await?;
        let socket = match &self.tls {
            Some(secure) => self.shake_hands(secure, socket).await?,
            None => socket,
        };
        Ok(if self.is_http2 { http2::begin(socket, self.max_head_size, self.is_grpc) } else { socket })
    }

    /// Begins TLS on a new connection.
    async fn shake_hands(&self, secure: &Secure, socket: Socket) -> Result<Socket, Failure> {
        let Socket::Plain(plain) = socket else { return Ok(socket) };
        let address = &*self.backend.name;
        let told = secure.tells.then_some(&*secure.name);
        let failed = |message: String| Failure::broken(message).while_doing("SSL handshaking to upstream");
        // A name that can't be sent is no server's fault.
        let unsaid = |message| Failure::new(FailureKind::NoSocket, message).while_doing("SSL handshaking to upstream");
        let ssl = secure.client.begin(address, told).map_err(|error| unsaid(error.message))?;
        let tls = Tls::new(plain, ssl, LARGEST_RECORD).map_err(|error| failed(error.to_string()))?;
        let shaken = timeout(self.connect_timeout, poll_fn(|cx| tls.poll_handshake(cx, false))).await;
        let shaken = match shaken {
            Ok(Ok(())) => tls.with(|ssl| secure.client.check(ssl, &secure.name)).map_err(failed),
            Ok(Err(HandshakeError::Closed)) => Err(failed("peer closed connection in SSL handshake".to_owned())),
            Ok(Err(HandshakeError::Io(error))) => {
                Err(failed(format!("peer closed connection in SSL handshake ({})", os_error(&error))))
            }
            Ok(Err(HandshakeError::Tls(stack))) => {
                Err(failed(format!("SSL_do_handshake() failed{}", limpet_tls::errors(&stack))))
            }
            Err(_) => Err(Failure::timed_out().while_doing("SSL handshaking to upstream")),
        };
        match shaken {
            Ok(()) => Ok(tls.into()),
            Err(failure) => {
                secure.client.forget(address, told);
                Err(failure)
            }
        }
    }

    /// A new connection, before anything is said.
    async fn reach(&self) -> Result<Socket, Failure> {
        let opened = match &self.backend.address {
            Address::Ip(address) => timeout(self.connect_timeout, connect_tcp(self.socket(*address)?, *address)).await,
            Address::Unix(path) => timeout(self.connect_timeout, connect_unix(path)).await,
        };
        let error = match opened {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => error,
            Err(_) => return Err(Failure::timed_out()),
        };
        let call = match &self.backend.address {
            Address::Ip(_) => "connect()".to_owned(),
            Address::Unix(path) => format!("connect() to unix:{}", path.display()),
        };
        let message = format!("{call} failed ({})", os_error(&error));
        Err(match error.kind() {
            _ if is_our_own(&error) => Failure::new(FailureKind::NoSocket, message).at(LogLevel::Alert),
            io::ErrorKind::TimedOut => Failure::new(FailureKind::TimedOut, message),
            // The path of a Unix socket: somebody has to look after it.
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Failure::broken(message).at(LogLevel::Crit),
            _ => Failure::broken(message),
        })
    }

    /// A socket with the options that the configuration wants.
    fn socket(&self, address: std::net::SocketAddr) -> Result<TcpSocket, Failure> {
        let made = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let failed = |level: LogLevel, call: &str, error: &io::Error| {
            Failure::new(FailureKind::NoSocket, format!("{call} failed ({})", os_error(error))).at(level)
        };
        let socket = made.map_err(|error| failed(LogLevel::Alert, "socket()", &error))?;
        let SocketOptions { keepalive, receive_buffer, send_buffer } = self.socket;
        let wanted = [
            ("SO_KEEPALIVE", keepalive.then(|| socket.set_keepalive(true))),
            ("SO_RCVBUF", (receive_buffer > 0).then(|| socket.set_recv_buffer_size(receive_buffer))),
            ("SO_SNDBUF", (send_buffer > 0).then(|| socket.set_send_buffer_size(send_buffer))),
        ];
        for (option, set) in wanted {
            if let Some(Err(_)) = set {
                // The connection goes without.
                limpet_log::write_default(LogLevel::Alert, &format!("setsockopt({option}) failed, ignored"));
            }
        }
        if let Some((local, transparent)) = self.bind {
            let options = socket2::SockRef::from(&socket);
            if transparent {
                let set = if address.is_ipv4() {
                    options.set_ip_transparent_v4(true)
                } else {
                    options.set_ip_transparent_v6(true)
                };
                set.map_err(|error| failed(LogLevel::Crit, "setsockopt(IP_TRANSPARENT)", &error))?;
            }
            if local.port() == 0 {
                // The port is then chosen by `connect()`, for this server alone: more connections fit on one address.
                let _ = nix::sys::socket::setsockopt(&socket, IpBindAddressNoPort, &true);
            }
            let call = if local.port() == 0 { local.ip().to_string() } else { local.to_string() };
            socket.bind(local).map_err(|error| failed(LogLevel::Crit, &format!("bind({call})"), &error))?;
        }
        Ok(socket)
    }
}

/// Whether an error is about this machine, and not about the server: it has no descriptor, port or memory left.
pub fn is_our_own(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EADDRNOTAVAIL)
    )
}

async fn connect_tcp(socket: TcpSocket, address: std::net::SocketAddr) -> io::Result<Socket> {
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Socket::from(stream))
}

async fn connect_unix(path: &Path) -> io::Result<Socket> {
    Ok(Socket::from(UnixStream::connect(path).await?))
}
