//! What both sides of HTTP/2 have in common: a socket as `h2` takes it, and bodies between a stream and a [`Pipe`].

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{IoTimeout, Pipe, Socket};

/// What small frames of data may cost before they are read, in h2's terms: 256 bytes less what a frame holds. A stream of
/// messages of a few bytes is none of an attack, and its window bounds it as well.
pub const SMALL_FRAMES: usize = 32 << 20;

/// A socket as `h2` reads from it and writes to it.
#[derive(Debug)]
pub struct Framed<S> {
    socket: S,
    /// How long it may take nothing of what is sent, if that is bounded here.
    limit: Option<Duration>,
    sending: IoTimeout,
    /// What has come already, and how much of it was read.
    input: Vec<u8>,
    read: usize,
    frames: Frames,
}

/// Follows the frames that come, and counts those that h2 takes any number of. Each makes work, and some an answer.
#[derive(Debug)]
struct Frames {
    /// What has come of a frame's head.
    head: Vec<u8>,
    /// Bytes of the present frame that are still to come.
    rest: usize,
    /// Frames that carry nothing, of the present minute.
    empty: u32,
    minute: Instant,
}

/// nginx's words for frames that only make work.
pub const FLOOD: &str = "http2 flood detected";
/// The length of a frame's head (RFC 9113, section 4.1).
const HEAD: usize = 9;
/// Frames that carry nothing, in a minute.
const MOST_EMPTY: u32 = 10_000;

impl Frames {
    /// `skipped`: bytes before the first frame.
    fn new(skipped: usize) -> Self {
        Frames { head: Vec::new(), rest: skipped, empty: 0, minute: Instant::now() }
    }

    /// Takes bytes as they come.
    ///
    /// # Errors
    /// There are too many of those frames.
    fn follow(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let missing = (HEAD - self.head.len()).min(bytes.len());
            let (head, behind) = bytes.split_at(missing);
            self.head.extend_from_slice(head);
            bytes = behind;
            let [a, b, c, kind, ..] = *self.head.as_slice() else { continue };
            if self.head.len() < HEAD {
                continue;
            }
            self.head.clear();
            self.rest = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            // DATA, HEADERS, CONTINUATION, RST_STREAM and WINDOW_UPDATE go along with what is carried, and h2 has bounds for them.
            if !matches!(kind, 0 | 1 | 3 | 8 | 9) {
                self.empty += 1;
                if self.empty > MOST_EMPTY {
                    if self.minute.elapsed() < Duration::from_secs(60) {
                        return Err(io::Error::other(FLOOD));
                    }
                    self.minute = Instant::now();
                    self.empty = 0;
                }
            }
        }
        Ok(())
    }
}

impl<S: AsRef<Socket>> Framed<S> {
    /// `input` has come of it already. `preface`: how many bytes come before the first frame.
    pub fn new(socket: S, input: Vec<u8>, limit: Option<Duration>, preface: usize) -> Self {
        Framed { socket, limit, sending: IoTimeout::new(), input, read: 0, frames: Frames::new(preface) }
    }

    fn write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = self.socket.as_ref().poll_write(cx, parts);
        match self.limit {
            Some(limit) => self.sending.bound(cx, limit, written),
            None => written,
        }
    }
}

impl<S: AsRef<Socket> + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(rest @ [_, ..]) = self.input.get(self.read..) {
            let count = rest.len().min(space.remaining());
            let now = rest.get(..count).unwrap_or_default().to_vec();
            space.put_slice(&now);
            self.frames.follow(&now)?;
            self.read += count;
            if self.read >= self.input.len() {
                self.input = Vec::new();
                self.read = 0;
            }
            return Poll::Ready(Ok(()));
        }
        let count = ready!(self.socket.as_ref().poll_read(cx, space.initialize_unfilled()))?;
        self.frames.follow(space.initialize_unfilled().get(..count).unwrap_or_default())?;
        space.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsRef<Socket> + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.as_ref().shutdown_write();
        Poll::Ready(Ok(()))
    }
}

/// Passes a body that comes over a stream on to a pipe, as fast as it is taken there: as it is, or in chunks and with its
/// trailers behind them.
///
/// # Errors
/// It ends before its time.
pub async fn receive(pipe: &Pipe, body: &mut RecvStream, is_chunked: bool) -> Result<(), h2::Error> {
    loop {
        poll_fn(|cx| pipe.poll_room(cx)).await;
        let Some(data) = body.data().await else { break };
        let data = data?;
        match is_chunked {
            true if data.is_empty() => {}
            true => pipe.put(&[format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"]),
            false => pipe.put(&[&data]),
        }
        let _ = body.flow_control().release_capacity(data.len());
    }
    if is_chunked {
        let trailers = body.trailers().await?.unwrap_or_default();
        pipe.put(&[b"0\r\n", &lines(&trailers), b"\r\n"]);
    }
    Ok(())
}

/// Fields in HTTP/1's words, each line with its end.
pub fn lines(fields: &HeaderMap) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in fields {
        [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]
            .iter()
            .for_each(|part| text.extend_from_slice(part));
    }
    text
}

/// How long a peer gives a stream no room.
#[derive(Debug)]
pub struct Room {
    limit: Option<Duration>,
    waiting: IoTimeout,
}

impl Room {
    /// `limit`: how long it may give none while there is something to send.
    pub fn new(limit: Option<Duration>) -> Self {
        Room { limit, waiting: IoTimeout::new() }
    }

    /// Waits for room for some of so many bytes. `None`: the peer wants no more, or takes too long. `there`: ready when there is
    /// something to send (`true`), or there will be nothing more, so that no room is needed.
    pub async fn wait(
        &mut self,
        stream: &mut SendStream<Bytes>,
        bytes: usize,
        there: impl Fn(&Context<'_>) -> Poll<bool>,
    ) -> Option<usize> {
        stream.reserve_capacity(bytes);
        poll_fn(|cx| {
            if stream.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            // What was given before is told only once.
            let room = match stream.capacity() {
                0 => stream.poll_capacity(cx).map(|room| room.and_then(Result::ok)),
                given => Poll::Ready(Some(given)),
            };
            if room.is_ready() {
                self.waiting.renew();
                return room;
            }
            match (there(cx), self.limit) {
                (Poll::Ready(false), _) => Poll::Ready(Some(0)),
                (Poll::Ready(true), Some(limit)) => {
                    self.waiting.bound(cx, limit, Poll::<io::Result<()>>::Pending).map(|_| None)
                }
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Sends data over a stream as far as the peer gives room; `false` as with [`wait`](Self::wait).
    pub async fn send(&mut self, stream: &mut SendStream<Bytes>, mut data: Bytes, is_last: bool) -> bool {
        loop {
            if data.is_empty() {
                return !is_last || stream.send_data(data, true).is_ok();
            }
            let Some(room) = self.wait(stream, data.len(), |_| Poll::Ready(true)).await else { return false };
            let now = data.split_to(room.min(data.len()));
            let is_end = is_last && data.is_empty();
            if stream.send_data(now, is_end).is_err() {
                return false;
            }
            if data.is_empty() {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).expect("short").to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 0], &vec![0; payload]].concat()
    }

    #[test]
    fn frames_that_carry_nothing_are_bounded_however_they_come() {
        let ping = frame(6, 8);
        for piece in [1, 7, 17, 100_000] {
            let mut frames = Frames::new(24);
            let most =
                [vec![0; 24], ping.repeat(MOST_EMPTY as usize), frame(0, 70_000), frame(8, 4).repeat(20_000)].concat();
            for bytes in most.chunks(piece) {
                frames.follow(bytes).expect("not too many");
            }
            assert!(frames.follow(&ping).is_err(), "{piece}");
        }
    }
}
