//! A request's head: read, judged and indexed, by nginx's rules.

use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use crate::body::Body;
use crate::field::{Fields, Known, decimal, has_word, shown_up_to, trim_field_end, trim_line_end};
use crate::host::{has_empty_label, host_name, is_host_byte};
use crate::uri;

/// How large a head may be (`large_client_header_buffers`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The longest request line with its end, in bytes.
    pub line: usize,
    /// The longest head. A single header line may take all of it.
    pub head: usize,
}

impl Default for HeadLimits {
    /// `4 8k`
    fn default() -> Self {
        HeadLimits { line: 8192, head: 4 * 8192 + 1024 }
    }
}

/// The most header lines (`max_headers`).
const MAX_HEADERS: usize = 1000;

/// Whether a line may stand but once in a request.
fn is_single(known: Known) -> bool {
    matches!(
        known,
        Known::Host
            | Known::ContentLength
            | Known::TransferEncoding
            | Known::Expect
            | Known::Authorization
            | Known::ProxyAuthorization
            | Known::IfModifiedSince
            | Known::IfUnmodifiedSince
            | Known::IfMatch
            | Known::IfNoneMatch
            | Known::IfRange
            | Known::ContentRange
    )
}

/// A request's head that can be served.
#[derive(Debug)]
pub struct Head {
    /// As it came, from the method to the blank line, and its header lines.
    pub fields: Fields,
    line: Range<usize>,
    method: Range<usize>,
    /// In origin form: the path and what is behind it.
    target: Range<usize>,
    /// What an absolute target without a path stands for begins with.
    root: bool,
    protocol: Range<usize>,
    /// The normal path, until the request takes it over.
    pub uri: Vec<u8>,
    args: Option<Range<usize>>,
    /// Host in lower case, without port and trailing dot; empty where the client named none.
    pub host: Vec<u8>,
    /// The protocol is HTTP/1.1 or a later 1.x.
    pub http_1_1: bool,
    /// The client lets the connection go on.
    pub keepalive: bool,
    /// `Expect: 100-continue`
    pub expects_continue: bool,
    /// How the body is delimited.
    pub body: Body,
    /// How far the request line could be read.
    pub line_read: LineRead,
    /// Bytes of the head that count as read: of one that was rejected, those of its whole lines.
    length: usize,
}

/// How far a request line could be read. nginx knows no more than that of a request that it rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineRead {
    /// Nothing of it can be read.
    No,
    /// Up to the protocol, which is none.
    Protocol,
    /// But for its path, which is none.
    Path,
    /// All of it.
    Whole,
}

/// Why a request is not served, or what is known of it so far.
#[derive(Debug)]
pub enum Unread {
    /// More bytes are needed.
    Incomplete,
    /// It is none that can be served.
    Rejected(Box<Rejection>),
}

/// A request that is answered with an error before it is routed.
#[derive(Debug)]
pub struct Rejection {
    /// 494 is nginx's own for heads that are too large; the client sees 400.
    pub status: u16,
    /// For the error log, at level info.
    pub reason: String,
    /// As much of the head as could be read.
    pub head: Head,
}

/// A status and a reason for it.
struct Refusal {
    status: u16,
    reason: String,
    /// The header line that it is about, counted from 0, if it is about one, and whether that counts as read.
    line: Option<(usize, bool)>,
}

impl Refusal {
    fn new(status: u16, reason: impl Into<String>) -> Self {
        Refusal { status, reason: reason.into(), line: None }
    }

    /// nginx judges a line as soon as it has read it, and sees nothing of what is behind it.
    fn at(self, line: usize, is_read: bool) -> Self {
        Refusal { line: Some((line, is_read)), ..self }
    }
}

impl Head {
    /// Reads a head from the beginning of `input`, and says how long it is.
    ///
    /// # Errors
    /// [`Unread`]
    pub fn parse(input: &[u8], limits: HeadLimits) -> Result<(Head, usize), Unread> {
        Head::read(input, limits, false)
    }

    /// The same for a stream of HTTP/2, whose head was put into these words; its line says `HTTP/2.0`.
    ///
    /// # Errors
    /// [`Unread`]
    pub fn parse_stream(input: &[u8], limits: HeadLimits) -> Result<(Head, usize), Unread> {
        Head::read(input, limits, true)
    }

    fn read(input: &[u8], limits: HeadLimits, is_stream: bool) -> Result<(Head, usize), Unread> {
        let start = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let text = input.get(start..).unwrap_or_default();
        let Some(line_end) = memchr(b'\n', text.get(..text.len().min(limits.line)).unwrap_or_default()) else {
            return Err(judge_partial_line(text, limits));
        };
        let mut head = Head::request_line(text, line_end.saturating_add(1), is_stream)?;
        let Some(length) = head.read_fields(text, line_end.saturating_add(1), limits)? else {
            return Err(Unread::Incomplete);
        };
        head.keep(text, length);
        head.finish()?;
        Ok((head, start.saturating_add(length)))
    }

    /// What can be said of a head whose end never came.
    pub fn unfinished(input: &[u8], limits: HeadLimits) -> Head {
        let start = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let text = input.get(start..).unwrap_or_default();
        let line_end = memchr(b'\n', text);
        let head = line_end.and_then(|line_end| {
            let mut head = Head::request_line(text, line_end.saturating_add(1), false).ok()?;
            head.read_fields(text, line_end.saturating_add(1), limits).ok()?;
            head.keep(text, head.length);
            Some(head)
        });
        head.unwrap_or_else(|| Head::of_line(text, 0..line_end.unwrap_or(text.len())))
    }

    /// A head of which nothing is known but its request line.
    fn of_line(text: &[u8], line: Range<usize>) -> Head {
        let mut head = Head::unread(line.clone());
        if text.get(line.clone()).is_some_and(has_protocol) {
            head.line_read = LineRead::Protocol;
        }
        head.keep(text, line.end);
        head.length = 0;
        head
    }

    fn unread(line: Range<usize>) -> Head {
        Head {
            fields: Fields::new(),
            line,
            method: 0..0,
            target: 0..0,
            root: false,
            protocol: 0..0,
            uri: Vec::new(),
            args: None,
            host: Vec::new(),
            http_1_1: true,
            keepalive: true,
            expects_continue: false,
            body: Body::None,
            line_read: LineRead::No,
            length: 0,
        }
    }

    /// Keeps the bytes that the head was read from.
    fn keep(&mut self, text: &[u8], length: usize) {
        self.fields.keep(Bytes::copy_from_slice(text.get(..length).unwrap_or_default()));
        self.length = length;
    }

    /// Method, target and protocol, from a line of so many bytes.
    fn request_line(text: &[u8], length: usize, is_stream: bool) -> Result<Head, Unread> {
        let line = trim_line_end(text, 0..length);
        let whole = text.get(line.clone()).unwrap_or_default();
        let mut head = Head::unread(line.clone());
        let reject = |status: u16, reason: &str| {
            let head = Head::of_line(text, line.clone());
            Err(Unread::Rejected(Box::new(Rejection { status, reason: reason.to_owned(), head })))
        };
        let invalid = "client sent invalid request while reading client request line";
        let unsupported = "client sent invalid version while reading client request line";
        let method = whole.iter().take_while(|byte| is_method(**byte)).count();
        if method == 0 || whole.get(method) != Some(&b' ') {
            return reject(400, "client sent invalid method while reading client request line");
        }
        head.method = 0..method;
        let target_start = method.saturating_add(blanks(whole, method));
        // The protocol is the last word; blanks behind it are allowed.
        let end = whole.len().saturating_sub(whole.iter().rev().take_while(|byte| **byte == b' ').count());
        let Some(last_blank) = whole.get(..end).and_then(|text| text.iter().rposition(|byte| *byte == b' ')) else {
            return reject(400, invalid);
        };
        let target_end = last_blank.saturating_sub(
            whole.get(..last_blank).map_or(0, |text| text.iter().rev().take_while(|byte| **byte == b' ').count()),
        );
        let target = whole.get(target_start..target_end).unwrap_or_default();
        // As in nginx, which goes from byte to byte, what is wrong with the target is told before what is wrong with the version.
        let begins = target.first().is_some_and(|first| *first == b'/' || first.is_ascii_alphabetic());
        if !begins || target.iter().any(|byte| *byte <= 0x20 || *byte == 0x7f) {
            let mut words = target.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
            let is_plain = |word: &[u8]| begins && !word.iter().any(u8::is_ascii_control);
            let is_version = |word: &[u8]| protocol(word) == Protocol::Unsupported;
            return match words.next().is_some_and(is_plain) && words.next().is_some_and(is_version) {
                true => reject(505, unsupported),
                false => reject(400, invalid),
            };
        }
        head.protocol = last_blank.saturating_add(1)..end;
        match protocol(whole.get(head.protocol.clone()).unwrap_or_default()) {
            Protocol::Http10 => (head.http_1_1, head.keepalive) = (false, false),
            Protocol::Http11 => {}
            Protocol::Unsupported if is_stream => {}
            Protocol::Unsupported => {
                return reject(505, unsupported);
            }
            Protocol::Invalid => return reject(400, invalid),
        }
        if whole.get(head.method.clone()) == Some(b"CONNECT") {
            return reject(405, "client sent CONNECT method while reading client request headers");
        }
        let mut has_wrong_host = false;
        let origin = if target.starts_with(b"/") {
            target_start
        } else {
            let Some((host, origin)) = absolute(target) else { return reject(400, invalid) };
            let name = target.get(host).unwrap_or_default();
            match host_name(name) {
                Some(name) => head.host = name,
                None if name.is_empty() || has_empty_label(name) => has_wrong_host = true,
                None => return reject(400, invalid),
            }
            target_start.saturating_add(origin)
        };
        head.target = origin..target_end;
        head.root = text.get(origin) != Some(&b'/');
        let rest = text.get(head.target.clone()).unwrap_or_default();
        let path_length = rest.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(rest.len());
        let path = rest.get(..path_length).unwrap_or_default();
        match uri::normalize(if path.is_empty() { b"/" } else { path }) {
            Ok(uri) => head.uri = uri,
            Err(uri::BadUri) => {
                head.line_read = LineRead::Path;
                return Err(head.reject_at(text, length, 400, invalid));
            }
        }
        if rest.get(path_length) == Some(&b'?') {
            let args = rest.get(path_length.saturating_add(1)..).unwrap_or_default();
            let length = memchr(b'#', args).unwrap_or(args.len());
            let start = origin.saturating_add(path_length).saturating_add(1);
            head.args = Some(start..start.saturating_add(length));
        }
        head.line_read = LineRead::Whole;
        head.length = length;
        if has_wrong_host {
            let reason = "client sent invalid host in request line while reading client request line";
            return Err(head.reject_at(text, length, 400, reason));
        }
        Ok(head)
    }

    /// The header lines from `start` to the blank line; `None` when that is not there yet. The result is where the body
    /// begins.
    fn read_fields(&mut self, text: &[u8], start: usize, limits: HeadLimits) -> Result<Option<usize>, Unread> {
        let mut at = start;
        for end in memchr_iter(b'\n', text.get(start..).unwrap_or_default())
            .map(|end| start.saturating_add(end).saturating_add(1))
        {
            let line = trim_field_end(text, at..end);
            if end > limits.head {
                return Err(self.reject_in(text, 494, "client sent too long header line"));
            }
            at = end;
            if line.is_empty() {
                self.length = end;
                return Ok(Some(end));
            }
            if self.fields.count() == MAX_HEADERS {
                return Err(self.reject_in(text, 494, "client sent too many header lines"));
            }
            match self.fields.add(text, line.clone()) {
                Ok(true) => {}
                // nginx ignores lines whose names have other characters than letters, digits and `-`.
                Ok(false) => self.fields.forget_last(),
                Err(bad) => {
                    let shown = shown_up_to(text.get(line).unwrap_or_default(), bad);
                    return Err(self.reject_in(text, 400, &format!("client sent invalid header line: \"{shown}\"")));
                }
            }
            self.length = end;
        }
        if text.len() > limits.head {
            return Err(self.reject_in(text, 494, "client sent too long header line"));
        }
        Ok(None)
    }

    /// What the header lines mean together.
    fn finish(&mut self) -> Result<(), Unread> {
        let fields = std::mem::take(&mut self.fields);
        let result = self.interpret(&fields);
        let text = fields.bytes().clone();
        self.fields = fields;
        let refusal = match (result, self.method()) {
            (Err(refusal), _) => refusal,
            (Ok(()), b"TRACE") => Refusal::new(405, "client sent TRACE method"),
            (Ok(()), _) => return Ok(()),
        };
        if let Some((line, is_read)) = refusal.line {
            self.length = self.fields.line_end(line);
            self.fields.truncate(line.saturating_add(usize::from(is_read)));
        }
        Err(self.reject_in(&text, refusal.status, &refusal.reason))
    }

    fn interpret(&mut self, fields: &Fields) -> Result<(), Refusal> {
        let (mut host, mut length, mut coding) = (None, None, None);
        let mut seen: [Option<(Known, &[u8])>; 12] = [None; 12];
        for (index, (known, name, value)) in fields.iter().enumerate() {
            if is_single(known) {
                // There are as many slots as names.
                if let Some(slot) = seen.iter_mut().find(|slot| slot.is_none_or(|(other, _)| other == known))
                    && let Some((_, previous)) = slot.replace((known, value))
                {
                    let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
                    let what = if known == Known::Host { "host header" } else { "header line" };
                    let previous = String::from_utf8_lossy(previous);
                    let reason = format!(
                        "client sent duplicate {what}: \"{name}: {value}\", previous value: \"{name}: {previous}\""
                    );
                    return Err(Refusal::new(400, reason).at(index, false));
                }
            }
            match known {
                Known::Host => host = Some((index, value)),
                Known::ContentLength => length = Some(value),
                Known::TransferEncoding => coding = Some(value),
                Known::Expect => self.expects_continue = self.http_1_1 && value.eq_ignore_ascii_case(b"100-continue"),
                Known::Connection if has_word(value, b"close") => self.keepalive = false,
                Known::Connection if has_word(value, b"keep-alive") => self.keepalive = true,
                _ => {}
            }
        }
        match host {
            Some((index, value)) => match host_name(value) {
                // The host of an absolute target goes before the header.
                Some(name) => {
                    if self.host.is_empty() {
                        self.host = name;
                    }
                }
                None => return Err(Refusal::new(400, "client sent invalid host header").at(index, true)),
            },
            None if self.http_1_1 => {
                return Err(Refusal::new(400, "client sent HTTP/1.1 request without \"Host\" header"));
            }
            None => {}
        }
        self.body = match (length, coding) {
            (Some(_), Some(_)) => {
                let reason = "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time";
                return Err(Refusal::new(400, reason));
            }
            (Some(value), None) => match decimal(value) {
                Some(length) => Body::Length(length),
                None => return Err(Refusal::new(400, "client sent invalid \"Content-Length\" header")),
            },
            (None, Some(_)) if !self.http_1_1 => {
                return Err(Refusal::new(400, "client sent HTTP/1.0 request with \"Transfer-Encoding\" header"));
            }
            (None, Some(value)) if value.eq_ignore_ascii_case(b"chunked") => Body::Chunked,
            (None, Some(value)) => {
                let coding = String::from_utf8_lossy(value).into_owned();
                return Err(Refusal::new(501, format!("client sent unknown \"Transfer-Encoding\": \"{coding}\"")));
            }
            (None, None) => Body::None,
        };
        Ok(())
    }

    fn reject_in(&mut self, text: &[u8], status: u16, reason: &str) -> Unread {
        self.reject_at(text, self.length, status, &format!("{reason} while reading client request headers"))
    }

    /// Rejects the request, with what was read of it up to `length`.
    fn reject_at(&mut self, text: &[u8], length: usize, status: u16, reason: &str) -> Unread {
        let mut head = std::mem::replace(self, Head::unread(0..0));
        head.keep(text, length);
        Unread::Rejected(Box::new(Rejection { status, reason: reason.to_owned(), head }))
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.fields.bytes().get(range.clone()).unwrap_or_default()
    }

    /// The head's length in bytes; of one that was rejected, that of the lines that were read.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The request line as it came, without its end.
    pub fn line(&self) -> &[u8] {
        let line = self.part(&self.line);
        // One that was rejected may have a CR in it, where nginx's text of it ends.
        memchr(b'\r', line).and_then(|end| line.get(..end)).unwrap_or(line)
    }

    /// The method as it came.
    pub fn method(&self) -> &[u8] {
        self.part(&self.method)
    }

    /// The client's target in origin form, byte for byte.
    pub fn target(&self) -> &[u8] {
        match self.part(&self.target) {
            b"" => b"/",
            target => target,
        }
    }

    /// Whether the target has no path, so that `/` belongs before it.
    pub fn lacks_path(&self) -> bool {
        self.root && !self.target.is_empty()
    }

    /// The protocol as it came.
    pub fn protocol(&self) -> &[u8] {
        self.part(&self.protocol)
    }

    /// What follows `?`; `None` where there is no `?`.
    pub fn args(&self) -> Option<&[u8]> {
        self.args.as_ref().map(|args| self.part(args))
    }

    /// The values of a header, whatever the case of its name.
    pub fn values(&self, wanted: Known) -> impl Iterator<Item = &[u8]> {
        self.fields.values(wanted)
    }

    /// The first value of a header.
    pub fn value(&self, wanted: Known) -> Option<&[u8]> {
        self.fields.value(wanted)
    }

    /// Whether the method is HEAD, so that no body answers it.
    pub fn is_head(&self) -> bool {
        // Of a line that can't be read as a whole nginx knows this much.
        self.part(&self.line).starts_with(b"HEAD ")
    }
}

/// What can be said of a request line that has no end yet.
fn judge_partial_line(text: &[u8], limits: HeadLimits) -> Unread {
    let method = text.iter().take_while(|byte| is_method(**byte)).count();
    let reject = |status, reason: &str| {
        let end = text.iter().position(|byte| *byte == b'\r').unwrap_or(text.len());
        let reason = format!("{reason} while reading client request line");
        let head = Head::of_line(text, 0..end.min(limits.line));
        Unread::Rejected(Box::new(Rejection { status, reason, head }))
    };
    if method < text.len() && (method == 0 || text.get(method) != Some(&b' ')) {
        return reject(400, "client sent invalid method");
    }
    // What is wrong with a target is told before its end has come.
    let behind = text.get(method.saturating_add(blanks(text, method))..).unwrap_or_default();
    let target = behind.split(|byte| matches!(byte, b' ' | b'\r')).next().unwrap_or_default();
    let begins = target.first().is_none_or(|first| *first == b'/' || first.is_ascii_alphabetic());
    if !begins || target.iter().any(u8::is_ascii_control) {
        return reject(400, "client sent invalid request");
    }
    if text.len() >= limits.line {
        return reject(414, "client sent too long URI");
    }
    Unread::Incomplete
}

fn is_method(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-')
}

fn blanks(text: &[u8], from: usize) -> usize {
    text.iter().skip(from).take_while(|byte| **byte == b' ').count()
}

#[derive(PartialEq, Eq)]
enum Protocol {
    Http10,
    Http11,
    Unsupported,
    Invalid,
}

/// `HTTP/1.0`, or `HTTP/1.x` with any x of up to three digits, which is served as 1.1.
fn protocol(word: &[u8]) -> Protocol {
    let Some(version) = word.strip_prefix(b"HTTP/") else { return Protocol::Invalid };
    let digits = |text: &[u8]| (1..=3).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let mut parts = version.splitn(2, |byte| *byte == b'.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next());
    match (major, minor) {
        (b"1", Some(b"0" | b"00" | b"000")) => Protocol::Http10,
        (b"1", Some(minor)) if digits(minor) => Protocol::Http11,
        // As in nginx, which goes from digit to digit, whatever comes behind it.
        ([b'2'..=b'9', ..] | [b'1', b'0'..=b'9', ..], _) => Protocol::Unsupported,
        _ => Protocol::Invalid,
    }
}

/// Whether nginx has come as far as the protocol in a request line that it then rejects.
fn has_protocol(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let is_method = words.next().is_some_and(|word| word.iter().all(|byte| is_method(*byte)));
    let is_target = words.next().is_some_and(|word| word.starts_with(b"/") || absolute(word).is_some());
    is_method && is_target && words.next().is_some_and(|word| word.starts_with(b"H"))
}

/// The host, and where the path begins, of `scheme://host[:port][/path]`.
fn absolute(target: &[u8]) -> Option<(Range<usize>, usize)> {
    let scheme = memchr(b':', target)?;
    let name = target.get(..scheme)?;
    let is_scheme = name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if !is_scheme || target.get(scheme..scheme.saturating_add(3))? != b"://" {
        return None;
    }
    let start = scheme.saturating_add(3);
    let rest = target.get(start..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let host = rest.get(..end)?;
    let literal = host.starts_with(b"[");
    let allowed = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'.' | b'-' | b':' | b'[' | b']')
            || (literal && is_host_byte(*byte))
    };
    host.iter().all(allowed).then_some((start..start.saturating_add(end), start.saturating_add(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Head, String> {
        match Head::parse(text.as_bytes(), HeadLimits::default()) {
            Ok((head, length)) => {
                assert_eq!(length, text.len());
                Ok(head)
            }
            Err(Unread::Incomplete) => Err("incomplete".into()),
            Err(Unread::Rejected(rejection)) => Err(format!("{} {}", rejection.status, rejection.reason)),
        }
    }

    fn target(target: &str) -> Result<(String, Option<String>, String), String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let head = parse(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"))?;
        Ok((text(&head.uri), head.args().map(text), text(head.target())))
    }

    #[test]
    fn what_is_wrong_with_a_line_is_told_before_its_end() {
        let judged = |text: &str| match Head::parse(text.as_bytes(), HeadLimits::default()) {
            Err(Unread::Incomplete) => 0,
            Err(Unread::Rejected(rejection)) => rejection.status,
            Ok(_) => 200,
        };
        for (text, status) in [
            ("GET /\u{1}", 400),
            ("GET /a\u{7f}", 400),
            ("GET  *", 400),
            ("get", 400),
            ("GET", 0),
            ("GET ", 0),
            ("GET /a", 0),
            ("GET http", 0),
            ("GET /a HTTP/1.1\r", 0),
            ("GET /é", 0),
        ] {
            assert_eq!(judged(text), status, "{text:?}");
        }
    }

    #[test]
    fn a_head_is_split_into_its_parts() {
        let head =
            parse("POST /a/../b?c=d HTTP/1.1\r\nHost: EXAMPLE.com:80\r\nX-A:  v  \r\nContent-Length: 03\r\n\r\n")
                .unwrap();
        assert_eq!((head.method(), head.protocol(), head.length()), (&b"POST"[..], &b"HTTP/1.1"[..], 82));
        assert_eq!(head.line(), b"POST /a/../b?c=d HTTP/1.1");
        assert_eq!(head.target(), b"/a/../b?c=d");
        assert_eq!((head.uri.as_slice(), head.args()), (&b"/b"[..], Some(&b"c=d"[..])));
        assert_eq!(head.host, b"example.com");
        assert_eq!(head.fields.values_named(b"x-a").next(), Some(&b"v"[..]));
        assert_eq!((head.value(Known::ContentLength), head.value(Known::Cookie)), (Some(&b"03"[..]), None));
        assert_eq!(head.body, Body::Length(3));
        assert!(head.keepalive);
    }

    #[test]
    fn targets_are_read_as_nginx_reads_them() {
        let ok = |uri: &str, args: Option<&str>, target: &str| {
            Ok((uri.to_owned(), args.map(str::to_owned), target.to_owned()))
        };
        assert_eq!(target("/a#f?x"), ok("/a", None, "/a#f?x"));
        assert_eq!(target("/a?b#c"), ok("/a", Some("b"), "/a?b#c"));
        assert_eq!(target("/a?"), ok("/a", Some(""), "/a?"));
        assert_eq!(target("/a?%00"), ok("/a", Some("%00"), "/a?%00"));
        assert_eq!(target("http://other/x"), ok("/x", None, "/x"));
        assert_eq!(target("http://other"), ok("/", None, "/"));
        assert_eq!(target("http://other?a=b"), ok("/", Some("a=b"), "?a=b"));
        for bad in ["a", "*", "?a", "/%zz", "/..", "/\x01", "http://u@h/x", "http:/x", "/a\x7f"] {
            assert!(target(bad).unwrap_err().starts_with("400 "), "{bad}");
        }
    }

    #[test]
    fn an_absolute_target_has_a_scheme_and_a_host() {
        let invalid = "400 client sent invalid request while reading client request line";
        let wrong_host = "400 client sent invalid host in request line while reading client request line";
        for (absolute, read) in [
            ("HTTP://A.b-c:80", Ok("a.b-c")),
            ("h+t-t.p1://[::1]:80", Ok("[::1]")),
            ("http://[v1.a_!]", Ok("[v1.a_!]")),
            ("http://a_b", Err(invalid)),
            ("http://a!b", Err(invalid)),
            ("http://h:x", Err(invalid)),
            ("http://[::1", Err(invalid)),
            ("ht_tp://h", Err(invalid)),
            ("1http://h", Err(invalid)),
            ("http:h", Err(invalid)),
            ("http", Err(invalid)),
            ("http://", Err(wrong_host)),
            ("http://a..b", Err(wrong_host)),
        ] {
            let head = parse(&format!("GET {absolute}/x HTTP/1.1\r\nHost: other\r\n\r\n"));
            let host = head.map(|head| String::from_utf8(head.host).unwrap());
            assert_eq!(host.as_deref(), read.map_err(str::to_owned).as_deref(), "{absolute}");
        }
    }

    #[test]
    fn a_target_that_begins_with_its_query_lacks_a_path() {
        for (target, lacks) in [("http://h?a", true), ("http://h", false), ("http://h/?a", false), ("/?a", false)] {
            let head = parse(&format!("GET {target} HTTP/1.0\r\n\r\n")).unwrap();
            assert_eq!(head.lacks_path(), lacks, "{target}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_request_line_is_told_in_the_order_of_its_bytes() {
        for (line, reason) in [
            (" / HTTP/1.1", "400 client sent invalid method"),
            ("GET\t/ HTTP/1.1", "400 client sent invalid method"),
            ("GET", "400 client sent invalid method"),
            ("GET   ", "400 client sent invalid request"),
            ("GET   HTTP/1.1", "400 client sent invalid request"),
            ("GET /a HTTP/2.0 x HTTP/1.1", "505 client sent invalid version"),
            ("GET /a  HTTP/2.0 x HTTP/1.1", "505 client sent invalid version"),
            ("GET *a HTTP/2.0 x HTTP/1.1", "400 client sent invalid request"),
            ("GET /\x01 HTTP/2.0 x HTTP/1.1", "400 client sent invalid request"),
            ("GET /\x7f HTTP/2.0 x HTTP/1.1", "400 client sent invalid request"),
            ("GET /a x HTTP/2.0 HTTP/1.1", "400 client sent invalid request"),
        ] {
            let found = parse(&format!("{line}\r\nHost: h\r\n\r\n")).unwrap_err();
            assert_eq!(found, format!("{reason} while reading client request line"), "{line:?}");
        }
    }

    fn rejected(text: &str) -> Rejection {
        match Head::parse(text.as_bytes(), HeadLimits::default()) {
            Err(Unread::Rejected(rejection)) => *rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn how_far_a_rejected_line_could_be_read_is_known() {
        for (line, read) in [
            ("GET /.. HTTP/1.1", LineRead::Path),
            ("GET http:///x HTTP/1.1", LineRead::Whole),
            ("GET / HTTP/2.0", LineRead::Protocol),
            ("GET  /  HTTP/2.0", LineRead::Protocol),
            ("GET http://h/ HTTP/2.0", LineRead::Protocol),
            ("GET / XTTP/1.1", LineRead::No),
            ("GET /a b HTTP/1.1", LineRead::No),
            ("GET * HTTP/1.1", LineRead::No),
            ("GET 1h://h/ HTTP/1.1", LineRead::No),
            ("get / HTTP/1.1", LineRead::No),
            ("GET /", LineRead::No),
        ] {
            let head = rejected(&format!("{line}\r\nHost: h\r\n\r\n")).head;
            assert_eq!((head.line_read, head.line()), (read, line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_request_for_a_head_is_known_though_it_is_rejected() {
        for (line, is_head) in [("HEAD /", true), ("GET /", false), ("HEADX /", false), ("GET /HEAD", false)] {
            assert_eq!(parse(&format!("{line} HTTP/1.0\n\n")).unwrap().is_head(), is_head, "{line}");
            for end in ["", " HTTP/2.0", "/../.. HTTP/1.1", " HTTP/1.1\nX Y: 1"] {
                assert_eq!(rejected(&format!("{line}{end}\n\n")).head.is_head(), is_head, "{line}{end}");
            }
        }
    }

    #[test]
    fn a_line_that_has_not_ended_is_judged_by_its_method() {
        let limits = HeadLimits { line: 10, ..HeadLimits::default() };
        for text in ["", "GE", "GET", "GET ", "GET /xyz "] {
            assert!(matches!(Head::parse(text.as_bytes(), limits), Err(Unread::Incomplete)), "{text:?}");
        }
        for (text, status, line) in [
            ("get", 400, "get"),
            (" GET", 400, " GET"),
            ("GET\t", 400, "GET\t"),
            ("G=\r/", 400, "G="),
            ("\x16\x03\x01", 400, "\x16\x03\x01"),
            ("GET /wxyz ", 414, "GET /wxyz "),
            ("GET /wxyz H", 414, "GET /wxyz "),
            ("VERYLONGMETHOD", 414, "VERYLONGME"),
        ] {
            let Err(Unread::Rejected(rejection)) = Head::parse(text.as_bytes(), limits) else { panic!("{text:?}") };
            let head = &rejection.head;
            assert_eq!((rejection.status, head.line(), head.length()), (status, line.as_bytes(), 0), "{text:?}");
        }
    }

    #[test]
    fn a_stream_says_http_2() {
        let text = b"GET /a HTTP/2.0\r\nHost: h\r\n\r\n";
        let (head, length) = Head::parse_stream(text, HeadLimits::default()).unwrap();
        assert_eq!((head.protocol(), head.http_1_1, head.keepalive), (&b"HTTP/2.0"[..], true, true));
        assert_eq!((&head.uri[..], length), (&b"/a"[..], text.len()));
        assert!(Head::parse_stream(b"GET /a XTTP/2.0\r\n\r\n", HeadLimits::default()).is_err());
    }

    #[test]
    fn of_a_head_that_never_ended_its_whole_lines_are_known() {
        for (text, line, read, length, fields) in [
            ("\r\nGET /a HTTP/1.1\r\nHost: h\r\nX: 1", "GET /a HTTP/1.1", LineRead::Whole, 26, 1),
            ("GET /a HTTP/1.1\r\n", "GET /a HTTP/1.1", LineRead::Whole, 17, 0),
            ("GET /a HT", "GET /a HT", LineRead::Protocol, 0, 0),
            ("GET /a HTTP/2.0\r\nHost", "GET /a HTTP/2.0", LineRead::Protocol, 0, 0),
            ("GET /a", "GET /a", LineRead::No, 0, 0),
            ("", "", LineRead::No, 0, 0),
        ] {
            let head = Head::unfinished(text.as_bytes(), HeadLimits::default());
            assert_eq!((head.line(), head.line_read), (line.as_bytes(), read), "{text}");
            assert_eq!((head.length(), head.fields.count()), (length, fields), "{text}");
        }
    }

    #[test]
    fn of_a_head_that_is_rejected_what_stands_before_the_reason_is_known() {
        // Lines that were read, header lines that count, and what is not seen any more.
        for (read, fields, rest) in [
            ("GET / HTTP/1.1\r\nX: 1\r\nHost: a b\r\n", 2, "Y: 2\r\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: h\r\nExpect: a\r\nExpect: b\r\n", 2, "Y: 2\r\n\r\n"),
            ("GET / HTTP/1.1\r\nX: 1\r\n\r\n", 1, ""),
            ("GET / HTTP/1.1\r\nHost: h\r\nX: 1\r\n", 2, "Y Z: 2\r\n\r\n"),
            ("TRACE / HTTP/1.0\r\nX: 1\r\n\r\n", 1, ""),
            ("GET http:///x HTTP/1.1\r\n", 0, "Host: h\r\n\r\n"),
        ] {
            let head = rejected(&format!("{read}{rest}")).head;
            assert_eq!((head.length(), head.fields.count()), (read.len(), fields), "{read}");
            assert_eq!(&head.fields.bytes()[..read.len()], read.as_bytes());
        }
    }

    #[test]
    fn some_lines_may_stand_but_once() {
        let single = [
            "Content-Length",
            "Transfer-Encoding",
            "Expect",
            "Authorization",
            "Proxy-Authorization",
            "If-Modified-Since",
            "If-Unmodified-Since",
            "If-Match",
            "If-None-Match",
            "If-Range",
            "Content-Range",
        ];
        // Each is noticed behind all of the others.
        let all: String = single.iter().map(|name| format!("{name}: x\r\n")).collect();
        for name in single {
            let error = parse(&format!("GET / HTTP/1.0\r\nHost: h\r\n{all}{name}: y\r\n\r\n")).unwrap_err();
            let duplicate = format!("duplicate header line: \"{name}: y\", previous value: \"{name}: x\"");
            assert_eq!(error, format!("400 client sent {duplicate} while reading client request headers"));
        }
        for name in ["Cookie", "Connection", "Content-Type", "Range", "User-Agent", "X-Forwarded-For"] {
            let head = parse(&format!("GET / HTTP/1.0\r\n{name}: x\r\n{name}: y\r\n\r\n")).unwrap();
            assert_eq!(head.values(Known::of(name.as_bytes())).collect::<Vec<_>>(), [b"x", b"y"], "{name}");
        }
    }

    #[test]
    fn a_connection_goes_on_if_the_client_lets_it() {
        for (lines, by_1_0, by_1_1) in [
            ("", false, true),
            ("Connection: upgrade\r\n", false, true),
            ("Connection: close\r\n", false, false),
            ("Connection: Keep-Alive\r\n", true, true),
            ("Connection: keep-alive, close\r\n", false, false),
            ("Connection: close\r\nConnection: keep-alive\r\n", true, true),
            ("Keep-Alive: timeout=5\r\nX: close\r\n", false, true),
        ] {
            let keeps =
                |version: &str| parse(&format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n")).unwrap().keepalive;
            assert_eq!((keeps("1.0"), keeps("1.1")), (by_1_0, by_1_1), "{lines}");
        }
    }

    #[test]
    fn a_client_of_http_1_1_may_expect_to_be_told_to_go_on() {
        for (version, value, expects) in
            [("1.1", "100-Continue", true), ("1.0", "100-continue", false), ("1.1", "100", false), ("1.1", "", false)]
        {
            let head = parse(&format!("GET / HTTP/{version}\r\nHost: h\r\nExpect: {value}\r\n\r\n")).unwrap();
            assert_eq!(head.expects_continue, expects, "{version} {value}");
        }
    }

    #[test]
    fn a_head_may_be_as_long_as_its_limits_but_no_longer() {
        let text = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let status = |line: usize, head: usize, length: usize| {
            let read = Head::parse(&text[..length], HeadLimits { line, head });
            match read {
                Ok((_, length)) => length as u16,
                Err(Unread::Incomplete) => 0,
                Err(Unread::Rejected(rejection)) => rejection.status,
            }
        };
        assert_eq!([15, 16, 17].map(|line| status(line, 27, 27)), [414, 27, 27]);
        assert_eq!([26, 27, 28].map(|head| status(16, head, 27)), [494, 27, 27]);
        // One that has no end yet.
        assert_eq!([14, 15, 16].map(|line| status(line, 27, 15)), [414, 414, 0]);
        assert_eq!([24, 25, 26].map(|head| status(16, head, 25)), [494, 0, 0]);
        assert_eq!([22, 23, 24].map(|head| status(16, head, 23)), [494, 0, 0]);
    }

    #[test]
    fn broken_request_lines_are_rejected() {
        for (line, status) in [
            ("get / HTTP/1.1", 400),
            ("GET / HTTP/2.0", 505),
            ("GET / HTTP/1", 400),
            ("GET / http/1.1", 400),
            ("GET /a b HTTP/1.1", 400),
            ("GET /", 400),
            ("GET  /  HTTP/1.1 ", 0),
            ("FOO / HTTP/1.25", 0),
            ("CONNECT h:443 HTTP/1.1", 405),
            ("TRACE / HTTP/1.1", 405),
            ("\x16\x03\x01", 400),
            ("GET / HTTP/1.1\r", 400),
        ] {
            let found =
                parse(&format!("{line}\r\nHost: h\r\n\r\n")).map_or_else(|error| error[..3].parse().unwrap(), |_| 0);
            assert_eq!(found, status, "{line:?}");
        }
    }

    #[test]
    fn broken_header_lines_are_rejected_and_odd_names_ignored() {
        let fields = |lines: &str| parse(&format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"));
        for bad in ["X A: 1", " X: 1", ": 1", "X: a\0b", "X: a\rb", "\tX: 1", "\r", "\r\r"] {
            assert!(fields(bad).unwrap_err().starts_with("400 client sent invalid header line"), "{bad:?}");
        }
        for ignored in ["X_Y: 1", "X.Y: 1", "X\u{e9}: 1"] {
            assert_eq!(fields(ignored).unwrap().fields.count(), 1, "{ignored}");
        }
        assert_eq!(fields("NoColon").unwrap().fields.values_named(b"nocolon").next(), Some(&b""[..]));
        assert_eq!(fields("X:v").unwrap().fields.values_named(b"x").next(), Some(&b"v"[..]));
        assert_eq!(fields("X: v\r\r").unwrap().fields.values_named(b"x").next(), Some(&b"v"[..]));
        assert_eq!(fields("X:   ").unwrap().fields.values_named(b"x").next(), Some(&b""[..]));
    }

    #[test]
    fn hosts_are_judged() {
        let host = |value: &str| {
            parse(&format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n")).map(|head| String::from_utf8(head.host).unwrap())
        };
        for (value, expected) in [
            ("A.b.:80", "a.b"),
            ("[::1]:8", "[::1]"),
            ("a_b", "a_b"),
            ("h:", "h"),
            ("[v1A.!$&'()*+,;=:-._~]:80", "[v1a.!$&'()*+,;=:-._~]"),
            ("[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"),
            ("h:00080", "h"),
        ] {
            assert_eq!(host(value), Ok(expected.into()), "{value}");
        }
        for bad in [
            "",
            "a b",
            "a/b",
            "a..b",
            ":80",
            ".",
            "h:x",
            "h:65536",
            "a@b",
            "[::1",
            "[::1]x",
            "a\u{e9}",
            "[ab..cd::ef98]",
            "[::1].",
            "[::1%25eth0]",
            "[a@b]",
            "h:8:0",
        ] {
            assert!(host(bad).unwrap_err().starts_with("400 client sent invalid host header"), "{bad}");
        }
        assert!(parse("GET / HTTP/1.1\r\n\r\n").unwrap_err().contains("without \"Host\" header"));
        assert!(parse("GET / HTTP/1.0\r\n\r\n").is_ok());
        assert!(parse("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").unwrap_err().contains("duplicate host header"));
    }

    #[test]
    fn bodies_are_delimited_one_way_only() {
        let body = |lines: &str| parse(&format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n")).map(|head| head.body);
        assert_eq!(body("Content-Length: 0"), Ok(Body::Length(0)));
        assert_eq!(body("Transfer-Encoding: Chunked"), Ok(Body::Chunked));
        assert_eq!(body("X: 1"), Ok(Body::None));
        for bad in ["-1", "+3", "3,3", "0x3", "", "99999999999999999999", "3.0"] {
            assert!(body(&format!("Content-Length: {bad}")).is_err(), "{bad}");
        }
        assert!(body("Content-Length: 1\r\nContent-Length: 1").unwrap_err().starts_with("400"));
        assert!(body("Content-Length: 1\r\nTransfer-Encoding: chunked").unwrap_err().starts_with("400"));
        assert!(body("Transfer-Encoding: gzip, chunked").unwrap_err().starts_with("501"));
        assert!(parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap_err().starts_with("400"));
    }

    #[test]
    fn too_much_is_too_much() {
        let long = "x".repeat(9000);
        let longer = "x".repeat(40_000);
        assert!(parse(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n")).is_ok());
        assert!(parse(&format!("GET /{long} HTTP/1.1\r\n\r\n")).unwrap_err().starts_with("414"));
        assert!(parse(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {longer}\r\n\r\n")).unwrap_err().starts_with("494"));
        assert!(parse(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {longer}")).unwrap_err().starts_with("494"));
        let many = "X: 1\r\n".repeat(1001);
        assert!(parse(&format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n")).unwrap_err().starts_with("494"));
        assert_eq!(parse("GET / HTTP/1.1\r\nHost: h\r\n").unwrap_err(), "incomplete");
        assert_eq!(parse("GE").unwrap_err(), "incomplete");
        assert_eq!(parse("").unwrap_err(), "incomplete");
    }

    #[test]
    fn bare_line_feeds_and_leading_blank_lines_pass() {
        let head = parse("\r\n\nGET / HTTP/1.1\nHost: h\n\n").unwrap();
        assert_eq!(head.line(), b"GET / HTTP/1.1");
    }
}
