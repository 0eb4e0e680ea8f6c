//! What a file says of TLS, for servers and for connections to backends alike.

use std::path::PathBuf;

/// Versions of the protocol, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols(u8);

impl Protocols {
    /// The versions by nginx's words, in order.
    pub const NAMES: [&'static str; 6] = ["SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
    pub const NONE: Protocols = Protocols(0);
    /// `TLSv1.2 TLSv1.3`
    pub const DEFAULT: Protocols = Protocols(0b11_0000);

    /// With one more, by its name, whatever the case of its letters; `None`: there is none of that name.
    pub fn with(self, name: &str) -> Option<Protocols> {
        let index = Self::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        Some(Protocols(self.0 | 1 << index))
    }

    pub(crate) fn has(self, name: &str) -> bool {
        Self::NONE.with(name).is_some_and(|one| self.0 & one.0 != 0)
    }
}

/// A certificate with its chain, and its key: each a file in PEM, or `data:` and the PEM itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    pub certificate: String,
    pub key: String,
}

/// What is said of both ends.
#[derive(Debug, Clone)]
pub struct Settings {
    pub credentials: Vec<Credentials>,
    /// The file of passphrases for keys, one a line.
    pub password_file: Option<PathBuf>,
    pub protocols: Protocols,
    /// A list in OpenSSL's language, for versions up to 1.2.
    pub ciphers: String,
    /// OpenSSL's own commands, with a value each.
    pub commands: Vec<(String, String)>,
    /// Where relative paths begin.
    pub prefix: PathBuf,
}

/// Whom to believe.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The authorities that are named to clients.
    pub named: Option<PathBuf>,
    /// Others.
    pub trusted: Option<PathBuf>,
    /// Revoked certificates.
    pub crl: Option<PathBuf>,
    /// The longest chain.
    pub depth: u32,
}

/// `ssl_verify_client`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    #[default]
    Off,
    On,
    Optional,
    /// Any certificate is taken; what is wrong with it is for others to see.
    OptionalNoCa,
}
