//! The server of a host name: exact names, then `*.x` from the longest, then `x.*` from the longest, then regular
//! expressions in the order of the file (nginx manual, "Server names").

use foldhash::HashMap;
use limpet_text::Regex;

/// The names of the servers on one listening address, each with the index of its server.
#[derive(Debug, Default)]
pub struct HostMap {
    exact: HashMap<Box<[u8]>, usize>,
    /// Keys begin with a dot.
    suffixes: HashMap<Box<[u8]>, usize>,
    /// Keys end with a dot.
    prefixes: HashMap<Box<[u8]>, usize>,
    regexes: Vec<(Regex, usize)>,
}

impl HostMap {
    /// Of two servers with a name the first keeps it.
    pub fn add_exact(&mut self, name: &str, server: usize) {
        self.exact.entry(name.as_bytes().into()).or_insert(server);
    }

    pub fn add_suffix(&mut self, suffix: &str, server: usize) {
        self.suffixes.entry(suffix.as_bytes().into()).or_insert(server);
    }

    pub fn add_prefix(&mut self, prefix: &str, server: usize) {
        self.prefixes.entry(prefix.as_bytes().into()).or_insert(server);
    }

    pub fn add_regex(&mut self, regex: Regex, server: usize) {
        self.regexes.push((regex, server));
    }

    /// The server of a host in lower case; what it costs depends on the host's labels, not on the number of names.
    pub fn find(&self, host: &[u8]) -> Option<usize> {
        if let Some(server) = self.exact.get(host) {
            return Some(*server);
        }
        let dots = || host.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
        if !self.suffixes.is_empty() {
            // A leading dot of the host itself is no label.
            let mut longest_first = dots().filter(|at| *at > 0).filter_map(|at| host.get(at..));
            if let Some(server) = longest_first.find_map(|suffix| self.suffixes.get(suffix)) {
                return Some(*server);
            }
        }
        if !self.prefixes.is_empty() {
            let ends: Vec<usize> = dots().filter(|at| at + 1 < host.len()).collect();
            let mut longest_first = ends.iter().rev().filter_map(|at| host.get(..=*at));
            if let Some(server) = longest_first.find_map(|prefix| self.prefixes.get(prefix)) {
                return Some(*server);
            }
        }
        self.regexes.iter().find(|(regex, _)| regex.is_match(host).unwrap_or(false)).map(|(_, server)| *server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> HostMap {
        let mut map = HostMap::default();
        map.add_exact("example.com", 1);
        map.add_suffix(".example.com", 2);
        map.add_suffix(".sub.example.com", 3);
        map.add_prefix("www.", 4);
        map.add_prefix("www.example.", 5);
        map.add_regex(limpet_text::regex(r"^api\d+\.", false).unwrap(), 6);
        map.add_exact("", 7);
        map
    }

    #[test]
    fn names_are_found_in_nginxs_order() {
        for (host, expected) in [
            ("example.com", Some(1)),
            ("a.example.com", Some(2)),
            ("a.b.example.com", Some(2)),
            ("x.sub.example.com", Some(3)),
            ("www.example.com", Some(2)),
            ("www.example.org", Some(5)),
            ("www.net", Some(4)),
            ("api7.net", Some(6)),
            ("notexample.com", None),
            ("", Some(7)),
            (".example.com", None),
            ("www.", None),
        ] {
            assert_eq!(map().find(host.as_bytes()), expected, "{host}");
        }
    }

    #[test]
    fn the_first_server_keeps_a_name() {
        let mut map = map();
        map.add_exact("example.com", 9);
        assert_eq!(map.find(b"example.com"), Some(1));
    }
}
