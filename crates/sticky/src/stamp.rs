//! The timestamps behind a SID: `|LAST|FIRST`, decimal Unix seconds.

use crate::policy::Limits;

/// How far in the future a timestamp may lie, in seconds: clocks differ.
const TOLERANCE: i64 = 86_400;

/// When a session was last and first used, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamps {
    /// The last use.
    pub last: i64,
    /// The first use.
    pub first: i64,
}

impl Stamps {
    /// Whether the session is within its bounds. A time equal to a bound passes.
    pub fn are_fresh(self, limits: Limits, now: i64) -> bool {
        let within = |stamp: i64, longest: i64| (-TOLERANCE..=longest).contains(&now.saturating_sub(stamp));
        within(self.last, limits.maxidle) && within(self.first, limits.maxlife)
    }
}

/// Splits `SID|LAST|FIRST`. Anything but exactly two bars and two numbers is malformed: `None`.
pub fn split(value: &[u8]) -> Option<(&[u8], Stamps)> {
    let mut parts = value.split(|byte| *byte == b'|');
    let (sid, last, first) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some((sid, Stamps { last: parse(last)?, first: parse(first)? }))
}

/// A number of digits only, up to the largest `i64`.
pub fn parse(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i64, |number, digit| {
        let digit = digit.is_ascii_digit().then_some(i64::from(digit.wrapping_sub(b'0')))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { maxidle: 10, maxlife: 100 };

    fn fresh(last: i64, first: i64) -> bool {
        Stamps { last, first }.are_fresh(LIMITS, 1_000_000)
    }

    #[test]
    fn a_time_equal_to_its_bound_passes() {
        assert!(fresh(999_990, 999_900));
        assert!(!fresh(999_989, 999_900));
        assert!(!fresh(999_990, 999_899));
    }

    #[test]
    fn a_day_in_the_future_passes_and_more_does_not() {
        assert!(fresh(1_086_400, 1_086_400));
        assert!(!fresh(1_086_401, 1_000_000));
        assert!(!fresh(1_000_000, 1_086_401));
        assert!(!fresh(i64::MAX, 1_000_000));
    }

    #[test]
    fn stamps_are_two_numbers_behind_two_bars() {
        assert_eq!(split(b"S|12|34"), Some((&b"S"[..], Stamps { last: 12, first: 34 })));
        assert_eq!(split(b"S|0012|034"), Some((&b"S"[..], Stamps { last: 12, first: 34 })));
        for malformed in ["S", "S|1", "S|1|2|3", "S|1|", "S||2", "S|a|2", "S|1|-2", "S|1| 2", "S|9223372036854775808|1"]
        {
            assert_eq!(split(malformed.as_bytes()), None, "{malformed}");
        }
    }
}
