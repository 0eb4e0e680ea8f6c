//! What somebody may have meant who wrote a word that is none.

use strsim::damerau_levenshtein;

/// The known word that is nearest to what was written, if it is near enough to be meant.
pub fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // One slip for every three letters, at least one and at most three.
    let most = (written.chars().count() / 3).clamp(1, 3);
    let near = known.map(|word| (damerau_levenshtein(written, word), word)).filter(|(distance, _)| *distance <= most);
    near.min().map(|(_, word)| word)
}

/// The parameter that is nearest: of `name=value` the name is compared with those that take a value.
pub fn nearest_parameter<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = written.split_inclusive('=').next().unwrap_or_default();
    nearest(name, known.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognized_and_other_words_are_not() {
        let known = ["weight=", "max_fails=", "down", "backup"];
        for (written, meant) in [
            ("weigth=5", Some("weight=")),
            ("max_fail=3", Some("max_fails=")),
            ("Down", Some("down")),
            ("bakcup", Some("backup")),
            ("weight", Some("weight=")),
            ("colour=red", None),
            ("x", None),
        ] {
            assert_eq!(nearest_parameter(written, &known), meant, "{written}");
        }
        assert_eq!(nearest("proxy_pas", ["proxy_pass", "proxy_bind"].into_iter()), Some("proxy_pass"));
        assert_eq!(nearest("", ["a"].into_iter()), Some("a"));
    }
}
