//! The `Range` header, as nginx reads it (RFC 9110, section 14.2).

/// What a request wants of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    Whole,
    /// From the first byte to the one behind the last.
    Some(Vec<(u64, u64)>),
    Unsatisfiable,
}

/// Reads the header for a body of `size` bytes. Ranges that lie outside are left out; more bytes than the body has are
/// answered with the whole of it.
pub(super) fn parse(value: &[u8], size: u64) -> Ranges {
    let Some((unit, list)) = value.split_at_checked(6) else { return Ranges::Whole };
    if !unit.eq_ignore_ascii_case(b"bytes=") || list.is_empty() || size == 0 {
        return Ranges::Whole;
    }
    let mut ranges = Vec::new();
    for item in list.split(|byte| *byte == b',') {
        match range(item, size) {
            Item::Range(start, end) => ranges.push((start, end)),
            Item::Outside => {}
            Item::Malformed => return Ranges::Unsatisfiable,
        }
    }
    match ranges.iter().map(|(start, end)| end - start).fold(0_u64, u64::saturating_add) {
        0 => Ranges::Unsatisfiable,
        sum if sum > size => Ranges::Whole,
        _ => Ranges::Some(ranges),
    }
}

enum Item {
    Range(u64, u64),
    Outside,
    Malformed,
}

fn range(item: &[u8], size: u64) -> Item {
    let Some(dash) = item.iter().position(|byte| *byte == b'-') else { return Item::Malformed };
    let (first, last) = item.split_at_checked(dash).unwrap_or_default();
    let number = |text: &[u8]| -> Option<Option<u64>> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Some(None);
        }
        let digits = text.len() <= 18 && text.iter().all(u8::is_ascii_digit);
        digits.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))).map(Some)
    };
    let (Some(first), Some(last)) = (number(first), number(last.get(1..).unwrap_or_default())) else {
        return Item::Malformed;
    };
    let (start, end) = match (first, last) {
        (None, None) => return Item::Malformed,
        (None, Some(suffix)) => (size.saturating_sub(suffix), size),
        (Some(start), None) => (start, size),
        (Some(start), Some(last)) if last < start => return Item::Malformed,
        (Some(start), Some(last)) => (start, size.min(last + 1)),
    };
    if start < end { Item::Range(start, end) } else { Item::Outside }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_nginx_reads_them() {
        let some = |ranges: &[(u64, u64)]| Ranges::Some(ranges.to_vec());
        for (value, expected) in [
            ("bytes=0-4", some(&[(0, 5)])),
            ("Bytes=5-", some(&[(5, 20)])),
            ("bytes=-5", some(&[(15, 20)])),
            ("bytes=0-100", some(&[(0, 20)])),
            ("bytes=-100", some(&[(0, 20)])),
            ("bytes=0-1, 3-4 ,-2", some(&[(0, 2), (3, 5), (18, 20)])),
            ("bytes=0-1,30-40", some(&[(0, 2)])),
            ("bytes= 0 - 4", some(&[(0, 5)])),
            ("bytes=0-9,0-9,0-9", Ranges::Whole),
            ("bytes=", Ranges::Whole),
            ("lines=0-1", Ranges::Whole),
            ("bytes 0-4", Ranges::Whole),
            ("x", Ranges::Whole),
            ("bytes=20-", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=5-3", Ranges::Unsatisfiable),
            ("bytes=-", Ranges::Unsatisfiable),
            ("bytes=a-b", Ranges::Unsatisfiable),
            ("bytes=0-1,", Ranges::Unsatisfiable),
            ("bytes=0-99999999999999999999", Ranges::Unsatisfiable),
        ] {
            assert_eq!(parse(value.as_bytes(), 20), expected, "{value}");
        }
        assert_eq!(parse(b"bytes=0-4", 0), Ranges::Whole);
    }
}
