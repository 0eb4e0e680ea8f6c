//! One lookup: what is asked, and which servers the answer names.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{TokioResolver, lookup};
use limpet_wire::Address;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::written::{Lookup, Resolver, UpstreamServer};

/// No line of an upstream stands for more servers, whatever its answers say.
pub(super) const MOST: usize = 10_000;

/// So many targets of a service are looked up at a time.
const AT_A_TIME: usize = 32;
/// The most CNAMEs that are followed from a name to its SRV records.
const MOST_ALIASES: usize = 8;

/// Who asks, and for which kinds of addresses.
#[derive(Clone)]
pub(super) struct Asker {
    /// One for each name server.
    resolvers: Vec<TokioResolver>,
    /// The one that has answered last.
    last: Arc<AtomicUsize>,
    ipv4: bool,
    ipv6: bool,
    /// For a whole lookup.
    timeout: Duration,
}

/// What a name stands for.
pub(super) struct DnsAnswer {
    pub(super) servers: Vec<UpstreamServer>,
    /// How long it counts.
    pub(super) counts: Duration,
    /// There were more servers than [`MOST`].
    pub(super) is_cut: bool,
    /// What of it could not be looked up, and why; the servers of that part are those of the last answer.
    pub(super) failure: Option<(String, NetError)>,
}

/// The addresses of a name.
struct Addresses {
    found: Vec<IpAddr>,
    /// The answer counts until then.
    until: Instant,
    /// The kind of addresses that could not be looked up, and why: those that were known are among `found`.
    failure: Option<(RecordType, NetError)>,
}

/// How long to wait for the addresses of one kind (A or AAAA) once those of the other have come: if addresses of the name
/// are in use already, and if none are. A later answer counts as a failure.
const GRACE: Duration = Duration::from_secs(5);
const FIRST_GRACE: Duration = Duration::from_secs(1);

impl DnsAnswer {
    fn new(mut servers: Vec<UpstreamServer>, until: Instant) -> DnsAnswer {
        let is_cut = cut(&mut servers, MOST);
        DnsAnswer { servers, counts: until.saturating_duration_since(Instant::now()), is_cut, failure: None }
    }
}

impl Asker {
    /// Asks the given name servers, or those of the system; a whole lookup may take so long.
    pub(super) fn new(resolver: Option<&Resolver>, timeout: Duration) -> Result<Asker, String> {
        let servers: Vec<NameServerConfig> = match resolver {
            Some(resolver) => resolver.servers.iter().map(name_server).collect(),
            None => {
                let (system, _) = hickory_resolver::system_conf::read_system_conf()
                    .map_err(|error| format!("the system's name servers can't be read: {error}"))?;
                system.name_servers().to_vec()
            }
        };
        let mut options = ResolverOpts::default();
        if servers.len() > 1 {
            // Instead of a second attempt the next name server is asked.
            options.attempts = 1;
        }
        // Answers are kept here, by their own time or by `valid=`; and nginx knows no hosts file either.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = (timeout / 2).clamp(Duration::from_millis(100), Duration::from_secs(5));
        let one = |server: NameServerConfig| {
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            *builder.options_mut() = options.clone();
            builder.build().map_err(|error| error.to_string())
        };
        Ok(Asker {
            resolvers: servers.into_iter().map(one).collect::<Result<_, _>>()?,
            last: Arc::default(),
            ipv4: resolver.is_none_or(|resolver| resolver.ipv4),
            ipv6: resolver.is_none_or(|resolver| resolver.ipv6),
            timeout,
        })
    }

    /// Asks the name servers one after the other, beginning with the one that has answered last, until one has an answer.
    /// "No such name" is an answer too, but the next lookup begins with the next server. Each has its share of the time.
    async fn lookup(&self, name: &str, kind: RecordType) -> Result<lookup::Lookup, NetError> {
        let (first, count) = (self.last.load(Relaxed), self.resolvers.len());
        let part = self.timeout / u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let mut failure = NetError::Timeout;
        for (index, resolver) in self.resolvers.iter().enumerate().cycle().skip(first).take(count) {
            let answer = timeout(part, resolver.lookup(name, kind)).await.unwrap_or(Err(NetError::Timeout));
            self.last.store(if answer.is_ok() { index } else { (index + 1) % count }, Relaxed);
            match answer {
                Err(error) if !is_none(&error) => failure = error,
                answer => return answer,
            }
        }
        Err(failure)
    }

    /// Asks for what a line of an upstream stands for. `known` are its servers by the last answer.
    pub(super) async fn ask(
        &self,
        server: &UpstreamServer,
        lookup: &Lookup,
        known: &[UpstreamServer],
    ) -> Result<DnsAnswer, NetError> {
        match &lookup.service {
            None => {
                let known = known.iter().flat_map(|server| &server.addresses).filter_map(address_ip);
                let Addresses { found, until, failure } =
                    self.ask_host(&lookup.host, &known.collect::<Vec<_>>()).await?;
                let addresses = found.into_iter().map(|ip| Address::Ip(SocketAddr::new(ip, lookup.port))).collect();
                let failure = failure.map(|(kind, error)| (format!("{kind} of {}", lookup.host), error));
                Ok(DnsAnswer { failure, ..DnsAnswer::new(vec![UpstreamServer { addresses, ..server.clone() }], until) })
            }
            Some(service) => self.ask_service(server, lookup, service, known).await,
        }
    }

    /// The addresses of a name, sorted, so that the same answer in another order is no change. If one kind can't be looked
    /// up, those of it that are `known` are kept.
    async fn ask_host(&self, host: &str, known: &[IpAddr]) -> Result<Addresses, NetError> {
        let of_kind = async |kind: RecordType, wanted: bool| {
            let name = absolute(host);
            let lookup = self.lookup(&name, kind);
            match wanted {
                true => Some(timeout(self.timeout, lookup).await.unwrap_or(Err(NetError::Timeout))),
                false => None,
            }
        };
        let four = pin!(of_kind(RecordType::A, self.ipv4));
        let six = pin!(of_kind(RecordType::AAAA, self.ipv6));
        let grace = if known.is_empty() { FIRST_GRACE } else { GRACE };
        let late = Some(Err(NetError::Timeout));
        let (four, six) = match select(four, six).await {
            Either::Left((four, six)) if has_records(&four) => (four, timeout(grace, six).await.unwrap_or(late)),
            Either::Right((six, four)) if has_records(&six) => (timeout(grace, four).await.unwrap_or(late), six),
            Either::Left((four, six)) => (four, six.await),
            Either::Right((six, four)) => (four.await, six),
        };
        let (mut found, mut until, mut missing, mut failure) = (Vec::new(), None, None, None);
        for (kind, answer) in [(RecordType::A, four), (RecordType::AAAA, six)] {
            match answer {
                None => {}
                Some(Ok(answer)) => {
                    found.extend(answer.answers().iter().filter_map(|record| record.data.ip_addr()));
                    until = until.into_iter().chain([answer.valid_until()]).min();
                }
                Some(Err(error)) if is_none(&error) => missing = Some(error),
                Some(Err(error)) => {
                    found.extend(known.iter().filter(|ip| ip.is_ipv4() == (kind == RecordType::A)));
                    failure = Some((kind, error));
                }
            }
        }
        found.sort();
        found.dedup();
        match (failure, until) {
            // Nothing of it could be looked up, or nothing is left of it.
            (Some((_, error)), None) if missing.is_none() || found.is_empty() => Err(error),
            (failure, _) if !found.is_empty() => {
                Ok(Addresses { found, until: until.unwrap_or_else(Instant::now), failure })
            }
            _ => Err(missing.unwrap_or_else(nothing)),
        }
    }

    /// The SRV records of a name, which may stand for another one: the resolver follows aliases to addresses only.
    async fn srv_records(&self, mut name: String) -> Result<lookup::Lookup, NetError> {
        let mut aliases = 0;
        loop {
            let missing = match self.lookup(name.as_str(), RecordType::SRV).await {
                Err(error) if is_none(&error) && aliases < MOST_ALIASES => error,
                answer => return answer,
            };
            let answer = match self.lookup(name.as_str(), RecordType::CNAME).await {
                Err(error) if is_none(&error) => return Err(missing),
                answer => answer?,
            };
            let target = answer.answers().iter().find_map(|record| match &record.data {
                RData::CNAME(target) => Some(target.to_utf8()),
                _ => None,
            });
            match target {
                Some(target) => name = absolute(&target),
                None => return Err(missing),
            }
            aliases += 1;
        }
    }

    /// Asks for `_http._tcp.NAME` for `service=http`, and for `SERVICE.NAME` if there is a dot in it. The records with the
    /// lowest priority number are the servers, all others backups; a record's weight counts unless the line has one.
    async fn ask_service(
        &self,
        server: &UpstreamServer,
        lookup: &Lookup,
        service: &str,
        known: &[UpstreamServer],
    ) -> Result<DnsAnswer, NetError> {
        let host = &lookup.host;
        let query = if service.contains('.') { format!("{service}.{host}") } else { format!("_{service}._tcp.{host}") };
        let answer =
            timeout(self.timeout, self.srv_records(absolute(&query))).await.unwrap_or(Err(NetError::Timeout))?;
        let mut until = answer.valid_until();
        let mut records: Vec<_> = answer
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(record) => Some((record.priority, record.target.to_utf8(), record.port, record.weight)),
                _ => None,
            })
            .collect();
        records.sort();
        let first = records.first().map(|(priority, ..)| *priority);
        let mut servers: Vec<UpstreamServer> = Vec::new();
        let (mut count, mut failure) = (0, None);
        for records in records.chunks(AT_A_TIME) {
            let mut targets = JoinSet::new();
            for (place, (_, target, ..)) in records.iter().enumerate() {
                let (asker, target) = (self.clone(), target.clone());
                let known: Vec<IpAddr> = known_of(known, &target).filter_map(address_ip).collect();
                targets.spawn(async move { (place, asker.ask_host(&target, &known).await) });
            }
            let mut found = targets.join_all().await;
            found.sort_by_key(|(place, _)| *place);
            for ((priority, target, port, weight), (_, found)) in records.iter().zip(found) {
                let name = target.trim_end_matches('.').to_owned();
                let addresses: Vec<Address> = match found {
                    Ok(Addresses { found, until: ends, failure: failed }) => {
                        until = until.min(ends);
                        failure = failed.map(|(_, error)| error).or(failure);
                        found.into_iter().map(|ip| Address::Ip(SocketAddr::new(ip, *port))).collect()
                    }
                    // A target that does not exist leaves the others.
                    Err(error) if is_none(&error) => continue,
                    // And one that can't be looked up keeps what is known of it.
                    Err(error) => {
                        failure = Some(error);
                        let has_port = |address: &&Address| matches!(address, Address::Ip(ip) if ip.port() == *port);
                        known_of(known, target).filter(has_port).cloned().collect()
                    }
                };
                count += addresses.len();
                servers.push(UpstreamServer {
                    name,
                    addresses,
                    weight: if server.weight == 1 { u32::from(*weight).max(1) } else { server.weight },
                    backup: server.backup || Some(*priority) != first,
                    ..server.clone()
                });
            }
            if count > MOST {
                // It is too many already.
                break;
            }
        }
        match failure {
            Some(failure) if count == 0 => Err(failure),
            None if count == 0 => Err(nothing()),
            failure => {
                let failure = failure.map(|error| (format!("a server of {}", lookup.shown()), error));
                Ok(DnsAnswer { failure, ..DnsAnswer::new(servers, until) })
            }
        }
    }
}

/// The addresses of a target that are known.
fn known_of<'k>(known: &'k [UpstreamServer], target: &'k str) -> impl Iterator<Item = &'k Address> {
    let name = target.trim_end_matches('.');
    known.iter().filter(move |server| server.name == name).flat_map(|server| &server.addresses)
}

fn address_ip(address: &Address) -> Option<IpAddr> {
    match address {
        Address::Ip(address) => Some(address.ip()),
        Address::Unix(_) => None,
    }
}

fn has_records(answer: &Option<Result<lookup::Lookup, NetError>>) -> bool {
    matches!(answer, Some(Ok(answer)) if !answer.answers().is_empty())
}

/// The error that stands for an answer without records.
fn nothing() -> NetError {
    NetError::from(NoRecords::new(Query::default(), ResponseCode::NoError))
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections.iter_mut().for_each(|connection: &mut ConnectionConfig| connection.port = address.port());
    server
}

/// Whether an answer says that there is no such name, or nothing behind it.
pub(super) fn is_none(error: &NetError) -> bool {
    matches!(
        error,
        NetError::Dns(DnsError::NoRecordsFound(answer))
            if matches!(answer.response_code, ResponseCode::NXDomain | ResponseCode::NoError)
    )
}

/// A name that no search list is tried for.
fn absolute(name: &str) -> String {
    if name.ends_with('.') { name.to_owned() } else { format!("{name}.") }
}

/// Leaves out what is beyond so many addresses. `true` when something was.
fn cut(servers: &mut Vec<UpstreamServer>, most: usize) -> bool {
    let mut left = most;
    let mut is_cut = false;
    for server in servers.iter_mut() {
        is_cut |= server.addresses.len() > left;
        server.addresses.truncate(left);
        left -= server.addresses.len();
    }
    servers.retain(|server| !server.addresses.is_empty());
    is_cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_beyond_the_bound_are_left_out() {
        let server = |count: u16| {
            let addresses = (1..=count).map(|port| Address::Ip(SocketAddr::from(([127, 0, 0, 1], port)))).collect();
            UpstreamServer::new("s".into(), addresses)
        };
        for (counts, expected) in [
            (vec![2, 3], (false, vec![2, 3])),
            (vec![2, 4], (true, vec![2, 3])),
            (vec![9, 1], (true, vec![5])),
            (vec![5, 1, 1], (true, vec![5])),
            (vec![5], (false, vec![5])),
            (vec![], (false, vec![])),
        ] {
            let mut servers: Vec<UpstreamServer> = counts.iter().map(|count| server(*count)).collect();
            let is_cut = cut(&mut servers, 5);
            assert_eq!((is_cut, servers.iter().map(|server| server.addresses.len()).collect()), expected, "{counts:?}");
        }
    }
}
