//! Spans of time with units (nginx manual, "Configuration file measurement units").

use super::number::number;

/// The units from years down to milliseconds.
const UNITS: [(&[u8], u64); 8] = [
    (b"y", 365 * 86_400_000),
    (b"M", 30 * 86_400_000),
    (b"w", 7 * 86_400_000),
    (b"d", 86_400_000),
    (b"h", 3_600_000),
    (b"m", 60_000),
    (b"s", 1000),
    (b"ms", 1),
];

/// Milliseconds. A number without a unit is seconds; units must come in descending order: `1h30m`, `1d 12h`, `100ms`. Months
/// and years are no units here.
pub fn milliseconds(word: &[u8]) -> Option<u64> {
    parse(word, UNITS.get(2..)?)
}

fn parse(word: &[u8], mut units: &[(&[u8], u64)]) -> Option<u64> {
    let seconds = units.iter().position(|(name, _)| *name == b"s")?;
    let behind_seconds = units.get(seconds..)?.len().checked_sub(1)?;
    let mut rest = word;
    let mut total = 0_u64;
    loop {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (value, after) = rest.split_at_checked(digits)?;
        let value = number(value)?;
        let letters = after.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (unit, after) = after.split_at_checked(letters)?;
        let factor = if unit.is_empty() {
            // Without a unit it is seconds, and nothing follows.
            if !after.is_empty() || units.len() <= behind_seconds {
                return None;
            }
            1000
        } else {
            let at = units.iter().position(|(name, _)| *name == unit)?;
            let (_, factor) = units.get(at)?;
            units = units.split_at_checked(at)?.1.split_first()?.1;
            *factor
        };
        total = value.checked_mul(factor)?.checked_add(total).filter(|total| *total <= i64::MAX as u64)?;
        rest = after.trim_ascii_start();
        if rest.is_empty() {
            return Some(total);
        }
    }
}

/// Whole seconds; milliseconds are no unit here.
pub fn seconds(word: &[u8]) -> Option<u64> {
    parse(word, UNITS.get(..7)?).map(|milliseconds| milliseconds / 1000)
}

#[cfg(test)]
mod tests {
    use super::{milliseconds, seconds};

    #[test]
    fn times_are_sums_of_descending_units() {
        for (word, expected) in [
            ("0", 0),
            ("5", 5000),
            ("5s", 5000),
            ("100ms", 100),
            ("1s500ms", 1500),
            ("1h30m", 5_400_000),
            ("1d 12h", 129_600_000),
            ("1h30", 3_630_000),
            ("1w", 7 * 86_400_000),
        ] {
            assert_eq!(milliseconds(word.as_bytes()), Some(expected), "{word}");
        }
        for wrong in ["", "s", "1x", "1m1h", "1s1s", "-1s", "1.5s", "1ms5", "99999999999w", "30 5", "1y", "1M"] {
            assert_eq!(milliseconds(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn seconds_know_no_milliseconds() {
        assert_eq!(seconds(b"90"), Some(90));
        assert_eq!(seconds(b"2m"), Some(120));
        assert_eq!(seconds(b"1M 2"), Some(30 * 86_400 + 2));
        assert_eq!(seconds(b"1y"), Some(365 * 86_400));
        assert_eq!(seconds(b"1s5"), None);
        assert_eq!(seconds(b"500ms"), None);
    }
}
