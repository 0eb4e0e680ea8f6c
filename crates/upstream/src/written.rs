//! What a file says of a group of servers.

use std::net::SocketAddr;
use std::path::PathBuf;

use limpet_sticky::Attributes;
use limpet_text::Template;
use limpet_wire::Address;

/// A group of servers.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    pub name: String,
    pub servers: Vec<UpstreamServer>,
    /// The last one that the block names; `None`: round robin.
    pub method: Option<Method>,
    pub sticky: Option<SessionSticky>,
    pub check: Option<Check>,
    /// `check_fastcgi_param`: names and values.
    pub check_params: Vec<(Vec<u8>, Vec<u8>)>,
    /// `check_http_expect_alive`; `None`: 2xx and 3xx, and for FastCGI any.
    pub check_expected: Option<Expected>,
    /// `check_keepalive_requests`: probes over one connection.
    pub check_requests: Option<u32>,
    pub keepalive: Keepalive,
    /// `None`: that of the http block.
    pub resolver: Option<Resolver>,
    pub resolver_timeout: Option<u64>,
    pub dynamic_resolve: Option<DynamicResolve>,
}

/// How a server is chosen for a request without a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    IpHash,
    Hash {
        key: Template,
        consistent: bool,
    },
    /// Tengine's
    ConsistentHash {
        key: Template,
    },
    LeastConn,
    LeastTime {
        until: Until,
        inflight: bool,
    },
    Random,
    RandomTwo,
    Vnswrr,
    Iwrr,
}

/// Which time of an answer `least_time` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Header,
    LastByte,
}

impl Method {
    /// Whether `backup` is an error in a `server` line below the method, as in nginx. Above the method it is accepted.
    pub fn refuses_backup(&self) -> bool {
        matches!(
            self,
            Method::IpHash | Method::Hash { .. } | Method::ConsistentHash { .. } | Method::Random | Method::RandomTwo
        )
    }

    /// The same for `slow_start`, which takes a method that weighs at each choice.
    pub fn refuses_slow_start(&self) -> bool {
        !matches!(self, Method::LeastConn | Method::LeastTime { .. })
    }

    /// The same for `max_conns`.
    pub fn refuses_max_conns(&self) -> bool {
        matches!(self, Method::ConsistentHash { .. })
    }
}

/// One `server` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    /// As written.
    pub name: String,
    /// What the name stands for, ports filled in.
    pub addresses: Vec<Address>,
    pub weight: u32,
    pub max_fails: u32,
    /// Seconds.
    pub fail_timeout: u64,
    /// Connections at a time; 0: any number.
    pub max_conns: u32,
    /// Milliseconds in which the weight grows from nothing when the server is back.
    pub slow_start: u64,
    pub backup: bool,
    pub down: bool,
    pub drain: bool,
    /// The SID of `hash=plain`.
    pub id: Option<Vec<u8>>,
    /// The name to look up again and again; `None`: the addresses stay as they are.
    pub lookup: Option<Lookup>,
}

/// A name behind a `server` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    pub host: String,
    pub port: u16,
    /// `service=`: its SRV records name hosts and ports.
    pub service: Option<String>,
}

impl Lookup {
    /// What is looked up, for messages.
    pub fn shown(&self) -> String {
        match &self.service {
            Some(service) => format!("service {service} of {}", self.host),
            None => self.host.clone(),
        }
    }
}

impl UpstreamServer {
    /// A line with nothing but the server.
    pub fn new(name: String, addresses: Vec<Address>) -> Self {
        UpstreamServer {
            name,
            addresses,
            weight: 1,
            max_fails: 1,
            fail_timeout: 10,
            max_conns: 0,
            slow_start: 0,
            backup: false,
            down: false,
            drain: false,
            id: None,
            lookup: None,
        }
    }
}

/// Idle connections to the servers of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalive {
    /// How many idle ones a worker keeps; 0: none.
    pub connections: u32,
    /// Milliseconds an idle one is kept.
    pub timeout: u64,
    /// Requests that one connection serves.
    pub requests: u64,
    /// Milliseconds after which a connection serves no further request.
    pub time: u64,
    /// By what they are told apart; `None`: by the server alone.
    pub slices: Option<Slices>,
}

/// Tengine's parts of `keepalive`: requests share idle connections only where a text is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slices {
    pub key: Template,
    /// Idle ones for each text.
    pub most: SliceSize,
    /// Bytes of the text that count.
    pub key_length: u32,
    /// Texts that have idle connections at a time.
    pub count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SliceSize {
    Number(u32),
    /// A number in a variable, as the request goes out.
    Variable(Template),
}

impl Default for Keepalive {
    fn default() -> Self {
        Keepalive { connections: 32, timeout: 60_000, requests: 1000, time: 3_600_000, slices: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StickyMode {
    Insert,
    Prefix,
    Rewrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    Md5,
    Plain,
    /// By a key of ours, and the cookie is signed with it.
    Hmac,
}

/// The arguments of all `session_sticky` directives of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSticky {
    pub cookie: Vec<u8>,
    pub domain: Option<Vec<u8>>,
    pub path: Vec<u8>,
    /// Decimal seconds, as written.
    pub maxage: Option<Vec<u8>>,
    /// Seconds.
    pub maxidle: Option<i64>,
    /// Seconds.
    pub maxlife: Option<i64>,
    pub mode: StickyMode,
    pub indirect: bool,
    pub fallback: bool,
    pub hash: Hash,
    pub attributes: Attributes,
    /// `secret=`, each a text or a file with one in each line.
    pub secrets: Vec<Secret>,
    /// What the secrets are, once the files are read; the first one signs.
    pub keys: Vec<Vec<u8>>,
    /// Until when cookies without a signature count, in Unix seconds (`accept_unsigned=`).
    pub unsigned_until: Option<i64>,
}

/// `secret=`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    Text(Vec<u8>),
    File(PathBuf),
}

impl Default for SessionSticky {
    /// The directive without arguments.
    fn default() -> Self {
        SessionSticky {
            cookie: b"route".to_vec(),
            domain: None,
            path: b"/".to_vec(),
            maxage: None,
            maxidle: None,
            maxlife: None,
            mode: StickyMode::Insert,
            indirect: false,
            fallback: true,
            hash: Hash::Md5,
            attributes: Attributes::default(),
            secrets: Vec::new(),
            keys: Vec::new(),
            unsigned_until: None,
        }
    }
}

/// How the servers of an upstream are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Milliseconds from the end of one probe to the next.
    pub interval: u64,
    /// Successes in a row that bring a server back.
    pub rise: u32,
    /// Failures in a row that take it out.
    pub fall: u32,
    /// Milliseconds for a whole probe.
    pub timeout: u64,
    /// Whether a server counts as down until its probes have passed.
    pub default_down: bool,
    pub kind: CheckKind,
    /// Where to probe; `None`: the server's own port.
    pub port: Option<u16>,
    /// What an HTTP probe sends; `None`: a GET of `/`.
    pub send: Option<Vec<u8>>,
}

impl Default for Check {
    fn default() -> Self {
        Check {
            interval: 30_000,
            rise: 2,
            fall: 5,
            timeout: 1000,
            default_down: true,
            kind: CheckKind::Tcp,
            port: None,
            send: None,
        }
    }
}

/// What a probe speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckKind {
    /// A connection is enough.
    Tcp,
    Http,
    /// HTTP over TLS. Tengine has no such probe.
    Https,
    /// The answer to a TLS ClientHello.
    SslHello,
    /// The greeting of a MySQL server.
    Mysql,
    /// A ping of AJP.
    Ajp,
    /// A FastCGI request.
    Fastcgi,
}

impl CheckKind {
    /// Whether an answer has a status of HTTP, and a connection may serve several probes.
    pub fn is_http(self) -> bool {
        matches!(self, CheckKind::Http | CheckKind::Https)
    }

    /// Its name in a file and on the status page.
    pub fn word(self) -> &'static str {
        match self {
            CheckKind::Tcp => "tcp",
            CheckKind::Http => "http",
            CheckKind::Https => "https",
            CheckKind::SslHello => "ssl_hello",
            CheckKind::Mysql => "mysql",
            CheckKind::Ajp => "ajp",
            CheckKind::Fastcgi => "fastcgi",
        }
    }
}

/// The statuses of an HTTP probe that are good, by their hundreds: `[0]` is 1xx.
pub type Expected = [bool; 5];

/// `resolver`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    pub servers: Vec<SocketAddr>,
    /// Milliseconds that an answer counts, in place of its own time.
    pub valid: Option<u64>,
    /// Whether IPv4 and IPv6 addresses are asked for; at least one of them is.
    pub ipv4: bool,
    pub ipv6: bool,
}

/// Tengine's `dynamic_resolve`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DynamicResolve {
    pub fallback: Fallback,
    /// Milliseconds after a failed lookup until the next.
    pub fail_timeout: u64,
}

/// What a failed lookup means for the servers of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// They stay.
    Stale,
    /// Other servers are asked meanwhile; with a `fail_timeout` the same as `Stale`.
    Next,
    /// Nobody is asked until a lookup succeeds.
    Shutdown,
}
