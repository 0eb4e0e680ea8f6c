//! What must hold for any text.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use limpet_syntax::{Item, Tree, parse_command_line, parse_text};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

/// Text that looks like a configuration often enough to reach every branch.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        Just(b"a".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\n".to_vec()),
        Just(b";".to_vec()),
        Just(b"{".to_vec()),
        Just(b"}".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"'".to_vec()),
        Just(b"\\".to_vec()),
        Just(b"$".to_vec()),
        Just(b"#".to_vec()),
        Just(b"${x}".to_vec()),
        vec(any::<u8>(), 0..8),
    ];
    vec(fragment, 0..60).prop_map(|fragments| fragments.concat())
}

/// A word in quotes, every special byte hidden.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for byte in word {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', *byte]),
            _ => text.push(*byte),
        }
    }
    text.push(b'"');
    text
}

fn first_words(tree: &Tree) -> Vec<Vec<u8>> {
    match tree.items.first() {
        Some(Item::Directive(directive)) => {
            let args = directive.args.iter().map(|word| word.bytes.clone());
            std::iter::once(directive.name.bytes.clone()).chain(args).collect()
        }
        _ => Vec::new(),
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in texts()) {
        let tree = parse_text("any", &text);
        if let Some(failure) = tree.failure() {
            prop_assert!(failure.excerpt(&tree.sources).is_some());
        }
        let _ = parse_command_line(&text);
    }

    #[test]
    fn words_in_quotes_are_read_back(words in vec(vec(1_u8..=255, 0..20), 1..6)) {
        let mut text: Vec<u8> = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(&b' ');
        text.push(b';');
        prop_assert_eq!(first_words(&parse_text("any", &text)), words);
    }

    #[test]
    fn positions_lie_in_the_text(text in texts()) {
        let tree = parse_text("any", &text);
        let lines = text.split(|byte| *byte == b'\n').count() as u32;
        let mut pending: Vec<&Item> = tree.items.iter().collect();
        while let Some(item) = pending.pop() {
            if let Item::Directive(directive) = item {
                for word in std::iter::once(&directive.name).chain(&directive.args) {
                    prop_assert!((1..=lines).contains(&word.span.line) && word.span.column >= 1);
                }
                pending.extend(directive.block.iter().flat_map(|block| &block.items));
            }
        }
    }
}
