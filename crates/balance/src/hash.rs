//! `ip_hash` and `hash KEY`: the key says where to begin, and where to go on when that server can't be asked.
//!
//! Follow `ngx_http_upstream_ip_hash_module.c` and `ngx_http_upstream_hash_module.c`. Who was tried before is drawn again
//! and passed over, so a later choice for a request goes on where the one before it ended.

use crate::tier::View;

/// Draws that may miss before the round robin takes over.
const MISSES: usize = 20;

/// By the first three octets of an IPv4 address, or all of an IPv6 one.
pub(crate) fn by_address(address: &[u8], view: &View<'_>) -> Option<usize> {
    let mut hash = 89_u64;
    draw(view, || {
        hash = address.iter().fold(hash, |hash, octet| (hash * 113 + u64::from(*octet)) % 6271);
        hash
    })
}

/// By any text; the empty one leaves the choice to the round robin.
pub(crate) fn by_key(key: &[u8], view: &View<'_>) -> Option<usize> {
    let (mut sum, mut again) = (0_u32, 0_u32);
    draw(view, || {
        let mut crc = crc32fast::Hasher::new();
        if again > 0 {
            crc.update(again.to_string().as_bytes());
        }
        crc.update(key);
        again += 1;
        sum = sum.wrapping_add((crc.finalize() >> 16) & 0x7fff);
        sum.into()
    })
}

/// Takes the server in whose share of the weights a number falls, until one can be asked.
fn draw(view: &View<'_>, mut number: impl FnMut() -> u64) -> Option<usize> {
    (0..=MISSES + view.ask.tried.len()).find_map(|_| view.at(number()).filter(|position| view.is_usable(*position)))
}

#[cfg(test)]
mod tests {
    use crate::{Ask, Group, Method, Tried};

    #[test]
    fn a_request_that_has_been_to_many_servers_still_goes_where_its_key_says() {
        for method in [Method::AddressHash, Method::Hash] {
            let group = Group::new(method, (0..60).map(|_| Default::default()).collect());
            // Were the choice left to the round robin, it would hang on how far that has come.
            let choices = |advanced| {
                let (mut progress, mut tried) = (group.progress(0), Tried::default());
                group.advance(&mut progress, advanced);
                for _ in 0..25 {
                    let ask = Ask { key: b"key", tried: &tried, now: 0 };
                    let index = group.next(&mut progress, &ask).unwrap();
                    tried.add(index);
                }
                tried.iter().collect::<Vec<_>>()
            };
            assert_eq!(choices(0), choices(30), "{method:?}");
        }
    }
}
