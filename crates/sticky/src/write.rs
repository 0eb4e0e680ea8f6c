//! The value of our Set-Cookie line, and a backend's line with the session written into it.

use crate::date;
use crate::pairs::{split_once, trim};
use crate::policy::Policy;

/// `NAME=SID[|LAST|FIRST][; Domain=D][; Path=P][; Max-Age=N; Expires=…]` and what is said beside, the bytes after
/// `Set-Cookie: `.
///
/// `now` and `first` are Unix seconds; LAST is `now`. `is_secure`: the client's connection is encrypted.
pub fn set_cookie(policy: &Policy, sid: &[u8], now: i64, first: i64, is_secure: bool) -> Vec<u8> {
    let end = if is_secure { &policy.secure_end } else { &policy.plain_end };
    let parts = [policy.cookie.len(), sid.len(), policy.attributes.len(), end.len(), 128];
    let mut line = Vec::with_capacity(parts.into_iter().fold(0, usize::saturating_add));
    line.extend_from_slice(&policy.cookie);
    line.push(b'=');
    let start = line.len();
    line.extend_from_slice(sid);
    if policy.is_stamped() {
        for stamp in [now, first] {
            line.push(b'|');
            line.extend_from_slice(itoa::Buffer::new().format(stamp).as_bytes());
        }
    }
    if let Some(seal) = &policy.seal {
        seal.sign(&mut line, start);
    }
    line.extend_from_slice(&policy.attributes);
    if let Some((text, seconds)) = &policy.maxage {
        line.extend_from_slice(b"; Max-Age=");
        line.extend_from_slice(text);
        line.extend_from_slice(b"; Expires=");
        date::append(&mut line, now.saturating_add(*seconds));
    }
    line.extend_from_slice(end);
    line
}

/// A backend's Set-Cookie line with its cookie's value replaced by the SID (rewrite mode); `None` leaves it as it is.
pub fn rewritten(policy: &Policy, line: &[u8], sid: &[u8]) -> Option<Vec<u8>> {
    let own = own_cookie(policy, line)?;
    // `route=` and nothing behind it is left alone, a bare `route` is not (compatibility: C6.4).
    if own.value.is_some_and(|value| value.is_empty()) && own.attributes.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(line.len().saturating_add(sid.len()));
    out.extend_from_slice(&policy.cookie);
    out.push(b'=');
    out.extend_from_slice(sid);
    out.extend_from_slice(own.attributes);
    Some(out)
}

/// A backend's Set-Cookie line with `SID~` before its cookie's value (prefix mode); `None` leaves it as it is.
pub fn prefixed(policy: &Policy, line: &[u8], sid: &[u8]) -> Option<Vec<u8>> {
    let own = own_cookie(policy, line)?;
    let value = own.value?;
    if value.is_empty() && own.attributes.is_empty() {
        return None;
    }
    // Counted from the end, so that blanks behind `=` stay where they are.
    let at = (line.len().saturating_sub(own.attributes.len())).saturating_sub(own.after_equals.len());
    let blanks = own.after_equals.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let (before, after) = line.split_at_checked(at.saturating_add(blanks))?;
    let mut out = Vec::with_capacity((line.len().saturating_add(sid.len())).saturating_add(1));
    out.extend_from_slice(before);
    out.extend_from_slice(sid);
    out.push(b'~');
    out.extend_from_slice(after);
    Some(out)
}

/// Whether a backend's Set-Cookie line sets a cookie of our name, whatever its letters' case.
pub fn is_own(policy: &Policy, line: &[u8]) -> bool {
    own_cookie(policy, line).is_some()
}

struct OwnCookie<'l> {
    /// `None` where there is no `=`.
    value: Option<&'l [u8]>,
    /// The value with the blanks around it.
    after_equals: &'l [u8],
    /// From the first `;` on.
    attributes: &'l [u8],
}

/// The parts of a Set-Cookie line, if the cookie it sets has our name.
fn own_cookie<'l>(policy: &Policy, line: &'l [u8]) -> Option<OwnCookie<'l>> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    let (cookie, attributes) = line.split_at_checked(end)?;
    let (name, after_equals) = match split_once(cookie, b'=') {
        Some((name, value)) => (name, Some(value)),
        None => (cookie, None),
    };
    trim(name).eq_ignore_ascii_case(&policy.cookie).then(|| OwnCookie {
        value: after_equals.map(trim),
        after_equals: after_equals.unwrap_or_default(),
        attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Attributes, Limits, PolicySettings, SameSite, Secure};

    const NOW: i64 = 1_795_154_956;

    fn line(settings: PolicySettings) -> String {
        String::from_utf8(set_cookie(&Policy::new(&settings), b"SID", NOW, 7, false)).unwrap()
    }

    #[test]
    fn the_cookie_is_the_references_byte_for_byte() {
        assert_eq!(line(PolicySettings::default()), "route=SID; Path=/");
        assert_eq!(
            line(PolicySettings {
                cookie: b"uid".into(),
                domain: Some(b"x.com".into()),
                path: b"/p".into(),
                ..PolicySettings::default()
            }),
            "uid=SID; Domain=x.com; Path=/p"
        );
        assert_eq!(
            line(PolicySettings { maxage: Some(b"060".into()), ..PolicySettings::default() }),
            "route=SID; Path=/; Max-Age=060; Expires=Fri, 20-Nov-26 06:10:16 GMT"
        );
    }

    #[test]
    fn what_browsers_want_to_know_stands_at_the_end() {
        let all = Attributes {
            secure: Secure::Auto,
            http_only: true,
            same_site: Some(SameSite::None),
            partitioned: true,
            ..Attributes::default()
        };
        let said = |attributes, is_secure| {
            let policy = Policy::new(&PolicySettings { attributes, ..PolicySettings::default() });
            String::from_utf8(set_cookie(&policy, b"SID", NOW, NOW, is_secure)).unwrap()
        };
        assert_eq!(said(all, true), "route=SID; Path=/; Secure; HttpOnly; SameSite=None; Partitioned");
        assert_eq!(said(all, false), "route=SID; Path=/; HttpOnly; SameSite=None; Partitioned");
        let on = Attributes { secure: Secure::On, same_site: Some(SameSite::Lax), ..Attributes::default() };
        assert_eq!(said(on, false), "route=SID; Path=/; Secure; SameSite=Lax");
        let strict = Attributes { same_site: Some(SameSite::Strict), ..Attributes::default() };
        assert_eq!(said(strict, true), "route=SID; Path=/; SameSite=Strict");
    }

    #[test]
    fn with_limits_it_carries_last_and_first_and_no_max_age() {
        let limits = Some(Limits { maxidle: 1, maxlife: 2 });
        assert_eq!(
            line(PolicySettings { limits, maxage: Some(b"60".into()), ..PolicySettings::default() }),
            "route=SID|1795154956|7; Path=/"
        );
    }

    #[test]
    fn a_maxage_beyond_all_calendars_does_no_harm() {
        let line = line(PolicySettings { maxage: Some(b"9223372036854775807".into()), ..PolicySettings::default() });
        assert!(line.ends_with("Expires=Fri, 31-Dec-9999 23:59:59 GMT"), "{line}");
    }

    fn policy() -> Policy {
        Policy::new(&PolicySettings::default())
    }

    fn text(line: Option<Vec<u8>>) -> String {
        line.map_or("unchanged".into(), |line| String::from_utf8(line).unwrap())
    }

    #[test]
    fn rewrite_replaces_the_value_and_keeps_the_attributes() {
        for (line, expected) in [
            ("route=V", "route=SID"),
            ("ROUTE=V", "route=SID"),
            ("route=V; Path=/x; HttpOnly", "route=SID; Path=/x; HttpOnly"),
            ("route=; Path=/", "route=SID; Path=/"),
            ("route", "route=SID"),
            ("route; Path=/", "route=SID; Path=/"),
            ("route=", "unchanged"),
        ] {
            assert_eq!(text(rewritten(&policy(), line.as_bytes(), b"SID")), expected, "{line}");
            assert!(is_own(&policy(), line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn prefix_goes_before_the_value_and_changes_nothing_else() {
        for (line, expected) in [
            ("route=V", "route=SID~V"),
            ("Route=V; Path=/x", "Route=SID~V; Path=/x"),
            ("route= V ; a", "route= SID~V ; a"),
            ("route=; Path=/", "route=SID~; Path=/"),
            ("route=", "unchanged"),
            ("route", "unchanged"),
            ("route; Path=/x", "unchanged"),
        ] {
            assert_eq!(text(prefixed(&policy(), line.as_bytes(), b"SID")), expected, "{line}");
        }
    }

    #[test]
    fn only_a_cookie_of_our_own_name_is_touched() {
        for line in
            ["a=1; Path=/route/2", "myroute=V", "routex=V", "sess=my-route", "sess=1; Path=/routes", "a=route=V"]
        {
            assert_eq!(text(rewritten(&policy(), line.as_bytes(), b"SID")), "unchanged", "{line}");
            assert_eq!(text(prefixed(&policy(), line.as_bytes(), b"SID")), "unchanged", "{line}");
            assert!(!is_own(&policy(), line.as_bytes()), "{line}");
        }
    }
}
