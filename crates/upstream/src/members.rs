//! An upstream at work: its servers, and what is known of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use limpet_balance as balance;
use limpet_log::{LogLevel, clock};
use limpet_sticky::{Limits, Mode, Policy, Seal, SidTable, sid};
use limpet_wire::Address;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::check::{Rules, is_probed};
use super::kept::Kept;
use super::names::Names;
use super::pool::Pools;
use crate::written::{
    Hash, Keepalive, Method, Resolver, SessionSticky, StickyMode, Until, Upstream as Written, UpstreamServer,
};

/// An upstream of a configuration.
pub struct Upstream {
    pub name: Arc<str>,
    pub sticky: Option<Policy>,
    /// How its servers are probed.
    pub rules: Option<Arc<Rules>>,
    /// Those of its servers' names that are looked up again.
    pub names: Option<Names>,
    pub members: ArcSwap<Members>,
    /// The members have changed.
    pub changed: Notify,
    /// The configuration is in place: only from then on does it change the state of its servers.
    pub in_place: AtomicBool,
    pub pools: Arc<Pools>,
    /// What the pools are set to when this configuration is put in place.
    pub keepalive: Keepalive,
}

impl Upstream {
    /// The configuration is in place.
    pub fn begin(&self) {
        self.in_place.store(true, Ordering::Relaxed);
        let members = self.members.load();
        self.begin_checks(&members);
        if !self.names.as_ref().is_some_and(Names::asks_others_meanwhile) {
            members.backends.iter().for_each(|backend| backend.state.set_lost(false));
        }
    }

    /// Tells the servers whether they are probed.
    pub fn begin_checks(&self, members: &Members) {
        for (index, backend) in members.backends.iter().enumerate() {
            match &self.rules {
                Some(rules) if is_probed(members, index) => backend.state.begin_checks(rules.check.default_down),
                _ => backend.state.end_checks(),
            }
        }
    }
}

/// The servers of an upstream. A request keeps those that it began with.
pub struct Members {
    pub backends: Vec<Arc<Backend>>,
    pub group: balance::Group,
    /// One for each worker.
    pub progress: Vec<Mutex<balance::Progress>>,
    /// The servers by their SIDs; empty where the upstream is not sticky.
    pub sids: SidTable,
    /// The same for cookies that count without a signature, where others are signed.
    unsigned_sids: SidTable,
}

impl Members {
    /// The server of a SID, which stood in a signed cookie (any, where none is signed) or in one without a signature.
    pub fn find_sid(&self, sid: &[u8], is_signed: bool) -> Option<usize> {
        if is_signed { self.sids.find(sid) } else { self.unsigned_sids.find(sid) }
    }
}

/// One address of an upstream.
#[derive(Debug)]
pub struct Backend {
    /// `ip:port`, `[ipv6]:port` or `unix:path`
    pub name: Arc<str>,
    /// Empty where the upstream is not sticky.
    pub sid: Box<[u8]>,
    pub address: Address,
    pub state: Arc<balance::Peer>,
    /// The `server` line of the block that it comes from, counted from 0.
    pub line: usize,
}

impl Upstream {
    /// An upstream as it is written. `resolver` and the time in milliseconds for a lookup are those of the http block.
    pub fn new(
        upstream: &Written,
        resolver: Option<&Resolver>,
        resolver_timeout: Option<u64>,
        workers: usize,
        kept: &Kept,
    ) -> Upstream {
        let running = kept.current();
        let before = running.iter().find(|other| *other.name == *upstream.name);
        let before = before.and_then(|before| before.names.as_ref());
        let names = Names::new(upstream, resolver, resolver_timeout, before, workers);
        let members = match &names {
            Some(names) => names.members(kept),
            None => members(upstream, &[], workers, kept),
        };
        let id_with_bar = members.backends.iter().any(|backend| backend.sid.contains(&b'|'));
        Upstream {
            name: upstream.name.as_str().into(),
            sticky: upstream.sticky.as_ref().map(|sticky| policy(&upstream.name, sticky, id_with_bar)),
            rules: upstream.check.as_ref().map(|check| Arc::new(Rules::new(check, upstream))),
            names,
            members: ArcSwap::from_pointee(members),
            changed: Notify::new(),
            in_place: AtomicBool::new(false),
            pools: kept.pools(&upstream.name, workers),
            keepalive: upstream.keepalive.clone(),
        }
    }
}

/// The servers of an upstream, with what is known of them already. `lines`: the `server` line that each of them comes from,
/// if names were looked up; if it is empty, each is its own line.
pub(super) fn members(upstream: &Written, lines: &[usize], workers: usize, kept: &Kept) -> Members {
    let mut backends = Vec::new();
    let mut servers = Vec::new();
    let (mut sids, mut unsigned_sids) = (SidTable::default(), SidTable::default());
    let mut seen: HashMap<&Address, usize> = HashMap::new();
    let plain = upstream.sticky.as_ref().is_some_and(|sticky| sticky.hash == Hash::Plain);
    let seal = upstream.sticky.as_ref().and_then(|sticky| seal(&upstream.name, sticky));
    for (place, server) in upstream.servers.iter().enumerate() {
        let line = lines.get(place).copied().unwrap_or(place);
        for address in &server.addresses {
            let name: Arc<str> = address.to_string().into();
            // Those of all keys, the first one's before those of older ones.
            let sealed = seal
                .as_ref()
                .map(|seal| seal.sids(server.id.as_deref().unwrap_or(name.as_bytes())))
                .unwrap_or_default();
            let sid: Box<[u8]> = match (&upstream.sticky, &server.id) {
                (None, _) => Box::default(),
                _ if !sealed.is_empty() => sealed.first().cloned().unwrap_or_default().into(),
                (Some(_), Some(id)) if plain => id.as_slice().into(),
                (Some(_), None) if plain => name.as_bytes().into(),
                (Some(_), _) => sid::md5(name.as_bytes()).into(),
            };
            if upstream.sticky.is_some() {
                // Of two servers with one SID the first has it; the file's check has warned.
                let _ = sids.insert(&sid, backends.len());
                for older in sealed.iter().skip(1) {
                    let _ = sids.insert(older, backends.len());
                }
            }
            if !sealed.is_empty() {
                let _ = unsigned_sids.insert(&sid::md5(name.as_bytes()), backends.len());
                if let Some(id) = &server.id {
                    let _ = unsigned_sids.insert(id, backends.len());
                }
            }
            // The same address twice is two servers.
            let times = *seen.entry(address).and_modify(|times| *times += 1).or_insert(0);
            let state = kept.peer(&upstream.name, address, times);
            servers.push((balance_server(server, &name), Arc::clone(&state)));
            backends.push(Arc::new(Backend { name, sid, address: address.clone(), state, line }));
        }
    }
    let group = balance::Group::new(method(upstream.method.as_ref()), servers);
    let progress = progress(upstream, &group, workers, kept);
    Members { backends, group, progress, sids, unsigned_sids }
}

/// How far each worker has come in going round. With servers that were there before, a worker goes on where it was. In a
/// sticky upstream workers begin at different servers, in others all with the first, as in nginx.
fn progress(upstream: &Written, group: &balance::Group, workers: usize, kept: &Kept) -> Vec<Mutex<balance::Progress>> {
    let running = kept.current();
    let before = running.iter().find(|other| *other.name == *upstream.name);
    let before = before.map(|before| before.members.load_full());
    let same = before.as_ref().map(|before| group.kept_of(&before.group)).unwrap_or_default();
    let of_worker = |worker: usize| {
        let mut progress = group.progress(seed());
        if upstream.sticky.is_some() {
            group.advance(&mut progress, worker * group.len() / workers.max(1));
        }
        if let Some(before) = &before
            && let Some(old) = before.progress.get(worker)
        {
            group.resume(&mut progress, &before.group, &old.lock(), &same);
        }
        progress.into()
    };
    (0..workers).map(of_worker).collect()
}

fn balance_server(server: &UpstreamServer, name: &str) -> balance::Server {
    let digits = server.id.as_ref().filter(|id| id.iter().all(u8::is_ascii_digit));
    let number = digits.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
    balance::Server {
        text: server.name.as_str().into(),
        name: name.into(),
        number,
        weight: server.weight,
        max_fails: server.max_fails,
        fail_timeout: i64::try_from(server.fail_timeout).unwrap_or(i64::MAX),
        max_conns: server.max_conns,
        slow_start: i64::try_from(server.slow_start).unwrap_or(i64::MAX),
        backup: server.backup,
        down: server.down || server.drain,
    }
}

fn method(method: Option<&Method>) -> balance::Method {
    let Some(method) = method else { return balance::Method::RoundRobin };
    match method {
        Method::IpHash => balance::Method::AddressHash,
        Method::Hash { consistent: false, .. } => balance::Method::Hash,
        Method::Hash { consistent: true, .. } => balance::Method::Ketama,
        Method::ConsistentHash { .. } => balance::Method::Consistent,
        Method::LeastConn => balance::Method::LeastConn,
        Method::LeastTime { until, inflight } => {
            let until = match until {
                Until::Header => balance::Until::Header,
                Until::LastByte => balance::Until::LastByte,
            };
            balance::Method::LeastTime { until, inflight: *inflight }
        }
        Method::Random => balance::Method::Random,
        Method::RandomTwo => balance::Method::RandomTwo,
        Method::Vnswrr => balance::Method::Vnswrr,
        Method::Iwrr => balance::Method::Iwrr,
    }
}

/// For what is random in a worker's choices; another one each time.
fn seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| clock::unix_time().as_nanos() as u64)
}

/// What an upstream's cookies are signed with.
fn seal(upstream: &str, sticky: &SessionSticky) -> Option<Seal> {
    (sticky.hash == Hash::Hmac).then(|| Seal::new(&sticky.keys, upstream.as_bytes(), sticky.unsigned_until))
}

fn policy(upstream: &str, sticky: &SessionSticky, id_with_bar: bool) -> Policy {
    let policy = Policy::new(&limpet_sticky::PolicySettings {
        cookie: sticky.cookie.clone(),
        domain: sticky.domain.clone(),
        path: sticky.path.clone(),
        maxage: sticky.maxage.clone(),
        limits: sticky.maxidle.zip(sticky.maxlife).map(|(maxidle, maxlife)| Limits { maxidle, maxlife }),
        mode: match sticky.mode {
            StickyMode::Insert => Mode::Insert,
            StickyMode::Prefix => Mode::Prefix,
            StickyMode::Rewrite => Mode::Rewrite,
        },
        indirect: sticky.indirect,
        fallback: sticky.fallback,
        id_with_bar,
        attributes: sticky.attributes,
    });
    policy.sealed(seal(upstream, sticky))
}

/// What is told at start and reload of servers that keep their sessions.
pub fn sessions_on_down_servers(upstream: &Upstream) -> Vec<(LogLevel, String)> {
    if upstream.sticky.is_none() {
        return Vec::new();
    }
    let members = upstream.members.load();
    let is_down = |index: usize| members.group.server(index).is_some_and(|server| server.down);
    let down = members.backends.iter().enumerate().filter(|(index, _)| is_down(*index));
    down.map(|(_, backend)| {
        let message = format!(
            "upstream {}: server {} is down: sessions stay on it, new clients don't reach it",
            upstream.name, backend.name
        );
        (LogLevel::Notice, message)
    })
    .collect()
}
