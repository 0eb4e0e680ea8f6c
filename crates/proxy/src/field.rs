//! Header lines of requests and responses: cut, indexed, found by name.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr2;

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

    /// Adds the line that stands at `line` in `text`, without its end. `false`: its name has other characters than
    /// letters, digits and `-`.
    ///
    /// # Errors
    /// The offset in the line of the first byte that can't be there: blanks and control characters in the name, and NUL
    /// or a carriage return in the value.
    pub(crate) fn add(&mut self, text: &[u8], line: Range<usize>) -> Result<bool, usize> {
        let bytes = text.get(line.clone()).unwrap_or_default();
        let (mut colon, mut plain) = (0, true);
        for byte in bytes {
            match NAME_BYTES.get(usize::from(*byte)) {
                Some(NameByte::Plain) => {}
                Some(NameByte::Other) => plain = false,
                Some(NameByte::Colon) => break,
                Some(NameByte::Invalid) | None => return Err(colon),
            }
            colon += 1;
        }
        if colon == 0 {
            return Err(0);
        }
        let value = bytes.get(colon + 1..).unwrap_or_default();
        if let Some(at) = memchr2(0, b'\r', value) {
            return Err(colon + 1 + at);
        }
        let leading = value.iter().take_while(|byte| **byte == b' ').count();
        let trailing = value.iter().skip(leading).rev().take_while(|byte| **byte == b' ').count();
        let value_start = (line.start + colon + 1 + leading).min(line.end);
        self.list.push((line.start..line.start + colon, value_start..line.end - trailing));
        Ok(plain)
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

    /// The first value of a name, without a copy.
    pub(crate) fn value_bytes(&self, name: &[u8]) -> Option<Bytes> {
        self.value(name).map(|value| self.bytes.slice_ref(value))
    }

    /// The first value of a name, while the lines are still being cut from `text`.
    pub(crate) fn value_in<'t>(&self, text: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
        let is_it = |(candidate, _): &&Field| {
            text.get(candidate.clone()).is_some_and(|candidate| candidate.eq_ignore_ascii_case(name))
        };
        self.list.iter().find(is_it).and_then(|(_, value)| text.get(value.clone()))
    }
}

/// What a byte is in a header's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameByte {
    /// A letter, a digit, or `-`.
    Plain,
    Other,
    Colon,
    /// A blank or a control character.
    Invalid,
}

static NAME_BYTES: [NameByte; 256] = {
    let mut kinds = [NameByte::Other; 256];
    let mut rest: &mut [NameByte] = &mut kinds;
    let mut byte = 0_u8;
    while let Some((kind, behind)) = rest.split_first_mut() {
        *kind = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => NameByte::Plain,
            b':' => NameByte::Colon,
            0..=0x20 | 0x7f => NameByte::Invalid,
            _ => NameByte::Other,
        };
        byte = byte.wrapping_add(1);
        rest = behind;
    }
    kinds
};

/// A fixed set of header names. Most names that are no members are told by their length and first letter.
pub(crate) struct Names<const N: usize> {
    names: [&'static [u8]; N],
    /// By length, the first letters that occur, a bit for each.
    firsts: [u32; 32],
}

impl<const N: usize> Names<N> {
    /// The names, each of less than 32 bytes.
    pub(crate) const fn new(names: [&'static [u8]; N]) -> Self {
        let mut firsts = [0; 32];
        let mut rest: &[&[u8]] = &names;
        while let Some((name, others)) = rest.split_first() {
            if let (Some((_, slots)), Some(first)) = (firsts.split_at_mut_checked(name.len()), name.first())
                && let Some((slot, _)) = slots.split_first_mut()
            {
                *slot |= 1 << (*first & 31);
            }
            rest = others;
        }
        Names { names, firsts }
    }

    /// Where a name stands in the set, whatever the case of its letters.
    pub(crate) fn position(&self, name: &[u8]) -> Option<usize> {
        let firsts = self.firsts.get(name.len())?;
        if firsts >> (name.first()? & 31) & 1 == 0 {
            return None;
        }
        self.names.iter().position(|other| other.eq_ignore_ascii_case(name))
    }

    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.position(name).is_some()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_names_knows_its_members_in_any_case() {
        static NAMES: Names<3> = Names::new([b"Host", b"Content-Length", b"TE"]);
        for (name, at) in [("hOST", 0), ("content-length", 1), ("te", 2)] {
            assert_eq!(NAMES.position(name.as_bytes()), Some(at), "{name}");
        }
        for name in ["", "Hosts", "Most", "\u{8}ost", "H\u{2f}st", &"x".repeat(40)] {
            assert!(!NAMES.has(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_line_is_cut_or_its_first_wrong_byte_found() {
        let add = |line: &str| Fields::new().add(line.as_bytes(), 0..line.len());
        assert_eq!(add("X-A: 1"), Ok(true));
        assert_eq!(add("X_A: 1"), Ok(false));
        assert_eq!(add("Alone"), Ok(true));
        for (line, at) in [("", 0), (": 1", 0), ("X A: 1", 1), ("X\u{7f}: 1", 1), ("X: a\0", 4), ("X: \rb", 3)] {
            assert_eq!(add(line), Err(at), "{line:?}");
        }
    }
}
