//! The main level (nginx's core): processes, the pid file, and `include`, which may stand anywhere.

use std::path::PathBuf;

use limpet_kernel::builder::Fault;
use limpet_kernel::directive::contexts;
use limpet_kernel::directive::prelude::{ANYWHERE, EVENTS, FLAG, MAIN, N0, N1, N12, works};
use limpet_kernel::setters::{arg, flag, number, text};
use limpet_kernel::{Level, value};
use limpet_syntax as syntax;
use nix::unistd::geteuid;

use crate::log::ErrorLog;
use crate::module::Module;
use crate::reading::{Builder, Directive};

/// The main level.
pub(crate) struct Core;

impl Module for Core {
    const TITLE: &'static str = "Core";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = ();
    type Main = ();
}

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

const ROWS: &[Directive] = &[
    works("include", ANYWHERE, N1, "Reads other files in, by name or by a pattern in sorted order.", include)
        .repeatable(),
    works("daemon", MAIN, FLAG, "Whether to go to the background. Default: on.", daemon),
    works(
        "master_process",
        MAIN,
        FLAG,
        "Whether a master process watches over the worker. On and off run one process for now.",
        master_process,
    ),
    works("user", MAIN, N12, "The user and group of the workers. Accepted, not applied yet: a notice says so.", user),
    works("worker_processes", MAIN, N1, "Worker threads; `auto`: one for each core. Default: 1.", worker_processes),
    works(
        "worker_connections",
        EVENTS,
        N1,
        "Most connections of a worker, to clients and backends together: when few are left, idle ones are closed, and when \
         none is, nobody is accepted. Default: 512.",
        worker_connections,
    ),
    works(
        "worker_rlimit_nofile",
        MAIN,
        N1,
        "Most files and connections that may be open at a time (`RLIMIT_NOFILE`), if the system lets it be changed.",
        worker_rlimit_nofile,
    ),
    works("worker_shutdown_timeout", MAIN, N1, "How long a graceful stop waits for open requests.", shutdown_timeout),
    works("pid", MAIN, N1, "The file that holds the process number. Default: logs/nginx.pid.", pid),
    works("events", MAIN, N0.block(), "Connection processing; needs to be there, and may be empty.", events),
];

fn include(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    Ok(builder.items(&directive.included)?)
}

fn daemon(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.config.main.daemon = flag(directive)?;
    Ok(())
}

fn master_process(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.config.main.master_process = flag(directive)?;
    Ok(())
}

fn user(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let name = text(arg(directive, 0)?)?.to_owned();
    let group = directive.args.get(1).map(text).transpose()?.map(str::to_owned);
    if !geteuid().is_root() {
        let message = "the \"user\" directive makes sense only if the master process runs with super-user privileges, \
                       ignored";
        builder.notice(Level::Warn, message, directive);
        return Ok(());
    }
    // nginx's messages, and its group where none is written: that of the user's name.
    if !builder.outside.has_user(&name) {
        return Err(Fault::Message(format!("getpwnam(\"{name}\") failed")));
    }
    let group_name = group.as_deref().unwrap_or(&name);
    if !builder.outside.has_group(group_name) {
        return Err(Fault::Message(format!("getgrnam(\"{group_name}\") failed")));
    }
    builder.notice(
        Level::Notice,
        "the \"user\" directive is not applied yet: workers run as the user who started limpet",
        directive,
    );
    builder.config.main.user = Some(User { name, group });
    Ok(())
}

fn worker_processes(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    builder.config.main.workers = if word.bytes == b"auto" {
        Workers::Auto
    } else {
        let count = value::number(&word.bytes).and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
        Workers::Count(count.ok_or(Fault::Directive("invalid value"))?)
    };
    Ok(())
}

fn worker_connections(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let invalid = || Fault::At(format!("invalid number \"{}\"", word.text()), word.span);
    builder.config.main.worker_connections = value::number(&word.bytes).ok_or_else(invalid)?;
    Ok(())
}

fn worker_rlimit_nofile(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let most = number(directive)?;
    builder.config.main.worker_rlimit_nofile = Some(most);
    Ok(())
}

fn shutdown_timeout(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let timeout = value::milliseconds(&arg(directive, 0)?.bytes).ok_or(Fault::Directive("invalid value"))?;
    builder.config.main.shutdown_timeout = Some(timeout);
    Ok(())
}

fn pid(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let path = text(arg(directive, 0)?)?.into();
    builder.config.main.pid = Some(path);
    Ok(())
}

fn events(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.has_events = true;
    builder.block(directive, contexts::EVENTS)
}
