//! A connection to a backend as Pingora's session sees it.
//!
//! The head that Pingora writes is swallowed and ours goes out in its place. The head that the backend sends is read here
//! and kept for the hooks; Pingora gets one of our making, which says how the body is framed. When Pingora has judged a connection fit for
//! another request it tests it by reading a single byte; that read is answered as if the connection had ended, so that
//! Pingora lets go of it, and it returns to the pool of its upstream (docs/architecture.md, "Connections to backends").

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::Trace;
use super::head::{Framing, MAX_HEAD, ResponseHead, Unread};
use super::pool::{Connection, Pools, Way};
use crate::clock;
use crate::patience::Patience;
use crate::scratch;
use crate::turn::Turn;

/// How much is read at a time while the head is awaited.
const HEAD_READ: usize = 8192;
/// Small writes are collected up to this size.
const COLLECT: usize = 8192;
/// Bytes of a head after which it is parsed only when a line ends.
const PARSED_AT_ONCE: usize = 256;

#[derive(Debug)]
pub(crate) struct BackendSocket {
    /// `None` once it was returned, or became a tunnel.
    pub(crate) connection: Option<Connection>,
    /// What is not sent yet of the request's head.
    pub(crate) head: Bytes,
    /// Pingora has written its own.
    pub(crate) head_taken: bool,
    /// What was collected behind the head.
    pub(crate) out: Vec<u8>,
    /// What came of the response's head, until it is whole; then what Pingora is to read before anything else.
    pub(crate) input: Vec<u8>,
    pub(crate) answered: bool,
    /// Pingora has judged that the exchange is over and the connection can serve another.
    pub(crate) fit: bool,
    pub(crate) worker: usize,
    pub(crate) way: Way,
    pub(crate) pools: Arc<Pools>,
    pub(crate) trace: Arc<Trace>,
    /// `proxy_read_timeout` and `proxy_send_timeout`
    pub(crate) read_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) sending: Patience,
    /// The request has no body, so that the backend may change the protocol.
    pub(crate) may_upgrade: bool,
    /// The method is HEAD: whatever the head of the response says, no body follows it.
    pub(crate) is_head: bool,
    /// The request's turn to be sent.
    pub(crate) turn: Turn,
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
            let count = ready!(self.trace.noting_timeout(written))?;
            // The backend's time to answer begins behind what it was sent last.
            connection.reading.renew();
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
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
}

impl BackendSocket {
    /// Whether the response is one of which the head alone was wanted, and the connection can serve another request.
    fn is_over(&self) -> bool {
        let head_is_all = || self.trace.head().is_some_and(|head| head.is_whole && head.keepalive);
        // Whether a request with a body went out whole is not known here.
        let is_sent = self.may_upgrade && self.head.is_empty() && self.out.is_empty();
        self.trace.is_released() && is_sent && head_is_all()
    }

    /// Reads the response's head; `false` when the connection ended before it was whole.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
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
            let read = reading.bound(cx, self.read_timeout, read);
            let count = ready!(self.trace.noting_timeout(read))?;
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
                Ok((head, _)) if head.status == 101 && !self.may_upgrade => {
                    let message = "upstream changed the protocol before the request was over".to_owned();
                    self.trace.set_invalid(message.clone());
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
                }
                Ok((mut head, length)) => {
                    let rest = self.input.split_off(length.min(self.input.len()));
                    let rest = if self.is_head { rest } else { head.take_body(rest) };
                    let no_body = self.is_head || head.framing == Framing::Length(0) || head.body.is_some();
                    head.is_whole = rest.is_empty() && no_body;
                    self.input = head.synthetic();
                    if head.status != 101 {
                        self.input.extend_from_slice(&rest);
                    } else if let Some(connection) = self.connection.take() {
                        self.trace.set_tunnel(connection.socket, rest);
                    }
                    self.trace.set_head(head);
                    self.answered = true;
                    return Poll::Ready(Ok(true));
                }
                Err(Unread::Incomplete) => {}
                Err(Unread::Invalid(message)) => {
                    self.trace.set_invalid(message.clone());
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
                }
            }
        }
    }
}

impl AsyncRead for BackendSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.answered && !ready!(this.poll_head(cx))? {
            return Poll::Ready(Ok(()));
        }
        if !this.input.is_empty() {
            let count = this.input.len().min(buffer.remaining());
            buffer.put_slice(this.input.get(..count).unwrap_or_default());
            this.input.drain(..count);
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() == 1 {
            this.fit = this.head.is_empty() && this.out.is_empty();
            return Poll::Ready(Ok(()));
        }
        let Some(Connection { socket, reading, .. }) = &mut this.connection else { return gone() };
        let read = socket.poll_read(cx, buffer.initialize_unfilled());
        let read = reading.bound(cx, this.read_timeout, read);
        let count = ready!(this.trace.noting_timeout(read))?;
        this.trace.set_continued();
        this.trace.count_received(count);
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BackendSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.head_taken, true) {
            return Poll::Ready(Ok(bytes.len()));
        }
        if this.out.len() + bytes.len() <= COLLECT {
            this.out.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        this.poll_send(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.head.is_empty() {
            ready!(this.turn.poll(cx));
        }
        this.poll_send(cx, &[]).map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The connection is no longer the session's.
fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl VirtualSocket for BackendSocket {
    /// They were set when the connection was made.
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BackendSocket {
    fn drop(&mut self) {
        if (self.fit || self.is_over())
            && let Some(connection) = self.connection.take()
        {
            self.pools.put(self.worker, &self.way, connection);
        }
    }
}
