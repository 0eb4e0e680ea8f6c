//! Names of servers that are looked up again while requests are served: `server NAME resolve`, `service=`, and Tengine's
//! `dynamic_resolve`.
//!
//! Each name has a task that waits until its answer runs out. Requests never wait for it: they see the servers of the
//! last good answer. A session stays with its address for as long as that is in the answer, as its SID is made of it.

mod ask;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ask::{Asker, MOST, is_none};
use hickory_resolver::net::NetError;
use limpet_log::{LogLevel, clock};
use limpet_wire::Address;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::kept::Kept;
use super::members::{Members, Upstream, members};
use crate::written::{Fallback, Lookup, Resolver, Upstream as Written, UpstreamServer};

/// The names of an upstream, and the servers that they stand for at present.
pub struct Names {
    /// The upstream as it is written.
    written: Written,
    /// For each of its lines, its servers.
    present: Mutex<Vec<Vec<UpstreamServer>>>,
    /// For each of its lines, whether its servers are those of an answer, and not only what the file said.
    answered: Mutex<Vec<bool>>,
    /// Who is asked; `None`: the system's name servers.
    resolver: Option<Resolver>,
    /// For a whole lookup.
    timeout: Duration,
    workers: usize,
}

/// No name is looked up again sooner than after this.
const SHORTEST: Duration = Duration::from_secs(1);
/// How soon a lookup is tried again that failed, where `resolver_timeout` is not shorter.
const AGAIN: Duration = Duration::from_secs(10);
const TIMEOUT: u64 = 30_000;

impl Names {
    /// The names of an upstream, if it has any. What `before` knows of the same lines is kept; `resolver` and `timeout`
    /// are those of the http block.
    pub fn new(
        upstream: &Written,
        resolver: Option<&Resolver>,
        timeout: Option<u64>,
        before: Option<&Names>,
        workers: usize,
    ) -> Option<Names> {
        upstream.servers.iter().find(|server| server.lookup.is_some())?;
        let known = upstream.servers.iter().map(|server| before.and_then(|before| before.servers_of(server)));
        let known: Vec<Option<Vec<UpstreamServer>>> = known.collect();
        let answered = known.iter().map(Option::is_some).collect();
        let present = upstream.servers.iter().zip(known).map(|(server, known)| known.unwrap_or(vec![server.clone()]));
        Some(Names {
            present: Mutex::new(present.collect()),
            answered: Mutex::new(answered),
            resolver: upstream.resolver.as_ref().or(resolver).cloned(),
            timeout: Duration::from_millis(upstream.resolver_timeout.or(timeout).unwrap_or(TIMEOUT)),
            written: upstream.clone(),
            workers,
        })
    }

    /// The servers of the last answer for the same name, with the parameters of this line of the new configuration.
    fn servers_of(&self, server: &UpstreamServer) -> Option<Vec<UpstreamServer>> {
        let lookup = server.lookup.as_ref()?;
        let is_same = |other: &Lookup| other.host == lookup.host && other.service == lookup.service;
        let line = self.written.servers.iter().position(|other| other.lookup.as_ref().is_some_and(is_same))?;
        let from_records = lookup.service.is_some() && server.weight == 1;
        let with_port = |address: &Address| match address {
            Address::Ip(address) if lookup.service.is_none() => Address::Ip(SocketAddr::new(address.ip(), lookup.port)),
            address => address.clone(),
        };
        let with_parameters = |old: &UpstreamServer| UpstreamServer {
            name: if lookup.service.is_some() { old.name.clone() } else { server.name.clone() },
            addresses: old.addresses.iter().map(with_port).collect(),
            weight: if from_records { old.weight } else { server.weight },
            backup: if lookup.service.is_some() { old.backup } else { server.backup },
            ..server.clone()
        };
        if !*self.answered.lock().get(line)? {
            return None;
        }
        let known = self.present.lock().get(line)?.iter().map(with_parameters).collect::<Vec<_>>();
        Some(known).filter(|known| known.iter().any(|server| !server.addresses.is_empty()))
    }

    /// The servers of the last answers.
    pub fn members(&self, kept: &Kept) -> Members {
        let present = self.present.lock().clone();
        let lines = present.iter().enumerate();
        let lines: Vec<usize> = lines.flat_map(|(line, servers)| servers.iter().map(move |_| line)).collect();
        let servers = present.into_iter().flatten().collect();
        members(&Written { servers, ..self.written.clone() }, &lines, self.workers, kept)
    }

    /// Whether, while a name can't be looked up, its servers are left out and others asked. With a `fail_timeout` they are
    /// not: within it Tengine asks the last address, whatever the fallback.
    pub fn asks_others_meanwhile(&self) -> bool {
        let dynamic = self.written.dynamic_resolve;
        dynamic.is_some_and(|dynamic| dynamic.fallback == Fallback::Next && dynamic.fail_timeout == 0)
    }
}

/// Starts a task for each name of an upstream. Each task drops its copy of `done` after its first lookup.
pub fn keep_up(
    upstream: &Arc<Upstream>,
    kept: &Arc<Kept>,
    done: &std::sync::mpsc::Sender<()>,
    tasks: &mut JoinSet<()>,
) {
    let Some(names) = &upstream.names else { return };
    let asker = match Asker::new(names.resolver.as_ref(), names.timeout) {
        Ok(asker) => Arc::new(asker),
        Err(why) => return limpet_log::write_default(LogLevel::Error, &format!("upstream {}: {why}", upstream.name)),
    };
    for (line, server) in names.written.servers.iter().enumerate().filter(|(_, server)| server.lookup.is_some()) {
        let (upstream, kept, asker) = (Arc::clone(upstream), Arc::clone(kept), Arc::clone(&asker));
        let (server, done) = (server.clone(), done.clone());
        tasks.spawn(async move { keep_up_line(&upstream, line, &server, &kept, &asker, done).await });
    }
}

async fn keep_up_line(
    upstream: &Upstream,
    line: usize,
    server: &UpstreamServer,
    kept: &Kept,
    asker: &Asker,
    done: std::sync::mpsc::Sender<()>,
) {
    let (Some(names), Some(lookup)) = (&upstream.names, &server.lookup) else { return };
    let mut done = Some(done);
    let mut told: Option<String> = None;
    loop {
        let known = names.present.lock().get(line).cloned().unwrap_or_default();
        let answer = asker.ask(server, lookup, &known).await;
        clock::tick();
        let rest = match answer {
            Ok(answer) => {
                let is_news = upstream.take(line, answer.servers, kept);
                upstream.set_lost(line, false);
                if let Some(answered) = names.answered.lock().get_mut(line) {
                    *answered = true;
                }
                let failure = answer.failure.map(|(what, error)| {
                    let why = why(&error);
                    format!(
                        "{what} could not be resolved ({why}) in upstream {}: its last addresses are kept",
                        upstream.name
                    )
                });
                // A partial failure may last for long: it is logged once, when it begins.
                if let Some(message) = &failure
                    && told.as_ref() != Some(message)
                {
                    limpet_log::write_default(LogLevel::Error, message);
                }
                told = failure;
                if answer.is_cut && is_news {
                    let message = format!(
                        "{} has more than {MOST} addresses in upstream {}: the rest is left out",
                        lookup.shown(),
                        upstream.name
                    );
                    limpet_log::write_default(LogLevel::Error, &message);
                }
                let valid = names.resolver.as_ref().and_then(|resolver| resolver.valid);
                let counts = valid.map_or(answer.counts, Duration::from_millis);
                // What could not be looked up is asked for again soon, whatever the rest counts for.
                let again = if told.is_some() { AGAIN.min(names.timeout) } else { counts };
                counts.min(again).max(SHORTEST)
            }
            Err(error) => failed(upstream, line, lookup, &error, kept),
        };
        drop(done.take());
        tokio::time::sleep(rest).await;
    }
}

/// nginx's number and words.
fn why(error: &NetError) -> &'static str {
    match error {
        NetError::Timeout => "110: Operation timed out",
        _ if is_none(error) => "3: Host not found",
        _ => "2: Server failure",
    }
}

/// Tells of a lookup that failed. How long to wait for the next.
fn failed(upstream: &Upstream, line: usize, lookup: &Lookup, error: &NetError, kept: &Kept) -> Duration {
    let why = why(error);
    let what = lookup.shown();
    let Some(names) = &upstream.names else { return AGAIN };
    let dynamic = names.written.dynamic_resolve;
    let shuts_down = dynamic.is_some_and(|dynamic| dynamic.fallback == Fallback::Shutdown);
    let asks_others = names.asks_others_meanwhile();
    // That there is no such name is an answer as well, and no failure (nginx); for `dynamic_resolve` it is one.
    let is_gone = is_none(error) && dynamic.is_none();
    let count = names.present.lock().get(line).map_or(0, |servers| servers.iter().flat_map(|s| &s.addresses).count());
    let (meaning, again) = match count {
        _ if shuts_down => ("nobody is asked until it can be", SHORTEST),
        0 => ("there is no address", SHORTEST),
        _ if is_gone => ("its servers are gone", SHORTEST),
        _ if asks_others => ("other servers are asked until it can be", SHORTEST),
        _ => ("its last addresses are kept", AGAIN.min(names.timeout).max(SHORTEST)),
    };
    let message = format!("{what} could not be resolved ({why}) in upstream {}: {meaning}", upstream.name);
    limpet_log::write_default(LogLevel::Error, &message);
    if shuts_down || is_gone {
        upstream.take(line, Vec::new(), kept);
    }
    upstream.set_lost(line, asks_others);
    match dynamic.map(|dynamic| dynamic.fail_timeout) {
        None | Some(0) => again,
        Some(milliseconds) => Duration::from_millis(milliseconds).max(SHORTEST),
    }
}

impl Upstream {
    /// The name of a line can't be looked up, or can be again.
    fn set_lost(&self, line: usize, lost: bool) {
        let members = self.members.load();
        members.backends.iter().filter(|backend| backend.line == line).for_each(|backend| backend.state.set_lost(lost));
        members.group.returned();
    }

    /// Puts the servers of a line in place, if they are others than before; `true` when they are.
    fn take(&self, line: usize, servers: Vec<UpstreamServer>, kept: &Kept) -> bool {
        let Some(names) = &self.names else { return false };
        {
            let mut present = names.present.lock();
            match present.get_mut(line) {
                Some(old) if *old != servers => *old = servers,
                _ => return false,
            }
        }
        let next = names.members(kept);
        if self.in_place.load(Ordering::Relaxed) {
            let new: Vec<_> = next.backends.iter().filter(|backend| !backend.state.is_checked()).collect();
            self.begin_checks(&next);
            // If no server passes, as when all addresses have changed at once, none would be asked before the first probes.
            if !self.members.load().backends.is_empty() && !next.backends.iter().any(|b| b.state.passes()) {
                new.iter().for_each(|backend| backend.state.presume_alive());
            }
        }
        self.members.store(Arc::new(next));
        self.changed.notify_waiters();
        kept.forget_what_is_gone();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_keeps_what_an_answer_has_said_and_nothing_else() {
        let upstream = |ip: u8, port: u16| {
            let lookup = Some(Lookup { host: "a.test".into(), port, service: None });
            let addresses = vec![Address::Ip(SocketAddr::from(([127, 0, 0, ip], port)))];
            let server = UpstreamServer { lookup, ..UpstreamServer::new(format!("a.test:{port}"), addresses) };
            Written { servers: vec![server], ..Written::default() }
        };
        let names = |written: &Written, before| Names::new(written, None, None, before, 1).expect("there is a name");
        let shown = |names: &Names| names.present.lock()[0][0].addresses[0].to_string();
        let before = names(&upstream(1, 80), None);
        // The system's answer of today is newer than its answer of then.
        assert_eq!(shown(&names(&upstream(2, 80), Some(&before))), "127.0.0.2:80");
        before.answered.lock()[0] = true;
        assert_eq!(shown(&names(&upstream(2, 80), Some(&before))), "127.0.0.1:80");
        let moved = names(&upstream(2, 81), Some(&before));
        assert_eq!((shown(&moved).as_str(), moved.answered.lock()[0]), ("127.0.0.1:81", true));
    }
}
