//! Idle connections to the servers of an upstream, `keepalive N` of them for each worker.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use foldhash::HashMap;
use limpet_balance::Peer;
use limpet_log::clock;
use limpet_log::clock::Moment;
use limpet_wire::{IoTimeout, Slot, Socket};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::dial::Secure;
use crate::written::Keepalive;

/// What is kept of an upstream's connections, one part for each worker.
#[derive(Debug)]
pub struct Pools {
    sweeper: Arc<Sweeper>,
    workers: Vec<Mutex<Pool>>,
    capacity: AtomicU64,
    timeout_ms: AtomicU64,
    requests: AtomicU64,
    time_ms: AtomicU64,
    /// The most slice keys that have idle connections at a time.
    slices: AtomicU64,
}

/// Wakes the sweep of idle connections, which sleeps as long as there are none.
#[derive(Debug, Default)]
pub struct Sweeper {
    any: Notify,
    is_at_work: AtomicBool,
}

impl Sweeper {
    /// A connection was kept.
    fn kept(&self) {
        if !self.is_at_work.load(Relaxed) {
            self.any.notify_one();
        }
    }

    /// Waits until there is one.
    pub(super) async fn wait(&self) {
        self.is_at_work.store(false, Relaxed);
        self.any.notified().await;
        self.is_at_work.store(true, Relaxed);
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    pub socket: Socket,
    /// How long the server may say nothing (`proxy_read_timeout`).
    pub reading: IoTimeout,
    /// How long the server keeps it while it is idle, by what it has said last (`Keep-Alive: timeout=`); `None`: nothing.
    pub kept_for: Option<Duration>,
    /// Requests that it has served, the present one among them.
    pub requests: u64,
    opened: Moment,
    _slot: Slot,
}

impl Connection {
    /// One that was opened in this moment.
    pub fn new(socket: Socket, slot: Slot) -> Self {
        Connection {
            socket,
            reading: IoTimeout::new(),
            kept_for: None,
            requests: 0,
            opened: clock::tick(),
            _slot: slot,
        }
    }
}

/// A connection between two requests.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Moment,
    /// When its server may close it.
    until: Moment,
    endpoint: Endpoint,
}

/// The server, the local address, the slice, the encryption and the protocol of a connection: an idle one is used again only where all of
/// them are the same.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub peer: Arc<Peer>,
    pub from: Option<SocketAddr>,
    pub slice: Option<Slice>,
    pub tls: Option<Secure>,
    pub is_http2: bool,
    pub is_grpc: bool,
}

/// The requests that share a connection, by Tengine's `slice_key=`.
#[derive(Debug, Clone)]
pub struct Slice {
    pub key: Arc<[u8]>,
    /// Idle connections for them.
    pub most: u32,
}

/// An endpoint, as it is looked up.
type EndpointKey = (usize, Option<SocketAddr>, Option<Arc<[u8]>>, Option<(usize, Arc<str>)>, (bool, bool));

#[derive(Debug, Default)]
struct Pool {
    /// By order of their return, so that the first one has been idle longest.
    idle: BTreeMap<u64, Idle>,
    /// The idle ones of an endpoint, the latest last.
    by_endpoint: HashMap<EndpointKey, Vec<u64>>,
    /// How many idle ones each slice has.
    by_slice: HashMap<Arc<[u8]>, u32>,
    next: u64,
}

/// How long an idle connection counts as one that has just been used.
const MOMENT: Duration = Duration::from_secs(1);

impl Idle {
    /// Whether it may serve another request.
    fn is_good(&self, timeout: Duration) -> bool {
        let now = clock::now();
        now.since(self.since) < timeout && now < self.until && is_quiet(&self.connection.socket)
    }

    fn is_old(&self) -> bool {
        clock::now().since(self.since) > MOMENT
    }
}

impl Pools {
    pub fn new(workers: usize, sweeper: Arc<Sweeper>) -> Self {
        Pools {
            sweeper,
            workers: (0..workers).map(|_| Mutex::default()).collect(),
            capacity: AtomicU64::new(0),
            timeout_ms: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            time_ms: AtomicU64::new(0),
            slices: AtomicU64::new(0),
        }
    }

    /// Takes over the settings of a configuration.
    pub fn configure(&self, keepalive: &Keepalive) {
        self.capacity.store(u64::from(keepalive.connections), Relaxed);
        self.timeout_ms.store(keepalive.timeout, Relaxed);
        self.requests.store(keepalive.requests, Relaxed);
        self.time_ms.store(keepalive.time, Relaxed);
        self.slices.store(keepalive.slices.as_ref().map_or(0, |slices| slices.count.into()), Relaxed);
    }

    /// The connection to a server that was idle for the shortest time, if there is a live one. `careful`: for a request that
    /// can't be sent twice; one that has been idle for longer than a moment may be closed just as the request goes out.
    pub fn take(&self, worker: usize, endpoint: &Endpoint, careful: bool) -> Option<Connection> {
        let mut pool = self.workers.get(worker)?.lock();
        let Pool { idle: all, by_endpoint, by_slice, .. } = &mut *pool;
        let key = endpoint.key();
        loop {
            let numbers = by_endpoint.get_mut(&key)?;
            if careful && numbers.last().and_then(|number| all.get(number)).is_some_and(Idle::is_old) {
                return None;
            }
            let number = numbers.pop()?;
            if numbers.is_empty() {
                by_endpoint.remove(&key);
            }
            let idle = all.remove(&number)?;
            leave_slice(by_slice, &idle.endpoint);
            let is_silent = || !careful || !idle.connection.socket.has_news();
            if idle.is_good(self.timeout()) && is_silent() {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection, if it may serve more requests; the one idle longest makes room for it.
    pub fn put(&self, worker: usize, endpoint: &Endpoint, connection: Connection) {
        let capacity = self.capacity.load(Relaxed);
        let worn = connection.requests >= self.requests.load(Relaxed)
            || clock::now().since(connection.opened) >= Duration::from_millis(self.time_ms.load(Relaxed));
        let is_given_up = connection.kept_for.is_some_and(|kept| kept.is_zero());
        if capacity == 0 || worn || is_given_up || !is_quiet(&connection.socket) {
            return;
        }
        let Some(pool) = self.workers.get(worker) else { return };
        let mut pool = pool.lock();
        if let Some(slice) = &endpoint.slice {
            let count = pool.by_slice.get(&slice.key).copied();
            let is_full = count.unwrap_or(0) >= slice.most;
            if is_full || count.is_none() && pool.by_slice.len() as u64 >= self.slices.load(Relaxed) {
                return;
            }
            *pool.by_slice.entry(Arc::clone(&slice.key)).or_default() += 1;
        }
        while pool.idle.len() as u64 >= capacity {
            pool.drop_oldest();
        }
        self.sweeper.kept();
        let number = pool.next;
        pool.next += 1;
        let since = clock::now();
        let until = since + connection.kept_for.unwrap_or(Duration::MAX);
        pool.idle.insert(number, Idle { connection, since, until, endpoint: endpoint.clone() });
        pool.by_endpoint.entry(endpoint.key()).or_default().push(number);
    }

    /// Closes what has been idle too long, and what its server has closed. How many are left.
    pub fn sweep(&self) -> usize {
        clock::tick();
        let timeout = self.timeout();
        let of_worker = |pool: &Mutex<Pool>| {
            let mut pool = pool.lock();
            let gone: Vec<u64> =
                pool.idle.iter().filter(|(_, idle)| !idle.is_good(timeout)).map(|(number, _)| *number).collect();
            for number in gone {
                pool.remove(number);
            }
            pool.idle.len()
        };
        self.workers.iter().map(of_worker).sum()
    }

    /// Closes the connection idle longest; `false` when there is none.
    pub fn give_up_oldest(&self, worker: usize) -> bool {
        self.workers.get(worker).is_some_and(|pool| pool.lock().drop_oldest())
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.load(Relaxed))
    }
}

impl Pool {
    fn drop_oldest(&mut self) -> bool {
        let oldest = self.idle.keys().next().copied();
        oldest.and_then(|number| self.remove(number)).is_some()
    }

    fn remove(&mut self, number: u64) -> Option<Idle> {
        let idle = self.idle.remove(&number)?;
        let key = idle.endpoint.key();
        if let Some(numbers) = self.by_endpoint.get_mut(&key) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_endpoint.remove(&key);
            }
        }
        leave_slice(&mut self.by_slice, &idle.endpoint);
        Some(idle)
    }
}

/// Takes an idle connection out of the count of its slice.
fn leave_slice(by_slice: &mut HashMap<Arc<[u8]>, u32>, endpoint: &Endpoint) {
    let Some(slice) = &endpoint.slice else { return };
    let left = by_slice.get_mut(&slice.key).map(|count| {
        *count -= 1;
        *count
    });
    if left == Some(0) {
        by_slice.remove(&slice.key);
    }
}

impl Endpoint {
    /// A server is known by its counters, which outlive reloads; the idle connection keeps them alive.
    fn key(&self) -> EndpointKey {
        let tls = self.tls.as_ref().map(|tls| (Arc::as_ptr(&tls.client) as usize, Arc::clone(&tls.name)));
        let slice = self.slice.as_ref().map(|slice| Arc::clone(&slice.key));
        (Arc::as_ptr(&self.peer) as usize, self.from, slice, tls, (self.is_http2, self.is_grpc))
    }
}

/// Whether a connection is open and nothing came over it unasked. It costs a system call only when something did.
fn is_quiet(socket: &Socket) -> bool {
    let mut byte = [0];
    matches!(socket.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::written::{SliceSize, Slices};
    use limpet_text::Template;
    use limpet_wire::Plain;
    use limpet_wire::Slots;
    use tokio::net::{TcpListener, TcpStream};

    async fn connected(listener: &TcpListener) -> (Connection, TcpStream) {
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (
            Connection { requests: 1, ..Connection::new(Socket::from(client), Arc::<Slots>::default().take()) },
            listener.accept().await.unwrap().0,
        )
    }

    fn endpoint() -> Endpoint {
        Endpoint { peer: Arc::default(), from: None, slice: None, tls: None, is_http2: false, is_grpc: false }
    }

    fn pools(connections: u32, requests: u64) -> Pools {
        let pools = Pools::new(1, Arc::default());
        pools.configure(&Keepalive { connections, requests, ..Keepalive::default() });
        pools
    }

    #[tokio::test]
    async fn the_connection_idle_longest_makes_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (pools, endpoints) = (pools(2, 100), [endpoint(), endpoint()]);
        let mut servers = Vec::new();
        for endpoint in [&endpoints[0], &endpoints[1], &endpoints[1]] {
            let (connection, server) = connected(&listener).await;
            servers.push(server);
            pools.put(0, endpoint, connection);
        }
        assert!(pools.take(0, &endpoints[0], false).is_none(), "the first one had to go");
        assert!(pools.take(0, &endpoints[1], false).is_some());
        assert!(pools.take(0, &endpoints[1], false).is_some());
        assert!(pools.take(0, &endpoints[1], false).is_none());
    }

    #[tokio::test]
    async fn a_connection_from_another_address_is_no_substitute() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (pools, here) = (pools(2, 100), endpoint());
        let there = Endpoint { from: Some("127.0.0.9:0".parse().unwrap()), ..here.clone() };
        let (connection, _server) = connected(&listener).await;
        pools.put(0, &here, connection);
        assert!(pools.take(0, &there, false).is_none());
        assert!(pools.take(0, &here, false).is_some());
    }

    #[tokio::test]
    async fn slices_share_nothing_and_are_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let slices = Slices { key: Template::default(), most: SliceSize::Number(1), key_length: 1, count: 2 };
        let keepalive = Keepalive { connections: 3, slices: Some(slices), ..Keepalive::default() };
        let pools = Pools::new(1, Arc::default());
        pools.configure(&keepalive);
        let peer: Arc<Peer> = Arc::default();
        let endpoint = |key: &[u8], most| Endpoint {
            peer: Arc::clone(&peer),
            from: None,
            slice: Some(Slice { key: key.into(), most }),
            tls: None,
            is_http2: false,
            is_grpc: false,
        };
        let mut servers = Vec::new();
        for (key, most) in [(b"a", 1), (b"a", 1), (b"b", 2), (b"b", 2), (b"c", 1)] {
            let (connection, server) = connected(&listener).await;
            servers.push(server);
            pools.put(0, &endpoint(key, most), connection);
        }
        let left = |key: &[u8]| std::iter::from_fn(|| pools.take(0, &endpoint(key, 1), false)).count();
        assert_eq!((left(b"a"), left(b"b"), left(b"c")), (1, 2, 0));
        let (connection, _server) = connected(&listener).await;
        pools.put(0, &endpoint(b"c", 1), connection);
        assert_eq!(left(b"c"), 1, "there is room for another text");
    }

    #[tokio::test]
    async fn a_connection_that_its_server_closed_is_not_handed_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (pools, endpoint) = (pools(2, 100), endpoint());
        let (connection, server) = connected(&listener).await;
        let Socket::Plain(Plain::Tcp(stream)) = &connection.socket else { panic!("not TCP") };
        drop(server);
        stream.readable().await.unwrap();
        pools.put(0, &endpoint, connection);
        assert!(pools.take(0, &endpoint, false).is_none());
    }

    #[tokio::test]
    async fn a_connection_goes_before_its_server_closes_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (pools, endpoint) = (pools(2, 100), endpoint());
        for (kept_for, is_kept) in [(0, false), (1000, true)] {
            let (mut connection, _server) = connected(&listener).await;
            connection.kept_for = Some(Duration::from_secs(kept_for));
            pools.put(0, &endpoint, connection);
            assert_eq!(pools.take(0, &endpoint, true).is_some(), is_kept, "{kept_for}");
        }
    }

    #[tokio::test]
    async fn whoever_is_careful_sees_an_end_that_has_not_been_told_yet() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (pools, endpoint) = (pools(2, 100), endpoint());
        let (connection, server) = connected(&listener).await;
        pools.put(0, &endpoint, connection);
        // The thread is not asked for news in between.
        drop(server.into_std());
        assert!(pools.take(0, &endpoint, true).is_none());
    }

    #[tokio::test]
    async fn a_worn_connection_is_not_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (pools, endpoint) = (pools(2, 3), endpoint());
        let (mut connection, _server) = connected(&listener).await;
        connection.requests = 3;
        pools.put(0, &endpoint, connection);
        assert!(pools.take(0, &endpoint, false).is_none());
    }
}
