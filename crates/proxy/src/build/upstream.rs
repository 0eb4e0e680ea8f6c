//! Upstreams: their servers with what is counted about them, and how one is chosen.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use limpet_balance as balance;
use limpet_config::Address;
use limpet_config::model::{self, LogLevel};
use limpet_sticky::{Limits, Mode, Policy, SidTable, sid};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::compile;
use crate::check::Rules;
use crate::clock;
use crate::resolve::Names;
use crate::runtime::{Backend, Key, Members, Shared, SliceSize, Slices, Upstream};
use crate::upstream::Pools;

pub(super) fn upstream(upstream: &model::Upstream, http: &model::Http, workers: usize, shared: &Shared) -> Upstream {
    let running = shared.runtime.load();
    let before = running.upstreams.iter().find(|other| *other.name == *upstream.name);
    let before = before.and_then(|before| before.names.as_ref());
    let names = Names::new(upstream, http.resolver.as_ref(), http.resolver_timeout, before, workers);
    let members = match &names {
        Some(names) => names.members(shared),
        None => members(upstream, &[], workers, shared),
    };
    let id_with_bar = members.backends.iter().any(|backend| backend.sid.contains(&b'|'));
    Upstream {
        name: upstream.name.as_str().into(),
        key: match &upstream.method {
            Some(model::Method::IpHash) => Key::Address,
            Some(model::Method::Hash { key, .. } | model::Method::ConsistentHash { key }) => Key::Text(compile(key)),
            _ => Key::None,
        },
        sticky: upstream.sticky.as_ref().map(|sticky| policy(sticky, id_with_bar)),
        rules: upstream.check.as_ref().map(|check| Rules::new(check, upstream)),
        names,
        members: ArcSwap::from_pointee(members),
        changed: Notify::new(),
        in_place: AtomicBool::new(false),
        pools: pools(&upstream.name, workers, shared),
        slices: upstream.keepalive.slices.as_ref().map(slices),
        keepalive: upstream.keepalive.clone(),
    }
}

/// The servers of an upstream, with what is known of them already. `lines` has the line of the block for each of them,
/// where names have made others of them.
pub(crate) fn members(upstream: &model::Upstream, lines: &[usize], workers: usize, shared: &Shared) -> Members {
    let mut backends = Vec::new();
    let mut servers = Vec::new();
    let mut sids = SidTable::default();
    let mut seen: HashMap<&Address, usize> = HashMap::new();
    let plain = upstream.sticky.as_ref().is_some_and(|sticky| sticky.hash == model::Hash::Plain);
    for (place, server) in upstream.servers.iter().enumerate() {
        let line = lines.get(place).copied().unwrap_or(place);
        for address in &server.addresses {
            let name: Arc<str> = address.to_string().into();
            let sid: Box<[u8]> = match (&upstream.sticky, &server.id) {
                (None, _) => Box::default(),
                (Some(_), Some(id)) if plain => id.as_slice().into(),
                (Some(_), None) if plain => name.as_bytes().into(),
                (Some(_), _) => sid::md5(name.as_bytes()).into(),
            };
            if upstream.sticky.is_some() {
                // Of two servers with one SID the first has it; the file's check has warned.
                let _ = sids.insert(&sid, backends.len());
            }
            // The same address twice is two servers.
            let times = *seen.entry(address).and_modify(|times| *times += 1).or_insert(0);
            let state = peer(&upstream.name, address, times, shared);
            servers.push((balance_server(server, &name), Arc::clone(&state)));
            backends.push(Arc::new(Backend { name, sid, address: address.clone(), state, line }));
        }
    }
    let group = balance::Group::new(method(upstream.method.as_ref()), servers);
    let progress = progress(upstream, &group, workers, shared);
    Members { backends, group, progress, sids }
}

/// How far each worker has come: those who had come somewhere with the same servers go on there. Where clients stay with
/// the server that they were given, workers begin at different places; else all begin with the first, as in nginx.
fn progress(
    upstream: &model::Upstream,
    group: &balance::Group,
    workers: usize,
    shared: &Shared,
) -> Vec<Mutex<balance::Progress>> {
    let running = shared.runtime.load();
    let before = running.upstreams.iter().find(|other| *other.name == *upstream.name);
    let before = before.map(|before| before.members.load_full());
    let kept = before.as_ref().map(|before| group.kept_of(&before.group)).unwrap_or_default();
    let of_worker = |worker: usize| {
        let mut progress = group.progress(seed());
        if upstream.sticky.is_some() {
            group.advance(&mut progress, worker * group.len() / workers.max(1));
        }
        if let Some(before) = &before
            && let Some(old) = before.progress.get(worker)
        {
            group.resume(&mut progress, &before.group, &old.lock(), &kept);
        }
        progress.into()
    };
    (0..workers).map(of_worker).collect()
}

/// The counters of a server, which outlive reloads.
fn peer(upstream: &str, address: &Address, times: usize, shared: &Shared) -> Arc<balance::Peer> {
    let mut peers = shared.peers.lock();
    let slot = peers.entry((upstream.to_owned(), address.clone(), times)).or_default();
    slot.upgrade().unwrap_or_else(|| {
        let peer = Arc::default();
        *slot = Arc::downgrade(&peer);
        peer
    })
}

/// The idle connections of an upstream, which outlive reloads.
fn pools(upstream: &str, workers: usize, shared: &Shared) -> Arc<Pools> {
    let mut pools = shared.pools.lock();
    let slot = pools.entry(upstream.to_owned()).or_default();
    slot.upgrade().unwrap_or_else(|| {
        let pools = Arc::new(Pools::new(workers));
        *slot = Arc::downgrade(&pools);
        pools
    })
}

fn slices(slices: &model::Slices) -> Slices {
    Slices {
        key: compile(&slices.key),
        most: match &slices.most {
            model::SliceSize::Number(most) => SliceSize::Number(*most),
            model::SliceSize::Variable(text) => SliceSize::Text(compile(text)),
        },
        key_length: slices.key_length as usize,
    }
}

fn balance_server(server: &model::UpstreamServer, name: &str) -> balance::Server {
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

fn method(method: Option<&model::Method>) -> balance::Method {
    let Some(method) = method else { return balance::Method::RoundRobin };
    match method {
        model::Method::IpHash => balance::Method::AddressHash,
        model::Method::Hash { consistent: false, .. } => balance::Method::Hash,
        model::Method::Hash { consistent: true, .. } => balance::Method::Ketama,
        model::Method::ConsistentHash { .. } => balance::Method::Consistent,
        model::Method::LeastConn => balance::Method::LeastConn,
        model::Method::LeastTime { until, inflight } => {
            let until = match until {
                model::Until::Header => balance::Until::Header,
                model::Until::LastByte => balance::Until::LastByte,
            };
            balance::Method::LeastTime { until, inflight: *inflight }
        }
        model::Method::Random => balance::Method::Random,
        model::Method::RandomTwo => balance::Method::RandomTwo,
        model::Method::Vnswrr => balance::Method::Vnswrr,
        model::Method::Iwrr => balance::Method::Iwrr,
    }
}

/// For what is random in a worker's choices; another one each time.
fn seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| clock::unix_time().as_nanos() as u64)
}

fn policy(sticky: &model::SessionSticky, id_with_bar: bool) -> Policy {
    Policy::new(&limpet_sticky::Settings {
        cookie: sticky.cookie.clone(),
        domain: sticky.domain.clone(),
        path: sticky.path.clone(),
        maxage: sticky.maxage.clone(),
        limits: sticky.maxidle.zip(sticky.maxlife).map(|(maxidle, maxlife)| Limits { maxidle, maxlife }),
        mode: match sticky.mode {
            model::StickyMode::Insert => Mode::Insert,
            model::StickyMode::Prefix => Mode::Prefix,
            model::StickyMode::Rewrite => Mode::Rewrite,
        },
        indirect: sticky.indirect,
        fallback: sticky.fallback,
        id_with_bar,
    })
}

/// What is told at start and reload of servers that keep their sessions.
pub(super) fn sessions_on_down_servers(upstream: &Upstream) -> Vec<(LogLevel, String)> {
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
