//! What a file says, typed and merged: its blocks, and in each of them what the modules say.

use std::fmt;
use std::sync::Arc;

use limpet_kernel::{Diagnostic, Place};
use limpet_wire::Address;
use limpet_wire::listen::ListenOptions;

use crate::core::Main;

pub use crate::list::{Mains, Settings};
use crate::module::Content;
pub use crate::upstream::Upstream;

/// Everything that one main file says.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub main: Main,
    pub http: Option<Http>,
}

/// The http block.
#[derive(Debug, Clone, Default)]
pub struct Http {
    pub servers: Vec<Server>,
    pub upstreams: Vec<Upstream>,
    /// What modules say once for all servers.
    pub main: Mains,
    /// `$request_body` stands somewhere in the file: bodies are to be kept for it.
    pub mentions_request_body: bool,
    /// The variables that the file defines.
    pub defined_variables: Vec<String>,
    /// What the servers inherit.
    pub settings: Settings,
}

impl Http {
    /// Checks what every server and every location says, up to the first error: a message, for the block's place.
    ///
    /// # Errors
    /// That error.
    pub fn check(&self, check: impl Fn(&Settings) -> Result<(), String>) -> Result<(), Diagnostic> {
        let check = |settings: &Settings, place: &Place| check(settings).map_err(|message| place.error(message));
        for server in &self.servers {
            check(&server.settings, &server.place)?;
            let mut result = Ok(());
            for location in &server.locations {
                location.walk(&mut |location| {
                    if result.is_ok() {
                        result = check(&location.settings, &location.place);
                    }
                });
            }
            result?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Default)]
pub struct Server {
    pub listens: Vec<Listen>,
    pub names: Vec<ServerName>,
    pub settings: Settings,
    pub locations: Vec<Location>,
    /// What answers where no location does; `None`: files.
    pub content: Option<Arc<dyn Content>>,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub struct Location {
    pub matcher: Matcher,
    pub settings: Settings,
    /// What answers; `None`: files.
    pub content: Option<Arc<dyn Content>>,
    pub locations: Vec<Location>,
    /// The blocks of its `if`s.
    pub ifs: Vec<Location>,
    pub place: Place,
}

impl Location {
    /// One in which nothing is said yet.
    pub fn new(matcher: Matcher, place: Place) -> Location {
        Location {
            matcher,
            settings: Settings::default(),
            content: None,
            locations: Vec::new(),
            ifs: Vec::new(),
            place,
        }
    }

    /// The location and all inside of it.
    pub fn walk<'l>(&'l self, visit: &mut dyn FnMut(&'l Location)) {
        visit(self);
        self.locations.iter().chain(&self.ifs).for_each(|inner| inner.walk(visit));
    }
}

/// One address of a `listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub address: Address,
    /// The server for requests whose Host no server has.
    pub default_server: bool,
    pub options: ListenOptions,
    /// Connections begin with TLS.
    pub ssl: bool,
    /// HTTP/2 is spoken.
    pub http2: bool,
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

/// Which servers a `proxy_pass` goes to: the index of an upstream, written as a block or made from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassTarget(pub usize);

impl fmt::Display for ServerName {
    /// As it was written, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerName::Exact(name) => f.write_str(name),
            ServerName::Suffix(suffix) => write!(f, "*{suffix}"),
            ServerName::Domain(domain) => write!(f, ".{domain}"),
            ServerName::Prefix(prefix) => write!(f, "{prefix}*"),
            ServerName::Regex(pattern) => write!(f, "~{pattern}"),
        }
    }
}
