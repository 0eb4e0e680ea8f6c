//! Compiled texts with variables.

use limpet_config::template::{Part, Template};

use crate::http::Request;
use crate::variable::Variable;

/// A text that is put together for a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Bytes(Box<[u8]>),
    Variable(Variable),
}

impl Text {
    pub(crate) fn new(template: &Template) -> Self {
        let piece = |part: &Part| match part {
            Part::Text(text) => Piece::Bytes(text.as_slice().into()),
            Part::Variable(name) => Piece::Variable(Variable::named(name)),
            Part::Capture(group) => Piece::Variable(Variable::Capture(*group)),
        };
        Text { pieces: template.parts.iter().map(piece).collect() }
    }

    pub(crate) fn append(&self, request: &Request, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Variable(variable) => {
                    variable.append(request, out);
                }
            }
        }
    }

    pub(crate) fn render(&self, request: &Request) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(request, &mut out);
        out
    }

    /// Appends with every variable's value, or its absence, put through `escape`.
    pub(crate) fn append_escaped(
        &self,
        request: &Request,
        out: &mut Vec<u8>,
        escape: impl Fn(Option<&[u8]>, &mut Vec<u8>),
    ) {
        let mut value = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Variable(variable) => {
                    value.clear();
                    let found = variable.append(request, &mut value);
                    escape(found.then_some(value.as_slice()), out);
                }
            }
        }
    }
}
