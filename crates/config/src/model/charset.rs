//! Character sets of responses.

use limpet_text::Template;

/// `charset` and `source_charset`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charset {
    /// Only of `charset`.
    Off,
    /// As the file spells it first.
    Named(String),
    /// What a variable names.
    Variable(Template),
}

/// `charset_map`: which bytes of one character set stand for which of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharsetMap {
    pub from: String,
    pub to: String,
    /// For each byte of `from` that is written, what stands for it in `to`: a byte, or a character of utf-8.
    pub pairs: Vec<(u8, Vec<u8>)>,
}

impl CharsetMap {
    /// Whether what it maps to is utf-8, and no other set of single bytes.
    pub fn is_to_utf8(&self) -> bool {
        self.to.eq_ignore_ascii_case("utf-8")
    }

    /// Whether it is between two sets, in one way or the other.
    pub fn is_between(&self, one: &str, other: &str) -> bool {
        let is = |from: &str, to: &str| self.from.eq_ignore_ascii_case(from) && self.to.eq_ignore_ascii_case(to);
        is(one, other) || is(other, one)
    }
}
