//! The client's side of one request on the direct way: what goes out to it, and whether it is still there.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use limpet_message::body::Cursor;
use limpet_wire::IoTimeout;
use parking_lot::Mutex;

use crate::ctx::Request;
use crate::front::{Conn, Exchange};
use crate::reply::Length;

/// How much of the next requests is read ahead while one is served.
const READ_AHEAD: usize = 65_536;
/// The longest end of a response that is left to the front.
const LEFT_TO_THE_FRONT: usize = 65_536;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

pub(super) struct Client {
    conn: Arc<Conn>,
    exchange: Arc<Mutex<Exchange>>,
    /// What came behind the request.
    input: Vec<u8>,
    framing: Cursor,
    /// The client waits for `100 Continue`.
    awaits_continue: bool,
    /// What is to be sent.
    out: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    /// The body goes out in chunks.
    chunked: bool,
    /// It has ended its connection, or what it takes can't be sent.
    gone: bool,
    sending: IoTimeout,
}

impl Client {
    pub(super) fn new(request: &Request, input: Vec<u8>) -> Self {
        Client {
            conn: Arc::clone(&request.conn),
            exchange: Arc::clone(&request.exchange),
            input,
            framing: Cursor::new(request.body_to_come()),
            awaits_continue: request.head.expects_continue,
            out: Vec::new(),
            sent: 0,
            chunked: false,
            gone: false,
            sending: IoTimeout::new(),
        }
    }

    /// Takes over the response's head, which a step has left in the exchange. `length`: how the client knows where the body
    /// ends; chunks are for clients that know them.
    pub(super) fn take_head(&mut self, length: Length, may_chunk: bool) {
        let mut exchange = self.exchange.lock();
        let Some(head) = exchange.head.take() else { return };
        // As in nginx, it is sent unless the response is an error page of our own.
        if std::mem::take(&mut self.awaits_continue) && exchange.continues {
            exchange.awaits_continue = false;
            self.out.extend_from_slice(CONTINUE);
        }
        self.chunked = length == Length::Open && may_chunk;
        match self.out.is_empty() {
            true => self.out = head,
            false => self.out.extend_from_slice(&head),
        }
    }

    /// Data of the body, which goes out behind what is to be sent already.
    pub(super) fn push(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        if self.chunked {
            self.out.extend_from_slice(&chunk_head(data.len()));
            self.out.extend_from_slice(data);
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.out.extend_from_slice(data);
        }
    }

    /// The body is over.
    pub(super) fn end(&mut self) {
        if self.chunked {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Bytes that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.out.len().saturating_sub(self.sent)
    }

    /// Sends data right from where it lies, behind what waits. What the socket does not take waits from then on.
    ///
    /// # Errors
    /// The client has gone.
    pub(super) fn send_through(&mut self, data: &[u8]) -> io::Result<()> {
        let head = if self.chunked { chunk_head(data.len()) } else { Vec::new() };
        let tail: &[u8] = if self.chunked { b"\r\n" } else { b"" };
        let waiting = self.out.get(self.sent..).unwrap_or_default();
        let parts = [waiting, &head, data, tail];
        let mut written = match self.conn.socket.try_write_vectored(&parts.map(IoSlice::new)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            result => result.inspect_err(|_| self.gone = true)?,
        };
        self.conn.count_sent(written);
        if written > 0 {
            self.sending.renew();
        }
        let in_waiting = written.min(waiting.len());
        self.sent += in_waiting;
        written -= in_waiting;
        if self.waiting() == 0 {
            self.out.clear();
            self.sent = 0;
        }
        for part in [&head, data, tail] {
            let skipped = written.min(part.len());
            written -= skipped;
            self.out.extend_from_slice(part.get(skipped..).unwrap_or_default());
        }
        Ok(())
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// The client has gone, or takes nothing for longer than `send_timeout`.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gone {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        while self.waiting() > 0 {
            let rest = self.out.get(self.sent..).unwrap_or_default();
            let written = self.conn.socket.poll_write(cx, &[IoSlice::new(rest)]);
            let limit = if written.is_pending() { self.exchange.lock().send_timeout } else { Default::default() };
            let count = ready!(self.sending.bound(cx, limit, written)).inspect_err(|_| self.gone = true)?;
            if count == 0 {
                self.gone = true;
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.conn.count_sent(count);
            self.sent += count;
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Ready when the client has ended its connection. What it sends is kept for the next request.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.input.len() < READ_AHEAD {
            match ready!(self.conn.socket.poll_append(cx, &mut self.input, READ_AHEAD)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        if self.gone { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether what waits is little enough to be sent by the front, in its turn.
    pub(super) fn may_be_left(&self) -> bool {
        self.waiting() <= LEFT_TO_THE_FRONT
    }

    /// Gives the connection back to the front. Nothing more is sent of a response that broke off but what the socket takes
    /// at once.
    pub(super) fn give_back(mut self, is_whole: bool) {
        let waiting = self.out.split_off(self.sent.min(self.out.len()));
        let mut exchange = self.exchange.lock();
        if !waiting.is_empty() && !self.gone {
            if is_whole {
                exchange.unsent = waiting;
            } else if let Ok(sent) = self.conn.socket.try_write_vectored(&[IoSlice::new(&waiting)]) {
                self.conn.count_sent(sent);
            }
        }
        exchange.input = self.input;
        exchange.framing = self.framing;
        exchange.reusable &= !self.gone && is_whole;
    }

    /// What is left to the front counts as sent: the request is logged before.
    pub(super) fn count_waiting(&mut self) {
        self.conn.count_sent(self.waiting());
    }
}

/// The size of a chunk with its line end.
fn chunk_head(size: usize) -> Vec<u8> {
    format!("{size:x}\r\n").into_bytes()
}
