//! A client's connection: what the front, the carrier and the steps share of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use limpet_log::clock;
use limpet_log::clock::Moment;
use limpet_wire::{Address, Pipe, Slot, Slots, Socket, Tls};
use tokio::sync::Notify;

use super::clients::Clients;
use super::counters::Counters;

/// A connection for as long as it lasts.
pub struct Conn {
    /// `$connection`
    pub number: u64,
    pub socket: Socket,
    /// Which worker serves it.
    pub worker: usize,
    /// The address that was listened on.
    pub listen: Address,
    pub accepted: Moment,
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
    counters: Arc<Counters>,
    slots: Arc<Slots>,
    /// A stream has the place of its connection.
    _slot: Option<Slot>,
    /// The connection that this one is a stream of.
    parent: Option<Arc<Conn>>,
    /// It carries streams.
    has_streams: AtomicBool,
    drain: Notify,
}

impl Conn {
    pub fn new(
        clients: &Clients,
        number: u64,
        socket: Socket,
        listen: Address,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
    ) -> Self {
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
            counters: Arc::clone(&clients.counters),
            slots: Arc::clone(&clients.slots),
            _slot: Some(clients.slots.take()),
            parent: None,
            has_streams: AtomicBool::new(false),
            drain: Notify::new(),
        }
    }

    /// A stream of a connection of HTTP/2.
    pub fn stream(parent: &Arc<Conn>, pipe: &Pipe) -> Self {
        Conn {
            number: parent.number,
            socket: Socket::Pipe(pipe.end()),
            worker: parent.worker,
            listen: parent.listen.clone(),
            accepted: parent.accepted,
            peer: parent.peer,
            local: parent.local,
            peer_text: parent.peer_text.clone(),
            // The present request will be counted once more.
            requests: AtomicU64::new(parent.requests().saturating_sub(1)),
            bytes_sent: AtomicU64::new(0),
            body_read: AtomicU64::new(0),
            pipelined: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            spare_since: AtomicU64::new(0),
            counters: Arc::clone(&parent.counters),
            slots: Arc::clone(&parent.slots),
            _slot: None,
            parent: Some(Arc::clone(parent)),
            has_streams: AtomicBool::new(false),
            drain: Notify::new(),
        }
    }

    /// Whether it is a stream of HTTP/2.
    pub fn is_stream(&self) -> bool {
        self.parent.is_some()
    }

    /// What the client's bytes are encrypted with.
    pub fn tls(&self) -> Option<&Tls> {
        self.parent.as_deref().unwrap_or(self).socket.tls()
    }

    /// From now on it carries streams.
    pub fn begin_streams(&self) {
        self.has_streams.store(true, Ordering::Relaxed);
    }

    /// Counts a request of a connection with streams, and says how many there were.
    pub fn count_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Waits until no more requests are to be taken.
    pub async fn drained(&self) {
        self.drain.notified().await;
    }

    /// The next request begins.
    pub fn begin_request(&self, pipelined: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_sent.store(0, Ordering::Relaxed);
        self.body_read.store(0, Ordering::Relaxed);
        self.pipelined.store(pipelined, Ordering::Relaxed);
    }

    /// The requests that this connection has brought, the present one among them.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes sent to the client for the present request.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }

    pub fn count_sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of the present request's body that were read, framing included.
    pub fn body_bytes_read(&self) -> u64 {
        self.body_read.load(Ordering::Relaxed)
    }

    pub fn count_body(&self, bytes: usize) {
        self.body_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn is_pipelined(&self) -> bool {
        self.pipelined.load(Ordering::Relaxed)
    }

    /// The connection waits for its next request. `false` when there is to be none.
    pub fn begin_idle(&self) -> bool {
        self.begin_spare();
        self.idle.store(true, Ordering::SeqCst);
        !self.is_draining()
    }

    pub fn end_idle(&self) {
        self.spare_since.store(0, Ordering::Relaxed);
        self.idle.store(false, Ordering::SeqCst);
    }

    /// Nothing is lost if it ends: it waits for a request, or is being closed.
    pub fn begin_spare(&self) {
        self.spare_since.store(clock::now().nanoseconds() + 1, Ordering::Relaxed);
    }

    /// Since when it may be given up; `None`: it may not.
    pub fn spare_since(&self) -> Option<u64> {
        Some(self.spare_since.load(Ordering::Relaxed)).filter(|since| *since > 0)
    }

    /// Ends a connection that may be given up.
    pub fn give_up(&self) {
        self.spare_since.store(0, Ordering::Relaxed);
        self.socket.shutdown_read();
    }

    /// Ends the connection if it waits for a request. One with streams takes no more of them.
    pub fn end_if_idle(&self) {
        if self.has_streams.load(Ordering::Relaxed) {
            self.drain.notify_one();
            return;
        }
        if self.idle.load(Ordering::SeqCst) {
            self.socket.shutdown_read();
        }
    }

    /// Whether no connection is to be kept after its response.
    pub fn is_draining(&self) -> bool {
        self.counters.draining.load(Ordering::SeqCst)
    }

    /// Whether what passes is encrypted.
    pub fn is_secure(&self) -> bool {
        self.tls().is_some_and(|tls| !tls.is_plain())
    }

    /// Whether the client speaks in the clear on a port for TLS.
    pub fn is_unexpectedly_plain(&self) -> bool {
        self.tls().is_some_and(Tls::is_plain)
    }

    /// `http`, or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_secure() { "https" } else { "http" }
    }

    pub fn peer_ip(&self) -> Option<IpAddr> {
        self.peer.map(|address| address.ip())
    }

    /// The octets of the client's address by which `ip_hash` chooses: three of an IPv4 address, all of an IPv6 one.
    pub fn address_octets(&self) -> Vec<u8> {
        match self.peer_ip() {
            Some(IpAddr::V4(address)) => address.octets().into_iter().take(3).collect(),
            Some(IpAddr::V6(address)) => address.octets().to_vec(),
            None => vec![0; 3],
        }
    }

    /// The client's address as text; `unix:` for a Unix socket.
    pub fn remote_addr(&self) -> &str {
        &self.peer_text
    }

    pub fn remote_port(&self) -> String {
        self.peer.map(|address| address.port().to_string()).unwrap_or_default()
    }

    pub fn local_addr(&self) -> String {
        self.local.map_or_else(|| self.listen.to_string(), |address| address.ip().to_string())
    }

    pub fn local_port(&self) -> String {
        self.local.map(|address| address.port().to_string()).unwrap_or_default()
    }

    pub fn local_port_number(&self) -> Option<u16> {
        self.local.map(|address| address.port())
    }

    /// The address that the client connected to, which may be narrower than the one listened on.
    pub fn local_address(&self) -> Option<Address> {
        self.local.map(Address::Ip)
    }
}

impl limpet_upstream::Client for Conn {
    fn has_hung_up(&self) -> bool {
        self.socket.has_hung_up()
    }

    fn take_slot(&self) -> Slot {
        self.slots.take()
    }
}
