//! A client's connection: what the front, Pingora's session and the hooks share of it.

use std::io::{self, IoSlice, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use limpet_config::Address;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use super::clients::Clients;
use crate::clock::{self, Moment};
use crate::runtime::Shared;
use crate::slots::{Slot, Slots};

/// A connected socket of either family.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_write_ready(cx),
            Socket::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Reads what is there. A read that does not fill the buffer has emptied the socket, so its readiness ends without a
    /// further call that would only say so.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut partial = None;
        let result = match self {
            Socket::Tcp(stream) => {
                stream.try_io(Interest::READABLE, || read(SockRef::from(stream), buffer, &mut partial))
            }
            Socket::Unix(stream) => {
                stream.try_io(Interest::READABLE, || read(SockRef::from(stream), buffer, &mut partial))
            }
        };
        partial.map_or(result, Ok)
    }

    pub(crate) fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        // One part goes out by a cheaper call than several.
        let mut full = parts.iter().filter(|part| !part.is_empty());
        if let (Some(part), None) = (full.next(), full.next()) {
            return match self {
                Socket::Tcp(stream) => stream.try_write(part),
                Socket::Unix(stream) => stream.try_write(part),
            };
        }
        match self {
            Socket::Tcp(stream) => stream.try_write_vectored(parts),
            Socket::Unix(stream) => stream.try_write_vectored(parts),
        }
    }

    /// Reads once there is something to read.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.poll_readable(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Writes the parts, one behind the other, as far as the kernel takes them.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            match self.poll_writable(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            match self.try_write_vectored(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Whether bytes have come that nobody has read.
    pub(crate) fn has_unread(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let socket = match self {
            Socket::Tcp(stream) => SockRef::from(stream),
            Socket::Unix(stream) => SockRef::from(stream),
        };
        socket.peek(&mut byte).is_ok_and(|count| count > 0)
    }

    /// Whether the other side has ended the connection, or its half of it, also where there is still something to read
    /// before that end.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.is_any(PollFlags::from_bits_retain(nix::libc::POLLRDHUP))
    }

    /// Whether there is anything to read, the end among it. The kernel is asked, not the runtime, which hears of things
    /// later.
    pub(crate) fn has_news(&self) -> bool {
        self.is_any(PollFlags::POLLIN)
    }

    /// Whether one of these is so, or the connection is broken.
    fn is_any(&self, flags: PollFlags) -> bool {
        let descriptor = match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        };
        let mut asked = [PollFd::new(descriptor, flags | PollFlags::POLLHUP | PollFlags::POLLERR)];
        poll(&mut asked, PollTimeout::ZERO).is_ok_and(|found| found > 0)
    }

    /// What the kernel knows of a TCP connection.
    pub(crate) fn tcp_info(&self) -> Option<nix::libc::tcp_info> {
        let Socket::Tcp(stream) = self else { return None };
        #[allow(unsafe_code, reason = "no safe crate asks for it; numbers of any value are a valid `tcp_info`")]
        // SAFETY: the kernel writes at most `length` bytes into the structure, which lives for that long.
        unsafe {
            let mut info: nix::libc::tcp_info = std::mem::zeroed();
            let mut length = size_of::<nix::libc::tcp_info>() as nix::libc::socklen_t;
            let (level, option) = (nix::libc::IPPROTO_TCP, nix::libc::TCP_INFO);
            let place = std::ptr::from_mut(&mut info).cast();
            (nix::libc::getsockopt(stream.as_raw_fd(), level, option, place, &raw mut length) == 0).then_some(info)
        }
    }

    /// No more is read: who waits for bytes sees the end.
    pub(crate) fn shutdown_read(&self) {
        self.shutdown(std::net::Shutdown::Read);
    }

    /// No more is written: the client sees the end.
    pub(crate) fn shutdown_write(&self) {
        self.shutdown(std::net::Shutdown::Write);
    }

    fn shutdown(&self, how: std::net::Shutdown) {
        let socket = match self {
            Socket::Tcp(stream) => SockRef::from(stream),
            Socket::Unix(stream) => SockRef::from(stream),
        };
        let _ = socket.shutdown(how);
    }
}

fn read(socket: SockRef<'_>, buffer: &mut [u8], partial: &mut Option<usize>) -> io::Result<usize> {
    let count = (&*socket).read(buffer)?;
    if count > 0 && count < buffer.len() {
        *partial = Some(count);
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(count)
}

/// A connection for as long as it lasts.
pub(crate) struct Conn {
    /// `$connection`
    pub(crate) number: u64,
    pub(crate) socket: Socket,
    /// Which worker serves it.
    pub(crate) worker: usize,
    /// The address that was listened on.
    pub(crate) listen: Address,
    pub(crate) accepted: Moment,
    /// `None`: a Unix socket.
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    peer_text: String,
    requests: AtomicU64,
    bytes_sent: AtomicU64,
    body_read: AtomicU64,
    pipelined: AtomicBool,
    idle: AtomicBool,
    /// Since when it may be given up when connections are short, in nanoseconds of the clock, plus one; 0: it may not.
    spare_since: AtomicU64,
    shared: Arc<Shared>,
    pub(crate) slots: Arc<Slots>,
    _slot: Slot,
}

impl Conn {
    pub(crate) fn new(clients: &Clients, number: u64, socket: Socket, listen: Address) -> Self {
        let (peer, local) = match &socket {
            Socket::Tcp(stream) => (stream.peer_addr().ok(), stream.local_addr().ok()),
            Socket::Unix(_) => (None, None),
        };
        Conn {
            number,
            socket,
            worker: clients.index,
            listen,
            accepted: clock::tick(),
            peer,
            local,
            peer_text: peer.map_or_else(|| "unix:".to_owned(), |address| address.ip().to_string()),
            requests: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            body_read: AtomicU64::new(0),
            pipelined: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            spare_since: AtomicU64::new(0),
            shared: Arc::clone(&clients.shared),
            slots: Arc::clone(&clients.slots),
            _slot: clients.slots.take(),
        }
    }

    /// The next request begins.
    pub(crate) fn begin_request(&self, pipelined: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_sent.store(0, Ordering::Relaxed);
        self.body_read.store(0, Ordering::Relaxed);
        self.pipelined.store(pipelined, Ordering::Relaxed);
    }

    /// The requests that this connection has brought, the present one among them.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes sent to the client for the present request.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }

    pub(crate) fn count_sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of the present request's body that were read, framing included.
    pub(crate) fn body_bytes_read(&self) -> u64 {
        self.body_read.load(Ordering::Relaxed)
    }

    pub(crate) fn count_body(&self, bytes: usize) {
        self.body_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn is_pipelined(&self) -> bool {
        self.pipelined.load(Ordering::Relaxed)
    }

    /// The connection waits for its next request. `false` when there is to be none.
    pub(crate) fn begin_idle(&self) -> bool {
        self.begin_spare();
        self.idle.store(true, Ordering::SeqCst);
        !self.is_draining()
    }

    pub(crate) fn end_idle(&self) {
        self.spare_since.store(0, Ordering::Relaxed);
        self.idle.store(false, Ordering::SeqCst);
    }

    /// Nothing is lost if it ends: it waits for a request, or is being closed.
    pub(crate) fn begin_spare(&self) {
        self.spare_since.store(clock::now().nanoseconds() + 1, Ordering::Relaxed);
    }

    /// Since when it may be given up; `None`: it may not.
    pub(crate) fn spare_since(&self) -> Option<u64> {
        Some(self.spare_since.load(Ordering::Relaxed)).filter(|since| *since > 0)
    }

    /// Ends a connection that may be given up.
    pub(crate) fn give_up(&self) {
        self.spare_since.store(0, Ordering::Relaxed);
        self.socket.shutdown_read();
    }

    /// Ends the connection if it waits for a request.
    pub(crate) fn end_if_idle(&self) {
        if self.idle.load(Ordering::SeqCst) {
            self.socket.shutdown_read();
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whether no connection is to be kept after its response.
    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        self.peer.map(|address| address.ip())
    }

    /// The octets of the client's address by which `ip_hash` chooses: three of an IPv4 address, all of an IPv6 one.
    pub(crate) fn address_octets(&self) -> Vec<u8> {
        match self.peer_ip() {
            Some(IpAddr::V4(address)) => address.octets().into_iter().take(3).collect(),
            Some(IpAddr::V6(address)) => address.octets().to_vec(),
            None => vec![0; 3],
        }
    }

    /// The client's address as text; `unix:` for a Unix socket.
    pub(crate) fn remote_addr(&self) -> &str {
        &self.peer_text
    }

    pub(crate) fn remote_port(&self) -> String {
        self.peer.map(|address| address.port().to_string()).unwrap_or_default()
    }

    pub(crate) fn local_addr(&self) -> String {
        self.local.map_or_else(|| self.listen.to_string(), |address| address.ip().to_string())
    }

    pub(crate) fn local_port(&self) -> String {
        self.local.map(|address| address.port().to_string()).unwrap_or_default()
    }

    pub(crate) fn local_port_number(&self) -> Option<u16> {
        self.local.map(|address| address.port())
    }

    /// The address that the client connected to, which may be narrower than the one listened on.
    pub(crate) fn local_address(&self) -> Option<Address> {
        self.local.map(Address::Ip)
    }
}
