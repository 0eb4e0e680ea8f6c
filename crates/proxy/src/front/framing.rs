//! Where a request's body ends in the bytes that follow its head.

use super::head::Body;

/// Follows a body as its bytes go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Bytes still to come.
    Length(u64),
    Chunked(Chunk),
    /// The body is over; what follows is the next request.
    Done,
    /// The chunks are broken: nobody knows where the body ends.
    Lost,
}

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// In a chunk's size: what was read of it, and whether a digit was.
    Size(u64, bool),
    /// Behind the size, up to the end of the line.
    Extension(u64),
    /// In a chunk's data: bytes still to come.
    Data(u64),
    /// Behind the CR that ends the line of a size.
    SizeEnd(u64),
    /// In the line end behind a chunk's data.
    DataEnd,
    /// Behind the CR there.
    DataEndLf,
    /// In the trailers behind the last chunk: whether the present line is empty so far.
    Trailer(bool),
}

impl Framing {
    pub(crate) fn new(body: Body) -> Self {
        match body {
            Body::None | Body::Length(0) => Framing::Done,
            Body::Length(length) => Framing::Length(length),
            Body::Chunked => Framing::Chunked(Chunk::Size(0, false)),
        }
    }

    pub(crate) fn is_done(self) -> bool {
        self == Framing::Done
    }

    /// How many of the bytes belong to the body; it has been followed that far.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> usize {
        match *self {
            Framing::Done => 0,
            Framing::Lost => bytes.len(),
            Framing::Length(left) => {
                let taken = left.min(bytes.len() as u64);
                *self = if taken == left { Framing::Done } else { Framing::Length(left - taken) };
                taken as usize
            }
            Framing::Chunked(mut chunk) => {
                let mut at = 0;
                while let Some(byte) = bytes.get(at) {
                    if let Chunk::Data(left) = chunk {
                        let taken = left.min((bytes.len() - at) as u64);
                        at += taken as usize;
                        chunk = if taken == left { Chunk::DataEnd } else { Chunk::Data(left - taken) };
                        continue;
                    }
                    at += 1;
                    match step(chunk, *byte) {
                        Step::To(next) => chunk = next,
                        Step::Done => {
                            *self = Framing::Done;
                            return at;
                        }
                        Step::Broken => {
                            *self = Framing::Lost;
                            return bytes.len();
                        }
                    }
                }
                *self = Framing::Chunked(chunk);
                at
            }
        }
    }
}

enum Step {
    To(Chunk),
    Done,
    Broken,
}

fn step(chunk: Chunk, byte: u8) -> Step {
    match (chunk, byte) {
        (Chunk::Size(size, any), _) => match (char::from(byte).to_digit(16), byte) {
            (Some(digit), _) => match size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit))) {
                Some(size) => Step::To(Chunk::Size(size, true)),
                None => Step::Broken,
            },
            (None, b';' | b' ' | b'\t') if any => Step::To(Chunk::Extension(size)),
            (None, b'\r') if any => Step::To(Chunk::SizeEnd(size)),
            (None, b'\n') if any => after_size(size),
            _ => Step::Broken,
        },
        // Where a line ends must be beyond doubt: Pingora takes a lone LF here for a part of the extension.
        (Chunk::Extension(size), b'\r') => Step::To(Chunk::SizeEnd(size)),
        (Chunk::Extension(_), b'\n') => Step::Broken,
        (Chunk::Extension(_) | Chunk::Data(_), _) => Step::To(chunk),
        (Chunk::SizeEnd(size), b'\n') => after_size(size),
        (Chunk::DataEnd, b'\r') => Step::To(Chunk::DataEndLf),
        (Chunk::DataEnd | Chunk::DataEndLf, b'\n') => Step::To(Chunk::Size(0, false)),
        (Chunk::SizeEnd(_) | Chunk::DataEnd | Chunk::DataEndLf, _) => Step::Broken,
        (Chunk::Trailer(true), b'\n') => Step::Done,
        (Chunk::Trailer(empty), b'\r') => Step::To(Chunk::Trailer(empty)),
        (Chunk::Trailer(_), b'\n') => Step::To(Chunk::Trailer(true)),
        (Chunk::Trailer(_), _) => Step::To(Chunk::Trailer(false)),
    }
}

fn after_size(size: u64) -> Step {
    Step::To(if size == 0 { Chunk::Trailer(true) } else { Chunk::Data(size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(body: Body, bytes: &[u8]) -> (usize, bool) {
        let mut framing = Framing::new(body);
        let whole = framing.advance(bytes);
        // Byte by byte it must come to the same.
        let mut slow = Framing::new(body);
        let mut sum = 0;
        for byte in bytes {
            sum += slow.advance(&[*byte]);
        }
        assert_eq!((sum, slow), (whole, framing));
        (whole, framing.is_done())
    }

    #[test]
    fn a_body_ends_after_its_length() {
        assert_eq!(taken(Body::None, b"GET"), (0, true));
        assert_eq!(taken(Body::Length(3), b"abcGET"), (3, true));
        assert_eq!(taken(Body::Length(3), b"ab"), (2, false));
    }

    #[test]
    fn a_chunked_body_ends_after_its_trailers() {
        assert_eq!(taken(Body::Chunked, b"3\r\nabc\r\n0\r\n\r\nGET"), (13, true));
        assert_eq!(taken(Body::Chunked, b"3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\nGET"), (23, true));
        assert_eq!(taken(Body::Chunked, b"A\r\n0123456789\r\n0\r\n\r"), (19, false));
        assert_eq!(taken(Body::Chunked, b"0\n\nX"), (3, true));
    }

    #[test]
    fn broken_chunks_are_lost() {
        for broken in
            ["zz\r\n", "\r\n", "3\r\nabcd", "FFFFFFFFFFFFFFFFF\r\n", "3;a\nabc\r\n", "3\r\nabc\r\r\n", "3;a\rb"]
        {
            let mut framing = Framing::new(Body::Chunked);
            framing.advance(broken.as_bytes());
            assert_eq!(framing, Framing::Lost, "{broken:?}");
        }
    }
}
