//! One request on a connection to a backend: its head and body go out, the head of the response is read, and its body
//! followed to its end, so that nobody else has a say in where a response ends, and in whether the connection may return to
//! the pool of its upstream (docs/architecture.md, "Connections to backends").

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use limpet_log::clock;
use limpet_message::body::{Body, Cursor};
use limpet_message::field::Fields;
use limpet_message::response::{self, ResponseHead, Unread};
use limpet_wire::{IoTimeout, Turn, scratch};

use super::dial::Dial;
use super::pool::{Connection, Endpoint};
use super::trace::{Failure, FailureKind, Trace};

/// How much is read at a time while the head is awaited.
const HEAD_READ: usize = 8192;
/// Small writes are collected up to this size.
const COLLECT: usize = 8192;
/// What a backend may leave unread of a request while it is answering, in bytes.
const UNREAD: usize = 262_144;
/// How often to check whether the client is still there while the backend takes nothing.
const WATCH: Duration = Duration::from_millis(500);
/// Bytes of a head after which it is parsed only when a line ends.
const PARSED_AT_ONCE: usize = 256;

/// A request on its way to a backend, and the response to it.
#[derive(Debug)]
pub struct Transaction {
    dial: Arc<Dial>,
    /// `None` once it was returned, or became a tunnel.
    connection: Option<Connection>,
    endpoint: Endpoint,
    /// What is not sent yet of the request's head.
    head: Bytes,
    /// What was collected behind the head.
    out: Vec<u8>,
    /// Bytes of the request's body that were written, its framing included.
    body_sent: u64,
    /// What was written last is the end of a chunked body.
    last_chunk_sent: bool,
    /// Sending has failed with this kind of error: an answer counts only if it has already come.
    send_failed: Option<io::ErrorKind>,
    sending: IoTimeout,
    /// What came of the response's head, until it is whole; then what came of its body behind it.
    input: Vec<u8>,
    answered: bool,
    /// Where in its body the response is; `None`: it ends with the connection, or there is no head yet.
    framing: Option<Cursor>,
    /// What has come behind the last chunk of the response.
    trailers: Vec<u8>,
    /// An error of reading that was not returned yet.
    read_failed: Option<io::Error>,
    /// The request's turn to be sent.
    turn: Turn,
    /// While the backend takes nothing: when to look again whether the client is still there.
    watch: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Transaction {
    pub(super) fn new(dial: Arc<Dial>, connection: Connection, endpoint: Endpoint) -> Self {
        Transaction {
            head: dial.head.clone(),
            dial,
            connection: Some(connection),
            endpoint,
            out: Vec::new(),
            body_sent: 0,
            last_chunk_sent: false,
            send_failed: None,
            sending: IoTimeout::new(),
            input: Vec::new(),
            answered: false,
            framing: None,
            trailers: Vec::new(),
            read_failed: None,
            turn: Turn::default(),
            watch: None,
        }
    }

    pub fn trace(&self) -> &Trace {
        &self.dial.trace
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        let Some(connection) = &mut self.connection else { return gone() };
        loop {
            if self.head.is_empty() && self.out.is_empty() && more.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let parts = [IoSlice::new(&self.head), IoSlice::new(&self.out), IoSlice::new(more)];
            let written = connection.socket.poll_write(cx, &parts);
            let written = self.sending.bound(cx, self.dial.send_timeout, written);
            let count = match ready!(written) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                other => other,
            };
            let count = count.inspect_err(|error| {
                self.send_failed = Some(error.kind());
                self.dial.trace.set_failure(Failure::of_call("writev()", error));
                self.dial.trace.set_sending_failed();
            })?;
            // The backend's time to answer begins behind what it was sent last.
            connection.reading.renew();
            self.dial.trace.count_sent(count);
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
        let is_written = match self.dial.body {
            Body::None => true,
            Body::Length(length) => self.body_sent >= length,
            Body::Chunked => self.last_chunk_sent && !self.dial.trace.is_owed_body(),
        };
        is_written && self.head.is_empty() && self.out.is_empty()
    }

    /// Whether the exchange is over and the connection can serve another request.
    fn is_fit(&self) -> bool {
        let keeps = || self.dial.trace.head().is_some_and(|head| head.keepalive);
        self.framing == Some(Cursor::Done) && self.is_sent() && !self.dial.trace.is_spoiled() && keeps()
    }

    /// The backend takes nothing more: whether it is answering already, so that the answer is to be read first.
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
            if self.dial.client.has_hung_up() {
                self.dial.trace.set_failure(Failure::new(FailureKind::ClientGone, "client has gone"));
                let kind = io::ErrorKind::ConnectionAborted;
                self.send_failed = Some(kind);
                return Err(kind.into());
            }
        }
    }

    /// Reads the response's head, which the trace keeps; `false` when the connection ended before it was whole.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.answered {
            return Poll::Ready(Ok(true));
        }
        if let Some(error) = self.read_failed.take() {
            return Poll::Ready(Err(error));
        }
        let is_sent = self.is_sent();
        let Some(Connection { socket, reading, .. }) = &mut self.connection else { return gone() };
        loop {
            // What follows the head is better read where it is wanted.
            let read = socket.poll_append(cx, &mut self.input, HEAD_READ);
            // As long as the client still owes some of the request, the backend owes no answer.
            let read = if is_sent { reading.bound(cx, self.dial.read_timeout, read) } else { read };
            let count = match (read, self.send_failed) {
                // The kernel may know of an answer that the runtime has not heard of yet.
                (Poll::Pending, Some(kind)) if !socket.has_news() => return Poll::Ready(Err(kind.into())),
                (read, _) => {
                    ready!(read).inspect_err(|error| self.dial.trace.set_failure(Failure::of_call("recv()", error)))?
                }
            };
            clock::tick();
            self.dial.trace.count_received(count);
            if count == 0 {
                self.dial.trace.set_failure(Failure::closed());
                return Poll::Ready(Ok(false));
            }
            // A head that comes in small pieces is parsed when a line of it ends, not at each.
            let before = self.input.len() - count;
            let ends_line = self.input.get(before..).unwrap_or_default().contains(&b'\n');
            if before > PARSED_AT_ONCE && !ends_line && self.input.len() < self.dial.max_head_size {
                continue;
            }
            match ResponseHead::parse(&self.input, self.dial.max_head_size) {
                Ok((head, length)) => {
                    let rest = self.input.split_off(length.min(self.input.len()));
                    self.input.clear();
                    return Poll::Ready(self.take_head(head, rest).map(|()| true));
                }
                Err(Unread::Incomplete) => {}
                Err(Unread::Invalid(message)) => return Poll::Ready(Err(self.refused(FailureKind::Invalid, message))),
            }
        }
    }

    /// The head is there, and `rest` came behind it.
    fn take_head(&mut self, mut head: ResponseHead, mut rest: Vec<u8>) -> io::Result<()> {
        self.answered = true;
        if head.status == 101 {
            if !self.dial.upgrades {
                return Err(
                    self.refused(FailureKind::Unasked, "upstream changed the protocol without being asked to".into())
                );
            }
            if !self.is_sent() {
                let message = "upstream changed the protocol before the request was over";
                return Err(self.refused(FailureKind::Unasked, message.into()));
            }
            if let Some(connection) = self.connection.take() {
                self.dial.trace.set_tunnel(connection.socket, rest);
            }
            self.dial.trace.set_head(head);
            return Ok(());
        }
        let mut framing = match head.framing {
            _ if self.dial.is_head || matches!(head.status, 204 | 304) => Some(Cursor::Done),
            response::Framing::Length(length) => Some(Cursor::new(Body::Length(length))),
            response::Framing::Chunked => Some(Cursor::new(Body::Chunked)),
            response::Framing::Close => None,
        };
        if framing != Some(Cursor::Done) && head.take_body(&mut rest) {
            framing = Some(Cursor::Done);
        }
        self.framing = framing;
        // The head is passed on, whatever the body turns out to be.
        let kept = self.follow(&mut rest).unwrap_or_else(|error| {
            self.read_failed = Some(error);
            0
        });
        rest.truncate(kept);
        self.input = rest;
        self.dial.trace.set_head(head);
        Ok(())
    }

    /// Follows the body through bytes that came, and moves its data to their beginning. The result is how much there is.
    ///
    /// # Errors
    /// The chunks are broken.
    fn follow(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(framing) = &mut self.framing else { return Ok(bytes.len()) };
        let (taken, kept) = match framing {
            Cursor::Chunked(_) if self.dial.wants_trailers => {
                framing.compact_with_trailers(bytes, &mut self.trailers, self.dial.max_head_size)
            }
            _ => framing.compact(bytes),
        };
        if *framing == Cursor::Lost {
            let message = match self.trailers.len() < self.dial.max_head_size {
                true => "upstream sent invalid chunked response",
                false => "upstream sent too big trailers",
            };
            self.dial.trace.set_failure(Failure::broken(message));
            return Err(io::ErrorKind::InvalidData.into());
        }
        if *framing == Cursor::Done && !self.trailers.is_empty() {
            let trailers = Fields::of_trailers(&std::mem::take(&mut self.trailers));
            let trailers = trailers.map_err(|line| {
                let message = format!("upstream sent invalid trailer: \"{line}\"");
                self.dial.trace.set_failure(Failure::broken(message));
                io::Error::from(io::ErrorKind::InvalidData)
            })?;
            self.dial.trace.set_trailers(trailers);
        }
        if taken < bytes.len() {
            // Nobody has asked for what is behind the response.
            self.dial.trace.spoil();
        }
        Ok(kept)
    }

    fn refused(&self, kind: FailureKind, message: String) -> io::Error {
        self.dial.trace.set_failure(Failure::new(kind, message));
        io::ErrorKind::InvalidData.into()
    }

    /// Bytes of the request's body, in the framing that the head has announced. The result is how many were taken.
    ///
    /// # Errors
    /// The connection is broken, or the client of the request has gone.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_beyond_sending() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let sent = if self.out.len() + bytes.len() <= COLLECT {
            self.out.extend_from_slice(bytes);
            bytes.len()
        } else {
            match self.poll_send(cx, bytes) {
                Poll::Ready(Ok(sent)) => sent,
                Poll::Ready(Err(error)) => {
                    self.excuse(cx, error)?;
                    bytes.len()
                }
                Poll::Pending if self.gives_up() => bytes.len(),
                // Pingora does not read while it writes, and the backend may have answered and read no further.
                Poll::Pending if self.poll_answer(cx)? => {
                    self.out.extend_from_slice(bytes);
                    bytes.len()
                }
                Poll::Pending => return Poll::Pending,
            }
        };
        self.body_sent += sent as u64;
        self.last_chunk_sent = bytes.get(..sent).is_some_and(|sent| sent.ends_with(b"0\r\n\r\n"));
        Poll::Ready(Ok(sent))
    }

    /// Sends what was collected, the head before anything else.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.head.is_empty() {
            ready!(self.turn.poll(cx));
        }
        if self.is_beyond_sending() {
            return Poll::Ready(Ok(()));
        }
        if self.dial.stored.is_some() {
            self.send_stored(cx);
            return Poll::Ready(Ok(()));
        }
        match self.poll_send(cx, &[]) {
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(self.excuse(cx, error)),
            Poll::Pending if self.gives_up() || self.poll_answer(cx)? => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Sends the request and reads the head of its response; `false`: the connection ended before there was one.
    pub fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.head.is_empty() {
            ready!(self.turn.poll(cx));
        }
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        self.send_rest(cx)?;
        self.poll_head(cx)
    }

    /// Whether further writes are dropped: sending has failed, or the response was over before the request.
    fn is_beyond_sending(&self) -> bool {
        self.send_failed.is_some() || (self.answered && self.connection.is_none())
    }

    /// Sending has failed. A backend may have answered and then closed without reading the rest: its answer counts.
    ///
    /// # Errors
    /// There is no answer.
    fn excuse(&mut self, cx: &mut Context<'_>, error: io::Error) -> io::Result<()> {
        let has_broken = !matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::ConnectionAborted);
        match self.poll_head(cx) {
            Poll::Ready(Ok(true)) | Poll::Pending if has_broken => Ok(()),
            _ => Err(error),
        }
    }

    /// The backend takes nothing more. If its response is over, the rest is dropped and the connection closed: `true`.
    fn gives_up(&mut self) -> bool {
        let is_over = self.answered && self.framing == Some(Cursor::Done);
        if is_over {
            self.connection = None;
            self.out.clear();
        }
        is_over
    }

    /// Sends what is left of a request whose backend answers before it has read everything, as far as it takes it.
    pub fn send_rest(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.head.is_empty() && !self.out.is_empty() && !self.is_beyond_sending() {
            let _ = self.poll_send(cx, &[])?;
        }
        self.send_stored(cx);
        Ok(())
    }

    /// Sends of a stored body what the backend takes. That sending fails shows when there is no answer either.
    fn send_stored(&mut self, cx: &mut Context<'_>) {
        let Some(stored) = self.dial.stored.clone() else { return };
        let is_left = |this: &Self| !this.head.is_empty() || this.body_sent < stored.len();
        while is_left(self) && !self.is_beyond_sending() {
            let sent = match stored.in_memory(self.body_sent) {
                Some(bytes) => self.poll_send(cx, bytes),
                None => scratch::with(|buffer| match stored.read(self.body_sent, buffer) {
                    Ok(count) => self.poll_send(cx, buffer.get(..count).unwrap_or_default()),
                    Err(error) => {
                        self.dial.trace.set_failure(Failure::of_call("pread()", &error));
                        self.send_failed = Some(error.kind());
                        Poll::Ready(Err(error))
                    }
                }),
            };
            match sent {
                Poll::Ready(Ok(count)) => self.body_sent += count as u64,
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
        }
    }

    /// The data of the response's body that came with its head.
    pub fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// Reads data of the response's body into a buffer; 0 at its end. What came with the head is not among it.
    pub fn poll_body(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if self.framing == Some(Cursor::Done) {
                return Poll::Ready(Ok(0));
            }
            if let Some(error) = self.read_failed.take() {
                return Poll::Ready(Err(error));
            }
            let Some(Connection { socket, reading, .. }) = &mut self.connection else { return gone() };
            let read = socket.poll_read(cx, space);
            let trace = &self.dial.trace;
            let count = ready!(reading.bound(cx, self.dial.read_timeout, read))
                .inspect_err(|error| trace.set_failure(Failure::of_call("recv()", error)))?;
            trace.set_continued();
            trace.count_received(count);
            if count == 0 && self.framing.is_none() {
                return Poll::Ready(Ok(0));
            }
            if count == 0 {
                trace.set_failure(Failure::closed());
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let kept = self.follow(space.get_mut(..count).unwrap_or_default())?;
            if kept > 0 {
                return Poll::Ready(Ok(kept));
            }
        }
    }
}

/// The connection is no longer the request's.
fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.is_fit()
            && let Some(mut connection) = self.connection.take()
        {
            connection.kept_for = self.dial.trace.head().and_then(|head| head.kept_for);
            self.dial.pools.put(self.dial.worker, &self.endpoint, connection);
        }
    }
}
