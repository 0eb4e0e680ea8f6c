//! The client's connection as Pingora's session sees it: one request, framed.
//!
//! Pingora reads a head made here, with the method and how the body is delimited, and then the body, not a byte further.
//! The head that it writes is swallowed, and the one that the steps made goes out in its place.

use std::fmt;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use limpet_log::LogLevel;
use limpet_message::body::{Body, Cursor};
use limpet_message::request::Head;
use limpet_wire::IoTimeout;
use parking_lot::Mutex;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::front::conn::Conn;
use crate::front::exchange::{BodyFault, Exchange};
use crate::front::outgoing::Outgoing;

/// Small writes are collected up to this size.
const COLLECT: u64 = 8192;
/// How much of the next requests is read ahead while one is served.
const READ_AHEAD: usize = 65_536;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// One request on a connection.
pub(super) struct ClientStream {
    conn: Arc<Conn>,
    exchange: Arc<Mutex<Exchange>>,
    head: Vec<u8>,
    head_read: usize,
    framing: Cursor,
    /// The client waits for `100 Continue`.
    awaits_continue: bool,
    /// Bytes of data that came of a chunked body.
    body_received: u64,
    /// Data of a chunked body, framed anew for Pingora.
    encoded: Vec<u8>,
    /// How much of `encoded` was handed over.
    encoded_read: usize,
    input: Vec<u8>,
    /// How much of `input` was handed over.
    consumed: usize,
    out: Outgoing,
    head_written: bool,
    /// There was something to send at the last poll: if it is still there at the next one, it goes out.
    lull: bool,
    /// The request has no body, so the end of the response may be left to the front.
    may_wait: bool,
    /// The response's end is in `out`, or sent.
    ending: bool,
    read_failed: bool,
    reading: IoTimeout,
}

impl ClientStream {
    pub(super) fn new(
        conn: Arc<Conn>,
        exchange: Arc<Mutex<Exchange>>,
        head: &Head,
        body: Body,
        input: Vec<u8>,
    ) -> Self {
        ClientStream {
            exchange,
            head: synthetic_head(head.method(), body),
            head_read: 0,
            framing: Cursor::new(body),
            awaits_continue: head.expects_continue,
            body_received: 0,
            encoded: Vec::new(),
            encoded_read: 0,
            may_wait: body == Body::None,
            ending: false,
            input,
            consumed: 0,
            out: Outgoing::new(Arc::clone(&conn)),
            head_written: false,
            lull: false,
            read_failed: false,
            reading: IoTimeout::new(),
            conn,
        }
    }

    /// Bytes of the body that were read together with the head.
    fn take_buffered(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let waiting = self.input.get(self.consumed..).unwrap_or_default();
        if waiting.is_empty() {
            return Ok(false);
        }
        if let Cursor::Chunked(_) = self.framing {
            let mut bytes = std::mem::take(&mut self.input).split_off(self.consumed);
            self.consumed = 0;
            let taken = self.decode(&mut bytes)?;
            self.input = bytes.split_off(taken);
            return Ok(true);
        }
        let offered = waiting.get(..waiting.len().min(buffer.remaining())).unwrap_or_default();
        let taken = self.framing.advance(offered);
        buffer.put_slice(offered.get(..taken).unwrap_or_default());
        self.conn.count_body(taken);
        self.consumed += taken;
        Ok(taken > 0)
    }

    /// Takes the data out of chunks and frames it anew for Pingora, in chunks that can be read in one way only. The result
    /// is how many of the bytes belong to the body.
    ///
    /// # Errors
    /// The chunks are broken, or more is announced than the location takes. Pingora gets nothing of them then.
    fn decode(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (taken, kept) = self.framing.compact(bytes);
        self.conn.count_body(taken);
        let received = self.body_received;
        self.body_received += kept as u64;
        let announced = self.framing.announced();
        let most = self.exchange.lock().max_body_size;
        if self.framing == Cursor::Lost {
            return Err(self.failed(BodyFault::Broken));
        }
        if most != 0 && self.body_received.saturating_add(announced) > most {
            let announced = announced.saturating_add(kept as u64);
            return Err(self.failed(BodyFault::TooLarge { received, announced }));
        }
        if kept > 0 {
            let _ = write!(self.encoded, "{kept:x}\r\n");
            self.encoded.extend_from_slice(bytes.get(..kept).unwrap_or_default());
            self.encoded.extend_from_slice(b"\r\n");
        }
        if self.framing.is_done() {
            self.encoded.extend_from_slice(b"0\r\n\r\n");
        }
        Ok(taken)
    }

    /// What was framed anew and Pingora has not read yet.
    fn take_encoded(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let waiting = self.encoded.get(self.encoded_read..).unwrap_or_default();
        let part = waiting.get(..waiting.len().min(buffer.remaining())).unwrap_or_default();
        buffer.put_slice(part);
        self.encoded_read += part.len();
        let any = !part.is_empty();
        if self.encoded_read == self.encoded.len() {
            self.encoded.clear();
            self.encoded_read = 0;
        }
        any
    }

    fn failed(&mut self, fault: BodyFault) -> io::Error {
        self.read_failed = true;
        self.exchange.lock().fault = Some(fault);
        io::ErrorKind::InvalidData.into()
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.take_encoded(buffer) {
                return Poll::Ready(Ok(()));
            }
            if self.framing.is_done() {
                return self.poll_gone(cx);
            }
            let before = buffer.filled().len();
            if self.take_buffered(buffer)? {
                if buffer.filled().len() > before {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if std::mem::take(&mut self.awaits_continue) && !self.head_written {
                self.out.begin_with(CONTINUE.to_vec());
                self.exchange.lock().awaits_continue = false;
            }
            if self.head_written {
                self.send_in_lulls(cx)?;
            }
            if self.out.waiting() > 0 && !self.head_written {
                ready!(self.poll_send(cx))?;
            }
            let count = ready!(self.poll_read_body(cx, buffer))?;
            if count == 0 || buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads more of the body: right into Pingora's buffer where its length is known, else to be decoded.
    fn poll_read_body(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let count = match self.framing {
            // Not a byte beyond the body, so that nothing has to be kept.
            Cursor::Length(left) => {
                let space = buffer.initialize_unfilled();
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(space.len());
                let space = space.get_mut(..most).unwrap_or_default();
                let read = self.conn.socket.poll_read(cx, space);
                let count = ready!(self.reading(cx, read))?;
                let taken = self.framing.advance(space.get(..count).unwrap_or_default());
                self.conn.count_body(taken);
                buffer.advance(taken);
                count
            }
            _ => {
                self.input.clear();
                self.consumed = 0;
                let read = self.conn.socket.poll_append(cx, &mut self.input, usize::MAX);
                ready!(self.reading(cx, read))?
            }
        };
        self.read_failed |= count == 0;
        Poll::Ready(Ok(count))
    }

    /// Ends a wait of more than `client_body_timeout` for more of the body.
    fn reading<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let limit = if result.is_pending() { self.exchange.lock().body_timeout } else { Duration::ZERO };
        let result = self.reading.bound(cx, limit, result);
        if let Poll::Ready(Err(error)) = &result {
            self.read_failed = true;
            if error.kind() == io::ErrorKind::TimedOut {
                self.exchange.lock().fault = Some(BodyFault::TimedOut);
            }
        }
        result
    }

    /// The response comes before the body was asked for. As in nginx, `100 Continue` goes before it unless it is an error
    /// page of our own: the client then sends its body, and another request may follow.
    fn continue_late(&mut self) {
        let mut exchange = self.exchange.lock();
        if exchange.continues {
            exchange.awaits_continue = false;
            self.out.begin_with(CONTINUE.to_vec());
        }
    }

    /// The body is over: all that can be seen here is the client going away. What it sends is kept for the next request.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send_in_lulls(cx)?;
        loop {
            if self.input.len() - self.consumed >= READ_AHEAD {
                return Poll::Pending;
            }
            let read = self.conn.socket.poll_append(cx, &mut self.input, usize::MAX);
            if ready!(read).inspect_err(|_| self.read_failed = true)? == 0 {
                self.read_failed = true;
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Pingora flushes at the end of a body of known length only. When a backend pauses in the middle, what was collected
    /// goes out: not at once, since more may be at hand, but when the task comes round again.
    fn send_in_lulls(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.out.waiting() == 0 || !self.head_written {
            self.lull = false;
        } else if !std::mem::replace(&mut self.lull, true) {
            cx.waker().wake_by_ref();
        } else if let Poll::Ready(result) = self.poll_send(cx) {
            self.lull = false;
            return result;
        }
        Ok(())
    }

    /// Sends what waits, unless that is left to the front.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ending {
            return Poll::Ready(Ok(()));
        }
        let limit = self.exchange.lock().send_timeout;
        self.out.poll_send(cx, limit)
    }
}

/// The head that Pingora parses: the method, and how the body is delimited.
fn synthetic_head(method: &[u8], body: Body) -> Vec<u8> {
    let mut text = Vec::with_capacity(64);
    text.extend_from_slice(method);
    text.extend_from_slice(b" / HTTP/1.1\r\n");
    match body {
        Body::None => {}
        Body::Length(length) => {
            text.extend_from_slice(b"content-length: ");
            text.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        Body::Chunked => text.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    text.extend_from_slice(b"\r\n");
    text
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let head = this.head.get(this.head_read..).unwrap_or_default();
        if !head.is_empty() {
            let part = head.get(..head.len().min(buffer.remaining())).unwrap_or_default();
            buffer.put_slice(part);
            this.head_read += part.len();
            return Poll::Ready(Ok(()));
        }
        if this.framing.is_done() && this.encoded.is_empty() { this.poll_gone(cx) } else { this.poll_body(cx, buffer) }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.head_written {
            this.head_written = true;
            let (head, buffering) = {
                let mut exchange = this.exchange.lock();
                (exchange.head.take(), exchange.buffering.take())
            };
            if let Some(buffering) = &buffering {
                this.out.buffer(buffering);
            }
            if let Some(head) = head {
                if std::mem::take(&mut this.awaits_continue) {
                    this.continue_late();
                }
                // `100 Continue` may still wait to be sent.
                this.out.begin_with(head);
                return Poll::Ready(Ok(bytes.len()));
            }
        }
        if this.out.waiting() + bytes.len() as u64 > COLLECT {
            match this.poll_send(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if this.out.has_room() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        let pushed = match this.out.waiting() == 0 && bytes.len() as u64 > COLLECT {
            true => this.out.send_through([bytes, b"", b""]),
            false => this.out.push(bytes),
        };
        if let Err(not_spooled) = pushed {
            limpet_log::write_default(LogLevel::Crit, &not_spooled.message());
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.head_written && this.may_wait && this.out.may_be_left() && this.exchange.lock().ending {
            // The front sends it, when the session is over.
            if !std::mem::replace(&mut this.ending, true) {
                this.conn.count_sent(usize::try_from(this.out.waiting()).unwrap_or(usize::MAX));
            }
            return Poll::Ready(Ok(()));
        }
        let is_over = this.exchange.lock().ending;
        match this.poll_send(cx) {
            // More may come in the meantime.
            Poll::Pending if !is_over && this.out.has_room() => Poll::Ready(Ok(())),
            sent => sent,
        }
    }

    /// The front decides when the connection ends.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(cx)
    }
}

impl Drop for ClientStream {
    /// What is left goes back to the front.
    fn drop(&mut self) {
        let mut exchange = self.exchange.lock();
        if self.out.has_failed() {
            // The client is gone, or has had its time.
        } else if exchange.ending && self.out.may_be_left() {
            exchange.unsent = self.out.take_memory();
        } else if self.head_written && !self.out.send_at_once() {
            // The response broke off; what there is of it still goes out.
            let nothing = Outgoing::new(Arc::clone(&self.conn));
            exchange.cut_off = Some(std::mem::replace(&mut self.out, nothing));
        }
        self.input.drain(..self.consumed.min(self.input.len()));
        exchange.input = std::mem::take(&mut self.input);
        exchange.framing = self.framing;
        exchange.reusable &= exchange.cut_off.is_none() && !self.out.has_failed() && !self.read_failed;
    }
}

impl fmt::Debug for ClientStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.conn.number)
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        let _ = std::future::poll_fn(|cx| self.poll_send(cx)).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.conn.number as UniqueIDType
    }
}

impl Ssl for ClientStream {}
impl Peek for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
