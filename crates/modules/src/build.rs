//! From the configuration to the runtime: files opened, patterns and texts compiled, names turned into references.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use limpet_http::route::host::HostMap;
use limpet_http::route::location::Level;
use limpet_http::runtime::{self, Content, Listening, Runtime, Shared};
use limpet_log::{ErrorLog, LogLevel};
use limpet_upstream::{Upstream, sessions_on_down_servers};
use limpet_wire::Address;
use nix::sys::resource::{Resource, getrlimit};

use crate::balance::hash_key;
use crate::log::{self, ErrorLogTarget};
use crate::model::{Config, Http, Location, Matcher, Server, ServerName};
use crate::module::Spot;
use crate::site::{BuiltUpstream, regex};
use crate::{files, list, sticky};

pub use crate::site::{BuildError, Environment, Site};
use crate::upstream::compile_slices;

/// The runtime, the error log for messages that belong to no request, and what is worth telling.
pub type Built = (Runtime, Arc<ErrorLog>, Remarks);

/// What building found worth telling.
pub type Remarks = Vec<(LogLevel, String)>;

/// Makes the runtime, and the error log for messages that belong to no request.
///
/// # Errors
/// A log file that can't be opened, a pattern that PCRE does not take.
pub fn build(config: &Config, environment: &Environment, shared: &Shared) -> Result<Built, BuildError> {
    let default_log = main_error_log(config, environment, shared)?;
    shared.kept.forget_what_is_gone();
    let worker_connections = config.main.worker_connections as usize;
    let mut remarks: Remarks =
        beyond_descriptors(worker_connections, config.main.worker_rlimit_nofile).into_iter().collect();
    let mut runtime = Runtime { worker_connections, ..Runtime::default() };
    if let Some(http) = &config.http {
        let mut registry = crate::variables();
        http.defined_variables.iter().for_each(|name| registry.declare(name.clone()));
        list::define(http, &mut registry);
        let mut site = Site {
            environment,
            shared,
            http,
            registry,
            upstreams: Vec::new(),
            clients: RefCell::default(),
            remarks: RefCell::default(),
            default_log: Arc::clone(&default_log),
        };
        for written in &http.upstreams {
            let block = written.block.and_then(|block| site.upstreams.get(block).cloned());
            let built = match block {
                Some(block) => block,
                None => built_upstream(&site, written)?,
            };
            site.upstreams.push(built);
        }
        remarks.extend(site.upstreams.iter().flat_map(|balanced| sessions_on_down_servers(&balanced.upstream)));
        for written in &http.servers {
            runtime.servers.push(Arc::new(server(&site, written)?));
        }
        runtime.listening = listening(&http.servers)?;
        remarks.append(&mut site.remarks.borrow_mut());
        let built = site.upstreams.into_iter().zip(&http.upstreams).filter(|(_, written)| written.block.is_none());
        runtime.upstreams = built.map(|(balanced, _)| balanced.upstream).collect();
    }
    Ok((runtime, default_log, remarks))
}

/// nginx's warning of more connections than there can be descriptors.
fn beyond_descriptors(connections: usize, wanted: Option<u64>) -> Option<(LogLevel, String)> {
    let most = wanted.or_else(|| Some(getrlimit(Resource::RLIMIT_NOFILE).ok()?.0))?;
    let text = format!("{connections} worker_connections exceed open file resource limit: {most}");
    (connections as u64 > most).then_some((LogLevel::Warn, text))
}

fn main_error_log(config: &Config, environment: &Environment, shared: &Shared) -> Result<Arc<ErrorLog>, BuildError> {
    let path = match (&config.main.error_log, &environment.error_log) {
        (Some(logs), _) => return log::open_error_log(shared, environment, logs),
        (None, Some(path)) => path.clone(),
        (None, None) => PathBuf::from("logs/error.log"),
    };
    let target = match path.to_str() {
        Some("stderr") => ErrorLogTarget::Stderr,
        _ => ErrorLogTarget::File(path),
    };
    log::open_error_log(shared, environment, &[log::ErrorLog { target, level: LogLevel::Error }])
}

fn built_upstream(site: &Site<'_>, written: &crate::model::Upstream) -> Result<BuiltUpstream, BuildError> {
    let mut signed = None;
    if let Some(sticky) = written.sticky.as_ref().filter(|sticky| !sticky.secrets.is_empty()) {
        let keys = sticky::keys(sticky, &site.environment.conf_prefix);
        let keys = keys.map_err(|wrong| BuildError(format!("{wrong} in {}", written.sticky_place)))?;
        let upstream = signed.insert(written.written.clone());
        upstream.sticky = Some(limpet_upstream::written::SessionSticky { keys, ..sticky.clone() });
    }
    let written = signed.as_ref().unwrap_or(&written.written);
    let Http { main, .. } = site.http;
    let resolver = &main.resolver;
    let (workers, kept) = (site.environment.workers, &site.shared.kept);
    Ok(BuiltUpstream {
        upstream: Arc::new(Upstream::new(written, resolver.resolver.as_ref(), resolver.timeout, workers, kept)),
        key: Arc::new(hash_key(site, written.method.as_ref())),
        slices: written.keepalive.slices.as_ref().map(|written| Arc::new(compile_slices(site, written))),
    })
}

fn server(site: &Site<'_>, written: &Server) -> Result<runtime::Server, BuildError> {
    let mut locations = Vec::new();
    let mut inner = foldhash::HashMap::default();
    let top = level(site, &written.locations, &mut locations, &mut inner)?;
    let mut named = foldhash::HashMap::default();
    for location in &written.locations {
        if let Matcher::Named(name) = &location.matcher {
            named.entry(name.as_bytes().to_vec()).or_insert(locations.len());
            locations.push(Arc::new(build_location(site, location)?));
        }
    }
    let spot = Spot { settings: &written.settings, matcher: None, place: &written.place };
    let content = match &written.content {
        Some(content) => content.build(site, &spot)?,
        None => files::content(site, &spot),
    };
    let mut outside = runtime::Location { content, ..runtime::Location::default() };
    list::install(site, &spot, &mut outside)?;
    let mut server = runtime::Server {
        // As nginx shows it, a name for itself and all below is only itself.
        name: match written.names.first() {
            Some(ServerName::Domain(domain)) => domain.clone(),
            Some(name) => name.to_string(),
            None => String::new(),
        },
        locations,
        top,
        named,
        inner,
        outside: Arc::new(outside),
        ..runtime::Server::nowhere()
    };
    list::install_in_server(site, &written.settings, &mut server)?;
    Ok(server)
}

fn level(
    site: &Site<'_>,
    siblings: &[Location],
    locations: &mut Vec<Arc<runtime::Location>>,
    inner: &mut foldhash::HashMap<usize, Level>,
) -> Result<Level, BuildError> {
    let mut found = Level::default();
    for location in siblings.iter().filter(|location| !matches!(location.matcher, Matcher::Named(_))) {
        let built = build_location(site, location)?;
        let redirects = matches!(built.content, Content::Upstream(_));
        locations.push(Arc::new(built));
        let index = locations.len() - 1;
        match &location.matcher {
            Matcher::Exact(uri) => found.add_exact(uri, index),
            Matcher::Prefix { prefix, no_regex } => {
                found.add_prefix(prefix, index, *no_regex, redirects && prefix.ends_with(b"/"));
            }
            Matcher::Regex { pattern, caseless } => found.add_regex(regex(pattern, *caseless)?, index),
            Matcher::Named(_) | Matcher::If => {}
        }
        if !location.locations.is_empty() {
            let nested = level(site, &location.locations, locations, inner)?;
            inner.insert(index, nested);
        }
    }
    found.finish();
    Ok(found)
}

fn build_location(site: &Site<'_>, written: &Location) -> Result<runtime::Location, BuildError> {
    let ifs = written.ifs.iter().map(|block| Ok(Arc::new(build_location(site, block)?)));
    let spot = Spot { settings: &written.settings, matcher: Some(&written.matcher), place: &written.place };
    let mut location = runtime::Location {
        prefix_length: match &written.matcher {
            Matcher::Exact(uri) | Matcher::Prefix { prefix: uri, .. } => uri.len(),
            _ => 0,
        },
        regex: match &written.matcher {
            Matcher::Regex { pattern, caseless } => Some(regex(pattern, *caseless)?),
            _ => None,
        },
        content: match &written.content {
            Some(content) => content.build(site, &spot)?,
            None => files::content(site, &spot),
        },
        ifs: ifs.collect::<Result<_, BuildError>>()?,
        ..runtime::Location::default()
    };
    list::install(site, &spot, &mut location)?;
    Ok(location)
}

fn listening(servers: &[Server]) -> Result<foldhash::HashMap<Address, Listening>, BuildError> {
    let mut addresses: foldhash::HashMap<Address, Listening> = foldhash::HashMap::default();
    for (index, server) in servers.iter().enumerate() {
        for listen in &server.listens {
            let new = || Listening { hosts: HostMap::default(), default: index, tls: false };
            let listening = addresses.entry(listen.address.clone()).or_insert_with(new);
            listening.tls |= listen.ssl;
            if listen.default_server {
                listening.default = index;
            }
            for name in &server.names {
                match name {
                    ServerName::Exact(name) => listening.hosts.add_exact(name, index),
                    ServerName::Suffix(suffix) => listening.hosts.add_suffix(suffix, index),
                    ServerName::Prefix(prefix) => listening.hosts.add_prefix(prefix, index),
                    ServerName::Regex(pattern) => listening.hosts.add_regex(regex(pattern, true)?, index),
                    ServerName::Domain(domain) => {
                        listening.hosts.add_exact(domain, index);
                        listening.hosts.add_suffix(&format!(".{domain}"), index);
                    }
                }
            }
        }
    }
    Ok(addresses)
}
