//! The configuration as requests use it: names resolved to references, texts compiled.
//!
//! A [`Runtime`] never changes. A reload puts another one in its place; a request keeps the one it began with. What must
//! outlive a reload hangs in [`Shared`], by the name of its upstream and the address of its server.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use limpet_config::Regex;
use limpet_config::model::{HttpVersion, NextUpstream, ServerTokens, StatusFormat, Types};
use limpet_message::request::HeadLimits;
use limpet_sticky::Policy;
use limpet_wire::Address;

use super::{AccessLog, Charsets, Text};
use crate::front::{Conn, Counters};
use crate::route::host::HostMap;
use crate::route::location::Level;
use limpet_log::{ErrorLog, LogFiles};
use limpet_upstream::{Background, Kept, Upstream};

/// What lives as long as the process.
#[derive(Default)]
pub struct Shared {
    pub(crate) runtime: ArcSwap<Runtime>,
    pub log_files: LogFiles,
    pub(crate) kept: Arc<Kept>,
    pub(crate) counters: Arc<Counters>,
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
    pub(crate) listening: foldhash::HashMap<Address, Listening>,
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// The most connections of a worker, to clients and backends.
    pub(crate) worker_connections: usize,
}

/// The servers on one address.
pub(crate) struct Listening {
    pub(crate) hosts: HostMap,
    pub(crate) default: usize,
}

pub(crate) struct Server {
    /// The first of its names, as `$server_name` and the error log show it.
    pub(crate) name: String,
    pub(crate) steps: Vec<Rewrite>,
    pub(crate) locations: Vec<Arc<Location>>,
    pub(crate) top: Level,
    /// The locations with a name, the `@` included.
    pub(crate) named: HashMap<Vec<u8>, usize>,
    /// The locations inside of a location.
    pub(crate) inner: HashMap<usize, Level>,
    /// What applies before a location is found.
    pub(crate) outside: Arc<Location>,
    pub(crate) client_header_timeout: Duration,
    pub(crate) head_limits: HeadLimits,
}

impl Runtime {
    /// Looks up what it needs before it is put in place; names that nobody answers for are not waited for longer than two
    /// seconds.
    pub fn prepare(&self, background: &Background) {
        background.prepare(self.upstreams.clone());
    }

    /// The servers of the address that a connection came to: the very one, else the one that was listened on.
    pub(crate) fn listening(&self, conn: &Conn) -> Option<&Listening> {
        let narrow = conn.local_address().and_then(|address| self.listening.get(&address));
        narrow.or_else(|| self.listening.get(&conn.listen))
    }
}

impl Server {
    /// A server for connections to an address that no configuration has any more.
    pub(crate) fn nowhere() -> Self {
        Server {
            name: String::new(),
            steps: Vec::new(),
            locations: Vec::new(),
            top: Level::default(),
            named: HashMap::new(),
            inner: HashMap::new(),
            outside: Arc::new(Location {
                prefix_length: 0,
                regex: None,
                steps: vec![Rewrite::Return { code: 404, text: None }],
                content: Content::Files,
                ifs: Vec::new(),
                settings: LocationSettings::nowhere(),
            }),
            client_header_timeout: Duration::from_secs(60),
            head_limits: HeadLimits::default(),
        }
    }

    pub(crate) fn level(&self, location: usize) -> Option<&Level> {
        self.inner.get(&location)
    }
}

pub(crate) struct Location {
    /// How much of the URI `alias` and `proxy_pass` replace.
    pub(crate) prefix_length: usize,
    /// The pattern of a location by regular expression, for its captures.
    pub(crate) regex: Option<Regex>,
    pub(crate) steps: Vec<Rewrite>,
    pub(crate) content: Content,
    pub(crate) ifs: Vec<Arc<Location>>,
    pub(crate) settings: LocationSettings,
}

pub(crate) enum Content {
    Files,
    Proxy(Box<Pass>),
    CheckStatus(CheckStatus),
}

/// `check_status`
pub(crate) struct CheckStatus {
    /// Where the request names none.
    pub(crate) format: StatusFormat,
    /// What is known of all servers.
    pub(crate) kept: Arc<Kept>,
}

/// A location's settings with the defaults filled in.
pub(crate) struct LocationSettings {
    /// Only internal redirects come here.
    pub(crate) internal: bool,
    pub(crate) root: Text,
    pub(crate) alias: bool,
    pub(crate) index: Vec<Text>,
    pub(crate) types: Arc<Types>,
    pub(crate) default_type: Vec<u8>,
    /// Zero: connections are not kept.
    pub(crate) keepalive_timeout: Duration,
    pub(crate) keepalive_header: Option<u64>,
    pub(crate) keepalive_requests: u64,
    /// After so long a connection serves its last request.
    pub(crate) keepalive_time: Duration,
    /// `None`: the file names no character set.
    pub(crate) charsets: Option<Charsets>,
    pub(crate) client_max_body_size: u64,
    /// Bytes of a body that are kept for `$request_body`; 0: nobody asks for it.
    pub(crate) kept_body: usize,
    pub(crate) client_body_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) server_tokens: ServerTokens,
    pub(crate) add_header: Vec<AddHeader>,
    pub(crate) access_log: Vec<AccessLog>,
    pub(crate) error_log: Arc<ErrorLog>,
    pub(crate) hide_cookie: bool,
    /// Files that are not there are told to the error log.
    pub(crate) log_not_found: bool,
}

pub(crate) struct AddHeader {
    pub(crate) name: String,
    pub(crate) value: Text,
    pub(crate) always: bool,
}

/// A rewrite step, compiled.
pub(crate) enum Rewrite {
    Return { code: u16, text: Option<Text> },
    If { condition: Condition, steps: Vec<Rewrite>, location: Option<usize> },
}

pub(crate) enum Condition {
    Set(Text),
    Equal { left: Text, right: Text, negated: bool },
    Matches { left: Text, regex: Regex, negated: bool },
}

/// A `proxy_pass` with all that goes with it.
pub(crate) struct Pass {
    pub(crate) upstream: Arc<Upstream>,
    /// What requests bring to the choice of a server.
    pub(crate) key: Arc<HashKey>,
    /// By which requests are told apart that share idle connections.
    pub(crate) slices: Option<Arc<Slices>>,
    /// In place of what the location matched; `None`: the client's URI as it came.
    pub(crate) uri: Option<Vec<u8>>,
    /// What a `Location` of the backend begins with, and what takes its place (`proxy_redirect default`); `None`: it is
    /// passed on as it is.
    pub(crate) redirect: Option<(Vec<u8>, Vec<u8>)>,
    /// `$proxy_host`
    pub(crate) host: String,
    /// `$proxy_port`
    pub(crate) port: String,
    pub(crate) set_header: Vec<(String, Text)>,
    /// A header for the backend has the request's body in it, which is read first then.
    pub(crate) reads_body: bool,
    pub(crate) http_version: HttpVersion,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) next_upstream: NextUpstream,
    /// Most servers that one request is sent to.
    pub(crate) next_tries: usize,
    /// Zero: no bound.
    pub(crate) next_timeout: Duration,
    /// Each of them must be true for a server to be asked (`proxy_allow_upstream`).
    pub(crate) allow: Vec<Text>,
    /// An answer with `X-Accel-Redirect` hands the request back.
    pub(crate) takes_back: bool,
    pub(crate) bind: Option<Bind>,
    pub(crate) socket_keepalive: bool,
    /// The longest head of a response, in bytes.
    pub(crate) most_head: usize,
    /// By which the session's cookie is kept from the backend (`session_sticky_hide_cookie`).
    pub(crate) hides: Option<Policy>,
}

/// `proxy_bind`
pub(crate) struct Bind {
    pub(crate) address: BindTo,
    pub(crate) transparent: bool,
}

pub(crate) enum BindTo {
    Address(SocketAddr),
    Text(Text),
}

/// Tengine's `keepalive … slice_key=`.
pub(crate) struct Slices {
    pub(crate) key: Text,
    pub(crate) most: SliceSize,
    /// Bytes of the key that count.
    pub(crate) key_length: usize,
}

pub(crate) enum SliceSize {
    Number(u32),
    Text(Text),
}

/// The text by which a method that hashes chooses.
pub(crate) enum HashKey {
    None,
    /// The octets of the client's address.
    Address,
    Text(Text),
}

impl LocationSettings {
    fn nowhere() -> Self {
        LocationSettings {
            internal: false,
            root: Text::default(),
            alias: false,
            index: Vec::new(),
            types: Arc::default(),
            default_type: Vec::new(),
            keepalive_timeout: Duration::ZERO,
            keepalive_header: None,
            keepalive_requests: 0,
            keepalive_time: Duration::ZERO,
            charsets: None,
            client_max_body_size: 0,
            kept_body: 0,
            client_body_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            server_tokens: ServerTokens::On,
            add_header: Vec::new(),
            access_log: Vec::new(),
            error_log: Arc::default(),
            hide_cookie: false,
            log_not_found: true,
        }
    }
}
