//! What must hold for any bytes from a file, a client or a backend: one function a fuzzer's target. Each panics where it does
//! not.

use limpet_message::body::{Body, Cursor};
use limpet_message::field::Known;
use limpet_message::request::{Head, HeadLimits, Unread};
use limpet_message::response::ResponseHead;
use limpet_message::uri as path;
use limpet_sticky::write::{prefixed, rewritten, set_cookie};
use limpet_sticky::{FoundSession, Hidden, Limits, Mode, Policy, PolicySettings, hide, read};
use limpet_syntax::parse_text;

/// All targets, by their names.
pub const TARGETS: [(&str, fn(&[u8])); 7] = [
    ("lexer", lexer),
    ("request_head", request_head),
    ("response_head", response_head),
    ("chunks", chunks),
    ("cookie_reader", cookie_reader),
    ("set_cookie_writer", set_cookie_writer),
    ("uri", uri),
];

/// A configuration file: whatever stands in it, its words lie where they are said to lie.
pub fn lexer(data: &[u8]) {
    let tree = parse_text("fuzz.conf", data);
    let lines = data.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
    fn check(items: &[limpet_syntax::Item], lines: u32) {
        for item in items {
            if let limpet_syntax::Item::Directive(directive) = item {
                assert!((1..=lines).contains(&directive.name.span.line));
                assert!(directive.args.iter().all(|word| word.span.line >= directive.name.span.line));
                directive.block.iter().for_each(|block| check(&block.items, lines));
            }
        }
    }
    check(&tree.items, lines);
}

/// A request's head: what a part of it was taken for does not change with more.
pub fn request_head(data: &[u8]) {
    let limits = HeadLimits::default();
    let whole = Head::parse(data, limits);
    for cut in [data.len() / 3, data.len() / 2, data.len().saturating_sub(1)] {
        match (Head::parse(&data[..cut], limits), &whole) {
            (Err(Unread::Incomplete), _) => {}
            (Ok((part, length)), Ok((head, all))) => {
                assert_eq!((length, part.target(), part.body), (*all, head.target(), head.body));
            }
            (Err(Unread::Rejected(part)), Err(Unread::Rejected(other))) => assert_eq!(part.status, other.status),
            (part, _) => panic!("{} and then something else", if part.is_ok() { "read" } else { "rejected" }),
        }
    }
    if let Ok((head, length)) = &whole {
        assert!(*length <= data.len() && head.uri.first() == Some(&b'/'));
        assert!(head.value(Known::Host).is_none_or(|host| !host.contains(&b'\n')));
        // The path is normal already.
        let mut escaped = Vec::new();
        path::escape(&head.uri, &mut escaped);
    }
    let _ = Head::unfinished(data, limits);
}

/// A response's head: no line of it has a line end in it.
pub fn response_head(data: &[u8]) {
    if let Ok((head, length)) = ResponseHead::parse(data, 65_536) {
        assert!(length <= data.len());
        for (_, name, value) in head.fields.iter() {
            assert!(!name.is_empty() && !name.iter().chain(value).any(|byte| matches!(byte, b'\n' | 0)));
        }
        assert!(!head.reason().contains(&b'\n'));
    }
}

/// A chunked body: it is the same in pieces and as a whole.
pub fn chunks(data: &[u8]) {
    let mut whole = data.to_vec();
    let mut cursor = Cursor::new(Body::Chunked);
    let (taken, kept) = cursor.compact(&mut whole);
    for size in [1, 2, 7] {
        let mut in_pieces = Cursor::new(Body::Chunked);
        let (mut all_taken, mut body) = (0, Vec::new());
        for piece in data.chunks(size) {
            let mut piece = piece.to_vec();
            let (taken, kept) = in_pieces.compact(&mut piece);
            body.extend_from_slice(&piece[..kept]);
            all_taken += taken;
            if taken < piece.len() {
                break;
            }
        }
        assert_eq!((in_pieces, all_taken, body.as_slice()), (cursor, taken, &whole[..kept]));
    }
}

fn policies() -> Vec<Policy> {
    let mut policies = Vec::new();
    for mode in [Mode::Insert, Mode::Prefix, Mode::Rewrite] {
        for limits in [None, Some(Limits { maxidle: 1800, maxlife: 28_800 })] {
            let settings = PolicySettings { mode, limits, indirect: true, ..PolicySettings::default() };
            policies.push(Policy::new(&settings));
        }
    }
    policies
}

/// A Cookie header: a session that is found was written in it, and what is hidden is gone.
pub fn cookie_reader(data: &[u8]) {
    for policy in policies() {
        let found = read(&policy, [data], 1_800_000_000, |sid, _| (sid == b"known").then_some(7));
        if let FoundSession::Unknown { sid, .. } = &found {
            assert!(data.windows(sid.len().max(1)).any(|window| window == *sid) || sid.is_empty());
        }
        if let Hidden::Changed(rest) = hide(&policy, data) {
            // Pairs are parted by a blank more than they may have been.
            let parts = data.iter().filter(|byte| **byte == b';').count();
            assert!(rest.len() <= data.len() + parts);
        }
    }
}

/// A Set-Cookie line of a backend: the line that is made of it has no line end that was not there.
pub fn set_cookie_writer(data: &[u8]) {
    let ends = |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
    for policy in policies() {
        for line in [rewritten(&policy, data, b"sid"), prefixed(&policy, data, b"sid")].into_iter().flatten() {
            assert!(ends(&line) <= ends(data));
            assert!(line.windows(3).any(|window| window == b"sid"));
        }
        // What we write ourselves is read again.
        let sid: Vec<u8> = data.iter().copied().filter(|byte| byte.is_ascii_alphanumeric()).take(64).collect();
        if policy.mode() == Mode::Insert && !sid.is_empty() {
            let line = set_cookie(&policy, &sid, 1_800_000_000, 1_799_999_000, true);
            let cookie = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let found = read(&policy, [cookie], 1_800_000_001, |other, _| (other == sid).then_some(1));
            assert!(matches!(found, FoundSession::Known { peer: 1, .. }), "{found:?}");
        }
    }
}

/// A path: what is normal stays as it is, and escaping loses nothing.
pub fn uri(data: &[u8]) {
    // A request line's path begins with a slash by then, and has no NUL in it.
    if data.contains(&0) {
        return;
    }
    let Ok(normal) = path::normalize(&[b"/", data].concat()) else { return };
    assert!(normal.first() == Some(&b'/'));
    assert!(!normal.windows(4).any(|window| window == b"/../"));
    let mut escaped = Vec::new();
    path::escape(&normal, &mut escaped);
    assert_eq!(path::normalize(&escaped).ok(), Some(normal));
    let _ = path::internal(data);
}
