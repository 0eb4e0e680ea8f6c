//! Plain numbers.

/// Decimal digits only, no sign.
pub fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit)).filter(|number| *number <= i64::MAX as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_digits_up_to_what_a_signed_word_holds() {
        assert_eq!(number(b"0042"), Some(42));
        assert_eq!(number(b"9223372036854775807"), Some(i64::MAX as u64));
        for wrong in ["", "-1", "+1", "1k", " 1", "9223372036854775808", "99999999999999999999"] {
            assert_eq!(number(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
