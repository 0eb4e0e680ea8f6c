//! The configuration as requests use it: names resolved to references, texts compiled.
//!
//! A [`Runtime`] never changes. A reload puts another one in its place; a request keeps the one it began with. What must
//! outlive a reload is kept in [`Shared`], under the name of the upstream and the address of the server.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use limpet_log::{ErrorLog, LogFiles};
use limpet_message::host::host_name;
use limpet_message::request::HeadLimits;
use limpet_text::Regex;
use limpet_tls::peer;
use limpet_upstream::{Background, Kept, Upstream};
use limpet_wire::Address;

use crate::Text;
use crate::ctx::Request;
use crate::front::{Conn, Counters};
use crate::pass::Pass;
use crate::phase::{Filter, HeaderFilter, Log, Step, Steps};
use crate::request_body::{InFileOnly, TempPath};
use crate::route::host::HostMap;
use crate::route::location::Level;
use crate::routing::error_page;

/// What lives as long as the process.
#[derive(Default)]
pub struct Shared {
    pub runtime: ArcSwap<Runtime>,
    pub log_files: LogFiles,
    pub kept: Arc<Kept>,
    pub counters: Arc<Counters>,
    /// Sessions of TLS, and the keys of their tickets.
    pub tls: limpet_tls::Kept,
    /// Gives memory that the calling thread has freed back to the system.
    pub give_back_memory: Option<fn()>,
}

impl Shared {
    /// Puts a configuration in place for all requests that begin from now on.
    pub fn install(&self, runtime: Arc<Runtime>) {
        self.kept.install(&runtime.upstreams);
        self.counters.worker_connections.store(runtime.worker_connections, Ordering::Relaxed);
        self.runtime.store(runtime);
    }

    /// Starts the thread that probes servers and looks their names up.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start_background(&self) -> io::Result<Background> {
        Background::start(Arc::clone(&self.kept))
    }

    /// From now on no connection is kept after its response. Workers are told by
    /// [`Handle::drain`](crate::worker::Handle::drain).
    pub fn begin_drain(&self) {
        self.counters.draining.store(true, Ordering::SeqCst);
    }

    /// Connections that are being served.
    pub fn open_connections(&self) -> u64 {
        self.counters.open.load(Ordering::Acquire)
    }
}

/// One configuration at work.
#[derive(Default)]
pub struct Runtime {
    pub listening: foldhash::HashMap<Address, Listening>,
    pub servers: Vec<Arc<Server>>,
    pub upstreams: Vec<Arc<Upstream>>,
    /// The most connections of a worker, to clients and backends.
    pub worker_connections: usize,
}

/// The servers on one address.
pub struct Listening {
    pub hosts: HostMap,
    pub default: usize,
    /// Connections begin with TLS.
    pub tls: bool,
}

pub struct Server {
    /// The first of its names, as `$server_name` and the error log show it.
    pub name: String,
    /// Rewriting, before a location is found.
    pub rewrite: Vec<Box<dyn Step>>,
    pub locations: Vec<Arc<Location>>,
    pub top: Level,
    /// The locations with a name, the `@` included.
    pub named: foldhash::HashMap<Vec<u8>, usize>,
    /// The locations inside of a location.
    pub inner: foldhash::HashMap<usize, Level>,
    /// What applies before a location is found.
    pub outside: Arc<Location>,
    pub client_header_timeout: Duration,
    pub head_limits: HeadLimits,
    /// What its connections are encrypted with, if its file says.
    pub tls: Option<Arc<limpet_tls::server::Server>>,
    pub http2: Http2,
}

/// HTTP/2, as a server has it.
#[derive(Debug, Clone, Copy)]
pub struct Http2 {
    pub is_on: bool,
    /// Streams that a client may have open at a time.
    pub streams: u32,
}

impl Default for Http2 {
    fn default() -> Self {
        Http2 { is_on: false, streams: 128 }
    }
}

impl Runtime {
    /// Looks up what it needs before it is put in place; names that nobody answers for are not waited for longer than two
    /// seconds.
    pub fn prepare(&self, background: &Background) {
        background.prepare(self.upstreams.clone());
    }

    /// It is in place.
    pub fn begin(&self, background: &Background) {
        let servers = self.servers.iter().filter_map(|server| server.tls.as_ref());
        background.begin(servers.flat_map(|tls| tls.staples.iter().cloned()).collect());
    }

    /// The servers of the address that a connection came to: of exactly that one, else of the one that was listened on.
    pub fn listening(&self, conn: &Conn) -> Option<&Listening> {
        self.listening_on(conn.local_address().as_ref(), &conn.listen)
    }

    /// The server that answers on a connection as long as no request has named another one: that of the name in the handshake of
    /// TLS, or the default.
    pub fn first_server(&self, conn: &Conn) -> Option<&Arc<Server>> {
        let listening = self.listening(conn)?;
        let named = conn.tls().filter(|tls| !tls.is_plain()).and_then(|tls| tls.with(peer::server_name));
        let found = named.and_then(|name| listening.hosts.find(&host_name(name.as_bytes())?));
        self.servers.get(found.unwrap_or(listening.default))
    }

    /// The same by the address that was connected to, and the one that was listened on.
    pub fn listening_on(&self, local: Option<&Address>, listen: &Address) -> Option<&Listening> {
        let narrow = local.and_then(|address| self.listening.get(address));
        narrow.or_else(|| self.listening.get(listen))
    }
}

impl Server {
    /// A server for connections to an address that no configuration has any more.
    pub fn nowhere() -> Self {
        Server {
            name: String::new(),
            rewrite: Vec::new(),
            locations: Vec::new(),
            top: Level::default(),
            named: foldhash::HashMap::default(),
            inner: foldhash::HashMap::default(),
            outside: Arc::default(),
            client_header_timeout: Duration::from_secs(60),
            head_limits: HeadLimits::default(),
            tls: None,
            http2: Http2::default(),
        }
    }

    pub fn level(&self, location: usize) -> Option<&Level> {
        self.inner.get(&location)
    }
}

pub struct Location {
    /// How much of the URI `alias` and `proxy_pass` replace.
    pub prefix_length: usize,
    /// The pattern of a location by regular expression, for its captures.
    pub regex: Option<Regex>,
    /// Rewriting, which may choose one of `ifs` in the location's place.
    pub rewrite: Vec<Box<dyn Step>>,
    /// What is done before the content, if that is to be reached.
    pub steps: Steps,
    pub content: Content,
    pub filters: Vec<Box<dyn Filter>>,
    pub header_filters: Vec<Box<dyn HeaderFilter>>,
    pub logs: Vec<Box<dyn Log>>,
    /// The blocks of its `if`s.
    pub ifs: Vec<Arc<Location>>,
    pub settings: LocationSettings,
}

/// What answers in a location.
pub enum Content {
    /// A module of this program. It says `Continue` to nobody.
    Module(Box<dyn Step>),
    /// The servers of an upstream.
    Upstream(Box<Pass>),
}

impl Default for Location {
    /// One where nothing is.
    fn default() -> Self {
        Location {
            prefix_length: 0,
            regex: None,
            rewrite: Vec::new(),
            steps: Steps::default(),
            content: Content::Module(Box::new(|request: &mut Request| error_page(request, 404))),
            filters: Vec::new(),
            header_filters: Vec::new(),
            logs: Vec::new(),
            ifs: Vec::new(),
            settings: LocationSettings::default(),
        }
    }
}

/// File name extensions, lower case and without the dot, to media types.
pub type Types = HashMap<Vec<u8>, Vec<u8>>;

/// `carrier`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carrier {
    /// The connection's own task, for all that it can carry.
    #[default]
    Direct,
    /// Pingora's proxy.
    Pingora,
}

/// `server_tokens`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerTokens {
    /// Name and version.
    On,
    /// The name alone.
    Off,
}

/// A location's settings with the defaults filled in.
pub struct LocationSettings {
    /// Only internal redirects come here.
    pub internal: bool,
    pub root: Text,
    pub alias: bool,
    pub types: Arc<Types>,
    pub default_type: Vec<u8>,
    /// Zero: connections are not kept.
    pub keepalive_timeout: Duration,
    pub keepalive_header: Option<u64>,
    pub keepalive_requests: u64,
    /// After so long a connection serves its last request.
    pub keepalive_time: Duration,
    pub client_max_body_size: u64,
    /// Bytes of a body that are kept for `$request_body` while it goes by; 0: nobody asks for it.
    pub kept_body: usize,
    /// Bytes of a body that are kept in memory.
    pub body_buffer_size: usize,
    pub body_temp_path: Arc<TempPath>,
    pub body_in_file_only: InFileOnly,
    pub client_body_timeout: Duration,
    pub send_timeout: Duration,
    pub server_tokens: ServerTokens,
    pub error_log: Arc<ErrorLog>,
    pub carrier: Carrier,
    pub hide_cookie: bool,
    /// Files that are not there are told to the error log.
    pub log_not_found: bool,
}

impl Default for LocationSettings {
    /// Those of a location that no file speaks of.
    fn default() -> Self {
        LocationSettings {
            internal: false,
            root: Text::default(),
            alias: false,
            types: Arc::default(),
            default_type: Vec::new(),
            keepalive_timeout: Duration::ZERO,
            keepalive_header: None,
            keepalive_requests: 0,
            keepalive_time: Duration::ZERO,
            client_max_body_size: 0,
            kept_body: 0,
            body_buffer_size: 16_384,
            body_temp_path: Arc::new(TempPath { folder: "client_body_temp".into(), levels: Vec::new() }),
            body_in_file_only: InFileOnly::Off,
            client_body_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            server_tokens: ServerTokens::On,
            error_log: Arc::default(),
            carrier: Carrier::default(),
            hide_cookie: false,
            log_not_found: true,
        }
    }
}
