//! What stands outside of all blocks.

use std::path::PathBuf;

use super::ErrorLog;

/// How many worker threads serve clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// One for each core.
    Auto,
    Count(u32),
}

/// Whom the workers run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// The group of the same name where none is given.
    pub group: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Main {
    pub daemon: bool,
    pub master_process: bool,
    pub user: Option<User>,
    pub workers: Workers,
    /// Connections of a worker.
    pub worker_connections: u64,
    /// The limit on open files (`RLIMIT_NOFILE`); `None`: it stays as it is.
    pub worker_rlimit_nofile: Option<u64>,
    /// As written; `None`: nginx's default name. A relative one is taken from the prefix.
    pub pid: Option<PathBuf>,
    /// Milliseconds that a graceful stop waits for open requests; `None`: as long as they take.
    pub shutdown_timeout: Option<u64>,
    /// `None`: the program's default log.
    pub error_log: Option<Vec<ErrorLog>>,
}

impl Default for Main {
    fn default() -> Self {
        Main {
            daemon: true,
            master_process: true,
            user: None,
            workers: Workers::Count(1),
            worker_connections: 512,
            worker_rlimit_nofile: None,
            pid: None,
            shutdown_timeout: None,
            error_log: None,
        }
    }
}
