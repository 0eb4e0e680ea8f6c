//! What must hold for any bytes from a client or a backend.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use crate::body::{Body, Cursor};
use crate::field::Known;
use crate::request::{Head, HeadLimits, Unread};
use crate::response::ResponseHead;
use crate::uri;

/// Bytes that look like heads often enough to reach every branch.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let words: [&[u8]; 22] = [
        b"GET ",
        b"POST ",
        b"/",
        b"/a/../b",
        b"%2e",
        b"?x",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b"\r\n",
        b"\n",
        b"Host: x\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 103 Hint\r\n\r\n",
        b"X: y\r\n",
        b" ",
        b":",
        b"http://h",
        b"\r\n\r\n",
        b"Expect: 100-continue\r\n",
    ];
    let fragment = prop_oneof![
        4 => (0..words.len()).prop_map(move |at| words.get(at).copied().unwrap_or_default().to_vec()),
        1 => vec(any::<u8>(), 0..6),
        1 => Just(vec![0]),
    ];
    vec(fragment, 0..30).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_a_head_panic(bytes in wire()) {
        let _ = Head::parse(&bytes, HeadLimits::default());
        let _ = ResponseHead::parse(&bytes, 65_536);
    }

    #[test]
    fn a_head_that_comes_in_pieces_is_the_same(bytes in wire(), cut in 0_usize..400) {
        let whole = Head::parse(&bytes, HeadLimits::default());
        let first = bytes.get(..cut.min(bytes.len())).unwrap_or_default();
        // What was judged from a part is not judged otherwise with more.
        if let Ok((head, length)) = Head::parse(first, HeadLimits::default()) {
            let (other, other_length) = whole.map_err(|_| "rejected").unwrap();
            prop_assert_eq!((head.line(), length), (other.line(), other_length));
        } else if let Err(Unread::Rejected(_)) = Head::parse(first, HeadLimits::default()) {
            prop_assert!(matches!(whole, Err(Unread::Rejected(_))));
        }
    }

    #[test]
    fn no_head_is_waited_for_beyond_its_limits(bytes in wire(), line in 16_usize..60, head in 16_usize..120) {
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if bytes.len() - blank > head.max(line) {
            let read = Head::parse(&bytes, HeadLimits { line, head });
            prop_assert!(!matches!(read, Err(Unread::Incomplete)));
        }
    }

    #[test]
    fn what_is_served_has_one_way_of_framing(bytes in wire()) {
        if let Ok((head, length)) = Head::parse(&bytes, HeadLimits::default()) {
            prop_assert!(length <= bytes.len());
            prop_assert!(!head.uri.is_empty() && head.uri.first() == Some(&b'/'));
            let both = head.value(Known::ContentLength).is_some() && head.value(Known::TransferEncoding).is_some();
            prop_assert!(!both);
        }
    }

    #[test]
    fn a_body_ends_at_the_same_byte_however_it_comes(bytes in vec(prop_oneof![Just(b'1'), Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'a'), any::<u8>()], 0..80), cut in 0_usize..80) {
        let follow = |parts: &[&[u8]]| {
            let mut framing = Cursor::new(Body::Chunked);
            let taken: usize = parts.iter().map(|part| framing.advance(part)).sum();
            (taken, framing)
        };
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        prop_assert_eq!(follow(&[&bytes]), follow(&[first, second]));
    }

    #[test]
    fn a_normal_path_stays_normal(path in "(/[a-z.%2eEfF]{0,4}){1,6}") {
        if let Ok(normal) = uri::normalize(path.as_bytes()) {
            let mut escaped = Vec::new();
            uri::escape(&normal, &mut escaped);
            prop_assert_eq!(uri::normalize(&escaped), Ok(normal.clone()));
            prop_assert!(!normal.windows(4).any(|window| window == b"/../"));
        }
    }
}
