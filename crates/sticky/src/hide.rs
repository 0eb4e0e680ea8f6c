//! The session's cookie taken out of what the backend gets to see.

use crate::pairs::{pieces, split_once};
use crate::policy::{Mode, Policy};

/// What becomes of one Cookie header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hidden {
    /// It has nothing of ours.
    Unchanged,
    /// This is left.
    Changed(Vec<u8>),
    /// Nothing is left: the header goes.
    Dropped,
}

/// Hides the session in one Cookie header. In prefix mode only `SID~` is taken out of the value, otherwise every pair of
/// our name goes; what is left is joined with `; `.
pub fn hide(policy: &Policy, header: &[u8]) -> Hidden {
    let ours = |name: &[u8]| name == policy.cookie.as_ref();
    if !pieces(header).any(|piece| piece.pair.is_some_and(|(name, _)| ours(name))) {
        return Hidden::Unchanged;
    }
    let mut left = Vec::with_capacity(header.len());
    let mut changed = false;
    for piece in pieces(header).filter(|piece| !piece.text.is_empty()) {
        let kept = match piece.pair {
            Some((name, value)) if ours(name) => {
                if policy.mode() != Mode::Prefix {
                    changed = true;
                    continue;
                }
                split_once(value, b'~').filter(|(sid, _)| !sid.is_empty()).map(|(_, own)| (name, own))
            }
            _ => None,
        };
        if !left.is_empty() {
            left.extend_from_slice(b"; ");
        }
        match kept {
            Some((name, own)) => {
                changed = true;
                left.extend_from_slice(name);
                left.push(b'=');
                left.extend_from_slice(own);
            }
            None => left.extend_from_slice(piece.text),
        }
    }
    match (changed, left.is_empty()) {
        (false, _) => Hidden::Unchanged,
        (true, true) => Hidden::Dropped,
        (true, false) => Hidden::Changed(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicySettings;

    fn hidden(mode: Mode, header: &str) -> String {
        let policy = Policy::new(&PolicySettings { mode, indirect: true, ..PolicySettings::default() });
        match hide(&policy, header.as_bytes()) {
            Hidden::Unchanged => "unchanged".into(),
            Hidden::Dropped => "dropped".into(),
            Hidden::Changed(left) => String::from_utf8(left).unwrap(),
        }
    }

    #[test]
    fn exactly_our_pairs_go_and_the_rest_is_joined() {
        for (header, expected) in [
            ("a=1; route=S; b=2", "a=1; b=2"),
            ("route=S; b=2", "b=2"),
            ("a=1; route=S", "a=1"),
            ("route=S", "dropped"),
            ("route=S; route=T", "dropped"),
            ("route=S;a=1;route=T;b=2", "a=1; b=2"),
            ("myroute=S; b=2", "unchanged"),
            ("a=route=S;  b=2", "unchanged"),
            ("Route=S", "unchanged"),
            ("route", "unchanged"),
            ("route=; b", "b"),
            (" route = S ; a = 1 ", "a = 1"),
            ("", "unchanged"),
        ] {
            assert_eq!(hidden(Mode::Insert, header), expected, "{header:?}");
        }
    }

    #[test]
    fn prefix_takes_only_the_sid_out_of_the_value() {
        for (header, expected) in [
            ("a=1; route=S~v; b=2", "a=1; route=v; b=2"),
            ("route=S~", "route="),
            ("route=S~a~b", "route=a~b"),
            ("route=v", "unchanged"),
            ("route=~v", "unchanged"),
            ("myroute=S~v", "unchanged"),
        ] {
            assert_eq!(hidden(Mode::Prefix, header), expected, "{header:?}");
        }
    }
}
