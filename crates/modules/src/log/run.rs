//! One line for each request.

use std::sync::Arc;

use limpet_http::phase::Log;
use limpet_http::{Request, Text};
use limpet_log::LogFile;
use limpet_text::is_true;

/// How bytes of variables are made safe for a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// `"`, `\` and everything outside of printable ASCII as `\xXX`.
    Default,
    /// What JSON strings forbid.
    Json,
    None,
}

/// One access log of a location, its format compiled.
pub struct AccessLog {
    pub file: Arc<LogFile>,
    pub format: Arc<LineFormat>,
    /// An empty value or `0` leaves the request out.
    pub condition: Option<Text>,
}

/// A compiled `log_format`.
#[derive(Debug)]
pub struct LineFormat {
    pub line: Text,
    pub escape: Escape,
}

impl Log for AccessLog {
    fn write(&self, request: &Request) {
        if self.condition.as_ref().is_some_and(|condition| !is_true(&condition.render(request))) {
            return;
        }
        let mut line = Vec::with_capacity(256);
        self.format.line.append_escaped(request, &mut line, |value, line| escape(self.format.escape, value, line));
        line.push(b'\n');
        self.file.write(&line);
    }
}

/// Appends a variable's value, `None` where it has none, made safe for the line.
fn escape(escape: Escape, value: Option<&[u8]>, line: &mut Vec<u8>) {
    let Some(value) = value else {
        if escape == Escape::Default {
            line.push(b'-');
        }
        return;
    };
    match escape {
        Escape::None => line.extend_from_slice(value),
        Escape::Default => {
            for byte in value {
                match byte {
                    b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => hex(b"\\x", *byte, line),
                    _ => line.push(*byte),
                }
            }
        }
        Escape::Json => {
            for byte in value {
                match byte {
                    b'"' | b'\\' => line.extend([b'\\', *byte]),
                    b'\n' => line.extend_from_slice(b"\\n"),
                    b'\r' => line.extend_from_slice(b"\\r"),
                    b'\t' => line.extend_from_slice(b"\\t"),
                    8 => line.extend_from_slice(b"\\b"),
                    12 => line.extend_from_slice(b"\\f"),
                    0..=0x1f => hex(b"\\u00", *byte, line),
                    _ => line.push(*byte),
                }
            }
        }
    }
}

fn hex(prefix: &[u8], byte: u8, line: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    line.extend_from_slice(prefix);
    line.extend([byte >> 4, byte & 15].map(|nibble| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(way: Escape, value: Option<&[u8]>) -> String {
        let mut line = Vec::new();
        escape(way, value, &mut line);
        String::from_utf8_lossy(&line).into_owned()
    }

    #[test]
    fn values_are_made_safe_as_nginx_makes_them() {
        let value = Some(&b"a\"b\\\x01\n\xff"[..]);
        assert_eq!(escaped(Escape::Default, value), "a\\x22b\\x5C\\x01\\x0A\\xFF");
        assert_eq!(escaped(Escape::Json, value), "a\\\"b\\\\\\u0001\\n\u{fffd}");
        assert_eq!(escaped(Escape::None, Some(b"a\"b")), "a\"b");
    }

    #[test]
    fn what_has_no_value_is_a_dash_or_nothing() {
        assert_eq!(escaped(Escape::Default, None), "-");
        assert_eq!(escaped(Escape::Json, None), "");
        assert_eq!(escaped(Escape::Default, Some(b"")), "");
    }
}
