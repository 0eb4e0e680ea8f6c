//! Bytes of one character set as those of another, by the maps of a configuration (`charset_map`).

use std::collections::HashMap;
use std::sync::Arc;

/// `charset_map`: which bytes of one character set stand for which of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharsetMap {
    pub from: String,
    pub to: String,
    /// For each byte of `from` that is written, what stands for it in `to`: a byte, or a character of utf-8.
    pub pairs: Vec<(u8, Vec<u8>)>,
}

impl CharsetMap {
    /// Whether what it maps to is utf-8, and no other set of single bytes.
    pub fn is_to_utf8(&self) -> bool {
        self.to.eq_ignore_ascii_case("utf-8")
    }

    /// Whether it is between two sets, in one way or the other.
    pub fn is_between(&self, one: &str, other: &str) -> bool {
        let is = |from: &str, to: &str| self.from.eq_ignore_ascii_case(from) && self.to.eq_ignore_ascii_case(to);
        is(one, other) || is(other, one)
    }
}

/// A map, made ready for both ways.
#[derive(Debug)]
pub struct Map {
    pub written: CharsetMap,
    /// What stands for each byte of the first set.
    forth: Vec<Box<[u8]>>,
    /// Which byte of the first set stands for a byte of the second; empty where the second is utf-8.
    back: Vec<u8>,
    /// The same for characters where the second is utf-8.
    back_from_utf8: HashMap<char, u8>,
}

/// One way through a map, in the middle of a text.
#[derive(Debug, Clone)]
pub struct Recoder {
    map: Arc<Map>,
    way: Way,
    /// The beginning of a character whose rest has not come yet.
    pending: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Forth,
    Back,
    BackFromUtf8,
}

/// What stands for a byte that the other set does not have.
const UNKNOWN: u8 = b'?';

impl Map {
    pub fn new(written: CharsetMap) -> Self {
        let is_ascii = |byte: u8| byte < 0x80;
        let same = |byte: u8| if is_ascii(byte) { byte } else { UNKNOWN };
        let mut forth: Vec<Box<[u8]>> = (0..=u8::MAX).map(|byte| [same(byte)].into()).collect();
        let mut back: Vec<u8> = (0..=u8::MAX).map(same).collect();
        let mut back_from_utf8 = HashMap::new();
        for (from, to) in &written.pairs {
            if let Some(slot) = forth.get_mut(usize::from(*from)) {
                *slot = to.as_slice().into();
            }
            if written.is_to_utf8() {
                let text = std::str::from_utf8(to).unwrap_or_default();
                back_from_utf8.extend(text.chars().map(|character| (character, *from)));
            } else if let [to] = to.as_slice()
                && let Some(slot) = back.get_mut(usize::from(*to))
            {
                *slot = *from;
            }
        }
        Map { written, forth, back, back_from_utf8 }
    }
}

impl Recoder {
    /// The way between two sets; `None` where no map leads from one to the other.
    pub fn between(maps: &[Arc<Map>], from: &str, to: &str) -> Option<Recoder> {
        let map = maps.iter().find(|map| map.written.is_between(from, to))?;
        let way = match (map.written.from.eq_ignore_ascii_case(from), map.written.is_to_utf8()) {
            (true, _) => Way::Forth,
            (false, true) => Way::BackFromUtf8,
            (false, false) => Way::Back,
        };
        Some(Recoder { map: Arc::clone(map), way, pending: Vec::new() })
    }

    /// Whether a text has as many bytes afterwards as before.
    pub fn keeps_length(&self) -> bool {
        !self.map.written.is_to_utf8()
    }

    /// The next piece of a text.
    pub fn recode(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len() * 2);
        match self.way {
            Way::Forth => {
                let bytes = piece.iter().filter_map(|byte| self.map.forth.get(usize::from(*byte)));
                bytes.for_each(|bytes| out.extend_from_slice(bytes));
            }
            Way::Back => out.extend(piece.iter().filter_map(|byte| self.map.back.get(usize::from(*byte)))),
            Way::BackFromUtf8 => self.recode_utf8(piece, &mut out),
        }
        out
    }

    /// A character that has no byte becomes a reference of HTML, as in nginx.
    fn recode_utf8(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.extend_from_slice(piece);
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                match self.map.back_from_utf8.get(&character) {
                    Some(byte) => out.push(*byte),
                    None if character.is_ascii() => out.push(character as u8),
                    None => out.extend_from_slice(format!("&#{};", u32::from(character)).as_bytes()),
                }
            }
            match chunk.invalid() {
                [] => {}
                // What the text ends with may be the beginning of a character.
                rest if bytes.ends_with(rest) && is_beginning(rest) => self.pending = rest.to_vec(),
                _ => out.push(UNKNOWN),
            }
        }
    }
}

/// Whether bytes are the beginning of a character of utf-8, and not broken.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps() -> Vec<Arc<Map>> {
        let map = |from: &str, to: &str, pairs: &[(u8, &[u8])]| {
            let pairs = pairs.iter().map(|(from, to)| (*from, to.to_vec())).collect();
            Arc::new(Map::new(CharsetMap { from: from.into(), to: to.into(), pairs }))
        };
        vec![
            map("koi8-r", "utf-8", &[(0xc1, "а".as_bytes()), (0xd7, "в".as_bytes())]),
            map("koi8-r", "windows-1251", &[(0xc1, &[0xe0]), (0xd7, &[0xe2])]),
        ]
    }

    fn recoded(from: &str, to: &str, pieces: &[&[u8]]) -> Vec<u8> {
        let mut recoder = Recoder::between(&maps(), from, to).unwrap();
        pieces.iter().flat_map(|piece| recoder.recode(piece)).collect()
    }

    #[test]
    fn a_map_leads_both_ways() {
        assert_eq!(recoded("koi8-r", "UTF-8", &[b"x\xc1\xd7\xff"]), "xав?".as_bytes());
        assert_eq!(recoded("utf-8", "koi8-r", &["xав".as_bytes()]), b"x\xc1\xd7");
        assert_eq!(recoded("koi8-r", "windows-1251", &[b"x\xc1\xff"]), b"x\xe0?");
        assert_eq!(recoded("Windows-1251", "koi8-r", &[b"x\xe2\xe1"]), b"x\xd7?");
        assert!(Recoder::between(&maps(), "windows-1251", "utf-8").is_none());
    }

    #[test]
    fn characters_may_come_in_pieces() {
        let text = "xа中в".as_bytes();
        let pieces: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(recoded("utf-8", "koi8-r", &pieces), b"x\xc1&#20013;\xd7");
        assert_eq!(recoded("utf-8", "koi8-r", &[b"a\xff\xd0z"]), b"a??z");
        assert_eq!(recoded("utf-8", "koi8-r", &[b"a\xd0"]), b"a", "what is cut off at the end is dropped");
    }
}
