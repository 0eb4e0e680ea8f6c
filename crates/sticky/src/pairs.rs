//! The pairs of a Cookie header.

/// One piece of a Cookie header between semicolons, blanks around it taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'h> {
    pub text: &'h [u8],
    /// Name and value, blanks around them taken off, where there is a `=`.
    pub pair: Option<(&'h [u8], &'h [u8])>,
}

/// The pieces of a Cookie header in order. Quotes mean nothing: they belong to the value.
pub(crate) fn pieces(header: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    header.split(|byte| *byte == b';').map(|text| {
        let text = trim(text);
        let pair = split_once(text, b'=').map(|(name, value)| (trim(name), trim(value)));
        Piece { text, pair }
    })
}

/// What stands before and after the first `byte`.
pub(crate) fn split_once(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|candidate| *candidate == byte)?;
    Some((text.get(..at)?, text.get(at.saturating_add(1)..)?))
}

/// The text without blanks and tabs around it.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\n'] = text {
        text = rest;
    }
    text
}
