//! What a request brings to the choice of its server, and what it may hear.

/// What a request brings to the choice.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The text of `hash KEY`, or the octets of the client's address for `ip_hash`.
    pub key: &'a [u8],
    /// Where the request has been.
    pub tried: &'a Tried,
    /// Milliseconds.
    pub now: i64,
}

/// The servers that one request has been sent to.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    list: Vec<u32>,
    /// A bit for each server, once the list is too long to be looked through for each of them.
    bits: Vec<u64>,
}

/// The longest list that is looked through.
const FEW: usize = 16;

impl Tried {
    /// The request has been sent to a server.
    pub fn add(&mut self, index: usize) {
        self.list.push(index as u32);
        if self.list.len() == FEW + 1 {
            for index in self.list.clone() {
                self.mark(index as usize);
            }
        } else if self.list.len() > FEW {
            self.mark(index);
        }
    }

    fn mark(&mut self, index: usize) {
        let word = index / 64;
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= 1 << (index % 64);
        }
    }

    /// Whether it has been there.
    pub fn contains(&self, index: usize) -> bool {
        if self.bits.is_empty() {
            return self.list.contains(&(index as u32));
        }
        self.bits.get(index / 64).is_some_and(|bits| bits & 1 << (index % 64) != 0)
    }

    /// To how many it has been sent.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether it has been nowhere.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.list.iter().map(|index| *index as usize)
    }
}

/// What came of asking for a server by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It may be asked.
    Usable,
    /// It has `max_conns` connections.
    Full,
    /// This request has been there.
    Tried,
    /// An active check says so.
    Dead,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_servers_are_told_apart() {
        let mut tried = Tried::default();
        for (count, index) in (0..200).step_by(3).enumerate() {
            assert!(!tried.contains(index));
            tried.add(index);
            assert_eq!(tried.len(), count + 1);
            assert!((0..300).all(|other| tried.contains(other) == (other <= index && other % 3 == 0)), "{index}");
        }
        assert_eq!(tried.iter().count(), 67);
    }
    #[test]
    fn only_a_list_that_is_too_long_to_look_through_gets_bits() {
        let mut tried = Tried::default();
        assert!(tried.is_empty());
        for index in 0..FEW + 2 {
            tried.add(index);
            assert_eq!((tried.is_empty(), tried.bits.is_empty()), (false, tried.len() <= FEW), "{index}");
        }
    }
}
