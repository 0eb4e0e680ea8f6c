//! Sizes in bytes with a unit.

use super::number::number;

/// Bytes, or `k`/`m` of them (1024-based), as most size directives take.
pub fn size(word: &[u8]) -> Option<u64> {
    scaled(word, &[(b'k', 10), (b'm', 20)])
}

/// Bytes, or `k`/`m`/`g` of them, as directives about offsets in files and bodies take.
pub fn offset(word: &[u8]) -> Option<u64> {
    scaled(word, &[(b'k', 10), (b'm', 20), (b'g', 30)])
}

fn scaled(word: &[u8], units: &[(u8, u32)]) -> Option<u64> {
    let (last, digits) = word.split_last()?;
    match units.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(last)) {
        Some((_, shift)) => number(digits)?.checked_mul(1 << shift).filter(|bytes| *bytes <= i64::MAX as u64),
        None => number(word),
    }
}

#[cfg(test)]
mod tests {
    use super::{offset, size};

    #[test]
    fn sizes_have_units_of_1024() {
        assert_eq!(size(b"8k"), Some(8192));
        assert_eq!(size(b"2M"), Some(2 << 20));
        assert_eq!(size(b"1g"), None);
        assert_eq!(offset(b"1G"), Some(1 << 30));
        assert_eq!(offset(b"10"), Some(10));
        for wrong in ["", "k", "1kb", "-1k", "9223372036854775807k"] {
            assert_eq!(offset(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
