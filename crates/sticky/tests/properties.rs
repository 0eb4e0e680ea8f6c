//! What must hold for any bytes a client or a backend sends.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use limpet_sticky::write::{prefixed, rewritten, set_cookie};
use limpet_sticky::{FoundSession, Hidden, Limits, Mode, Policy, PolicySettings, hide, read};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

fn policies() -> impl Strategy<Value = Policy> {
    let mode = prop_oneof![Just(Mode::Insert), Just(Mode::Prefix), Just(Mode::Rewrite)];
    (mode, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(mode, indirect, stamped, id_with_bar)| {
        let limits = stamped.then_some(Limits { maxidle: 1000, maxlife: 5000 });
        Policy::new(&PolicySettings { mode, indirect, limits, id_with_bar, ..PolicySettings::default() })
    })
}

/// Bytes that look like cookies often enough to reach every branch.
fn cookie_bytes() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        Just(b"route".to_vec()),
        Just(b"=".to_vec()),
        Just(b"; ".to_vec()),
        Just(b";".to_vec()),
        Just(b"|".to_vec()),
        Just(b"~".to_vec()),
        Just(b" ".to_vec()),
        Just(b"SID".to_vec()),
        Just(b"1000000".to_vec()),
        vec(any::<u8>(), 0..6),
    ];
    vec(fragment, 0..24).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(policy in policies(), sid in "[0-9a-f]{1,40}", now in 1_000_000_000_i64..2_000_000_000, age in 0_i64..5000) {
        let known = |candidate: &[u8], _: bool| (candidate == sid.as_bytes()).then_some(());
        let first = now - age;
        let line = match policy.mode() {
            Mode::Insert => set_cookie(&policy, sid.as_bytes(), now, first, false),
            Mode::Prefix => prefixed(&policy, b"route=own; Path=/", sid.as_bytes()).unwrap(),
            Mode::Rewrite => rewritten(&policy, b"route=own; Path=/", sid.as_bytes()).unwrap(),
        };
        let cookie = line.split(|byte| *byte == b';').next().unwrap();
        let expected = FoundSession::Known { peer: (), first: policy.is_stamped().then_some(first) };
        prop_assert_eq!(read(&policy, [cookie], now, known), expected);
    }

    #[test]
    fn hiding_never_changes_another_cookie(policy in policies(), header in cookie_bytes()) {
        let others = |header: &[u8]| -> Vec<Vec<u8>> {
            header.split(|byte| *byte == b';').map(|piece| piece.trim_ascii().to_vec())
                .filter(|piece| !piece.is_empty() && !piece.split(|byte| *byte == b'=').next().is_some_and(|name| name.trim_ascii() == b"route" && piece.contains(&b'=')))
                .collect()
        };
        let left = match hide(&policy, &header) {
            Hidden::Unchanged => return Ok(()),
            Hidden::Dropped => Vec::new(),
            Hidden::Changed(left) => left,
        };
        prop_assert_eq!(others(&left), others(&header));
    }

    #[test]
    fn what_was_hidden_is_gone(header in cookie_bytes()) {
        let policy = Policy::new(&PolicySettings { indirect: true, ..PolicySettings::default() });
        let left = match hide(&policy, &header) {
            Hidden::Unchanged => header,
            Hidden::Dropped => Vec::new(),
            Hidden::Changed(left) => left,
        };
        prop_assert_eq!(read(&policy, [left.as_slice()], 0, |_: &[u8], _| Some(())), FoundSession::None);
    }

    #[test]
    fn no_bytes_make_anything_panic(policy in policies(), header in cookie_bytes(), line in cookie_bytes(), now in any::<i64>()) {
        let _ = read(&policy, [header.as_slice()], now, |sid: &[u8], _| (sid == b"SID").then_some(()));
        let _ = hide(&policy, &header);
        let rewritten = rewritten(&policy, &line, b"SID");
        prop_assert!(rewritten.is_none_or(|line| line.starts_with(b"route=SID")));
        let _ = prefixed(&policy, &line, b"SID");
        let _ = set_cookie(&policy, &header, now, now, true);
    }
}
