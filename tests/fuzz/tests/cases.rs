//! The targets with made-up cases, for compilers that can't run a fuzzer. `PROPTEST_CASES` says how many.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

/// Pieces of what the targets read, so that every branch is reached.
const WORDS: [&str; 40] = [
    "GET ", "POST ", "/", "/a/../b", "%2e", "%2F", "?x", " HTTP/1.1", " HTTP/1.0", "\r\n", "\n", "Host: x\r\n",
    "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 103 Hint\r\n\r\n", "X: y\r\n",
    " ", ":", "\r\n\r\n", "5\r\nhello\r\n", "0\r\n\r\n", "a;x=\"y\"\r\n", "ffffffffffffffff", "route=", "route=known", "; ",
    "|1799999000|1799999000", "~", "route=abc; Path=/", "Set-Cookie: ", "server {", "}", ";", "\"a b\"", "\\", "$x", "#", "location ", "'",
];

fn main_input() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => (0..WORDS.len()).prop_map(|at| WORDS[at].as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..8),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[test]
fn the_targets_hold() {
    for (name, target) in limpet_fuzz::TARGETS {
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
        let result = runner.run(&main_input(), |data| {
            target(&data);
            Ok(())
        });
        assert!(result.is_ok(), "{name}: {result:?}");
    }
}
