//! The client's side of one request on the direct way: what goes out to it, and whether it is still there.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use limpet_log::LogLevel;
use limpet_message::body::Cursor;
use parking_lot::Mutex;

use crate::ctx::Request;
use crate::front::outgoing::{NotSpooled, Outgoing};
use crate::front::{Conn, Exchange};
use crate::reply::Length;

/// How much of the next requests is read ahead while one is served.
const READ_AHEAD: usize = 65_536;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

pub(super) struct Client {
    pub(super) conn: Arc<Conn>,
    exchange: Arc<Mutex<Exchange>>,
    /// What came behind the head and was not taken yet: the request's body, then the next requests.
    pub(super) input: Vec<u8>,
    /// Where in the request's body that is.
    pub(super) framing: Cursor,
    /// The body can't be read on.
    pub(super) is_lost: bool,
    has_head: bool,
    /// The client waits for `100 Continue`.
    awaits_continue: bool,
    pub(super) out: Outgoing,
    /// The body goes out in chunks.
    chunked: bool,
    send_timeout: Duration,
    timed_out: bool,
}

impl Client {
    pub(super) fn new(request: &Request, input: Vec<u8>) -> Self {
        Client {
            conn: Arc::clone(&request.conn),
            exchange: Arc::clone(&request.exchange),
            input,
            framing: Cursor::new(request.body_to_come()),
            is_lost: false,
            has_head: false,
            awaits_continue: request.head.expects_continue,
            out: Outgoing::new(Arc::clone(&request.conn)),
            chunked: false,
            send_timeout: Duration::ZERO,
            timed_out: false,
        }
    }

    /// Takes over the response's head, which a step has left in the exchange. `length`: how the client knows where the body
    /// ends; chunks are for clients that know them.
    pub(super) fn take_head(&mut self, length: Length, may_chunk: bool) {
        let mut exchange = self.exchange.lock();
        self.send_timeout = exchange.send_timeout;
        let Some(head) = exchange.head.take() else { return };
        self.has_head = true;
        // As in nginx, it is sent unless the response is an error page of our own.
        if std::mem::take(&mut self.awaits_continue) && exchange.continues {
            exchange.awaits_continue = false;
            self.out.begin_with(CONTINUE.to_vec());
        }
        self.chunked = length == Length::Open && may_chunk;
        self.out.begin_with(head);
    }

    /// More of the request's body is wanted: a client that waits for that is told so, unless the response has begun.
    pub(super) fn ask_for_body(&mut self) {
        if !self.has_head && std::mem::take(&mut self.awaits_continue) {
            self.exchange.lock().awaits_continue = false;
            self.out.begin_with(CONTINUE.to_vec());
        }
    }

    /// Whether the response has begun.
    pub(super) fn has_head(&self) -> bool {
        self.has_head
    }

    /// Data of the body, which goes out behind what is to be sent already.
    pub(super) fn push(&mut self, request: &Request, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let result = match self.chunked {
            true => [&chunk_head(data.len()), data, b"\r\n"].into_iter().try_for_each(|part| self.out.push(part)),
            false => self.out.push(data),
        };
        tell(request, &mut self.out, result);
    }

    /// The same right from where it lies, as far as the socket takes it.
    pub(super) fn send_through(&mut self, request: &Request, data: &[u8]) {
        let result = match self.chunked {
            true => self.out.send_through([&chunk_head(data.len()), data, b"\r\n"]),
            false => self.out.send_through([data, b"", b""]),
        };
        tell(request, &mut self.out, result);
    }

    /// The body is over, and these lines follow it.
    pub(super) fn end(&mut self, request: &Request, trailers: &[u8]) {
        if self.chunked {
            let result = [b"0\r\n", trailers, b"\r\n"].into_iter().try_for_each(|part| self.out.push(part));
            tell(request, &mut self.out, result);
        }
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// The client has gone, or takes nothing for longer than `send_timeout`.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.out.poll_send(cx, self.send_timeout);
        self.timed_out |= matches!(&sent, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut);
        sent
    }

    /// Whether the client has taken nothing for `send_timeout`.
    pub(super) fn has_timed_out(&self) -> bool {
        self.timed_out
    }

    /// Ready when the client has ended its connection. What it sends is kept for the next request.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.input.len() < READ_AHEAD {
            match ready!(self.conn.socket.poll_append(cx, &mut self.input, READ_AHEAD)) {
                Ok(1..) => {}
                Ok(0) if self.conn.socket.poll_hung_up(cx).is_pending() => return Poll::Pending,
                Ok(0) | Err(_) => {
                    self.out.fail();
                    break;
                }
            }
        }
        if self.out.has_failed() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Gives the connection back to the front.
    pub(super) fn give_back(mut self, is_whole: bool) {
        let has_failed = self.out.has_failed();
        let mut exchange = self.exchange.lock();
        if is_whole && !has_failed {
            exchange.unsent = self.out.take_memory();
        }
        exchange.input = self.input;
        exchange.framing = self.framing;
        exchange.reusable &= !has_failed && is_whole && !self.is_lost;
    }

    /// What is left to the front counts as sent: the request is logged before.
    pub(super) fn count_waiting(&mut self) {
        self.conn.count_sent(usize::try_from(self.out.waiting()).unwrap_or(usize::MAX));
    }
}

/// A response that can't be put into a file goes on unbuffered; it is told once.
fn tell(request: &Request, out: &mut Outgoing, result: Result<(), NotSpooled>) {
    if out.has_new_file() {
        let message = "an upstream response is buffered to a temporary file while reading upstream";
        request.log_error(LogLevel::Warn, message);
    }
    if let Err(not_spooled) = result {
        request.log_error(LogLevel::Crit, &not_spooled.message());
    }
}

/// The size of a chunk with its line end.
fn chunk_head(size: usize) -> Vec<u8> {
    format!("{size:x}\r\n").into_bytes()
}
