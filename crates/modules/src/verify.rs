//! What can be checked only when the whole http block is known: names that must exist, addresses that must resolve, and
//! combinations that do something else than their author thinks.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use limpet_syntax::{Diagnostic, Origin};

use crate::address;
use crate::model::{Charset, Content, Http, Listen, Location, Server, ServerName, Settings, Upstream};
use limpet_kernel::Level;
use limpet_kernel::Outside;
use limpet_kernel::Place;
use limpet_kernel::builder::Notice;
use limpet_upstream::written::{Hash, SessionSticky, StickyMode};

/// Checks the block and looks up the addresses that `proxy_pass` names.
///
/// # Errors
/// The first thing that can't work.
pub(crate) fn verify(
    http: &mut Http,
    hidden: &[(String, Diagnostic)],
    outside: &dyn Outside,
    notices: &mut Vec<Notice>,
) -> Result<(), Diagnostic> {
    resolve_addresses(http, outside)?;
    check_listens(http)?;
    warn_of_conflicting_names(&http.servers, notices);
    if let Some((_, diagnostic)) = hidden.iter().find(|(name, _)| !is_block(http, name)) {
        return Err(diagnostic.clone());
    }
    check_charsets(http)?;
    warn_of_sticky(http, notices);
    Ok(())
}

/// Between two character sets that a block names there must be a map.
fn check_charsets(http: &Http) -> Result<(), Diagnostic> {
    let check = |settings: &Settings, place: &Place| {
        let (Some(Charset::Named(to)), Some(Charset::Named(from))) = (&settings.charset, &settings.source_charset)
        else {
            return Ok(());
        };
        if from.eq_ignore_ascii_case(to) || http.charset_maps.iter().any(|map| map.is_between(from, to)) {
            return Ok(());
        }
        Err(at(place, format!("no \"charset_map\" between the charsets \"{from}\" and \"{to}\"")))
    };
    fn all<'l>(location: &'l Location, found: &mut Vec<&'l Location>) {
        found.push(location);
        location.locations.iter().chain(&location.ifs).for_each(|inner| all(inner, found));
    }
    for server in &http.servers {
        check(&server.settings, &server.place)?;
        let mut locations = Vec::new();
        server.locations.iter().for_each(|location| all(location, &mut locations));
        locations.iter().try_for_each(|location| check(&location.settings, &location.place))?;
    }
    Ok(())
}

fn at(place: &Place, message: String) -> Diagnostic {
    let origin = Origin::File { path: place.path.to_path_buf(), line: place.line };
    Diagnostic { message, origin, caret: None, meant: None }
}

fn warn(notices: &mut Vec<Notice>, place: &Place, message: String) {
    notices.push(Notice { level: Level::Warn, diagnostic: at(place, message) });
}

fn is_block(http: &Http, name: &str) -> bool {
    http.upstreams.iter().any(|upstream| !upstream.implicit && upstream.name == name)
}

fn resolve_addresses(http: &mut Http, outside: &dyn Outside) -> Result<(), Diagnostic> {
    let blocks: HashSet<String> = http
        .upstreams
        .iter()
        .filter(|upstream| !upstream.implicit)
        .map(|upstream| upstream.name.to_ascii_lowercase())
        .collect();
    for upstream in http.upstreams.iter_mut().filter(|upstream| upstream.implicit) {
        let name = upstream.name.clone();
        if let Some((block, port)) = name.rsplit_once(':')
            && blocks.contains(&block.to_ascii_lowercase())
        {
            return Err(at(&upstream.place, format!("upstream \"{block}\" may not have port {port}")));
        }
        let found = address::target(&name).and_then(|target| target.resolve(80, outside));
        let addresses = found.map_err(|wrong| at(&upstream.place, format!("{wrong} in upstream \"{name}\"")))?;
        upstream.servers.push(limpet_upstream::written::UpstreamServer::new(name, addresses));
        // Connections to an address that no block names are not kept.
        upstream.keepalive.connections = 0;
    }
    Ok(())
}

fn check_listens(http: &Http) -> Result<(), Diagnostic> {
    let mut options = HashSet::new();
    let has_options = |listen: &&Listen| listen.has_options;
    for listen in http.servers.iter().flat_map(|server| &server.listens).filter(has_options) {
        if !options.insert(&listen.address) {
            return Err(at(&listen.place, format!("duplicate listen options for {}", listen.address)));
        }
    }
    let mut defaults = HashSet::new();
    for listen in http.servers.iter().flat_map(|server| &server.listens).filter(|listen| listen.default_server) {
        if !defaults.insert(&listen.address) {
            return Err(at(&listen.place, format!("a duplicate default server for {}", listen.address)));
        }
    }
    Ok(())
}

fn warn_of_conflicting_names(servers: &[Server], notices: &mut Vec<Notice>) {
    let mut seen = HashSet::new();
    for server in servers {
        // A server without names has the empty one.
        let empty = [ServerName::Exact(String::new())];
        let names = if server.names.is_empty() { empty.as_slice() } else { &server.names };
        for listen in &server.listens {
            for name in names.iter().filter(|name| !matches!(name, ServerName::Regex(_))) {
                if !seen.insert((&listen.address, format!("{name:?}"))) {
                    let message =
                        format!("conflicting server name \"{}\" on {}, ignored", written(name), listen.address);
                    warn(notices, &server.place, message);
                }
            }
        }
    }
}

fn written(name: &ServerName) -> String {
    match name {
        ServerName::Exact(name) => name.clone(),
        ServerName::Suffix(suffix) => format!("*{suffix}"),
        ServerName::Domain(domain) => format!(".{domain}"),
        ServerName::Prefix(prefix) => format!("{prefix}*"),
        ServerName::Regex(pattern) => format!("~{pattern}"),
    }
}

fn warn_of_sticky(http: &Http, notices: &mut Vec<Notice>) {
    for (upstream, sticky) in http.upstreams.iter().filter_map(|upstream| Some((upstream, upstream.sticky.as_ref()?))) {
        if sticky.maxage.is_some() && (sticky.maxidle.is_some() || sticky.maxlife.is_some()) {
            let message = format!("upstream {}: maxage has no effect together with maxidle or maxlife", upstream.name);
            warn(notices, &upstream.sticky_place, message);
        }
        warn_of_ids(upstream, sticky, notices);
    }
    let mut unhidden = BTreeSet::new();
    for server in &http.servers {
        let mut uses = Vec::new();
        for location in &server.locations {
            collect_uses(location, &mut uses);
        }
        warn_of_shared_cookies(http, server, &uses, notices);
        for (target, location) in uses {
            let Some(upstream) = http.upstreams.get(target) else { continue };
            let Some(sticky) = &upstream.sticky else { continue };
            match &location.settings.session_sticky_hide_cookie {
                None if sticky.indirect || sticky.mode == StickyMode::Prefix => {
                    unhidden.insert(target);
                }
                Some(name) if *name != upstream.name => {
                    let message = format!(
                        "session_sticky_hide_cookie names upstream {name}, but requests go to upstream {0}: the policy of {0} is used",
                        upstream.name
                    );
                    warn(notices, &location.place, message);
                }
                _ => {}
            }
        }
    }
    for (is_prefix, what) in [(false, "option=indirect"), (true, "mode=prefix")] {
        let is_meant = |upstream: &&Upstream| {
            upstream.sticky.as_ref().is_some_and(|sticky| (sticky.mode == StickyMode::Prefix) == is_prefix)
        };
        let upstreams: Vec<&Upstream> =
            unhidden.iter().filter_map(|target| http.upstreams.get(*target)).filter(is_meant).collect();
        let Some(place) = upstreams.first().and_then(|first| Some(&first.sticky_place)) else { continue };
        let message = format!("{}: {what} has no effect without session_sticky_hide_cookie", named(&upstreams));
        warn(notices, place, message);
    }
}

/// `upstream a`, `upstreams a and b`, or of many the first two and how many more there are.
fn named(upstreams: &[&Upstream]) -> String {
    match upstreams {
        [] => "no upstream".to_owned(),
        [one] => format!("upstream {}", one.name),
        [first, second] => format!("upstreams {} and {}", first.name, second.name),
        [first, second, more @ ..] => format!("upstreams {}, {} and {} more", first.name, second.name, more.len()),
    }
}

/// Ids that can't work: two servers with one, or one with a byte in it that parts the cookie.
fn warn_of_ids(upstream: &Upstream, sticky: &SessionSticky, notices: &mut Vec<Notice>) {
    let plain = sticky.hash == Hash::Plain;
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for server in &upstream.servers {
        for address in &server.addresses {
            let id = match &server.id {
                Some(id) if plain => String::from_utf8_lossy(id).into_owned(),
                _ => address.to_string(),
            };
            let server = address.to_string();
            match seen.get(&id) {
                Some(first) => {
                    let message = format!(
                        "upstream {}: servers {first} and {server} have the same id \"{id}\", the first wins",
                        upstream.name
                    );
                    warn(notices, &upstream.sticky_place, message);
                }
                None => drop(seen.insert(id, server)),
            }
        }
    }
    let parts = match sticky.mode {
        StickyMode::Insert if sticky.maxidle.is_some() || sticky.maxlife.is_some() => '|',
        StickyMode::Prefix => '~',
        _ => return,
    };
    for id in seen.keys().filter(|id| plain && id.contains(parts)) {
        let message = format!(
            "upstream {}: no session will be kept with id \"{id}\": \"{parts}\" is where the id ends in the cookie",
            upstream.name
        );
        warn(notices, &upstream.sticky_place, message);
    }
}

/// The upstreams that the locations below this one hand requests to.
fn collect_uses<'l>(location: &'l Location, uses: &mut Vec<(usize, &'l Location)>) {
    if let Content::Proxy(pass) = &location.content {
        uses.push((pass.target.0, location));
    }
    for inner in location.locations.iter().chain(&location.ifs) {
        collect_uses(inner, uses);
    }
}

/// One warning for all upstreams that share a cookie, however many.
fn warn_of_shared_cookies(http: &Http, server: &Server, uses: &[(usize, &Location)], notices: &mut Vec<Notice>) {
    let mut cookies: BTreeMap<_, Vec<&Upstream>> = BTreeMap::new();
    let targets: BTreeSet<usize> = uses.iter().map(|(target, _)| *target).collect();
    for upstream in targets.into_iter().filter_map(|target| http.upstreams.get(target)) {
        let Some(sticky) = &upstream.sticky else { continue };
        let key = (sticky.cookie.as_slice(), sticky.domain.as_ref(), sticky.path.as_slice());
        cookies.entry(key).or_default().push(upstream);
    }
    for ((cookie, ..), upstreams) in cookies {
        if upstreams.len() < 2 {
            continue;
        }
        let names = named(&upstreams);
        let cookie = String::from_utf8_lossy(cookie);
        let message =
            format!("{names} overwrite each other's cookie \"{cookie}\" in one server: same name, domain and path");
        warn(notices, &server.place, message);
    }
}
