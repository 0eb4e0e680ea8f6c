//! Compiled texts.

use std::fmt;
use std::sync::Arc;

use crate::registry::{Registry, Variable};
use crate::template::{Part, Template};

/// What the variables of a text are asked about: a request, or a connection.
pub trait Scope {
    /// The group of the last regular expression that matched.
    fn capture(&self, group: usize) -> Option<&[u8]>;
}

/// A text that is put together for a scope.
pub struct Text<S> {
    pieces: Vec<Piece<S>>,
}

enum Piece<S> {
    Bytes(Box<[u8]>),
    Capture(usize),
    Variable(Arc<dyn Variable<S>>),
    /// A variable that nobody has added: it has no value.
    Nothing,
}

/// Whether a value means yes for a condition of nginx's: it is neither empty nor `0`.
pub fn is_true(value: &[u8]) -> bool {
    !matches!(value, b"" | b"0")
}

impl<S: Scope> Text<S> {
    /// The text of a template whose names have been checked against the same registry.
    pub fn new(template: &Template, registry: &Registry<S>) -> Self {
        let piece = |part: &Part| match part {
            Part::Text(text) => Piece::Bytes(text.as_slice().into()),
            Part::Variable(name) => registry.get(name).map_or(Piece::Nothing, Piece::Variable),
            Part::Capture(group) => Piece::Capture(*group),
        };
        Text { pieces: template.parts.iter().map(piece).collect() }
    }

    /// Appends the text. A variable without a value adds nothing.
    pub fn append(&self, scope: &S, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            piece.append(scope, out);
        }
    }

    /// The text.
    pub fn render(&self, scope: &S) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(scope, &mut out);
        out
    }

    /// Appends with every variable's value, or its absence, put through `escape`.
    pub fn append_escaped(&self, scope: &S, out: &mut Vec<u8>, escape: impl Fn(Option<&[u8]>, &mut Vec<u8>)) {
        let mut value = Vec::new();
        for piece in &self.pieces {
            if let Piece::Bytes(bytes) = piece {
                out.extend_from_slice(bytes);
            } else {
                value.clear();
                let found = piece.append(scope, &mut value);
                escape(found.then_some(value.as_slice()), out);
            }
        }
    }
}

impl<S: Scope> Piece<S> {
    /// `false` where there is no value.
    fn append(&self, scope: &S, out: &mut Vec<u8>) -> bool {
        match self {
            Piece::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                true
            }
            Piece::Capture(group) => scope.capture(*group).map(|value| out.extend_from_slice(value)).is_some(),
            Piece::Variable(variable) => variable.append(scope, out),
            Piece::Nothing => false,
        }
    }
}

impl<S> Default for Text<S> {
    fn default() -> Self {
        Text { pieces: Vec::new() }
    }
}

impl<S> fmt::Debug for Text<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text of {} pieces", self.pieces.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(&'static [u8]);

    impl Scope for One {
        fn capture(&self, group: usize) -> Option<&[u8]> {
            (group == 1).then_some(self.0)
        }
    }

    fn registry() -> Registry<One> {
        let mut registry = Registry::default();
        registry.add("whole", |one: &One, out: &mut Vec<u8>| {
            out.extend_from_slice(one.0);
            true
        });
        registry.add("none", |_: &One, _: &mut Vec<u8>| false);
        registry.add_family("nth_", |rest| {
            let nth = rest.parse().unwrap_or(0);
            move |one: &One, out: &mut Vec<u8>| one.0.get(nth).map(|byte| out.push(*byte)).is_some()
        });
        registry
    }

    fn text(text: &str) -> Text<One> {
        Text::new(&Template::parse(text.as_bytes()).unwrap(), &registry())
    }

    #[test]
    fn a_scope_answers_for_the_variables() {
        assert_eq!(text("<$whole|$1|$2|$none|$nth_1>").render(&One(b"abc")), b"<abc|abc|||b>");
    }

    #[test]
    fn absence_is_told_to_who_escapes() {
        let mut out = Vec::new();
        text("$none $nth_0 $nth_9").append_escaped(&One(b"abc"), &mut out, |value, out| {
            out.extend_from_slice(value.unwrap_or(b"-"));
        });
        assert_eq!(out, b"- a -");
    }
}
