//! A connection to a backend as Pingora's session sees it.
//!
//! The head that Pingora writes is swallowed and ours goes out in its place. The head that the backend sends is read here
//! and kept for the hooks; Pingora gets one of our making. The body is followed here as well: what Pingora reads is its data
//! and then its end, so that nobody else has a say in where a response ends, and whether the connection may return to the
//! pool of its upstream (docs/architecture.md, "Connections to backends").

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::Trace;
use super::head::{self, MAX_HEAD, ResponseHead, Unread};
use super::pool::{Connection, Pools, Way};
use crate::clock;
use crate::framing::Framing;
use crate::front::conn::{BodyFault, Conn};
use crate::front::head::Body;
use crate::patience::Patience;
use crate::scratch;
use crate::turn::Turn;

/// How much is read at a time while the head is awaited.
const HEAD_READ: usize = 8192;
/// Small writes are collected up to this size.
const COLLECT: usize = 8192;
/// What a backend may leave unread of a request while it is answering, in bytes.
const UNREAD: usize = 262_144;
/// How often it is looked whether the client of a request is still there that can't be sent on.
const WATCH: Duration = Duration::from_millis(500);
/// Bytes of a head after which it is parsed only when a line ends.
const PARSED_AT_ONCE: usize = 256;

pub(crate) struct BackendSocket {
    /// `None` once it was returned, or became a tunnel.
    pub(crate) connection: Option<Connection>,
    /// What is not sent yet of the request's head.
    pub(crate) head: Bytes,
    /// Pingora has written its own.
    pub(crate) head_taken: bool,
    /// What was collected behind the head.
    pub(crate) out: Vec<u8>,
    /// How the request's body is delimited.
    pub(crate) body: Body,
    /// Bytes that Pingora has written of it, its framing included.
    pub(crate) body_sent: u64,
    /// What Pingora has written last is the end of a chunked body.
    pub(crate) last_chunk_sent: bool,
    /// Sending has failed in this way: unless the backend has answered before, it is not waited for.
    pub(crate) send_failed: Option<io::ErrorKind>,
    /// What came of the response's head, until it is whole; then what Pingora is to read before anything else.
    pub(crate) input: Vec<u8>,
    pub(crate) answered: bool,
    /// Where in its body the response is; `None`: it ends with the connection, or there is no head yet.
    pub(crate) framing: Option<Framing>,
    /// What reading has come to, and Pingora has not been told yet.
    pub(crate) read_failed: Option<io::Error>,
    pub(crate) worker: usize,
    pub(crate) way: Way,
    pub(crate) pools: Arc<Pools>,
    pub(crate) trace: Arc<Trace>,
    /// `proxy_read_timeout` and `proxy_send_timeout`
    pub(crate) read_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) sending: Patience,
    /// The request asks for another protocol.
    pub(crate) upgrades: bool,
    /// The method is HEAD: whatever the head of the response says, no body follows it.
    pub(crate) is_head: bool,
    /// The request's turn to be sent.
    pub(crate) turn: Turn,
    /// Whose request it is.
    pub(crate) client: Arc<Conn>,
    /// While the backend takes nothing: when to look again whether the client is still there.
    pub(crate) watch: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl BackendSocket {
    fn poll_send(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        let Some(connection) = &mut self.connection else { return gone() };
        loop {
            if self.head.is_empty() && self.out.is_empty() && more.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let parts = [IoSlice::new(&self.head), IoSlice::new(&self.out), IoSlice::new(more)];
            let written = connection.socket.poll_write(cx, &parts);
            let written = self.sending.bound(cx, self.send_timeout, written);
            let count = match ready!(self.trace.noting_timeout(written)) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                other => other,
            };
            let count = count.inspect_err(|error| {
                self.send_failed = Some(error.kind());
                self.trace.set_sending_failed();
            })?;
            // The backend's time to answer begins behind what it was sent last.
            connection.reading.renew();
            self.trace.count_sent(count);
            let of_head = count.min(self.head.len());
            self.head.advance(of_head);
            let of_out = (count - of_head).min(self.out.len());
            self.out.drain(..of_out);
            if count > of_head + of_out {
                return Poll::Ready(Ok(count - of_head - of_out));
            }
        }
    }

    /// Whether the request has gone out whole, so that it is the backend's turn.
    fn is_sent(&self) -> bool {
        let is_written = match self.body {
            Body::None => true,
            Body::Length(length) => self.body_sent >= length,
            Body::Chunked => self.last_chunk_sent && !self.trace.is_owed_body(),
        };
        is_written && self.head.is_empty() && self.out.is_empty()
    }

    /// Whether the exchange is over and the connection can serve another request.
    fn is_fit(&self) -> bool {
        let keeps = || self.trace.head().is_some_and(|head| head.keepalive);
        self.framing == Some(Framing::Done) && self.is_sent() && !self.trace.is_spoiled() && keeps()
    }

    /// The backend does not take what is sent. Whether it answers already, so that this is to be read first.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        self.watch_client(cx)?;
        if self.out.len() > UNREAD {
            return Ok(false);
        }
        if !self.answered {
            return match self.poll_head(cx) {
                Poll::Ready(Ok(true)) => Ok(true),
                Poll::Ready(Ok(false)) => Err(io::ErrorKind::BrokenPipe.into()),
                Poll::Ready(Err(error)) => {
                    let kind = error.kind();
                    self.read_failed = Some(error);
                    Err(kind.into())
                }
                Poll::Pending => Ok(false),
            };
        }
        let Some(connection) = &self.connection else { return Ok(false) };
        Ok(connection.socket.poll_readable(cx).is_ready())
    }

    /// Nobody reads from the client while the backend takes nothing, so its leaving is looked for.
    ///
    /// # Errors
    /// It has gone.
    fn watch_client(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let watch = self.watch.get_or_insert_with(|| Box::pin(tokio::time::sleep(WATCH)));
            if watch.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.watch = None;
            if self.client.socket.has_hung_up() {
                self.client.exchange().fault = Some(BodyFault::Gone);
                let kind = io::ErrorKind::ConnectionAborted;
                self.send_failed = Some(kind);
                return Err(kind.into());
            }
        }
    }

    /// Reads the response's head; `false` when the connection ended before it was whole.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if let Some(error) = self.read_failed.take() {
            return Poll::Ready(Err(error));
        }
        let is_sent = self.is_sent();
        let Some(Connection { socket, reading, .. }) = &mut self.connection else { return gone() };
        loop {
            let input = &mut self.input;
            let read = scratch::with(|buffer| {
                // What follows the head is better read where it is wanted.
                let buffer = buffer.get_mut(..HEAD_READ).unwrap_or_default();
                socket.poll_read(cx, buffer).map_ok(|count| {
                    input.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    count
                })
            });
            // As long as the client still owes some of the request, the backend owes no answer.
            let read = if is_sent { reading.bound(cx, self.read_timeout, read) } else { read };
            let count = match (self.trace.noting_timeout(read), self.send_failed) {
                (Poll::Pending, Some(kind)) => return Poll::Ready(Err(kind.into())),
                (read, _) => ready!(read)?,
            };
            clock::tick();
            self.trace.count_received(count);
            if count == 0 {
                return Poll::Ready(Ok(false));
            }
            // A head that comes in small pieces is parsed when a line of it ends, not at each.
            let before = self.input.len() - count;
            let ends_line = self.input.get(before..).unwrap_or_default().contains(&b'\n');
            if before > PARSED_AT_ONCE && !ends_line && self.input.len() < MAX_HEAD {
                continue;
            }
            match ResponseHead::parse(&self.input) {
                Ok((head, length)) => {
                    let rest = self.input.split_off(length.min(self.input.len()));
                    return Poll::Ready(self.take_head(head, rest).map(|()| true));
                }
                Err(Unread::Incomplete) => {}
                Err(Unread::Invalid(message)) => return Poll::Ready(Err(self.invalid(message))),
            }
        }
    }

    /// The head is there, and `rest` came behind it.
    fn take_head(&mut self, mut head: ResponseHead, mut rest: Vec<u8>) -> io::Result<()> {
        self.answered = true;
        if head.status == 101 {
            if !self.upgrades {
                return Err(self.invalid("upstream changed the protocol without being asked to".into()));
            }
            if !self.is_sent() {
                return Err(self.invalid("upstream changed the protocol before the request was over".into()));
            }
            self.input = head.synthetic();
            if let Some(connection) = self.connection.take() {
                self.trace.set_tunnel(connection.socket, rest);
            }
            self.trace.set_head(head);
            return Ok(());
        }
        let mut framing = match head.framing {
            _ if self.is_head || matches!(head.status, 204 | 304) => Some(Framing::Done),
            head::Framing::Length(length) => Some(Framing::new(Body::Length(length))),
            head::Framing::Chunked => Some(Framing::new(Body::Chunked)),
            head::Framing::Close => None,
        };
        if framing != Some(Framing::Done) && head.take_body(&mut rest) {
            framing = Some(Framing::Done);
        }
        self.input = head.synthetic();
        self.framing = framing;
        // The head is passed on, whatever the body turns out to be.
        let kept = self.follow(&mut rest).unwrap_or_else(|error| {
            self.read_failed = Some(error);
            0
        });
        self.input.extend_from_slice(rest.get(..kept).unwrap_or_default());
        self.trace.set_head(head);
        Ok(())
    }

    /// Follows the body through bytes that came, and moves its data to their beginning. The result is how much there is.
    ///
    /// # Errors
    /// The chunks are broken.
    fn follow(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(framing) = &mut self.framing else { return Ok(bytes.len()) };
        let (taken, kept) = framing.compact(bytes);
        if *framing == Framing::Lost {
            self.trace.set_failure("upstream sent invalid chunked response".into());
            return Err(io::ErrorKind::InvalidData.into());
        }
        if taken < bytes.len() {
            // Nobody has asked for what is behind the response.
            self.trace.spoil();
        }
        Ok(kept)
    }

    fn invalid(&self, message: String) -> io::Error {
        self.trace.set_invalid(message.clone());
        io::Error::new(io::ErrorKind::InvalidData, message)
    }
}

impl AsyncRead for BackendSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.head.is_empty() && !this.out.is_empty() && this.send_failed.is_none() {
            // Left behind by a backend that answers before it has read everything.
            let _ = this.poll_send(cx, &[])?;
        }
        if !this.answered && !ready!(this.poll_head(cx))? {
            return Poll::Ready(Ok(()));
        }
        if !this.input.is_empty() {
            let count = this.input.len().min(buffer.remaining());
            buffer.put_slice(this.input.get(..count).unwrap_or_default());
            this.input.drain(..count);
            return Poll::Ready(Ok(()));
        }
        loop {
            // Also what Pingora reads to see whether the connection is still alive: so it lets go of it.
            if this.framing == Some(Framing::Done) {
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = this.read_failed.take() {
                return Poll::Ready(Err(error));
            }
            let Some(Connection { socket, reading, .. }) = &mut this.connection else { return gone() };
            let space = buffer.initialize_unfilled();
            let read = socket.poll_read(cx, space);
            let read = reading.bound(cx, this.read_timeout, read);
            let count = ready!(this.trace.noting_timeout(read))?;
            this.trace.set_continued();
            this.trace.count_received(count);
            if count == 0 {
                let is_whole = this.framing.is_none();
                return Poll::Ready(if is_whole { Ok(()) } else { Err(this.broken_off()) });
            }
            let kept = this.follow(space.get_mut(..count).unwrap_or_default())?;
            if kept > 0 {
                buffer.advance(kept);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for BackendSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.head_taken, true) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let sent = if this.out.len() + bytes.len() <= COLLECT {
            this.out.extend_from_slice(bytes);
            bytes.len()
        } else {
            match this.poll_send(cx, bytes) {
                Poll::Ready(sent) => sent?,
                // Pingora does not read while it writes, and the backend may have answered and read no further.
                Poll::Pending if this.poll_answer(cx)? => {
                    this.out.extend_from_slice(bytes);
                    bytes.len()
                }
                Poll::Pending => return Poll::Pending,
            }
        };
        this.body_sent += sent as u64;
        this.last_chunk_sent = bytes.get(..sent).is_some_and(|sent| sent.ends_with(b"0\r\n\r\n"));
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.head.is_empty() {
            ready!(this.turn.poll(cx));
        }
        match this.poll_send(cx, &[]) {
            Poll::Ready(sent) => Poll::Ready(sent.map(|_| ())),
            Poll::Pending if this.poll_answer(cx)? => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendSocket {
    /// The connection has ended in the middle of a response.
    fn broken_off(&self) -> io::Error {
        self.trace.set_failure("upstream prematurely closed connection".into());
        io::ErrorKind::UnexpectedEof.into()
    }
}

/// The connection is no longer the session's.
fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl fmt::Debug for BackendSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {:?}", self.connection)
    }
}

impl VirtualSocket for BackendSocket {
    /// They were set when the connection was made.
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BackendSocket {
    fn drop(&mut self) {
        if self.is_fit()
            && let Some(mut connection) = self.connection.take()
        {
            connection.kept_for = self.trace.head().and_then(|head| head.kept_for);
            self.pools.put(self.worker, &self.way, connection);
        }
    }
}
