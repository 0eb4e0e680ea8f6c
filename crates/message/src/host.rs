//! The host that a request names.

use memchr::memchr;

use crate::field::decimal;

/// A host in lower case without port and trailing dot; `None` for what is no host (RFC 3986, section 3.2.2, and no two
/// dots in a row).
pub fn host_name(value: &[u8]) -> Option<Vec<u8>> {
    let (name, port) = match value.first()? {
        b'[' => {
            let end = (memchr(b']', value)?).saturating_add(1);
            let (name, port) = value.split_at_checked(end)?;
            let inside = name.get(1..name.len().saturating_sub(1))?;
            // The address itself is not read: it may be of a kind of the future, `v1.…`.
            if !inside.iter().all(|byte| *byte == b':' || is_host_byte(*byte)) || has_empty_label(inside) {
                return None;
            }
            (name, port)
        }
        _ => {
            let end = memchr(b':', value).unwrap_or(value.len());
            let (name, port) = value.split_at_checked(end)?;
            if !name.iter().all(|byte| *byte == b'%' || is_host_byte(*byte)) || has_empty_label(name) {
                return None;
            }
            (name, port)
        }
    };
    let port_is_right = match port.strip_prefix(b":") {
        None => port.is_empty(),
        Some(b"") => true,
        Some(digits) => decimal(digits).is_some_and(|port| port <= 65535),
    };
    let name = name.strip_suffix(b".").unwrap_or(name);
    (port_is_right && !name.is_empty()).then(|| name.to_ascii_lowercase())
}

/// The unreserved characters and sub-delimiters of RFC 3986.
pub(crate) fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

pub(crate) fn has_empty_label(name: &[u8]) -> bool {
    name.windows(2).any(|pair| pair == b"..")
}
