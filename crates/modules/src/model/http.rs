//! The http block: servers and locations.

use limpet_upstream::written::Resolver;
use limpet_wire::listen::ListenOptions;

use super::{LogFormat, RewriteStep, Settings, Upstream};
use limpet_http::{CharsetMap, StatusFormat};
use limpet_kernel::Place;
use limpet_wire::Address;

#[derive(Debug, Clone, Default)]
pub struct Http {
    pub servers: Vec<Server>,
    pub upstreams: Vec<Upstream>,
    pub log_formats: Vec<LogFormat>,
    /// The character sets that the file names, each as it is spelt first.
    pub charsets: Vec<String>,
    pub charset_maps: Vec<CharsetMap>,
    /// `$request_body` stands somewhere in the file: bodies are to be kept for it.
    pub mentions_request_body: bool,
    pub resolver: Option<Resolver>,
    /// Milliseconds for a lookup.
    pub resolver_timeout: Option<u64>,
    /// What the servers inherit.
    pub settings: Settings,
}

/// One address of a `listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub address: Address,
    /// The server for requests whose Host no server has.
    pub default_server: bool,
    pub options: ListenOptions,
    /// Whether any socket option is written, those without effect among them: it may be so once for an address.
    pub has_options: bool,
    pub place: Place,
}

/// One word of a `server_name`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerName {
    /// `example.com`, also the empty name
    Exact(String),
    /// `*.example.com`: any name that ends with this (`.example.com`)
    Suffix(String),
    /// `.example.com`: the name itself (`example.com`) and any below it
    Domain(String),
    /// `www.example.*`: any name that begins with this (`www.example.`)
    Prefix(String),
    /// `~^www\d+\.example\.com$`
    Regex(String),
}

#[derive(Debug, Clone, Default)]
pub struct Server {
    pub listens: Vec<Listen>,
    pub names: Vec<ServerName>,
    pub settings: Settings,
    pub steps: Vec<RewriteStep>,
    pub locations: Vec<Location>,
    /// What answers where no location does.
    pub content: Content,
    pub place: Place,
}

/// Which requests a location is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    /// `= /uri`
    Exact(Vec<u8>),
    /// `/uri`, and `^~ /uri` where no regular expression is asked after
    Prefix { prefix: Vec<u8>, no_regex: bool },
    /// `~ pattern`, and `~* pattern` where case does not count
    Regex { pattern: String, caseless: bool },
    /// `@name`
    Named(String),
    /// The block of an `if`: entered by a step, never by a URI
    If,
}

impl Matcher {
    /// What is written behind the modifier.
    pub fn text(&self) -> &[u8] {
        match self {
            Matcher::Exact(uri) | Matcher::Prefix { prefix: uri, .. } => uri,
            Matcher::Regex { pattern, .. } => pattern.as_bytes(),
            Matcher::Named(name) => name.as_bytes(),
            Matcher::If => b"",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Location {
    pub matcher: Matcher,
    pub settings: Settings,
    pub steps: Vec<RewriteStep>,
    pub content: Content,
    pub locations: Vec<Location>,
    /// The blocks of its `if`s.
    pub ifs: Vec<Location>,
    pub place: Place,
}

/// What answers in a location.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Content {
    /// Files below `root` or `alias`.
    #[default]
    Files,
    Proxy(ProxyPass),
    /// The page about checked servers.
    CheckStatus(StatusFormat),
}

/// `proxy_pass`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyPass {
    pub target: PassTarget,
    pub uri: PassUri,
    /// Host and port, or `unix:path`, as written.
    pub authority: String,
    /// `$proxy_host`: the same without the protocol's own port; `localhost` for a Unix socket.
    pub host: String,
    /// `$proxy_port`
    pub port: String,
}

/// Which servers a `proxy_pass` goes to: the index of an upstream, written as a block or made from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassTarget(pub usize);

/// Which URI the server is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassUri {
    /// The client's own, as it came.
    Original,
    /// This text in place of the part that the location matched.
    Replace(Vec<u8>),
}
