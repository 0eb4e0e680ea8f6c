//! A TLS ClientHello that every server of today answers with a handshake, for `check type=ssl_hello`.
//!
//! Tengine sends one of SSL 3.0, which such servers refuse. This one offers TLS 1.0 to 1.3; it brings no key along, so
//! that a server of 1.3 asks for one with a HelloRetryRequest, and nobody computes anything. RFC 8446, section 4.1.2.

const SUITES: [u16; 15] = [
    0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f,
    0x0035,
];
const GROUPS: [u16; 3] = [0x001d, 0x0017, 0x0018];
const SIGNATURES: [u16; 9] = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601];
const VERSIONS: [u16; 4] = [0x0304, 0x0303, 0x0302, 0x0301];

/// The record, with 32 random bytes.
pub(super) fn client_hello(random: [u8; 32]) -> Vec<u8> {
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let mut extensions = Vec::new();
    let mut extension = |number: u16, content: &[u8]| {
        extensions.extend(number.to_be_bytes());
        extensions.extend(long(content));
    };
    extension(10, &long(&words(&GROUPS)));
    // Points as they are.
    extension(11, &short(&[0]));
    extension(13, &long(&words(&SIGNATURES)));
    extension(43, &short(&words(&VERSIONS)));
    // No key.
    extension(51, &long(&[]));
    let mut hello = vec![3, 3];
    hello.extend(random);
    // No session to resume.
    hello.extend(short(&[]));
    hello.extend(long(&words(&SUITES)));
    // No compression.
    hello.extend(short(&[0]));
    hello.extend(long(&extensions));
    let mut handshake = vec![1, 0];
    handshake.extend(long(&hello));
    let mut record = vec![0x16, 3, 1];
    record.extend(long(&handshake));
    record
}

/// With its length in one byte before it.
fn short(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

/// With its length in two bytes before it.
fn long(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes(), content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_fit() {
        let hello = client_hello([7; 32]);
        assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
        assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), hello.len() - 9);
        assert_eq!(hello[..6], [0x16, 3, 1, hello[3], hello[4], 1]);
    }
}
