//! Signed sessions (`hash=hmac`): a cookie that nobody can make up, and that tells nothing of the server's address.
//!
//! The SID is the first half of HMAC-SHA256 over `sid`, the upstream's name and the server's, in 32 hexadecimal digits. The
//! cookie's value is that SID, with its times if it has any, a `.`, and HMAC-SHA256 over `cookie`, the upstream's name and all that
//! stands before the `.`, in base64url without padding (RFC 4648, section 5). Between the parts that are signed stand line feeds.
//! Whoever has the same key, and the same names of upstream and servers, makes and believes the same cookies.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a signature, as they are and as they are written.
const SIGNATURE: usize = 32;
const WRITTEN: usize = 43;

/// The keys of an upstream's sessions: the first one signs, all are believed.
#[derive(Clone)]
pub struct Seal {
    keys: Vec<Hmac<Sha256>>,
    upstream: Box<[u8]>,
    /// Until when sessions without a signature count, in Unix seconds.
    unsigned_until: i64,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.keys.len())
    }
}

impl Seal {
    /// The seal of an upstream by its name. `unsigned_until`: Unix seconds; `None`: sessions without a signature never count.
    pub fn new(keys: &[Vec<u8>], upstream: &[u8], unsigned_until: Option<i64>) -> Seal {
        // A key may have any length.
        let keys = keys.iter().filter_map(|key| Hmac::new_from_slice(key).ok()).collect();
        Seal { keys, upstream: upstream.into(), unsigned_until: unsigned_until.unwrap_or(i64::MIN) }
    }

    fn mac(&self, key: &Hmac<Sha256>, what: &[u8], text: &[u8]) -> Hmac<Sha256> {
        let mut mac = key.clone();
        for part in [what, b"\n", &self.upstream, b"\n", text] {
            mac.update(part);
        }
        mac
    }

    /// The SIDs of a server by its name, that of the signing key first.
    pub fn sids(&self, server: &[u8]) -> Vec<Vec<u8>> {
        let hexadecimal = |key: &Hmac<Sha256>| {
            let whole = self.mac(key, b"sid", server).finalize().into_bytes();
            whole.iter().take(SIGNATURE / 2).flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
        };
        self.keys.iter().map(hexadecimal).collect()
    }

    /// Puts the signature behind a value, which begins at `start` in `line`.
    pub fn sign(&self, line: &mut Vec<u8>, start: usize) {
        let Some(key) = self.keys.first() else { return };
        let mac = self.mac(key, b"cookie", line.get(start..).unwrap_or_default()).finalize().into_bytes();
        let mut written = [0; WRITTEN];
        let length = URL_SAFE_NO_PAD.encode_slice(mac, &mut written).unwrap_or_default();
        line.push(b'.');
        line.extend_from_slice(written.get(..length).unwrap_or_default());
    }

    /// A cookie's value without its signature, at `now` in Unix seconds, and whether it had one; `None`: it is not believed.
    pub fn open<'v>(&self, value: &'v [u8], now: i64) -> Option<(&'v [u8], bool)> {
        let at = value.len().checked_sub(WRITTEN.saturating_add(1));
        let parts = at.and_then(|at| value.split_at_checked(at));
        let Some((text, signature)) = parts.and_then(|(text, rest)| Some((text, rest.strip_prefix(b".")?))) else {
            return Some((value, false)).filter(|_| now < self.unsigned_until);
        };
        let mut signed = [0; SIGNATURE];
        let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut signed).ok()?;
        let signed = signed.get(..length)?;
        // Each comparison takes the same time wherever the difference is.
        let is_by = |key: &Hmac<Sha256>| self.mac(key, b"cookie", text).verify_slice(signed).is_ok();
        self.keys.iter().any(is_by).then_some((text, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(keys: &[&str], upstream: &str) -> Seal {
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        Seal::new(&keys, upstream.as_bytes(), None)
    }

    fn signed(seal: &Seal, text: &str) -> Vec<u8> {
        let mut line = format!("route={text}").into_bytes();
        seal.sign(&mut line, 6);
        line.split_off(6)
    }

    #[test]
    fn what_was_signed_is_believed_by_whoever_has_the_key() {
        let (one, both) = (seal(&["first"], "u"), seal(&["second", "first"], "u"));
        let value = signed(&one, "SID|1|2");
        assert_eq!(both.open(&value, 0), Some((&b"SID|1|2"[..], true)));
        assert_eq!(one.open(&signed(&both, "SID"), 0), None, "the newer key is not known there");
        assert_eq!(seal(&["first"], "v").open(&value, 0), None, "another upstream's");
    }

    #[test]
    fn nothing_of_it_may_be_changed() {
        let seal = seal(&["key"], "u");
        let value = signed(&seal, "SID|1|2");
        for place in 0..value.len() {
            for bit in 0..8 {
                let mut other = value.clone();
                other[place] ^= 1 << bit;
                // The last letter has two bits that mean nothing, and are to be 0.
                assert_eq!(seal.open(&other, 0), None, "{}", String::from_utf8_lossy(&other));
            }
        }
        for broken in [&b""[..], b".", b"SID", &value[1..], &value[..value.len() - 1]] {
            assert_eq!(seal.open(broken, 0), None);
        }
    }

    #[test]
    fn sessions_without_a_signature_count_until_their_date() {
        let seal = Seal::new(&[b"key".to_vec()], b"u", Some(100));
        assert_eq!((seal.open(b"SID", 99), seal.open(b"SID", 100)), (Some((&b"SID"[..], false)), None));
        let mut forged = signed(&seal, "SID");
        forged[0] = b'X';
        assert_eq!(seal.open(&forged, 0), None, "a wrong one never counts");
    }

    #[test]
    fn sids_are_of_a_key_an_upstream_and_a_server() {
        let sids = |keys: &[&str], upstream, server: &str| seal(keys, upstream).sids(server.as_bytes());
        let one = sids(&["a", "b"], "u", "127.0.0.1:80");
        assert!(one.len() == 2 && one.iter().all(|sid| sid.len() == 32 && sid.iter().all(u8::is_ascii_hexdigit)));
        assert_eq!(sids(&["b"], "u", "127.0.0.1:80")[0], one[1]);
        for other in
            [sids(&["c"], "u", "127.0.0.1:80"), sids(&["a"], "v", "127.0.0.1:80"), sids(&["a"], "u", "127.0.0.1:81")]
        {
            assert_ne!(other[0], one[0]);
        }
    }

    #[test]
    fn the_format_is_the_documented_one() {
        // Made with `printf 'cookie\nu\nSID' | openssl dgst -sha256 -hmac key -binary | basenc --base64url`.
        assert_eq!(
            String::from_utf8(signed(&seal(&["key"], "u"), "SID")).unwrap(),
            "SID.g4Z4JzQ6ZoOOK1l6Cl0wVtTJ-HbtFyweoMZg0NgLVYU"
        );
    }
}
