//! `check` and what goes with it: Tengine's active health checks.

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
    /// Its name in a file and on the status page.
    pub fn word(self) -> &'static str {
        match self {
            CheckKind::Tcp => "tcp",
            CheckKind::Http => "http",
            CheckKind::SslHello => "ssl_hello",
            CheckKind::Mysql => "mysql",
            CheckKind::Ajp => "ajp",
            CheckKind::Fastcgi => "fastcgi",
        }
    }
}

/// The statuses of an HTTP probe that are good, by their hundreds: `[0]` is 1xx.
pub type Expected = [bool; 5];

/// How `check_status` shows the servers where the request does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFormat {
    Html,
    Csv,
    Json,
    Prometheus,
}

impl StatusFormat {
    pub fn from_word(word: &[u8]) -> Option<StatusFormat> {
        match word {
            b"html" => Some(StatusFormat::Html),
            b"csv" => Some(StatusFormat::Csv),
            b"json" => Some(StatusFormat::Json),
            b"prometheus" => Some(StatusFormat::Prometheus),
            _ => None,
        }
    }
}
