//! The variables that there are. The module that knows what one stands for adds it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// What a variable stands for.
pub trait Variable<S>: Send + Sync {
    /// Appends the value; `false` when there is none, which logs show as `-`.
    fn append(&self, scope: &S, out: &mut Vec<u8>) -> bool;
}

impl<S, F: Fn(&S, &mut Vec<u8>) -> bool + Send + Sync> Variable<S> for F {
    fn append(&self, scope: &S, out: &mut Vec<u8>) -> bool {
        self(scope, out)
    }
}

/// What is known of a name in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is such a variable.
    Known,
    /// It is one of nginx's or Tengine's that is not built.
    Unsupported,
    /// Nobody knows it.
    Unknown,
}

/// The names of a registry, whatever their variables are asked about.
pub trait Names {
    /// What is known of a name.
    fn standing(&self, name: &str) -> Standing;

    /// The names that may have been meant by one that nobody knows.
    fn known(&self) -> Box<dyn Iterator<Item = &str> + '_>;
}

/// Variables by name, and families of them by the beginning of their names.
pub struct Registry<S> {
    named: BTreeMap<Cow<'static, str>, Entry<S>>,
    families: Vec<(&'static str, Family<S>)>,
}

enum Entry<S> {
    Variable(Arc<dyn Variable<S>>),
    /// One that is added later: where it goes, and what stands for it until then.
    Declared(Arc<Declared<S>>, Arc<dyn Variable<S>>),
    Unsupported,
}

/// A variable that is added later.
struct Declared<S>(OnceLock<Arc<dyn Variable<S>>>);

impl<S> Variable<S> for Declared<S> {
    fn append(&self, scope: &S, out: &mut Vec<u8>) -> bool {
        self.0.get().is_some_and(|variable| variable.append(scope, out))
    }
}

/// Makes the variable for what stands behind the beginning of a family.
type Make<S> = dyn Fn(&str) -> Arc<dyn Variable<S>> + Send + Sync;

enum Family<S> {
    Variables(Box<Make<S>>),
    Unsupported,
}

impl<S> Default for Registry<S> {
    fn default() -> Self {
        Registry { named: BTreeMap::new(), families: Vec::new() }
    }
}

impl<S> Registry<S> {
    /// Adds a variable. Of two with one name the later counts; one that was declared is what was meant by then.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, variable: impl Variable<S> + 'static) {
        let (name, variable) = (name.into(), Arc::new(variable));
        if let Some(Entry::Declared(declared, _)) = self.named.get(&name) {
            let _ = declared.0.set(Arc::clone(&variable) as _);
        }
        self.named.insert(name, Entry::Variable(variable));
    }

    /// There will be a variable of this name. Texts may use it before it is added.
    pub fn declare(&mut self, name: impl Into<Cow<'static, str>>)
    where
        S: 'static,
    {
        let declared = Arc::new(Declared(OnceLock::new()));
        self.named.insert(name.into(), Entry::Declared(Arc::clone(&declared), declared));
    }

    /// Adds a family: what follows its beginning names a header, a cookie or an argument. The beginning alone is known and
    /// has no value.
    pub fn add_family<V: Variable<S> + 'static>(
        &mut self,
        prefix: &'static str,
        make: impl Fn(&str) -> V + Send + Sync + 'static,
    ) {
        let make = move |rest: &str| Arc::new(make(rest)) as Arc<dyn Variable<S>>;
        self.families.push((prefix, Family::Variables(Box::new(make))));
    }

    /// Names of variables that are not built.
    pub fn refuse(&mut self, names: &[&'static str], families: &[&'static str]) {
        self.named.extend(names.iter().map(|name| (Cow::Borrowed(*name), Entry::Unsupported)));
        self.families.extend(families.iter().map(|prefix| (*prefix, Family::Unsupported)));
    }

    /// The variable of a name; `None` where there is none, or none that has a value.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Variable<S>>> {
        match self.named.get(name) {
            Some(Entry::Variable(variable)) => return Some(Arc::clone(variable)),
            Some(Entry::Declared(_, variable)) => return Some(Arc::clone(variable)),
            Some(Entry::Unsupported) => return None,
            None => {}
        }
        // Of two families the later one counts, too.
        self.families.iter().rev().find_map(|(prefix, family)| match family {
            Family::Variables(make) => name.strip_prefix(prefix).filter(|rest| !rest.is_empty()).map(make),
            Family::Unsupported => None,
        })
    }
}

impl<S> Names for Registry<S> {
    fn standing(&self, name: &str) -> Standing {
        match self.named.get(name) {
            Some(Entry::Variable(_) | Entry::Declared(..)) => return Standing::Known,
            Some(Entry::Unsupported) => return Standing::Unsupported,
            None => {}
        }
        match self.families.iter().rev().find(|(prefix, _)| name.starts_with(prefix)) {
            Some((_, Family::Variables(_))) => Standing::Known,
            Some((_, Family::Unsupported)) => Standing::Unsupported,
            None => Standing::Unknown,
        }
    }

    fn known(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        let is_known = |entry: &Entry<S>| !matches!(entry, Entry::Unsupported);
        Box::new(self.named.iter().filter(move |(_, entry)| is_known(entry)).map(|(name, _)| &**name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_themselves_or_by_their_family() {
        let mut registry = Registry::<()>::default();
        registry.add("uri", |_: &(), _: &mut Vec<u8>| true);
        registry.add_family("http_", |_| |_: &(), _: &mut Vec<u8>| true);
        registry.refuse(&["memcached_key"], &["jwt_claim_"]);
        for (name, standing) in [
            ("uri", Standing::Known),
            ("http_user_agent", Standing::Known),
            ("http_", Standing::Known),
            ("memcached_key", Standing::Unsupported),
            ("jwt_claim_sub", Standing::Unsupported),
            ("nope", Standing::Unknown),
            ("", Standing::Unknown),
        ] {
            assert_eq!(registry.standing(name), standing, "{name}");
            assert_eq!(registry.get(name).is_some(), standing == Standing::Known && name != "http_", "{name}");
        }
        assert_eq!(registry.known().collect::<Vec<_>>(), ["uri"]);
    }

    #[test]
    fn a_text_may_use_what_is_added_later() {
        let mut registry = Registry::<()>::default();
        registry.declare("late");
        assert_eq!(registry.standing("late"), Standing::Known);
        let early = registry.get("late").unwrap();
        let mut out = Vec::new();
        assert!(!early.append(&(), &mut out));
        registry.add("late", |_: &(), out: &mut Vec<u8>| {
            out.extend_from_slice(b"here");
            true
        });
        assert!(early.append(&(), &mut out) && registry.get("late").unwrap().append(&(), &mut out));
        assert_eq!(out, b"herehere");
    }
}
