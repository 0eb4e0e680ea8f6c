//! `upstream`, its `server` lines and `keepalive`.

use std::collections::{BTreeMap, HashSet};
use std::ops::{Deref, DerefMut};

use limpet_http::pass;
use limpet_kernel::builder::{Fault, fault, unknown};
use limpet_kernel::directive::contexts;
use limpet_kernel::directive::prelude::{HTTP, MORE1, N1, N12, UPSTREAM, works};
use limpet_kernel::setters::{arg, milliseconds, number, text};
use limpet_kernel::{Diagnostic, Level, Outside, Place, value};
use limpet_syntax::{self as syntax, Word};
use limpet_upstream::written;
use limpet_upstream::written::{Lookup, Method, SliceSize, Slices, UpstreamServer};

use crate::address;
use crate::model::Http;
use crate::module::{Module, Verifying};
use crate::reading::{Builder, Directive};
use crate::site::Site;

/// nginx's `ngx_http_upstream_module` and its connections that are kept.
pub(crate) struct Upstreams;

impl Module for Upstreams {
    const TITLE: &'static str = "Upstream";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = ();
    type Main = Main;

    /// Checks that every zone has a size.
    fn verify(http: &mut Http, _: &mut Verifying<'_>) -> Result<(), Diagnostic> {
        if let Some((_, without_size)) = http.main.upstream.zones.values().find(|(size, _)| size.is_none()) {
            return Err(without_size.clone());
        }
        Ok(())
    }
}

/// What the http block says once for all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Main {
    /// The shared memory that upstreams name: its size, and what to say where none is written.
    zones: BTreeMap<String, (Option<u64>, Diagnostic)>,
}

/// A group of servers, and where it was written.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    pub written: written::Upstream,
    /// Made from the address in a `proxy_pass`, not written as a block.
    pub implicit: bool,
    /// Of such a one: the port where it names none.
    pub default_port: u16,
    /// Of such a one: the block of its name, which came later and stands in the place of another one.
    pub block: Option<usize>,
    pub place: Place,
    /// Of its `session_sticky`.
    pub sticky_place: Place,
}

impl Upstream {
    /// One without servers.
    pub fn named(name: &str) -> Upstream {
        let written = written::Upstream { name: name.to_owned(), ..written::Upstream::default() };
        Upstream { written, ..Upstream::default() }
    }
}

impl Deref for Upstream {
    type Target = written::Upstream;

    fn deref(&self) -> &Self::Target {
        &self.written
    }
}

impl DerefMut for Upstream {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.written
    }
}

/// Looks up the addresses that `proxy_pass` names.
pub(crate) fn resolve_addresses(http: &mut Http, outside: &dyn Outside) -> Result<(), Diagnostic> {
    let blocks: HashSet<String> = http
        .upstreams
        .iter()
        .filter(|upstream| !upstream.implicit)
        .map(|upstream| upstream.name.to_ascii_lowercase())
        .collect();
    for upstream in http.upstreams.iter_mut().filter(|upstream| upstream.implicit && upstream.block.is_none()) {
        let name = upstream.name.clone();
        if let Some((block, port)) = name.rsplit_once(':')
            && blocks.contains(&block.to_ascii_lowercase())
        {
            return Err(upstream.place.error(format!("upstream \"{block}\" may not have port {port}")));
        }
        let found = address::target(&name).and_then(|target| target.resolve(upstream.default_port, outside));
        let addresses = found.map_err(|wrong| upstream.place.error(format!("{wrong} in upstream \"{name}\"")))?;
        upstream.servers.push(limpet_upstream::written::UpstreamServer::new(name, addresses));
        // Connections to an address that no block names are not kept.
        upstream.keepalive.connections = 0;
    }
    Ok(())
}

/// The texts of `keepalive … slice_key=`, compiled.
pub(crate) fn compile_slices(site: &Site<'_>, slices: &Slices) -> pass::Slices {
    pass::Slices {
        key: site.compile(&slices.key),
        most: match &slices.most {
            SliceSize::Number(most) => pass::SliceSize::Number(*most),
            SliceSize::Variable(text) => pass::SliceSize::Text(site.compile(text)),
        },
        key_length: slices.key_length as usize,
    }
}

const ROWS: &[Directive] = &[
    works("upstream", HTTP, N1.block(), "A group of servers.", upstream).repeatable(),
    works(
        "server",
        UPSTREAM,
        MORE1,
        "A server of the group: `weight=`, `id=`, `max_fails=`, `fail_timeout=`, `max_conns=`, `slow_start=`, `down`, `drain`, \
         `backup`, `resolve`, `service=`. `route=` has no effect.",
        server,
    )
    .repeatable(),
    works(
        "zone",
        UPSTREAM,
        N12,
        "Shared memory for a group's state. It is checked and not needed: all workers share that state anyhow.",
        zone,
    )
    .repeatable(),
    works(
        "keepalive",
        UPSTREAM,
        MORE1,
        "How many idle backend connections a worker keeps. Default: 32. With `slice_key=` requests share them only where \
         that text is the same, `slice_conn=` or the number in the variable `slice_dyn=` of them for each text \
         (`slice_keylen=`, `slice_poolsize=`; Tengine).",
        keepalive,
    ),
    works(
        "keepalive_timeout",
        UPSTREAM,
        N1,
        "How long an idle backend connection is kept. Default: 60s.",
        keepalive_timeout,
    ),
    works(
        "keepalive_requests",
        UPSTREAM,
        N1,
        "Most requests on one backend connection. Default: 1000.",
        keepalive_requests,
    ),
    works(
        "keepalive_time",
        UPSTREAM,
        N1,
        "Age after which a backend connection serves no further request. Default: 1h.",
        keepalive_time,
    ),
];

fn upstream(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let name = text(word)?.to_owned();
    builder.upstream = Upstream { place: builder.place(directive), ..Upstream::named(&name) };
    builder.block(directive, contexts::UPSTREAM)?;
    let mut upstream = std::mem::take(&mut builder.upstream);
    if upstream.dynamic_resolve.is_some() {
        // The names were found when the file was read; from then on they are looked up again.
        for server in &mut upstream.servers {
            server.lookup = server.lookup.take().or_else(|| lookup(&address::target(&server.name).ok()?, None));
        }
    }
    let refuses = upstream.method.as_ref().is_some_and(Method::refuses_slow_start);
    if refuses && upstream.servers.iter().any(|server| server.slow_start > 0) {
        builder.notice(Level::Warn, "\"slow_start\" has no effect with the balancing method", directive);
    }
    if upstream.servers.is_empty() {
        let at = directive.block.as_ref().map_or(directive.terminator, |block| block.end);
        return Err(builder.diagnostic("no servers are inside upstream".into(), at, Some(word.span)).into());
    }
    if upstream.servers.iter().all(|server| server.backup) {
        return fault(word, format!("no servers in upstream \"{name}\""));
    }
    let upstreams = &mut builder.http.upstreams;
    let same = |other: &Upstream| other.name.eq_ignore_ascii_case(&name);
    match upstreams.iter().position(same) {
        Some(index) if upstreams.get(index).is_some_and(|other| other.implicit) => {
            upstreams.iter_mut().filter(|other| same(other)).for_each(|other| other.block = Some(index));
            upstreams.iter_mut().skip(index).take(1).for_each(|other| *other = upstream.clone());
        }
        Some(_) => return fault(word, format!("duplicate upstream \"{name}\"")),
        None => upstreams.push(upstream),
    }
    Ok(())
}

/// What may stand behind the name of a server.
const SERVER_PARAMETERS: &[&str] = &[
    "weight=",
    "id=",
    "max_fails=",
    "fail_timeout=",
    "max_conns=",
    "slow_start=",
    "route=",
    "service=",
    "backup",
    "down",
    "drain",
    "resolve",
];

fn server(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let name = text(word)?;
    let mut server = UpstreamServer::new(name.to_owned(), Vec::new());
    let method = builder.upstream.method.clone();
    let (mut resolve, mut service) = (false, None);
    for word in directive.args.iter().skip(1) {
        let parameter = text(word)?;
        let invalid = || Fault::At(format!("invalid parameter \"{parameter}\""), word.span);
        let number = |value: &str| {
            value::number(value.as_bytes()).and_then(|number| u32::try_from(number).ok()).ok_or_else(invalid)
        };
        let unsupported = |refuses: fn(&Method) -> bool| match &method {
            Some(method) if refuses(method) => {
                fault(word, format!("balancing method does not support parameter \"{parameter}\""))
            }
            _ => Ok(()),
        };
        match parameter.split_once('=') {
            Some(("weight", value)) => {
                server.weight = number(value)?;
                if server.weight == 0 {
                    return Err(invalid());
                }
            }
            Some(("max_fails", value)) => server.max_fails = number(value)?,
            Some(("max_conns", value)) => {
                unsupported(Method::refuses_max_conns)?;
                server.max_conns = number(value)?;
            }
            Some(("fail_timeout", value)) => {
                server.fail_timeout = value::seconds(value.as_bytes()).ok_or_else(invalid)?;
            }
            // An empty one is as good as none.
            Some(("id", value)) => server.id = Some(value.as_bytes().to_vec()).filter(|id| !id.is_empty()),
            Some(("slow_start", value)) => {
                unsupported(Method::refuses_slow_start)?;
                server.slow_start = value::milliseconds(value.as_bytes()).ok_or_else(invalid)?;
            }
            Some(("route", route)) => match route.len() {
                0 => return fault(word, "route is empty"),
                33.. => return fault(word, "route is longer than 32"),
                // It names the server for nginx's own `sticky`.
                _ => {}
            },
            Some(("service", "")) => return fault(word, "service is empty"),
            Some(("service", name)) => service = Some(name.to_owned()),
            None if parameter == "backup" => {
                unsupported(Method::refuses_backup)?;
                server.backup = true;
            }
            None if parameter == "down" => server.down = true,
            None if parameter == "drain" => server.drain = true,
            None if parameter == "resolve" => resolve = true,
            _ => return unknown(word, parameter, SERVER_PARAMETERS),
        }
    }
    if service.is_some() && !resolve {
        return fault(word, format!("service upstream \"{name}\" requires \"resolve\" parameter"));
    }
    let wrong = |wrong: &str| fault(word, format!("{wrong} in upstream \"{name}\""));
    let target = match address::target(name) {
        Ok(target) => target,
        Err(message) => return wrong(message),
    };
    if let Some(service) = &service {
        match &target {
            address::Target::Host { host, .. } if host.parse::<std::net::IpAddr>().is_err() => {}
            _ => return fault(word, format!("service upstream \"{name}\" requires domain name")),
        }
        if matches!(target, address::Target::Host { port: Some(_), .. }) {
            return fault(word, format!("service upstream \"{name}\" may not have port"));
        }
        server.lookup = lookup(&target, Some(service.clone()));
    } else if resolve {
        server.lookup = lookup(&target, None);
    }
    if server.lookup.is_none() {
        match target.resolve(80, builder.outside) {
            Ok(addresses) => server.addresses = addresses,
            Err(message) => return wrong(message),
        }
    }
    builder.upstream.servers.push(server);
    Ok(())
}

/// nginx's smallest zone: eight pages.
const SMALLEST_ZONE: u64 = 32_768;

fn zone(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let name = word.text().into_owned();
    if name.is_empty() {
        return fault(word, "invalid zone name \"\"");
    }
    let size = match directive.args.get(1) {
        None => None,
        Some(word) => match value::size(&word.bytes) {
            None => return fault(word, format!("invalid zone size \"{}\"", word.text())),
            Some(size) if size < SMALLEST_ZONE => return fault(word, format!("zone \"{name}\" is too small")),
            size => size,
        },
    };
    let without_size =
        builder.diagnostic(format!("zero size shared memory zone \"{name}\""), directive.terminator, Some(word.span));
    let (known, _) = builder.http.main.upstream.zones.entry(name.clone()).or_insert((None, without_size));
    match (*known, size) {
        (Some(known), Some(size)) if known != size => {
            let message = format!(
                "the size {size} of shared memory zone \"{name}\" conflicts with already declared size {known}"
            );
            return fault(word, message);
        }
        (None, Some(_)) => *known = size,
        _ => {}
    }
    builder.notice_once(
        "zone",
        "\"zone\" is not needed in limpet: the state of an upstream is shared by all workers",
        directive,
    );
    Ok(())
}

/// What to look up for a server; nothing for an address.
fn lookup(target: &address::Target, service: Option<String>) -> Option<Lookup> {
    match target {
        address::Target::Host { host, port } if host.parse::<std::net::IpAddr>().is_err() => {
            Some(Lookup { host: host.clone(), port: port.unwrap_or(80), service })
        }
        _ => None,
    }
}

fn keepalive(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let count = value::number(&word.bytes).and_then(|count| u32::try_from(count).ok());
    let Some(count) = count else {
        return fault(word, format!("invalid value \"{}\" in \"keepalive\" directive", word.text()));
    };
    builder.upstream.keepalive.connections = count;
    match directive.args.get(1..).unwrap_or_default() {
        // In nginx `local` tells connections apart by location; here all locations of a worker share them.
        [word] if word.bytes == b"local" => {}
        words => builder.upstream.keepalive.slices = slices(builder, words)?,
    }
    Ok(())
}

const SLICE_PARAMETERS: &[&str] = &["slice_key=", "slice_conn=", "slice_dyn=", "slice_keylen=", "slice_poolsize="];

/// The arguments of Tengine's `keepalive`.
fn slices(builder: &mut Builder<'_>, words: &[Word]) -> Result<Option<Slices>, Fault> {
    let (mut key, mut most, mut variable) = (None, None, None);
    let (mut key_length, mut count) = (40, 20);
    for word in words {
        let invalid = || Fault::At(format!("invalid parameter \"{}\"", word.text()), word.span);
        let parameter = text(word)?;
        let (name, value) = parameter.split_once('=').filter(|(_, value)| !value.is_empty()).ok_or_else(invalid)?;
        let number = || value::number(value.as_bytes()).and_then(|number| u32::try_from(number).ok());
        match name {
            "slice_key" => key = Some(builder.template_in(word, value.as_bytes())?),
            "slice_conn" => most = Some(SliceSize::Number(number().ok_or_else(invalid)?)),
            "slice_dyn" => {
                let name = format!("${}", value.strip_prefix('$').unwrap_or(value));
                variable = Some(SliceSize::Variable(builder.template_in(word, name.as_bytes())?));
            }
            "slice_keylen" => key_length = number().ok_or_else(invalid)?,
            "slice_poolsize" => count = number().ok_or_else(invalid)?,
            _ => return unknown(word, parameter, SLICE_PARAMETERS),
        }
    }
    // The variable counts, wherever it stands.
    match (key, variable.or(most)) {
        (None, _) => Ok(None),
        (Some(_), None) => Err(Fault::Message("specific either slice_conn or slice_dyn".into())),
        (Some(key), Some(most)) => Ok(Some(Slices { key, most, key_length, count })),
    }
}

fn keepalive_timeout(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.upstream.keepalive.timeout = milliseconds(directive)?;
    Ok(())
}

fn keepalive_requests(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let requests = number(directive)?;
    builder.upstream.keepalive.requests = requests;
    Ok(())
}

fn keepalive_time(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    builder.upstream.keepalive.time = milliseconds(directive)?;
    Ok(())
}
