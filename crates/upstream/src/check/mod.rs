//! Active checks: the servers of the upstreams that have a `check` are probed, as Tengine's
//! `ngx_http_upstream_check_module` does it.
//!
//! What is known of a server hangs in its [`balance::Peer`](limpet_balance::Peer), which outlives a reload; the probes
//! begin anew with each configuration.

mod fastcgi;
mod hello;
mod probe;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use limpet_log::{LogLevel, clock};
use limpet_wire::Address;
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::HealthCheck;
use probe::{Probe, ProbeFailure};
use tokio::task::JoinSet;

use super::members::{Members, Upstream};
use crate::written::{Check, CheckKind, Expected, Upstream as Written};

/// How the servers of an upstream are probed.
pub struct Rules {
    pub check: Check,
    /// `None`: what is usual for the protocol.
    expected: Option<Expected>,
    /// Probes over one connection.
    requests: u32,
    /// What a probe sends, where that is always the same.
    question: Vec<u8>,
}

impl Rules {
    /// The check of an upstream.
    pub fn new(check: &Check, upstream: &Written) -> Rules {
        Rules {
            expected: upstream.check_expected,
            requests: upstream.check_requests.unwrap_or(1),
            question: match check.kind {
                CheckKind::Http | CheckKind::Https => check.send.clone().unwrap_or_else(|| HTTP.to_vec()),
                CheckKind::Ajp => AJP_PING.to_vec(),
                CheckKind::Fastcgi => fastcgi::request(&upstream.check_params),
                CheckKind::Tcp | CheckKind::Mysql | CheckKind::SslHello => Vec::new(),
            },
            check: check.clone(),
        }
    }
}

const HTTP: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
/// CPing of the Apache JServ Protocol 1.3.
const AJP_PING: [u8; 5] = [0x12, 0x34, 0x00, 0x01, 0x0a];

const STROKES: u64 = 15;
const LONGEST_STROKE: u64 = 200;
/// The first probes of a configuration are spread over this time at most.
const SPREAD: u64 = 1000;

/// Probes the servers of an upstream, whoever they are at the time.
pub async fn probe(upstream: Arc<Upstream>) {
    loop {
        let changed = upstream.changed.notified();
        let members = upstream.members.load_full();
        let mut probes = JoinSet::new();
        for index in (0..members.backends.len()).filter(|index| is_probed(&members, *index)) {
            probes.spawn(watch_over(Arc::clone(&upstream), Arc::clone(&members), index));
        }
        drop(members);
        changed.await;
    }
}

/// A server that takes no new clients is left alone.
pub fn is_probed(members: &Members, index: usize) -> bool {
    members.group.server(index).is_some_and(|server| !server.down)
}

async fn watch_over(upstream: Arc<Upstream>, members: Arc<Members>, index: usize) {
    let (Some(rules), Some(backend)) = (&upstream.rules, members.backends.get(index)) else { return };
    let check = &rules.check;
    let target = target(&backend.address, check.port);
    let asked = match known(&target) {
        Ok(asked) => asked,
        Err(error) => {
            return limpet_log::write_default(LogLevel::Error, &format!("{error} while checking peer: {target} "));
        }
    };
    let probe: Box<dyn HealthCheck + Send + Sync> = Box::new(Probe::new(Arc::clone(rules), target.clone()));
    clock::tick();
    sleep(fastrand::u64(..check.interval.clamp(1, SPREAD)), check.interval).await;
    // After a first look soon, the probes of all servers are spread over the whole interval.
    let mut rest = fastrand::u64(..check.interval.max(1));
    let threshold = |success: bool| u32::try_from(probe.health_threshold(success)).unwrap_or(u32::MAX);
    let (rise, fall) = (threshold(true), threshold(false));
    loop {
        clock::tick();
        let verdict = tokio::time::timeout(Duration::from_millis(check.timeout), probe.check(&asked)).await;
        clock::tick();
        let why = match &verdict {
            Ok(Ok(())) => None,
            Ok(Err(error)) => told(error, check.kind, &target),
            Err(_) => Some(format!("check time out with peer: {target} ")),
        };
        if let Some(why) = why {
            limpet_log::write_default(LogLevel::Error, &why);
        }
        let passed = matches!(verdict, Ok(Ok(())));
        // What this machine lacks says nothing about the server.
        let is_verdict = !matches!(&verdict, Ok(Err(error)) if matches!(failure(error), Some(ProbeFailure::Own(_))));
        if is_verdict && backend.state.probed(passed, rise, fall, clock::steady_milliseconds()) {
            let what = if passed { "enable" } else { "disable" };
            limpet_log::write_default(LogLevel::Error, &format!("{what} check peer: {target} "));
            members.group.returned();
        }
        sleep(std::mem::replace(&mut rest, check.interval), check.interval).await;
    }
}

/// The server as Pingora's health checks know one.
fn known(target: &Address) -> io::Result<Backend> {
    let addr = match target {
        Address::Ip(address) => (*address).into(),
        Address::Unix(path) => std::os::unix::net::SocketAddr::from_pathname(path)?.into(),
    };
    Ok(Backend { addr, weight: 1, ext: http::Extensions::new() })
}

/// Why one of our own probes has failed.
fn failure(error: &pingora_error::Error) -> Option<&ProbeFailure> {
    error.cause.as_deref()?.downcast_ref()
}

/// What is logged of a probe that has failed, in Tengine's words where the probe is our own; `None`: nothing.
fn told(error: &pingora_error::Error, kind: CheckKind, target: &Address) -> Option<String> {
    Some(match failure(error) {
        Some(ProbeFailure::Silent) => return None,
        Some(ProbeFailure::Protocol) => format!("check protocol {} error with peer: {target} ", kind.word()),
        Some(ProbeFailure::Closed) => {
            format!("check peer closed connection with an incomplete response, peer: {target} ")
        }
        Some(ProbeFailure::Io(what) | ProbeFailure::Own(what)) => format!("{what} while checking peer: {target} "),
        None => format!("{error} while checking peer: {target} "),
    })
}

/// Sleeps for about so many milliseconds, rounded to a multiple of a fifteenth of the interval, or of 200 ms if that is
/// less. So probes that are due at about the same time wake the thread together; waking it is most of what they cost.
async fn sleep(milliseconds: u64, interval: u64) {
    let stroke = (interval / STROKES).clamp(1, LONGEST_STROKE);
    let now = clock::steady_milliseconds().unsigned_abs();
    let due = (now + milliseconds + stroke / 2) / stroke * stroke;
    tokio::time::sleep(Duration::from_millis(due.saturating_sub(now))).await;
}

/// Where to probe: `port=` takes the place of the server's own. A Unix socket has none.
fn target(address: &Address, port: Option<u16>) -> Address {
    match (address, port) {
        (Address::Ip(address), Some(port)) => Address::Ip(SocketAddr::new(address.ip(), port)),
        _ => address.clone(),
    }
}
