//! Header lines of requests and responses: cut, indexed, found by name.

use std::ops::Range;

use bytes::Bytes;

/// A line: what its name stands for, and where name and value stand.
#[derive(Debug)]
struct Field {
    known: Known,
    name: Range<usize>,
    value: Range<usize>,
}

/// The header lines of a head, in the order of the wire.
#[derive(Debug, Default)]
pub struct Fields {
    bytes: Bytes,
    list: Vec<Field>,
}

impl Fields {
    /// Room for as many lines as most heads have.
    pub fn new() -> Self {
        Fields { bytes: Bytes::new(), list: Vec::with_capacity(16) }
    }

    /// The lines behind the last chunk of a body, up to the blank one.
    ///
    /// # Errors
    /// What the first line that can't be one begins with, as nginx shows it.
    pub fn of_trailers(text: &[u8]) -> Result<Self, String> {
        let mut fields = Fields::default();
        let mut at = 0;
        for end in memchr::memchr_iter(b'\n', text).map(|end| end.saturating_add(1)) {
            let line = trim_field_end(text, at..end);
            at = end;
            if !line.is_empty()
                && let Err(bad) = fields.add(text, line.clone())
            {
                return Err(shown_up_to(text.get(line).unwrap_or_default(), bad));
            }
        }
        fields.keep(Bytes::copy_from_slice(text));
        Ok(fields)
    }

    /// Adds the line that stands at `line` in `text`, without its end. `false`: its name has other characters than
    /// letters, digits and `-`.
    ///
    /// # Errors
    /// The offset in the line of the first byte that can't be there: blanks and control characters in the name, and NUL
    /// or a carriage return in the value.
    pub fn add(&mut self, text: &[u8], line: Range<usize>) -> Result<bool, usize> {
        let bytes = text.get(line.clone()).unwrap_or_default();
        let mut kinds = 0;
        let end = bytes.iter().position(|byte| {
            let kind = NAME_BYTES.get(usize::from(*byte)).copied().unwrap_or(INVALID);
            kinds |= kind;
            kind >= COLON
        });
        let colon = end.unwrap_or(bytes.len());
        if kinds & INVALID != 0 || colon == 0 {
            return Err(colon);
        }
        let value = bytes.get(colon.saturating_add(1)..).unwrap_or_default();
        let is_bad = |byte: &u8| matches!(*byte, 0 | b'\r');
        // Without a way out in the middle, and in bytes, many are looked at in one step.
        if value.iter().fold(0, |bad, byte| bad | u8::from(is_bad(byte))) != 0 {
            return Err(colon.saturating_add(1).saturating_add(value.iter().position(is_bad).unwrap_or_default()));
        }
        let leading = value.iter().take_while(|byte| **byte == b' ').count();
        let trailing = value.iter().skip(leading).rev().take_while(|byte| **byte == b' ').count();
        let value_start = line.start.saturating_add(colon).saturating_add(1).saturating_add(leading).min(line.end);
        let known = bytes.get(..colon).map_or(Known::Other, Known::of);
        let (name, value) =
            (line.start..line.start.saturating_add(colon), value_start..line.end.saturating_sub(trailing));
        self.list.push(Field { known, name, value });
        Ok(kinds & OTHER == 0)
    }

    /// Takes the last line back.
    pub fn forget_last(&mut self) {
        self.list.pop();
    }

    /// Keeps so many lines.
    pub fn truncate(&mut self, lines: usize) {
        self.list.truncate(lines);
    }

    /// The bytes that the lines were cut from, once the head is whole.
    pub fn keep(&mut self, bytes: Bytes) {
        self.bytes = bytes;
    }

    /// The bytes that the lines are in.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How many lines there are.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Each line: what its name stands for, the name as it came, and the value.
    pub fn iter(&self) -> impl Iterator<Item = (Known, &[u8], &[u8])> {
        self.list.iter().map(|field| (field.known, self.part(&field.name), self.part(&field.value)))
    }

    /// The values of a header.
    pub fn values(&self, wanted: Known) -> impl Iterator<Item = &[u8]> {
        self.list.iter().filter(move |field| field.known == wanted).map(|field| self.part(&field.value))
    }

    /// The first value of a header.
    pub fn value(&self, wanted: Known) -> Option<&[u8]> {
        self.values(wanted).next()
    }

    /// The first value of a header, without a copy.
    pub fn value_bytes(&self, wanted: Known) -> Option<Bytes> {
        self.value(wanted).map(|value| self.bytes.slice_ref(value))
    }

    /// The values of a name of any kind, whatever the case of its letters.
    pub fn values_named<'f>(&'f self, name: &'f [u8]) -> impl Iterator<Item = &'f [u8]> {
        self.iter().filter(move |(_, candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(.., value)| value)
    }

    /// Where a line ends in the bytes, its end included. Lines are counted from 0.
    pub fn line_end(&self, index: usize) -> usize {
        let value_end = self.list.get(index).map_or(0, |field| field.value.end);
        let rest = self.bytes.get(value_end..).unwrap_or_default();
        value_end.saturating_add(memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at.saturating_add(1)))
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}

/// Whether a list such as that of `Connection` has a word in it, whatever the case of its letters.
pub fn has_word(value: &[u8], word: &[u8]) -> bool {
    value.eq_ignore_ascii_case(word) || value.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

/// What a byte can be in a header's name: a letter, a digit or `-`; something else that is allowed; the end of the name; or
/// a blank or control character.
const PLAIN: u8 = 0;
const OTHER: u8 = 1;
const COLON: u8 = 2;
const INVALID: u8 = 4;

static NAME_BYTES: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut rest: &mut [u8] = &mut kinds;
    let mut byte = 0_u8;
    while let Some((kind, behind)) = rest.split_first_mut() {
        *kind = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => PLAIN,
            b':' => COLON,
            0..=0x20 | 0x7f => INVALID,
            _ => OTHER,
        };
        byte = byte.wrapping_add(1);
        rest = behind;
    }
    kinds
};

/// The headers that mean something here, so that a line's name is looked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the header of that name")]
pub enum Known {
    Authorization,
    CacheControl,
    Connection,
    ContentLength,
    ContentRange,
    ContentType,
    Cookie,
    Date,
    ETag,
    Expect,
    Expires,
    Host,
    IfMatch,
    IfModifiedSince,
    IfNoneMatch,
    IfRange,
    IfUnmodifiedSince,
    KeepAlive,
    LastModified,
    Location,
    ProxyAuthorization,
    ProxyConnection,
    Range,
    Referer,
    Refresh,
    Server,
    SetCookie,
    Te,
    TransferEncoding,
    Upgrade,
    UserAgent,
    XAccelBuffering,
    XAccelCharset,
    XAccelExpires,
    XAccelLimitRate,
    XAccelRedirect,
    XForwardedFor,
    XForwardedProto,
    XPad,
    /// Any other.
    Other,
}

impl Known {
    /// What a name stands for, whatever the case of its letters.
    pub fn of(name: &[u8]) -> Known {
        // The longest of them has 19 letters.
        let mut lower = [0; 19];
        let Some(place) = lower.get_mut(..name.len()) else { return Known::Other };
        place.copy_from_slice(name);
        // All of it, since a length that is known beforehand makes it a few instructions.
        lower.make_ascii_lowercase();
        match (name.len(), lower.get(..name.len()).unwrap_or_default()) {
            (2, b"te") => Known::Te,
            (4, b"date") => Known::Date,
            (4, b"etag") => Known::ETag,
            (4, b"host") => Known::Host,
            (5, b"range") => Known::Range,
            (5, b"x-pad") => Known::XPad,
            (6, b"cookie") => Known::Cookie,
            (6, b"expect") => Known::Expect,
            (6, b"server") => Known::Server,
            (7, b"expires") => Known::Expires,
            (7, b"referer") => Known::Referer,
            (7, b"refresh") => Known::Refresh,
            (7, b"upgrade") => Known::Upgrade,
            (8, b"if-match") => Known::IfMatch,
            (8, b"if-range") => Known::IfRange,
            (8, b"location") => Known::Location,
            (10, b"connection") => Known::Connection,
            (10, b"keep-alive") => Known::KeepAlive,
            (10, b"set-cookie") => Known::SetCookie,
            (10, b"user-agent") => Known::UserAgent,
            (13, b"cache-control") => Known::CacheControl,
            (12, b"content-type") => Known::ContentType,
            (13, b"authorization") => Known::Authorization,
            (13, b"content-range") => Known::ContentRange,
            (13, b"if-none-match") => Known::IfNoneMatch,
            (13, b"last-modified") => Known::LastModified,
            (14, b"content-length") => Known::ContentLength,
            (15, b"x-accel-charset") => Known::XAccelCharset,
            (15, b"x-accel-expires") => Known::XAccelExpires,
            (15, b"x-forwarded-for") => Known::XForwardedFor,
            (17, b"x-forwarded-proto") => Known::XForwardedProto,
            (16, b"proxy-connection") => Known::ProxyConnection,
            (16, b"x-accel-redirect") => Known::XAccelRedirect,
            (17, b"if-modified-since") => Known::IfModifiedSince,
            (17, b"transfer-encoding") => Known::TransferEncoding,
            (17, b"x-accel-buffering") => Known::XAccelBuffering,
            (18, b"x-accel-limit-rate") => Known::XAccelLimitRate,
            (19, b"if-unmodified-since") => Known::IfUnmodifiedSince,
            (19, b"proxy-authorization") => Known::ProxyAuthorization,
            _ => Known::Other,
        }
    }
}

/// A line without its end: a line feed, and a carriage return before it.
pub fn trim_line_end(text: &[u8], line: Range<usize>) -> Range<usize> {
    let bytes = text.get(line.clone()).unwrap_or_default();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    line.start..line.start.saturating_add(bytes.len())
}

/// A header line without its end. As nginx does, more carriage returns than one are read over, unless there is nothing else.
pub fn trim_field_end(text: &[u8], line: Range<usize>) -> Range<usize> {
    let line = trim_line_end(text, line);
    let bytes = text.get(line.clone()).unwrap_or_default();
    let returns = bytes.iter().rev().take_while(|byte| **byte == b'\r').count();
    if returns == bytes.len() { line } else { line.start..line.end.saturating_sub(returns) }
}

/// The beginning of a line up to a byte that can't be there, as nginx shows it.
pub fn shown_up_to(line: &[u8], at: usize) -> String {
    let before = String::from_utf8_lossy(line.get(..at).unwrap_or_default()).into_owned();
    let byte = line.get(at).copied().unwrap_or_default();
    format!("{before}\\x{byte:02x}...")
}

/// Digits only, at most what a signed 64-bit number holds.
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit.saturating_sub(b'0')))?;
        number.checked_mul(10)?.checked_add(digit).filter(|number| *number <= i64::MAX as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_any_case() {
        for (name, known) in [
            ("hOST", Known::Host),
            ("content-length", Known::ContentLength),
            ("TE", Known::Te),
            ("Proxy-Authorization", Known::ProxyAuthorization),
        ] {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
        }
        for name in ["", "Hosts", "Hos", "\u{8}ost", "Proxy-Authorizations", &"x".repeat(400)] {
            assert_eq!(Known::of(name.as_bytes()), Known::Other, "{name}");
        }
    }

    #[test]
    fn what_is_known_is_called_by_its_name() {
        let names = "Authorization Connection Content-Length Content-Range Content-Type Cookie Date ETag Expect Expires Host \
            If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive Last-Modified Location \
            Proxy-Authorization Proxy-Connection Range Referer Refresh Server Set-Cookie TE Transfer-Encoding Upgrade \
            User-Agent X-Accel-Buffering X-Accel-Charset X-Accel-Expires X-Accel-Limit-Rate X-Accel-Redirect \
            X-Forwarded-For X-Pad";
        for name in names.split_whitespace() {
            let known = format!("{:?}", Known::of(name.as_bytes()));
            assert!(known.eq_ignore_ascii_case(&name.replace('-', "")), "{name} is not {known}");
        }
    }

    #[test]
    fn trailers_are_lines_up_to_a_blank_one() {
        let of = |text: &str| {
            let fields = Fields::of_trailers(text.as_bytes())?;
            let lines = fields.iter().map(|(_, name, value)| format!("{}={}", text_of(name), text_of(value)));
            Ok::<_, String>(lines.collect::<Vec<_>>().join(","))
        };
        assert_eq!(of("\r\n"), Ok(String::new()));
        assert_eq!(of("a: 1\nB:\r\nx-y:  z \r\n\r\n"), Ok("a=1,B=,x-y=z".to_owned()));
        assert_eq!(of("a: 1\r\nb c: 2\r\n\r\n"), Err("b\\x20...".to_owned()));
    }

    fn text_of(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// The lines of a text, each with its end.
    fn fields(text: &'static str) -> Fields {
        let mut fields = Fields::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let end = start + line.len();
            fields.add(text.as_bytes(), trim_line_end(text.as_bytes(), start..end)).unwrap();
            start = end;
        }
        fields.keep(Bytes::from_static(text.as_bytes()));
        fields
    }

    #[test]
    fn lines_are_found_by_name() {
        let fields = fields("Cookie: a\r\nX: 1\r\nHost:\r\ncookie:  b \r\n");
        assert_eq!(fields.values(Known::Cookie).collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(fields.values_named(b"COOKIE").collect::<Vec<_>>(), [b"a", b"b"]);
        for (known, value) in
            [(Known::Cookie, Some("a")), (Known::Other, Some("1")), (Known::Host, Some("")), (Known::Date, None)]
        {
            assert_eq!(fields.value(known), value.map(str::as_bytes), "{known:?}");
            assert_eq!(fields.value_bytes(known), value.map(Bytes::from), "{known:?}");
        }
        let lines: Vec<_> = fields.iter().map(|(known, name, _)| (known, name)).collect();
        let cookie = Known::Cookie;
        assert_eq!(
            lines,
            [(cookie, &b"Cookie"[..]), (Known::Other, b"X"), (Known::Host, b"Host"), (cookie, b"cookie")]
        );
    }

    #[test]
    fn a_line_ends_behind_its_line_feed() {
        let fields = fields("A: 1\r\nB: 2  \nC: 3");
        assert_eq!([0, 1, 2].map(|line| fields.line_end(line)), [6, 13, 17]);
    }

    #[test]
    fn the_last_lines_are_taken_back() {
        let mut fields = fields("A: 1\nB: 2\nC: 3\n");
        fields.truncate(4);
        assert_eq!(fields.count(), 3);
        fields.truncate(2);
        assert_eq!(fields.iter().map(|(.., value)| value).collect::<Vec<_>>(), [b"1", b"2"]);
        fields.forget_last();
        assert_eq!(fields.values(Known::Other).collect::<Vec<_>>(), [b"1"]);
    }

    #[test]
    fn a_word_is_found_in_a_list() {
        assert!(has_word(b"Keep-Alive", b"keep-alive") && has_word(b"x, CLOSE", b"close"));
        assert!(!has_word(b"clos", b"close") && !has_word(b"", b"close"));
    }

    #[test]
    fn a_line_is_cut_or_its_first_wrong_byte_found() {
        let add = |line: &str| Fields::new().add(line.as_bytes(), 0..line.len());
        assert_eq!(add("X-A: 1"), Ok(true));
        assert_eq!(add("X_A: 1"), Ok(false));
        assert_eq!(add("Alone"), Ok(true));
        for (line, at) in [
            ("", 0),
            (": 1", 0),
            ("X A: 1", 1),
            ("X\u{7f}: 1", 1),
            ("X: a\0", 4),
            ("X: \rb", 3),
            ("X: \0\0", 3),
            ("X:\r\rb", 2),
        ] {
            assert_eq!(add(line), Err(at), "{line:?}");
        }
    }
}
