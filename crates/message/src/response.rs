//! A backend's response head: read and judged by nginx's rules.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use crate::field::{Fields, Known, decimal, has_word, shown_up_to, trim_field_end, trim_line_end};

/// The longest head that is always taken.
pub const MAX_HEAD: usize = 65_536;

/// Where a response's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Behind so many bytes.
    Length(u64),
    /// Behind the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// The head of a final response, or of one that changes the protocol.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status, 100 to 999.
    pub status: u16,
    /// What stands behind the status, a leading blank included.
    reason: Range<usize>,
    /// The header lines.
    pub fields: Fields,
    /// Where the body ends.
    pub framing: Framing,
    /// The body, where it came whole together with the head. Pingora is told that there is none then.
    pub body: Option<Bytes>,
    /// The connection may serve another request.
    pub keepalive: bool,
    /// How long the connection may be idle, by what the backend says of it (`Keep-Alive: timeout=N`): a second less, for
    /// what is on its way then.
    pub kept_for: Option<Duration>,
}

/// Why there is no head yet.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// More of it has to come.
    Incomplete,
    /// In nginx's words.
    Invalid(String),
}

impl ResponseHead {
    /// Reads a head of at most `most` bytes from the beginning of `input`, past any informational ones, and says where the
    /// body begins.
    ///
    /// # Errors
    /// [`Unread`]
    pub fn parse(input: &[u8], most: usize) -> Result<(ResponseHead, usize), Unread> {
        let mut start = 0;
        loop {
            let (head, length) = ResponseHead::parse_one(input.get(start..).unwrap_or_default(), most)?;
            start = start.saturating_add(length);
            if start > most {
                return Err(Unread::Invalid("upstream sent too big header".into()));
            }
            if head.status >= 200 || head.status == 101 {
                return Ok((head, start));
            }
        }
    }

    fn parse_one(text: &[u8], most: usize) -> Result<(ResponseHead, usize), Unread> {
        let too_big = || Err(Unread::Invalid("upstream sent too big header".into()));
        if !b"HTTP/".starts_with(text.get(..text.len().min(5)).unwrap_or_default()) {
            return Err(Unread::Invalid("upstream sent no valid HTTP/1.0 header".into()));
        }
        let Some(line_end) = memchr(b'\n', text) else {
            return if text.len() > most { too_big() } else { Err(Unread::Incomplete) };
        };
        let (status, reason, http_1_1) = status_line(text, trim_line_end(text, 0..line_end.saturating_add(1)))?;
        let mut fields = Fields::new();
        let mut at = line_end.saturating_add(1);
        for end in memchr_iter(b'\n', text.get(at..).unwrap_or_default())
            .map(move |end| at.saturating_add(end).saturating_add(1))
        {
            let line = trim_field_end(text, at..end);
            at = end;
            if end > most {
                return too_big();
            }
            if line.is_empty() {
                fields.keep(Bytes::copy_from_slice(text.get(..end).unwrap_or_default()));
                let head = ResponseHead {
                    status,
                    reason,
                    fields,
                    framing: Framing::Close,
                    body: None,
                    keepalive: http_1_1,
                    kept_for: None,
                };
                return Ok((head.finish()?, end));
            }
            if let Err(bad) = fields.add(text, line.clone()) {
                let shown = shown_up_to(text.get(line).unwrap_or_default(), bad);
                return Err(Unread::Invalid(format!("upstream sent invalid header: \"{shown}\"")));
            }
        }
        if text.len() > most { too_big() } else { Err(Unread::Incomplete) }
    }

    /// What the lines mean together.
    fn finish(mut self) -> Result<Self, Unread> {
        let invalid = |message: String| Err(Unread::Invalid(message));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (mut length, mut coding) = (None, None);
        let (mut keepalive, mut kept_for) = (self.keepalive, None);
        for (known, name, value) in self.fields.iter() {
            let slot = match known {
                Known::ContentLength => &mut length,
                Known::TransferEncoding => &mut coding,
                Known::KeepAlive => {
                    kept_for = keepalive_timeout(value).map(|seconds| Duration::from_secs(seconds.saturating_sub(1)));
                    continue;
                }
                Known::Connection => {
                    keepalive = !has_word(value, b"close") && (keepalive || has_word(value, b"keep-alive"));
                    continue;
                }
                _ => continue,
            };
            if let Some(previous) = slot.replace(value) {
                let (name, value, previous) = (text(name), text(value), text(previous));
                let message = format!(
                    "upstream sent duplicate header line: \"{name}: {value}\", previous value: \"{name}: {previous}\""
                );
                return invalid(message);
            }
        }
        self.framing = match (length, coding) {
            (Some(_), Some(_)) => {
                return invalid(
                    "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time".into(),
                );
            }
            (Some(value), None) => match decimal(value) {
                Some(length) => Framing::Length(length),
                None => {
                    return invalid(format!(
                        "upstream sent invalid \"Content-Length\" header: \"Content-Length: {}\"",
                        text(value)
                    ));
                }
            },
            (None, Some(value)) if value.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
            (None, Some(value)) => {
                return invalid(format!("upstream sent unknown \"Transfer-Encoding\": \"{}\"", text(value)));
            }
            (None, None) => Framing::Close,
        };
        (self.keepalive, self.kept_for) = (keepalive, kept_for);
        Ok(self)
    }

    /// The reason phrase as it came; empty where there is none.
    pub fn reason(&self) -> Bytes {
        let text = self.fields.bytes();
        text.get(self.reason.clone()).map(|reason| text.slice_ref(reason)).unwrap_or_default()
    }

    /// Takes what came behind the head, if that is the whole of its body.
    pub fn take_body(&mut self, rest: &mut Vec<u8>) -> bool {
        let is_whole = !rest.is_empty() && self.framing == Framing::Length(rest.len() as u64);
        if is_whole {
            self.body = Some(std::mem::take(rest).into());
        }
        is_whole
    }
}

/// The seconds in `timeout=5, max=100`.
fn keepalive_timeout(value: &[u8]) -> Option<u64> {
    value.split(|byte| *byte == b',').find_map(|parameter| {
        let parameter = parameter.trim_ascii();
        let (name, seconds) = parameter.split_at_checked(b"timeout=".len())?;
        name.eq_ignore_ascii_case(b"timeout=").then(|| decimal(seconds))?
    })
}

/// Status, reason, and whether the protocol keeps connections by default.
fn status_line(text: &[u8], line: Range<usize>) -> Result<(u16, Range<usize>, bool), Unread> {
    let bytes = text.get(line.clone()).unwrap_or_default();
    let invalid = || Unread::Invalid("upstream sent no valid HTTP/1.0 header".into());
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    // As in nginx the parts of the version have up to three digits, and the first one is no 0.
    let major = digits(5);
    let point = major.saturating_add(5);
    let minor = digits(point.saturating_add(1));
    let behind = point.saturating_add(1).saturating_add(minor);
    let blanks = bytes.iter().skip(behind).take_while(|byte| **byte == b' ').count();
    let is_version = (1..=3).contains(&major) && bytes.get(5) != Some(&b'0') && (1..=3).contains(&minor);
    if !is_version || bytes.get(point) != Some(&b'.') || blanks == 0 {
        return Err(invalid());
    }
    let version = bytes.get(5..behind).unwrap_or_default();
    let is_1_0 = version.strip_prefix(b"1.").is_some_and(|minor| minor.iter().all(|digit| *digit == b'0'));
    let start = behind.saturating_add(blanks);
    let end = start.saturating_add(3);
    let digits = bytes.get(start..end).ok_or_else(invalid)?;
    let status = decimal(digits).filter(|status| *status >= 100).ok_or_else(invalid)? as u16;
    // `403.1` is what IIS says.
    if bytes.get(end).is_some_and(|byte| !matches!(byte, b' ' | b'.')) || bytes.contains(&b'\r') {
        return Err(invalid());
    }
    Ok((status, line.start.saturating_add(end)..line.end, !is_1_0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(ResponseHead, usize), Unread> {
        ResponseHead::parse(text.as_bytes(), MAX_HEAD)
    }

    fn error(lines: &str) -> String {
        match parse(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n")) {
            Err(Unread::Invalid(message)) => message,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn status_lines_are_what_nginx_takes_for_one() {
        for (line, status, keepalive) in [
            ("HTTP/1.1 403.1 Forbidden", 403, true),
            ("HTTP/1.10 200 OK", 200, true),
            ("HTTP/1.01 200 OK", 200, true),
            ("HTTP/1.00 200 OK", 200, false),
            ("HTTP/12.0 200 OK", 200, true),
        ] {
            let (head, _) = parse(&format!("{line}\r\nContent-Length: 0\r\n\r\n")).expect(line);
            assert_eq!((head.status, head.keepalive), (status, keepalive), "{line}");
        }
        for line in [
            "HTTP/0.9 200 OK",
            "HTTP/1. 200 OK",
            "HTTP/.1 200 OK",
            "HTTP/1.1000 200 OK",
            "HTTP/1.1 200x",
            "HTTP/11 200 OK",
        ] {
            assert!(matches!(parse(&format!("{line}\r\n\r\n")), Err(Unread::Invalid(_))), "{line}");
        }
    }

    #[test]
    fn a_head_is_read_and_its_body_found() {
        let text = "HTTP/1.1 200 Fine Reason\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello";
        let (head, length) = parse(text).unwrap();
        assert_eq!((head.status, &head.reason()[..], head.framing), (200, &b" Fine Reason"[..], Framing::Length(5)));
        assert_eq!(&text[length..], "hello");
        for (text, reason) in
            [("HTTP/1.1 200", ""), ("HTTP/1.1 200 ", " "), ("HTTP/1.0 200 x", " x"), ("HTTP/1.1  200 OK", " OK")]
        {
            assert_eq!(parse(&format!("{text}\n\n")).unwrap().0.reason(), reason.as_bytes());
        }
    }

    #[test]
    fn connections_are_kept_by_version_and_header() {
        let closes = |text: &str| !parse(text).unwrap().0.keepalive;
        assert!(!closes("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(closes("HTTP/1.0 200 OK\r\n\r\n"));
        assert!(!closes("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n"));
        assert!(closes("HTTP/1.1 200 OK\r\nconnection: CLOSE\r\n\r\n"));
    }

    #[test]
    fn how_long_a_connection_is_kept_is_read() {
        let kept_for =
            |value: &str| parse(&format!("HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\n\r\n")).unwrap().0.kept_for;
        for (value, seconds) in [
            ("timeout=5", Some(4)),
            ("max=3, TIMEOUT=60", Some(59)),
            ("timeout=0", Some(0)),
            ("max=3", None),
            ("timeout=x", None),
        ] {
            assert_eq!(kept_for(value), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn informational_heads_are_passed_over() {
        let (head, length) = parse("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n").unwrap();
        assert_eq!((head.status, length), (204, 56));
        assert_eq!(parse("HTTP/1.1 100 Continue\r\n\r\nHTT").unwrap_err(), Unread::Incomplete);
        assert_eq!(parse("HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n").unwrap().0.status, 101);
    }

    #[test]
    fn broken_heads_are_told_in_nginxs_words() {
        assert_eq!(error("X A: 1"), "upstream sent invalid header: \"X\\x20...\"");
        assert_eq!(
            error("Content-Length: -2"),
            "upstream sent invalid \"Content-Length\" header: \"Content-Length: -2\""
        );
        assert_eq!(
            error("Content-Length: 2\r\nContent-Length: 3"),
            "upstream sent duplicate header line: \"Content-Length: 3\", previous value: \"Content-Length: 2\""
        );
        assert!(error("Content-Length: 2\r\nTransfer-Encoding: chunked").ends_with("at the same time"));
        assert_eq!(error("Transfer-Encoding: gzip"), "upstream sent unknown \"Transfer-Encoding\": \"gzip\"");
        assert_eq!(error(&format!("X: {}", "x".repeat(70_000))), "upstream sent too big header");
        for text in [
            "hello\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 99 OK\r\n\r\n",
            "HTTP/1 200 OK\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1 200 OK\r\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\r\n",
            "HTTP/x.1 200 OK\r\n\r\n",
            "HTTP/1.x 200 OK\r\n\r\n",
            "HTTP/1.1200 OK\r\n\r\n",
            "HTTP/1.1\t200 OK\r\n\r\n",
        ] {
            assert!(matches!(parse(text), Err(Unread::Invalid(_))), "{text}");
        }
    }

    #[test]
    fn a_body_that_came_whole_with_its_head_is_kept_with_it() {
        let take = |head: &str, rest: &str| {
            let (mut head, _) = parse(head).unwrap();
            let mut rest = rest.into();
            head.take_body(&mut rest);
            (head.body.is_some(), rest.len())
        };
        let five = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(take(five, "hello"), (true, 0));
        for rest in ["", "hell", "hello!"] {
            assert_eq!(take(five, rest), (false, rest.len()), "{rest}");
        }
        assert_eq!(take("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "hello"), (false, 5));
    }

    #[test]
    fn a_head_is_taken_up_to_its_limit() {
        let too_big = || Unread::Invalid("upstream sent too big header".into());
        let head = "HTTP/1.1 200 OK\r\nX: 1\r\n\r\n";
        for most in [0, 1, 14, 15, 16, 17, 18, 22, 23, 24, 25, 26, 27, 100] {
            for length in 5..=head.len() {
                let expected = match length {
                    _ if length > most => Err(too_big()),
                    _ if length < head.len() => Err(Unread::Incomplete),
                    _ => Ok(head.len()),
                };
                let read = ResponseHead::parse(&head.as_bytes()[..length], most).map(|(_, length)| length);
                assert_eq!(read, expected, "{length} of {most}");
            }
            // What is behind the head does not count.
            let read = ResponseHead::parse(format!("{head}{head}").as_bytes(), most);
            assert_eq!(read.is_ok(), most >= head.len(), "{most}");
        }
    }

    #[test]
    fn informational_heads_count_towards_the_limit() {
        let heads = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        for most in 28..100 {
            let read = ResponseHead::parse(heads.as_bytes(), most).map(|(_, length)| length);
            assert_eq!(read.ok(), (most >= heads.len()).then_some(heads.len()), "{most}");
        }
    }

    #[test]
    fn a_head_that_is_not_there_yet_is_waited_for() {
        for text in ["", "HT", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nX: 1\r\n", "HTTP/1.1 200 OK\r\nX"] {
            assert_eq!(parse(text).unwrap_err(), Unread::Incomplete, "{text}");
        }
    }
}
