//! The location of a URI: an exact one, else the longest prefix, unless a regular expression matches first (nginx
//! manual, `location`).

use foldhash::HashMap;
use limpet_text::Regex;

/// The locations of one level. A location is known by its index among all of the server's.
#[derive(Debug, Default)]
pub struct Level {
    exact: HashMap<Box<[u8]>, usize>,
    /// Sorted by prefix.
    prefixes: Vec<Prefix>,
    regexes: Vec<(Regex, usize)>,
    /// Whether any prefix redirects to itself with its slash.
    redirects: bool,
}

#[derive(Debug)]
struct Prefix {
    text: Box<[u8]>,
    location: usize,
    no_regex: bool,
    /// The longest other prefix that this one begins with.
    parent: Option<usize>,
    /// `/x/` with `proxy_pass`: a request for `/x` is sent there.
    redirects: bool,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Location(usize),
    /// By a regular expression of the location with this index.
    ByRegex(usize),
    /// To the same URI with a slash behind it.
    Slash(usize),
    Nothing,
    /// PCRE gave up on a pattern.
    Undecided,
}

impl Level {
    pub fn add_exact(&mut self, uri: &[u8], location: usize) {
        self.exact.entry(uri.into()).or_insert(location);
    }

    pub fn add_prefix(&mut self, text: &[u8], location: usize, no_regex: bool, redirects: bool) {
        self.redirects |= redirects;
        self.prefixes.push(Prefix { text: text.into(), location, no_regex, parent: None, redirects });
    }

    pub fn add_regex(&mut self, regex: Regex, location: usize) {
        self.regexes.push((regex, location));
    }

    /// All locations are in: prefixes are sorted and linked.
    pub fn finish(&mut self) {
        self.prefixes.sort_by(|one, other| one.text.cmp(&other.text));
        let mut chain: Vec<usize> = Vec::new();
        for index in 0..self.prefixes.len() {
            let starts_with = |outer: usize| match (self.prefixes.get(index), self.prefixes.get(outer)) {
                (Some(inner), Some(outer)) => inner.text.starts_with(&outer.text),
                _ => false,
            };
            while chain.last().is_some_and(|outer| !starts_with(*outer)) {
                chain.pop();
            }
            let parent = chain.last().copied();
            if let Some(prefix) = self.prefixes.get_mut(index) {
                prefix.parent = parent;
            }
            chain.push(index);
        }
    }

    /// The longest prefix of a URI. The last one in order that is not greater than the URI begins with every prefix that
    /// matches, so a binary search for it and a walk up its parents find the longest.
    fn longest_prefix(&self, uri: &[u8]) -> Option<&Prefix> {
        let mut at = self.prefixes.partition_point(|prefix| prefix.text.as_ref() <= uri).checked_sub(1);
        while let Some(prefix) = at.and_then(|index| self.prefixes.get(index)) {
            if uri.starts_with(&prefix.text) {
                return Some(prefix);
            }
            at = prefix.parent;
        }
        None
    }

    /// The location of a URI; `levels` knows the locations inside of one.
    pub fn find<'l>(&'l self, uri: &[u8], levels: &impl Fn(usize) -> Option<&'l Level>) -> Found {
        if let Some(location) = self.exact.get(uri) {
            return Found::Location(*location);
        }
        if let Some(location) = self.missing_slash(uri) {
            return Found::Slash(location);
        }
        let prefix = self.longest_prefix(uri);
        let mut found = Found::Nothing;
        let mut no_regex = false;
        if let Some(prefix) = prefix {
            found = Found::Location(prefix.location);
            no_regex = prefix.no_regex;
            match levels(prefix.location).map(|level| level.find(uri, levels)) {
                Some(inner @ (Found::ByRegex(_) | Found::Slash(_) | Found::Undecided)) => return inner,
                Some(inner @ Found::Location(_)) => found = inner,
                Some(Found::Nothing) | None => {}
            }
        }
        if !no_regex {
            for (regex, location) in &self.regexes {
                match regex.is_match(uri) {
                    Ok(false) => continue,
                    Ok(true) => {}
                    // A rule that can't be decided must not be passed by.
                    Err(_) => return Found::Undecided,
                }
                return match levels(*location).map(|level| level.find(uri, levels)) {
                    Some(inner) if inner != Found::Nothing => inner,
                    _ => Found::ByRegex(*location),
                };
            }
        }
        found
    }

    /// The location `/x/` with `proxy_pass` for the URI `/x`.
    fn missing_slash(&self, uri: &[u8]) -> Option<usize> {
        if !self.redirects || uri.ends_with(b"/") {
            return None;
        }
        let order = |prefix: &Prefix| prefix.text.iter().cmp(uri.iter().chain(b"/"));
        let at = self.prefixes.binary_search_by(order).ok()?;
        self.prefixes.get(at).filter(|prefix| prefix.redirects).map(|prefix| prefix.location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 `/`, 1 `= /x`, 2 `/a/`, 3 `^~ /images/`, 4 `~ \.php$`, 5 `/a/b` in 2, 6 `~ q` in 2, 7 `/p/` with proxy_pass
    fn find(uri: &str) -> Found {
        let regex = |pattern| limpet_text::regex(pattern, false).unwrap();
        let mut inner = Level::default();
        inner.add_prefix(b"/a/b", 5, false, false);
        inner.add_regex(regex("q"), 6);
        inner.finish();
        let mut level = Level::default();
        level.add_prefix(b"/", 0, false, false);
        level.add_exact(b"/x", 1);
        level.add_prefix(b"/images/", 3, true, false);
        level.add_prefix(b"/a/", 2, false, false);
        level.add_prefix(b"/p/", 7, false, true);
        level.add_regex(regex(r"\.php$"), 4);
        level.finish();
        level.find(uri.as_bytes(), &|location| (location == 2).then_some(&inner))
    }

    #[test]
    fn locations_are_found_in_nginxs_order() {
        for (uri, expected) in [
            ("/", Found::Location(0)),
            ("/x", Found::Location(1)),
            ("/xy", Found::Location(0)),
            ("/a", Found::Location(0)),
            ("/a/", Found::Location(2)),
            ("/a/c", Found::Location(2)),
            ("/a/bc", Found::Location(5)),
            ("/a/bq", Found::ByRegex(6)),
            ("/a/b.php", Found::ByRegex(4)),
            ("/x.php", Found::ByRegex(4)),
            ("/images/x.php", Found::Location(3)),
            ("/p/z", Found::Location(7)),
            ("/p", Found::Slash(7)),
            ("nowhere", Found::Nothing),
        ] {
            assert_eq!(find(uri), expected, "{uri}");
        }
    }

    #[test]
    fn the_longest_prefix_is_found_among_many() {
        let mut level = Level::default();
        for (index, text) in ["/", "/a", "/a/b/c", "/ab", "/b"].into_iter().enumerate() {
            level.add_prefix(text.as_bytes(), index, false, false);
        }
        level.finish();
        for (uri, expected) in [("/a/b/x", 1), ("/a/b/c/d", 2), ("/abc", 3), ("/ac", 1), ("/zz", 0), ("/b/", 4)] {
            assert_eq!(level.find(uri.as_bytes(), &|_| None), Found::Location(expected), "{uri}");
        }
    }
}
