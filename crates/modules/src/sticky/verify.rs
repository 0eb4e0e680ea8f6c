//! Combinations of `session_sticky` that do nothing, or hurt each other.

use std::collections::{BTreeMap, BTreeSet};

use limpet_kernel::{Diagnostic, Notice, Place};
use limpet_sticky::{Attributes, SameSite, Secure};
use limpet_upstream::written::{Hash, SessionSticky, StickyMode};

use crate::model::{Http, Location, Server, Upstream};

fn warn(notices: &mut Vec<Notice>, place: &Place, message: String) {
    notices.push(place.warning(message));
}

/// What is signed needs a secret, and a cookie of our own.
pub(super) fn check_secrets(http: &Http) -> Result<(), Diagnostic> {
    for (upstream, sticky) in http.upstreams.iter().filter_map(|upstream| Some((upstream, upstream.sticky.as_ref()?))) {
        let wrong = match sticky.hash {
            Hash::Hmac if sticky.secrets.is_empty() => "hash=hmac needs a secret",
            Hash::Hmac if sticky.mode != StickyMode::Insert => "hash=hmac is for mode=insert",
            Hash::Md5 | Hash::Plain if !sticky.secrets.is_empty() => "a secret is for hash=hmac",
            _ => continue,
        };
        return Err(upstream.sticky_place.error(format!("upstream {}: {wrong}", upstream.name)));
    }
    Ok(())
}

pub(super) fn warn_of_sticky(http: &Http, notices: &mut Vec<Notice>) {
    for (upstream, sticky) in http.upstreams.iter().filter_map(|upstream| Some((upstream, upstream.sticky.as_ref()?))) {
        if sticky.maxage.is_some() && (sticky.maxidle.is_some() || sticky.maxlife.is_some()) {
            let message = format!("upstream {}: maxage has no effect together with maxidle or maxlife", upstream.name);
            warn(notices, &upstream.sticky_place, message);
        }
        warn_of_attributes(upstream, sticky, notices);
        warn_of_ids(upstream, sticky, notices);
    }
    let mut unhidden = BTreeSet::new();
    for server in &http.servers {
        let mut uses = Vec::new();
        for location in &server.locations {
            location.walk(&mut |location| {
                let target = location.content.as_ref().and_then(|content| content.target());
                uses.extend(target.map(|target| (target.0, location)));
            });
        }
        warn_of_shared_cookies(http, server, &uses, notices);
        for (target, location) in uses {
            let Some(upstream) = http.upstreams.get(target) else { continue };
            let Some(sticky) = &upstream.sticky else { continue };
            match &location.settings.sticky.session_sticky_hide_cookie {
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
        let Some(place) = upstreams.first().map(|first| &first.sticky_place) else { continue };
        let message = format!("{}: {what} has no effect without session_sticky_hide_cookie", named(&upstreams));
        warn(notices, place, message);
    }
}

/// Warns of what browsers do not take, and of what is said of a cookie that the backend writes.
fn warn_of_attributes(upstream: &Upstream, sticky: &SessionSticky, notices: &mut Vec<Notice>) {
    let (said, name) = (&sticky.attributes, &upstream.name);
    if sticky.mode != StickyMode::Insert && *said != Attributes::default() {
        let message =
            format!("upstream {name}: the backend writes the cookie, and says itself what browsers are told of it");
        warn(notices, &upstream.sticky_place, message);
    }
    if said.secure == Secure::Off {
        for (is_said, what) in
            [(said.same_site == Some(SameSite::None), "samesite=none"), (said.partitioned, "partitioned")]
        {
            if is_said {
                let message =
                    format!("upstream {name}: browsers take no cookie with \"{what}\" that is not \"secure\"");
                warn(notices, &upstream.sticky_place, message);
            }
        }
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

/// Warns of ids that can't work: one that two servers have, or one with the byte in it that ends the id in the cookie.
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
