//! Active checks: a thread of its own probes the servers of the upstreams that have a `check`, as Tengine's
//! `ngx_http_upstream_check_module` does.
//!
//! What is known of a server hangs in its [`balance::Peer`](limpet_balance::Peer), which outlives a reload; the probes
//! begin anew with each configuration.

mod hello;
mod probe;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use limpet_config::Address;
use limpet_config::model::{Check, Expected, LogLevel};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock;
use crate::log;
use crate::runtime::{Members, Shared, Upstream};
use probe::{Connection, Failure};

/// How the servers of an upstream are probed.
pub(crate) struct Rules {
    pub(crate) check: Check,
    pub(crate) expected: Expected,
    /// Probes over one connection.
    pub(crate) requests: u32,
}

/// The first probes of a configuration are spread over this time at most.
const SPREAD: u64 = 1000;

/// The thread that probes. It ends with the value.
pub struct Checker {
    /// Grows with each configuration; the thread ends when it is gone.
    generation: Option<watch::Sender<u64>>,
    thread: Option<JoinHandle<()>>,
}

impl Checker {
    /// Starts the thread, which probes for the present configuration.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start(shared: Arc<Shared>) -> io::Result<Checker> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (generation, seen) = watch::channel(0);
        let thread = std::thread::Builder::new().name("checks".into()).spawn(move || {
            runtime.block_on(run(&shared, seen));
            runtime.shutdown_background();
        })?;
        Ok(Checker { generation: Some(generation), thread: Some(thread) })
    }

    /// The configuration has changed.
    pub fn renew(&self) {
        if let Some(generation) = &self.generation {
            generation.send_modify(|generation| *generation += 1);
        }
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.generation = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there has been told where it happened.
            let _ = thread.join();
        }
    }
}

async fn run(shared: &Shared, mut generation: watch::Receiver<u64>) {
    loop {
        let mut probes = JoinSet::new();
        let runtime = shared.runtime.load_full();
        for upstream in runtime.upstreams.iter().filter(|upstream| upstream.rules.is_some()) {
            let members = upstream.members.load_full();
            for index in 0..members.backends.len() {
                if is_probed(&members, index) {
                    probes.spawn(watch_over(Arc::clone(upstream), Arc::clone(&members), index));
                }
            }
        }
        // The configuration must not be held by the thread that waits for the next one.
        drop(runtime);
        if generation.changed().await.is_err() {
            return;
        }
    }
}

/// A server that takes no new clients is left alone.
pub(crate) fn is_probed(members: &Members, index: usize) -> bool {
    members.group.server(index).is_some_and(|server| !server.down)
}

async fn watch_over(upstream: Arc<Upstream>, members: Arc<Members>, index: usize) {
    let (Some(rules), Some(backend)) = (&upstream.rules, members.backends.get(index)) else { return };
    let check = &rules.check;
    let target = target(&backend.address, check.port);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(..check.interval.clamp(1, SPREAD)))).await;
    let mut connection: Option<Connection> = None;
    loop {
        clock::tick();
        let probe = probe::run(rules, &target, &mut connection);
        let verdict = tokio::time::timeout(Duration::from_millis(check.timeout), probe).await;
        clock::tick();
        if !matches!(verdict, Ok(Ok(()))) {
            connection = None;
        }
        let why = match &verdict {
            Ok(Ok(()) | Err(Failure::Silent)) => None,
            Ok(Err(Failure::Protocol)) => {
                Some(format!("check protocol {} error with peer: {target} ", check.kind.word()))
            }
            Ok(Err(Failure::Closed)) => {
                Some(format!("check peer closed connection with an incomplete response, peer: {target} "))
            }
            Ok(Err(Failure::Io(what))) => Some(format!("{what} while checking peer: {target} ")),
            Err(_) => Some(format!("check time out with peer: {target} ")),
        };
        if let Some(why) = why {
            log::write_default(LogLevel::Error, &why);
        }
        let passed = matches!(verdict, Ok(Ok(())));
        if backend.state.probed(passed, check.rise, check.fall, clock::steady_milliseconds()) {
            let what = if passed { "enable" } else { "disable" };
            log::write_default(LogLevel::Error, &format!("{what} check peer: {target} "));
            members.group.returned();
        }
        tokio::time::sleep(Duration::from_millis(check.interval)).await;
    }
}

/// Where to probe: `port=` takes the place of the server's own. A Unix socket has none.
fn target(address: &Address, port: Option<u16>) -> Address {
    match (address, port) {
        (Address::Ip(address), Some(port)) => Address::Ip(SocketAddr::new(address.ip(), port)),
        _ => address.clone(),
    }
}
