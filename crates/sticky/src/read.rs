//! The Cookie headers of a request to a session.

use crate::pairs::{pieces, split_once};
use crate::policy::{Mode, Policy};
use crate::stamp::{self, Stamps};

/// What a request says about its session. `P` is what the caller knows a server by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundSession<'h, P> {
    /// No cookie of ours, or one with nothing in it.
    None,
    /// The timestamps are not there or are no numbers: a new session, whatever `fallback` says.
    Malformed,
    /// The session is too old: a new one, whatever `fallback` says.
    Expired,
    /// A SID that no server has.
    Unknown {
        /// The SID.
        sid: &'h [u8],
        /// When the session began, in Unix seconds, where the cookie says so.
        first: Option<i64>,
    },
    /// A server's session.
    Known {
        /// The server.
        peer: P,
        /// When the session began, in Unix seconds, where the cookie says so.
        first: Option<i64>,
    },
}

/// The session in the Cookie headers of one request, at `now` in Unix seconds. `find` knows the servers' SIDs: those of signed
/// cookies (`true`; all, where none is signed), and those that count without a signature.
///
/// Of several cookies with our name the first whose SID is known counts, and if none is known the first.
pub fn read<'h, P>(
    policy: &Policy,
    cookie_headers: impl IntoIterator<Item = &'h [u8]>,
    now: i64,
    find: impl Fn(&[u8], bool) -> Option<P>,
) -> FoundSession<'h, P> {
    let mut first_found = FoundSession::None;
    for header in cookie_headers {
        for piece in pieces(header) {
            let Some((name, value)) = piece.pair else { continue };
            if name != policy.cookie.as_ref() {
                continue;
            }
            let value = match &policy.seal {
                Some(seal) if !value.is_empty() => seal.open(value, now),
                _ => Some((value, true)),
            };
            let is_signed = value.is_some_and(|(_, is_signed)| is_signed);
            let found = match value.map_or(Claim::Malformed, |(value, _)| claim(policy, value)) {
                Claim::Nothing => continue,
                Claim::Malformed => FoundSession::Malformed,
                Claim::Sid { sid, stamps } => {
                    let expired =
                        policy.limits.zip(stamps).is_some_and(|(limits, stamps)| !stamps.are_fresh(limits, now));
                    let first = stamps.map(|stamps| stamps.first);
                    match find(sid, is_signed) {
                        Some(_) if expired => return FoundSession::Expired,
                        Some(peer) => return FoundSession::Known { peer, first },
                        None if expired => FoundSession::Expired,
                        None => FoundSession::Unknown { sid, first },
                    }
                }
            };
            if matches!(first_found, FoundSession::None) {
                first_found = found;
            }
        }
    }
    first_found
}

enum Claim<'h> {
    /// As good as no cookie.
    Nothing,
    Malformed,
    Sid {
        sid: &'h [u8],
        stamps: Option<Stamps>,
    },
}

/// What one cookie's value claims.
fn claim<'h>(policy: &Policy, value: &'h [u8]) -> Claim<'h> {
    let (sid, stamps) = match policy.mode() {
        Mode::Prefix => match split_once(value, b'~') {
            Some((sid, _)) => (sid, None),
            None => return Claim::Nothing,
        },
        Mode::Insert if policy.is_stamped() => match stamp::split(value) {
            Some((sid, stamps)) => (sid, Some(stamps)),
            // `|n|n` and `route=` have no SID, however wrong the rest may be.
            None if value.is_empty() || value.starts_with(b"|") => return Claim::Nothing,
            None => return Claim::Malformed,
        },
        Mode::Insert | Mode::Rewrite if policy.id_with_bar => (value, None),
        // Timestamps of a time when there were limits: the id ends where they begin.
        Mode::Insert | Mode::Rewrite => (split_once(value, b'|').map_or(value, |(sid, _)| sid), None),
    };
    if sid.is_empty() { Claim::Nothing } else { Claim::Sid { sid, stamps } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Limits, PolicySettings};

    const NOW: i64 = 1_000_000;

    fn policy(change: impl FnOnce(&mut PolicySettings)) -> Policy {
        let mut settings = PolicySettings::default();
        change(&mut settings);
        Policy::new(&settings)
    }

    fn stamped() -> Policy {
        policy(|settings| settings.limits = Some(Limits { maxidle: 60, maxlife: 600 }))
    }

    /// `S` and `T` are known.
    fn find(sid: &[u8], _: bool) -> Option<char> {
        match sid {
            b"S" => Some('S'),
            b"T" => Some('T'),
            _ => None,
        }
    }

    fn state(policy: &Policy, headers: &[&str]) -> String {
        match read(policy, headers.iter().map(|header| header.as_bytes()), NOW, find) {
            FoundSession::None => "none".into(),
            FoundSession::Malformed => "malformed".into(),
            FoundSession::Expired => "expired".into(),
            FoundSession::Unknown { sid, .. } => format!("unknown {}", String::from_utf8_lossy(sid)),
            FoundSession::Known { peer, .. } => format!("known {peer}"),
        }
    }

    #[test]
    fn the_name_is_matched_whole_at_a_pair_boundary() {
        let policy = policy(|_| {});
        for (header, expected) in [
            ("route=S", "known S"),
            ("myroute=S", "none"),
            ("a=route=S", "none"),
            ("routex=1; route=S", "known S"),
            ("Route=S", "none"),
            ("a=1;route=S;b=2", "known S"),
            ("route", "none"),
            ("=S; route=T", "known T"),
            ("", "none"),
            (";;;", "none"),
        ] {
            assert_eq!(state(&policy, &[header]), expected, "{header}");
        }
    }

    #[test]
    fn every_pair_of_every_cookie_header_is_seen() {
        assert_eq!(state(&policy(|_| {}), &["a=1", "b=2; route=S"]), "known S");
    }

    #[test]
    fn the_same_name_twice_is_the_first_known_else_the_first() {
        let policy = policy(|_| {});
        assert_eq!(state(&policy, &["route=X; route=S; route=T"]), "known S");
        assert_eq!(state(&policy, &["route=X", "route=T"]), "known T");
        assert_eq!(state(&policy, &["route=X; route=Y"]), "unknown X");
        assert_eq!(state(&policy, &["route=; route=Y"]), "unknown Y");
    }

    #[test]
    fn blanks_are_trimmed_and_quotes_kept() {
        let policy = policy(|_| {});
        assert_eq!(state(&policy, &[" route \t= S  ; a=1"]), "known S");
        assert_eq!(state(&policy, &["route=\"S\""]), "unknown \"S\"");
        assert_eq!(state(&policy, &["route=S T"]), "unknown S T");
    }

    #[test]
    fn an_empty_sid_is_no_cookie() {
        for header in ["route=", "route=; x=1", "route=|1|2", "route = ; a=1"] {
            assert_eq!(state(&policy(|_| {}), &[header]), "none", "{header}");
        }
        assert_eq!(state(&stamped(), &["route=|1|2"]), "none");
        assert_eq!(state(&stamped(), &["route="]), "none");
        let prefix = policy(|settings| settings.mode = Mode::Prefix);
        assert_eq!(state(&prefix, &["route=~v"]), "none");
    }

    #[test]
    fn prefix_takes_what_stands_before_the_first_tilde() {
        let policy = policy(|settings| settings.mode = Mode::Prefix);
        assert_eq!(state(&policy, &["route=S~a~b"]), "known S");
        assert_eq!(state(&policy, &["route=S"]), "none");
        assert_eq!(state(&policy, &["route=X~v"]), "unknown X");
    }

    #[test]
    fn timestamps_must_be_two_numbers() {
        let policy = stamped();
        assert_eq!(state(&policy, &["route=S|1000000|1000000"]), "known S");
        for header in ["route=S", "route=S|1", "route=S|1|2|3", "route=S|x|1000000", "route=S|1000000|"] {
            assert_eq!(state(&policy, &[header]), "malformed", "{header}");
        }
    }

    #[test]
    fn expired_sessions_are_told_from_unknown_ones() {
        let policy = stamped();
        assert_eq!(state(&policy, &["route=S|999940|999400"]), "known S");
        assert_eq!(state(&policy, &["route=S|999939|999400"]), "expired");
        assert_eq!(state(&policy, &["route=S|999940|999399"]), "expired");
        assert_eq!(state(&policy, &["route=X|1|1"]), "expired");
        assert_eq!(state(&policy, &["route=X|1000000|1000000"]), "unknown X");
        assert_eq!(state(&policy, &["route=S|1086401|1000000"]), "expired");
    }

    #[test]
    fn timestamps_where_none_are_configured_are_cut_off_unless_an_id_has_a_bar() {
        assert_eq!(state(&policy(|_| {}), &["route=S|1|2"]), "known S");
        assert_eq!(state(&policy(|settings| settings.id_with_bar = true), &["route=S|1|2"]), "unknown S|1|2");
    }

    #[test]
    fn what_is_not_signed_is_no_session() {
        let seal = crate::Seal::new(&[b"key".to_vec()], b"u", None);
        let policy = stamped().sealed(Some(seal));
        let cookie = crate::write::set_cookie(&policy, b"S", NOW, NOW - 5, false);
        let cookie = String::from_utf8(cookie).unwrap();
        let value = cookie.split(';').next().unwrap();
        assert_eq!(state(&policy, &[value]), "known S");
        assert_eq!(state(&policy, &[&value.replace('S', "T")]), "malformed");
        assert_eq!(state(&policy, &["route=S|1000000|999995"]), "malformed");
        assert_eq!(state(&policy, &["route="]), "none");
        assert_eq!(state(&policy, &["route=S|1|2", value]), "known S");
    }

    #[test]
    fn the_beginning_of_a_session_is_handed_on() {
        let session = read(&stamped(), [&b"route=S|0999999|00999998"[..]], NOW, find);
        assert_eq!(session, FoundSession::Known { peer: 'S', first: Some(999_998) });
    }
}
