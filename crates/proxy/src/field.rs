//! Header lines of requests and responses: cut, indexed, found by name.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr;

/// Where a line's name and value stand.
type Field = (Range<usize>, Range<usize>);

/// The header lines of a head, in the order of the wire.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    bytes: Bytes,
    list: Vec<Field>,
}

impl Fields {
    /// Room for as many lines as most heads have.
    pub(crate) fn new() -> Self {
        Fields { bytes: Bytes::new(), list: Vec::with_capacity(16) }
    }

    /// Adds the line that stands at `line` in `text`, without its end.
    ///
    /// # Errors
    /// The offset in the line of the first byte that can't be there: blanks and control characters in the name, and NUL
    /// or a carriage return in the value.
    pub(crate) fn add(&mut self, text: &[u8], line: Range<usize>) -> Result<(), usize> {
        let bytes = text.get(line.clone()).unwrap_or_default();
        let colon = memchr(b':', bytes).unwrap_or(bytes.len());
        let (name, value) = bytes.split_at_checked(colon).unwrap_or((bytes, b""));
        if let Some(at) = name.iter().position(|byte| *byte <= 0x20 || *byte == 0x7f).or(name.is_empty().then_some(0)) {
            return Err(at);
        }
        let value = value.get(1..).unwrap_or_default();
        if let Some(at) = value.iter().position(|byte| matches!(byte, 0 | b'\r')) {
            return Err(colon + 1 + at);
        }
        let leading = value.iter().take_while(|byte| **byte == b' ').count();
        let trailing = value.iter().skip(leading).rev().take_while(|byte| **byte == b' ').count();
        let value_start = (line.start + colon + 1 + leading).min(line.end);
        self.list.push((line.start..line.start + colon, value_start..line.end - trailing));
        Ok(())
    }

    /// Takes the last line back.
    pub(crate) fn forget_last(&mut self) {
        self.list.pop();
    }

    /// The bytes that the lines were cut from, once the head is whole.
    pub(crate) fn keep(&mut self, bytes: Bytes) {
        self.bytes = bytes;
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Name and value of each line, as they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let part = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.list.iter().map(move |(name, value)| (part(name), part(value)))
    }

    /// The values of a name, whatever the case of its letters.
    pub(crate) fn values<'f>(&'f self, name: &'f [u8]) -> impl Iterator<Item = &'f [u8]> {
        self.iter().filter(move |(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The first value of a name.
    pub(crate) fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The name of the last line, in `text`, from which it was cut.
    pub(crate) fn last_name<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        self.list.last().and_then(|(name, _)| text.get(name.clone())).unwrap_or_default()
    }

    /// The first value of a name, while the lines are still being cut from `text`.
    pub(crate) fn value_in<'t>(&self, text: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
        let is_it = |(candidate, _): &&Field| {
            text.get(candidate.clone()).is_some_and(|candidate| candidate.eq_ignore_ascii_case(name))
        };
        self.list.iter().find(is_it).and_then(|(_, value)| text.get(value.clone()))
    }
}

/// A line without its end: a line feed, and carriage returns before it.
pub(crate) fn trim_line_end(text: &[u8], line: Range<usize>) -> Range<usize> {
    let bytes = text.get(line.clone()).unwrap_or_default();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let returns = bytes.iter().rev().take_while(|byte| **byte == b'\r').count();
    line.start..line.start + bytes.len() - returns
}

/// The beginning of a line up to a byte that can't be there, as nginx shows it.
pub(crate) fn shown_up_to(line: &[u8], at: usize) -> String {
    let before = String::from_utf8_lossy(line.get(..at).unwrap_or_default()).into_owned();
    let byte = line.get(at).copied().unwrap_or_default();
    format!("{before}\\x{byte:02x}...")
}

/// Digits only, at most what a signed 64-bit number holds.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit).filter(|number| *number <= i64::MAX as u64)
    })
}
