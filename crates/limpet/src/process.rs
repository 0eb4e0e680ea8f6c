//! The process: start, daemon, signals, end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use limpet_http::Shared;
use limpet_http::worker::Handle;
use limpet_kernel::Notice;
use limpet_log::LogLevel;
use limpet_modules::build::{Environment, Remarks};
use limpet_modules::model::Config;
use limpet_upstream::Background;
use limpet_wire::Address;
use limpet_wire::listen::{ListenOptions, Listener};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, setsid};
use signal_hook::consts::signal::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGQUIT, SIGSYS, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::Signals;

use crate::cli::Options;
use crate::messages::{self, Failure, say};
use crate::pid::PidFile;
use crate::reload::reload;
use crate::{allocator, load};

/// How often, and how far apart, nginx tries to bind an address that is in use.
const BIND_TRIES: usize = 5;
const BIND_PAUSE: Duration = Duration::from_millis(500);
/// How often a graceful stop looks whether the last request is done.
const DRAIN_TICK: Duration = Duration::from_millis(20);
/// How long a worker may take to say that it accepts nothing more.
const DRAIN_ANSWER: Duration = Duration::from_secs(1);

/// The running program, as signals change it.
pub struct Running {
    pub options: Options,
    pub environment: Environment,
    pub shared: Arc<Shared>,
    pub workers: Vec<Handle>,
    pub background: Background,
    pub listeners: Vec<Listener>,
    pub pid: PidFile,
    shutdown_timeout: Option<Duration>,
}

/// Starts, and returns when the program ends; with `daemon on` it returns at once in the process that was called.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(options: &Options) -> Result<(), Failure> {
    let (config, loaded) = load::load(options, false)?;
    let environment = load::environment(options, &config);
    let shared = Arc::new(Shared { give_back_memory: Some(allocator::give_back), ..Shared::default() });
    let (runtime, error_log, remarks) = load::build(&config, &environment, &shared)?;
    limpet_log::set_default(error_log);
    limpet_log::take_libraries_messages();
    let runtime = Arc::new(runtime);
    shared.install(Arc::clone(&runtime));
    // Before anybody can know that the program is there: by its sockets, or in the background by its pid file.
    let mut signals = None;
    if !config.main.daemon {
        signals = Some(watch_signals()?);
    }
    let listeners = bind_all(&load::addresses(&config), |message| {
        limpet_log::write_default(LogLevel::Emerg, message);
        if !limpet_log::default_is_on_stderr() {
            say(&format!("limpet: [emerg] {message}"));
        }
    })?;
    let launcher = if config.main.daemon { daemonize()? } else { Launcher::None };
    let ready = match launcher {
        Launcher::Parent(child) => return wait_for(child),
        Launcher::Child(ready) => Some(ready),
        Launcher::None => None,
    };
    report_panics();
    let signals = match signals {
        Some(signals) => signals,
        None => watch_signals()?,
    };
    raise_open_files(&config);
    let pid = PidFile::write(&load::pid_path(options, &config))?;
    let background = shared
        .start_background()
        .map_err(|error| Failure::new(LogLevel::Emerg, format!("the background thread can't start: {error}")))?;
    runtime.prepare(&background);
    runtime.begin(&background);
    let workers = start_workers(&environment, &shared, &listeners)?;
    report(&loaded.notices, &remarks);
    if let Some(ready) = ready {
        detach(options, &config);
        // The process that started this one may be gone; nothing depends on it.
        let _ = File::from(ready).write_all(b"1");
    }
    let running = Running {
        options: options.clone(),
        environment,
        shared,
        workers,
        background,
        listeners,
        pid,
        shutdown_timeout: config.main.shutdown_timeout.map(Duration::from_millis),
    };
    running.serve(&signals);
    Ok(())
}

/// Warnings and remarks, into the error log.
pub fn report(notices: &[Notice], remarks: &Remarks) {
    for notice in notices {
        limpet_log::write_default(messages::level(notice), &notice.diagnostic.to_string());
    }
    for (level, remark) in remarks {
        limpet_log::write_default(*level, remark);
    }
}

/// Binds every address; one that is in use is told, and tried again, as in nginx.
///
/// # Errors
/// An address that can't be had.
pub fn bind_all(addresses: &[(Address, ListenOptions)], tell: impl Fn(&str)) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    let mut waiting: Vec<&(Address, ListenOptions)> = addresses.iter().collect();
    for attempt in 1..=BIND_TRIES {
        let mut again = Vec::new();
        for entry in waiting {
            match Listener::bind(&entry.0, &entry.1) {
                Ok(listener) => listeners.push(listener),
                Err(error) if error.in_use => {
                    tell(&error.to_string());
                    again.push(entry);
                }
                Err(error) => return Err(Failure::new(LogLevel::Emerg, error.to_string())),
            }
        }
        if again.is_empty() {
            return Ok(listeners);
        }
        waiting = again;
        if attempt < BIND_TRIES {
            limpet_log::write_default(LogLevel::Notice, "try again to bind() after 500ms");
            std::thread::sleep(BIND_PAUSE);
        }
    }
    Err(Failure::new(LogLevel::Emerg, "still could not bind()"))
}

/// `worker_rlimit_nofile`; what the system does not allow is told, as in nginx.
pub(crate) fn raise_open_files(config: &Config) {
    let Some(most) = config.main.worker_rlimit_nofile else { return };
    if let Err(errno) = setrlimit(Resource::RLIMIT_NOFILE, most, most) {
        let error = std::io::Error::from(errno);
        let message = format!("setrlimit(RLIMIT_NOFILE, {most}) failed ({})", limpet_log::os_error(&error));
        limpet_log::write_default(LogLevel::Alert, &message);
    }
}

fn start_workers(
    environment: &Environment,
    shared: &Arc<Shared>,
    listeners: &[Listener],
) -> Result<Vec<Handle>, Failure> {
    let failed = |error: std::io::Error| Failure::new(LogLevel::Emerg, format!("a worker can't start: {error}"));
    let mut workers = Vec::new();
    for index in 0..environment.workers {
        let worker = Handle::start(index, Arc::clone(shared)).map_err(failed)?;
        for listener in listeners {
            worker.listen(listener.address.clone(), listener.share());
        }
        workers.push(worker);
    }
    Ok(workers)
}

fn watch_signals() -> Result<mpsc::Receiver<i32>, Failure> {
    // The last three would end the process otherwise, and nginx does not let them.
    let watched = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM, SIGIO, SIGSYS];
    let mut signals =
        Signals::new(watched).map_err(|error| Failure::new(LogLevel::Emerg, format!("sigaction() failed: {error}")))?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

impl Running {
    fn serve(mut self, signals: &mpsc::Receiver<i32>) {
        let notice = |message: &str| limpet_log::write_default(LogLevel::Notice, message);
        while let Ok(signal) = signals.recv() {
            match signal {
                SIGTERM | SIGINT => {
                    notice(&format!("signal {signal} received, exiting"));
                    break;
                }
                SIGQUIT => {
                    notice("signal 3 (SIGQUIT) received, shutting down");
                    self.drain(signals);
                    break;
                }
                SIGHUP => {
                    notice("signal 1 (SIGHUP) received, reconfiguring");
                    match reload(&mut self) {
                        Ok(config) => self.shutdown_timeout = config.main.shutdown_timeout.map(Duration::from_millis),
                        Err(failure) => limpet_log::write_default(LogLevel::Emerg, failure.text()),
                    }
                }
                SIGUSR1 => {
                    notice("signal 10 (SIGUSR1) received, reopening logs");
                    for failure in self.shared.log_files.reopen() {
                        limpet_log::write_default(LogLevel::Emerg, &failure);
                    }
                }
                SIGALRM => notice("signal 14 (SIGALRM) received"),
                SIGIO => notice("signal 29 (SIGIO) received"),
                SIGSYS => {}
                _ => notice(&format!("signal {signal} received: limpet does not act on it yet")),
            }
        }
        self.end();
    }

    /// Serves what is open to its end, for as long as `worker_shutdown_timeout` allows. Another TERM or INT ends it.
    fn drain(&mut self, signals: &mpsc::Receiver<i32>) {
        self.shared.begin_drain();
        // Their word is waited for: what they had accepted until then is counted.
        let drained: Vec<_> = self.workers.iter().map(Handle::drain).collect();
        for drained in drained {
            let _ = drained.recv_timeout(DRAIN_ANSWER);
        }
        self.close_listeners();
        let begun = Instant::now();
        while self.shared.open_connections() > 0 {
            if self.shutdown_timeout.is_some_and(|timeout| begun.elapsed() >= timeout) {
                return;
            }
            match signals.recv_timeout(DRAIN_TICK) {
                Ok(SIGTERM | SIGINT) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Nobody can connect any more, and another process can listen there.
    fn close_listeners(&mut self) {
        for listener in self.listeners.drain(..) {
            listener.remove_file();
        }
    }

    fn end(mut self) {
        self.close_listeners();
        self.workers.into_iter().for_each(Handle::stop);
        limpet_log::write_default(LogLevel::Notice, "exit");
    }
}

enum Launcher {
    None,
    /// In the process that was called: what the daemon will say when it is ready.
    Parent(OwnedFd),
    /// In the daemon: where to say so.
    Child(OwnedFd),
}

fn daemonize() -> Result<Launcher, Failure> {
    let failed = |error: nix::errno::Errno| {
        Failure::new(LogLevel::Emerg, format!("fork() failed ({}: {})", error as i32, error.desc()))
    };
    let (read, write) = pipe().map_err(failed)?;
    #[allow(unsafe_code, reason = "fork; no thread has been started yet, so the child may do anything")]
    let forked = unsafe { fork() };
    match forked.map_err(failed)? {
        ForkResult::Parent { .. } => Ok(Launcher::Parent(read)),
        ForkResult::Child => {
            setsid().map_err(failed)?;
            Ok(Launcher::Child(write))
        }
    }
}

/// Waits until the daemon serves, so that success is told only when it is one.
fn wait_for(child: OwnedFd) -> Result<(), Failure> {
    let mut word = [0];
    match File::from(child).read(&mut word) {
        Ok(1) => Ok(()),
        // The daemon has said why on the same standard error.
        _ => Err(Failure::new(LogLevel::Emerg, "the daemon did not start")),
    }
}

/// The terminal is let go of: input and output end nowhere, messages in the error log.
fn detach(options: &Options, config: &Config) {
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
        let configured = config.main.error_log.iter().flatten().find_map(|log| match &log.target {
            limpet_modules::log::ErrorLogTarget::File(path) => Some(options.prefix.join(path)),
            limpet_modules::log::ErrorLogTarget::Stderr => None,
        });
        let log = configured.or_else(|| options.error_log.as_ref().map(|path| options.prefix.join(path)));
        let log = log.and_then(|path| File::options().append(true).open(path).ok());
        let _ = dup2_stderr(log.as_ref().unwrap_or(&null));
    }
}

/// A panic ends one task; it must not be lost.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| limpet_log::write_default(LogLevel::Alert, &panic.to_string())));
}
