//! Where a body ends in the bytes that follow its head, and which of them are its data.
//!
//! The one reader of chunks, for requests and responses. Its rules are those of `ngx_http_parse_chunked` of nginx 1.22; line
//! ends may be bare line feeds, but not inside of an extension, where readers differ about them. What is read here is written anew
//! in plain chunks, so that nobody behind can read it in another way.

/// How a request's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// Bytes, from `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`
    Chunked,
}

/// Follows a body as its bytes go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Bytes still to come.
    Length(u64),
    /// In chunks, at this place.
    Chunked(Chunk),
    /// The body is over; what follows is not of it.
    Done,
    /// The chunks are broken: nobody knows where the body ends.
    Lost,
}

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// Before the first digit of a chunk's size.
    Start,
    /// In a chunk's size: what was read of it.
    Size(u64),
    /// Behind the size, up to the end of the line.
    Extension(u64),
    /// Behind the CR that ends the line of a size.
    SizeEnd(u64),
    /// In a chunk's data: bytes still to come.
    Data(u64),
    /// In the line end behind a chunk's data.
    DataEnd,
    /// Behind the CR there.
    DataEndLf,
    /// At the beginning of a line behind the last chunk.
    Trailer,
    /// In such a line.
    TrailerLine,
    /// Behind the CR that ends it.
    TrailerLineEnd,
    /// Behind the CR that ends the body.
    LastLf,
}

impl Cursor {
    /// Before the first byte of a body.
    pub fn new(body: Body) -> Self {
        match body {
            Body::None | Body::Length(0) => Cursor::Done,
            Body::Length(length) => Cursor::Length(length),
            Body::Chunked => Cursor::Chunked(Chunk::Start),
        }
    }

    /// Whether all of it has gone by.
    pub fn is_done(self) -> bool {
        self == Cursor::Done
    }

    /// What is known of the data to come: bytes that the head or the present chunk has announced.
    pub fn announced(self) -> u64 {
        match self {
            Cursor::Length(left) | Cursor::Chunked(Chunk::Data(left)) => left,
            _ => 0,
        }
    }

    /// Follows the body through bytes of framing and the data behind them: how many there are of each. Both are 0 when
    /// nothing of `bytes` belongs to the body.
    pub fn next(&mut self, bytes: &[u8]) -> (usize, usize) {
        self.next_telling(bytes, |_| {})
    }

    /// The same; each byte of the lines behind the last chunk is told.
    fn next_telling(&mut self, bytes: &[u8], mut tell: impl FnMut(u8)) -> (usize, usize) {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match *self {
                Cursor::Done | Cursor::Lost => return (at, 0),
                Cursor::Length(left) => {
                    let taken = left.min(rest.len() as u64);
                    *self = if taken == left { Cursor::Done } else { Cursor::Length(left.saturating_sub(taken)) };
                    return (at, taken as usize);
                }
                Cursor::Chunked(Chunk::Data(left)) => {
                    let taken = left.min(rest.len() as u64);
                    *self = Cursor::Chunked(if taken == left {
                        Chunk::DataEnd
                    } else {
                        Chunk::Data(left.saturating_sub(taken))
                    });
                    return (at, taken as usize);
                }
                Cursor::Chunked(chunk) => {
                    let Some(byte) = rest.first() else { return (at, 0) };
                    if matches!(chunk, Chunk::Trailer | Chunk::TrailerLine | Chunk::TrailerLineEnd | Chunk::LastLf) {
                        tell(*byte);
                    }
                    *self = step(chunk, *byte);
                    at = at.saturating_add(1);
                }
            }
        }
    }

    /// How many of the bytes belong to the body; it has been followed that far.
    pub fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let (framing, data) = self.next(bytes.get(at..).unwrap_or_default());
            if framing.saturating_add(data) == 0 {
                return at;
            }
            at = at.saturating_add(framing).saturating_add(data);
        }
    }

    /// Moves the data among the bytes to their beginning. The result is how many belong to the body, and how many of
    /// them are data.
    pub fn compact(&mut self, bytes: &mut [u8]) -> (usize, usize) {
        self.compact_telling(bytes, |_| {})
    }

    /// The same; what stands behind the last chunk is appended to `trailers`: lines, and the blank one that ends them. More
    /// than `most` bytes of it are too many, and then the body is lost.
    pub fn compact_with_trailers(&mut self, bytes: &mut [u8], trailers: &mut Vec<u8>, most: usize) -> (usize, usize) {
        let mut is_too_much = false;
        let result = self.compact_telling(bytes, |byte| match trailers.len() < most {
            true => trailers.push(byte),
            false => is_too_much = true,
        });
        if is_too_much {
            *self = Cursor::Lost;
        }
        result
    }

    fn compact_telling(&mut self, bytes: &mut [u8], mut tell: impl FnMut(u8)) -> (usize, usize) {
        let (mut at, mut kept) = (0, 0);
        loop {
            let (framing, data) = self.next_telling(bytes.get(at..).unwrap_or_default(), &mut tell);
            if framing.saturating_add(data) == 0 {
                return (at, kept);
            }
            at = at.saturating_add(framing);
            if at != kept {
                bytes.copy_within(at..at.saturating_add(data), kept);
            }
            at = at.saturating_add(data);
            kept = kept.saturating_add(data);
        }
    }
}

fn step(chunk: Chunk, byte: u8) -> Cursor {
    Cursor::Chunked(match (chunk, byte) {
        (Chunk::Start | Chunk::Size(_), _) => {
            let before = if let Chunk::Size(size) = chunk { Some(size) } else { None };
            let digit = char::from(byte).to_digit(16).map(u64::from);
            match (digit, before, byte) {
                // As much as fits, whatever the number of leading zeros.
                (Some(digit), _, _) => match before.unwrap_or(0).checked_mul(16).map(|size| size.saturating_add(digit))
                {
                    Some(size) if size <= i64::MAX as u64 => Chunk::Size(size),
                    _ => return Cursor::Lost,
                },
                (None, Some(size), b';' | b' ' | b'\t') => Chunk::Extension(size),
                (None, Some(size), b'\r') => Chunk::SizeEnd(size),
                (None, Some(size), b'\n') => after_size(size),
                _ => return Cursor::Lost,
            }
        }
        (Chunk::Extension(size), b'\r') => Chunk::SizeEnd(size),
        (Chunk::Extension(_), b'\n') => return Cursor::Lost,
        (Chunk::Extension(_) | Chunk::Data(_), _) => chunk,
        (Chunk::SizeEnd(size), b'\n') => after_size(size),
        (Chunk::DataEnd, b'\r') => Chunk::DataEndLf,
        (Chunk::DataEnd | Chunk::DataEndLf, b'\n') => Chunk::Start,
        (Chunk::Trailer, b'\r') => Chunk::LastLf,
        (Chunk::Trailer | Chunk::LastLf, b'\n') => return Cursor::Done,
        (Chunk::TrailerLine, b'\r') => Chunk::TrailerLineEnd,
        (Chunk::TrailerLine | Chunk::TrailerLineEnd, b'\n') => Chunk::Trailer,
        (Chunk::Trailer | Chunk::TrailerLine, _) => Chunk::TrailerLine,
        (Chunk::SizeEnd(_) | Chunk::DataEnd | Chunk::DataEndLf | Chunk::LastLf | Chunk::TrailerLineEnd, _) => {
            return Cursor::Lost;
        }
    })
}

fn after_size(size: u64) -> Chunk {
    if size == 0 { Chunk::Trailer } else { Chunk::Data(size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes belong to the body, its data, and how it stands then.
    fn taken(body: Body, bytes: &[u8]) -> (usize, String, Cursor) {
        let mut framing = Cursor::new(body);
        let mut copy = bytes.to_vec();
        let (whole, kept) = framing.compact(&mut copy);
        let data = String::from_utf8_lossy(&copy[..kept]).into_owned();
        // Byte by byte it must come to the same.
        let mut slow = Cursor::new(body);
        let (mut sum, mut slow_data) = (0, String::new());
        for byte in bytes {
            let mut byte = [*byte];
            let (taken, kept) = slow.compact(&mut byte);
            sum += taken;
            slow_data.push_str(&String::from_utf8_lossy(&byte[..kept]));
        }
        assert_eq!((sum, &slow_data, slow), (whole, &data, framing));
        assert_eq!(Cursor::new(body).advance(bytes), whole);
        (whole, data, framing)
    }

    #[test]
    fn a_body_ends_after_its_length() {
        assert_eq!(taken(Body::None, b"GET"), (0, String::new(), Cursor::Done));
        assert_eq!(taken(Body::Length(3), b"abcGET"), (3, "abc".into(), Cursor::Done));
        assert_eq!(taken(Body::Length(3), b"ab"), (2, "ab".into(), Cursor::Length(1)));
    }

    #[test]
    fn trailers_are_told_up_to_a_bound() {
        let text = b"3\r\nabc\r\n0;x\r\nA: 1\r\nB: 2\r\n\r\nGET";
        for piece in [1, 3, text.len()] {
            let (mut cursor, mut trailers) = (Cursor::new(Body::Chunked), Vec::new());
            for bytes in text.chunks(piece) {
                cursor.compact_with_trailers(&mut bytes.to_vec(), &mut trailers, 14);
            }
            assert_eq!((cursor, trailers.as_slice()), (Cursor::Done, b"A: 1\r\nB: 2\r\n\r\n".as_slice()));
            let (mut cursor, mut trailers) = (Cursor::new(Body::Chunked), Vec::new());
            cursor.compact_with_trailers(&mut text.to_vec(), &mut trailers, 12);
            assert_eq!((cursor, trailers.len()), (Cursor::Lost, 12));
        }
    }

    #[test]
    fn a_chunked_body_ends_after_its_trailers() {
        for (body, data) in [
            ("3\r\nabc\r\n0\r\n\r\n", "abc"),
            ("3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n", "abc"),
            ("3 \r\nabc\r\n0;last\r\n\r\n", "abc"),
            ("0\n\n", ""),
            ("5\nhello\n2\r\n--\r\n0\nT: 1\n\n", "hello--"),
            ("00000000000000000000000000000005\r\nhello\r\n000000000000000000\r\n\r\n", "hello"),
        ] {
            let whole = (body.len(), data.to_owned(), Cursor::Done);
            assert_eq!(taken(Body::Chunked, format!("{body}GET").as_bytes()), whole, "{body:?}");
        }
        let (length, data, framing) = taken(Body::Chunked, b"A\r\n0123456789\r\n0\r\n\r");
        assert_eq!((length, data.as_str(), framing), (19, "0123456789", Cursor::Chunked(Chunk::LastLf)));
    }

    #[test]
    fn broken_chunks_are_lost() {
        for broken in [
            "zz\r\n",
            "\r\n",
            "\n",
            ";\r\n",
            ";x\r\n",
            " 3\r\nabc",
            "2\r\nok\r\n\r\n",
            "2\r\nok\r\n;x\r\n",
            "3\r\nabcd",
            "FFFFFFFFFFFFFFFFF\r\n",
            "8000000000000000\r\n",
            "3;a\nabc\r\n",
            "3\r\nabc\r\r\n",
            "3;a\rb",
            "3\rabc",
            "0\r\n\r\r\n",
            "0\r\n\rX\r\n\r\n",
            "0\r\nT: 1\r\r\n\r\n",
        ] {
            assert_eq!(taken(Body::Chunked, broken.as_bytes()).2, Cursor::Lost, "{broken:?}");
        }
    }

    #[test]
    fn a_body_is_done_when_all_of_it_has_gone_by() {
        assert!(Cursor::new(Body::None).is_done() && Cursor::new(Body::Length(0)).is_done());
        for (body, bytes) in [(Body::Length(2), "ab"), (Body::Chunked, "1\r\na\r\n0\r\n\r\n")] {
            let mut cursor = Cursor::new(body);
            for byte in bytes.as_bytes() {
                assert!(!cursor.is_done(), "{cursor:?}");
                cursor.advance(&[*byte]);
            }
            assert!(cursor.is_done(), "{cursor:?}");
        }
        assert!(!Cursor::Lost.is_done());
    }

    #[test]
    fn what_is_announced_is_known_as_soon_as_the_size_is() {
        let mut framing = Cursor::new(Body::Chunked);
        framing.advance(b"64\r");
        assert_eq!(framing.announced(), 0);
        framing.advance(b"\nab");
        assert_eq!(framing.announced(), 98);
        assert_eq!(Cursor::Length(7).announced(), 7);
    }
}
