//! Paths made normal, and written out again for a backend.

use memchr::memchr_iter;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

/// Why a request's target is not served.
#[derive(Debug, PartialEq, Eq)]
pub struct BadUri;

/// The path of a target: `%XX` decoded, `.` and `..` resolved, slashes merged; what follows `?` and `#` is not part of it.
///
/// # Errors
/// A `%` without two hex digits, `%00`, and a path that leads above the root.
pub fn normalize(path: &[u8]) -> Result<Vec<u8>, BadUri> {
    let decoded = decode(path)?;
    let simple = !decoded.windows(2).any(|pair| matches!(pair, [b'/', b'/' | b'.']));
    if simple {
        return Ok(decoded);
    }
    let mut out = Vec::with_capacity(decoded.len());
    let mut segments = decoded.split(|byte| *byte == b'/').skip(1).peekable();
    out.push(b'/');
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => {
                out.pop();
                let parent = out.iter().rposition(|byte| *byte == b'/').ok_or(BadUri)?;
                out.truncate(parent.saturating_add(1));
            }
            _ => {
                out.extend_from_slice(segment);
                if !last {
                    out.push(b'/');
                }
            }
        }
    }
    Ok(out)
}

/// Where a backend sends a request on to: the path with its `%XX` decoded, and what follows `?`.
///
/// # Errors
/// nginx's unsafe ones: no path, a NUL, and a path that has `..` for a segment.
pub fn internal(target: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), BadUri> {
    let (path, args) = match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at.saturating_add(1)..)),
        None => (target, None),
    };
    let leads_up = |path: &[u8]| path.split(|byte| *byte == b'/').any(|segment| segment == b"..");
    let decoded = unescape(path);
    if path.is_empty() || leads_up(path) || leads_up(&decoded) || decoded.contains(&0) {
        return Err(BadUri);
    }
    Ok((decoded, args.map(<[u8]>::to_vec)))
}

/// `%XX` decoded where it is one: of anything else the `%` goes, and with it a single hex digit and what is behind that.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let Some(first) = rest.next() else { break };
        match (digit(first), digit(first).and_then(|_| rest.next()).map(digit)) {
            (None, _) => out.push(*first),
            (Some(high), Some(Some(low))) => out.push(high.saturating_mul(16).saturating_add(low) as u8),
            (Some(_), _) => {}
        }
    }
    out
}

fn decode(path: &[u8]) -> Result<Vec<u8>, BadUri> {
    let is_valid = |at: usize| match path.get(at.saturating_add(1)..at.saturating_add(3)) {
        Some(digits) => digits.iter().all(u8::is_ascii_hexdigit) && digits != b"00",
        None => false,
    };
    if memchr_iter(b'%', path).all(is_valid) { Ok(percent_decode(path).collect()) } else { Err(BadUri) }
}

/// What nginx escapes for a backend, beside what is not ASCII.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Appends a decoded path with the bytes escaped that nginx escapes for a backend.
pub fn escape(path: &[u8], out: &mut Vec<u8>) {
    percent_encode(path, ESCAPED).for_each(|part| out.extend_from_slice(part.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_normal_as_nginx_makes_them() {
        for (path, expected) in [
            ("/", "/"),
            ("/a%20b", "/a b"),
            ("/a%2fb", "/a/b"),
            ("/a/..", "/"),
            ("/a/../b", "/b"),
            ("//a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a//../b", "/b"),
            ("/.../", "/.../"),
            ("/..a", "/..a"),
            ("/.a", "/.a"),
            ("/a/b/", "/a/b/"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/b/..", "/a/"),
        ] {
            assert_eq!(
                normalize(path.as_bytes()).map(|path| String::from_utf8(path).unwrap()),
                Ok(expected.into()),
                "{path}"
            );
        }
        for path in ["/%00", "/%zz", "/%", "/%4", "/../", "/..", "/a/../../", "/%2e%2e/", "/a/b/../../../c"] {
            assert_eq!(normalize(path.as_bytes()), Err(BadUri), "{path}");
        }
    }

    #[test]
    fn targets_of_backends_are_read_as_nginx_reads_them() {
        let read = |target: &str| {
            internal(target.as_bytes()).map(|(path, args)| {
                let text = |bytes| String::from_utf8(bytes).unwrap();
                (text(path), args.map(text))
            })
        };
        for (target, path, args) in [
            ("/a%20b?c=%20", "/a b", Some("c=%20")),
            ("/a//b/.", "/a//b/.", None),
            ("a?", "a", Some("")),
            ("/%zz/%4x/%", "/zz//", None),
            ("/..a/a..", "/..a/a..", None),
        ] {
            assert_eq!(read(target), Ok((path.into(), args.map(Into::into))), "{target}");
        }
        for target in ["", "?x", "..", "../a", "/a/..", "/a/../b", "/a/%2e%2e/b", "/%2e.", "/a%00"] {
            assert_eq!(read(target), Err(BadUri), "{target}");
        }
    }

    #[test]
    fn paths_are_escaped_for_backends_as_nginx_escapes_them() {
        let mut out = Vec::new();
        escape("/a b?c#d%e\"f\u{e9}~-".as_bytes(), &mut out);
        assert_eq!(out, b"/a%20b%3Fc%23d%25e%22f%C3%A9~-");
    }
}
