//! What modules need to put a configuration to work.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use limpet_http::pass::{HashKey, Slices};
use limpet_http::runtime::Shared;
use limpet_http::{Request, Text};
use limpet_log::{ErrorLog, LogFile, LogLevel, os_error};
use limpet_text::{Registry, Template};
use limpet_tls::client::{Client, ClientSettings};
use limpet_upstream::Upstream;

use crate::build::Remarks;
use crate::model::Http;

/// What the program found out before: where relative paths begin, and what the command line says.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The prefix of `-p`.
    pub prefix: PathBuf,
    /// The folder of the main file, where relative names of certificates and keys begin.
    pub conf_prefix: PathBuf,
    /// Worker threads.
    pub workers: usize,
    /// The log of `-e`, for a main level without `error_log`.
    pub error_log: Option<PathBuf>,
}

/// A configuration that can't be put to work, in nginx's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(pub(crate) String);

/// The configuration that is put to work, and what there is to do it with.
pub struct Site<'b> {
    pub(crate) environment: &'b Environment,
    pub(crate) shared: &'b Shared,
    pub(crate) http: &'b Http,
    pub(crate) registry: Registry<Request>,
    /// In the order of the file.
    pub(crate) upstreams: Vec<BuiltUpstream>,
    /// TLS towards backends, by what is said of it.
    pub(crate) clients: RefCell<HashMap<String, Arc<Client>>>,
    /// What is worth telling.
    pub(crate) remarks: RefCell<Remarks>,
    /// The error log of the main level.
    pub(crate) default_log: Arc<ErrorLog>,
}

/// An upstream, and the texts by which requests choose in it.
#[derive(Clone)]
pub(crate) struct BuiltUpstream {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) key: Arc<HashKey>,
    pub(crate) slices: Option<Arc<Slices>>,
}

impl Site<'_> {
    /// A text of the configuration, whose variables were checked when it was read.
    pub(crate) fn compile(&self, template: &Template) -> Text {
        Text::new(template, &self.registry)
    }

    /// The folder for temporary files that a file names, which is made as nginx makes it; or else one with nginx's name, which is
    /// made when it is needed.
    pub(crate) fn temp_folder(&self, written: Option<&Path>, default: &str) -> Result<PathBuf, BuildError> {
        let folder = self.environment.prefix.join(written.unwrap_or(Path::new(default)));
        if written.is_none() {
            return Ok(folder);
        }
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(BuildError(format!("mkdir() \"{}\" failed ({})", folder.display(), os_error(&error))))
            }
            _ => Ok(folder),
        }
    }

    /// Something is worth telling, and no error.
    pub(crate) fn remark(&self, level: LogLevel, message: String) {
        self.remarks.borrow_mut().push((level, message));
    }

    /// TLS towards backends. Where the same is said, sessions are shared.
    pub(crate) fn client(&self, settings: &ClientSettings) -> Result<Arc<Client>, limpet_tls::Error> {
        let said = format!("{settings:?}");
        if let Some(client) = self.clients.borrow().get(&said) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(Client::new(settings)?);
        self.clients.borrow_mut().insert(said, Arc::clone(&client));
        Ok(client)
    }

    /// A log file; a relative path begins at the prefix.
    pub(crate) fn open_log(&self, path: &Path) -> Result<Arc<LogFile>, BuildError> {
        open_log(self.shared, self.environment, path)
    }
}

/// A log file; a relative path begins at the prefix.
pub(crate) fn open_log(shared: &Shared, environment: &Environment, path: &Path) -> Result<Arc<LogFile>, BuildError> {
    shared.log_files.open(&environment.prefix.join(path)).map_err(BuildError)
}

/// A pattern, which was found to be good when it was read.
pub(crate) fn regex(pattern: &str, caseless: bool) -> Result<limpet_text::Regex, BuildError> {
    limpet_text::regex(pattern, caseless).map_err(|error| BuildError(format!("{error} in \"{pattern}\"")))
}

/// A time in milliseconds, or nginx's default.
pub(crate) fn milliseconds(value: Option<u64>, default: u64) -> Duration {
    Duration::from_millis(value.unwrap_or(default))
}
