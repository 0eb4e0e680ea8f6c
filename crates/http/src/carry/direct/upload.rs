//! A request's body that goes to the backend while it comes, and the response with it.

use std::io;
use std::task::{Context, Poll};

use limpet_message::body::{Body, Cursor};
use limpet_upstream::Transaction;
use limpet_wire::IoTimeout;

use super::client::Client;
use crate::body;
use crate::ctx::Request;
use crate::fail::{KEPT_BODY, Side};
use crate::front::exchange::BodyFault;

/// How much is read at a time.
const READ: usize = 65_536;
/// The largest room that is kept while nothing comes, in bytes.
const SMALL: usize = 4096;

/// The body of one request on its way.
pub(super) struct Upload {
    is_chunked: bool,
    /// Bytes of data that have come.
    received: u64,
    /// The data so far, for another server; `None`: it has become too much to be kept.
    kept: Option<Vec<u8>>,
    /// What the present server has not taken yet, in the framing that its head has announced.
    waiting: Vec<u8>,
    /// How much of that it has taken.
    sent: usize,
    /// The last of the body is among what waits, or was taken.
    is_framed: bool,
    reading: IoTimeout,
}

impl Upload {
    /// `None`: there is no body to come.
    pub(super) fn of(request: &Request) -> Option<Upload> {
        let body = request.body_to_come();
        (!Cursor::new(body).is_done()).then(|| Upload {
            is_chunked: body == Body::Chunked,
            received: 0,
            kept: Some(Vec::new()),
            waiting: Vec::new(),
            sent: 0,
            is_framed: false,
            reading: IoTimeout::new(),
        })
    }

    /// Whether all that has come could be sent to another server.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether the server has taken all of it.
    pub(super) fn is_over(&self) -> bool {
        self.is_framed && self.waiting.is_empty()
    }

    /// A server is asked: it gets the body from its beginning.
    pub(super) fn begin(&mut self, request: &mut Request, client: &Client) {
        self.waiting.clear();
        self.sent = 0;
        self.is_framed = false;
        let kept = self.kept.take().unwrap_or_default();
        self.frame(request, client, &kept);
        self.kept = Some(kept);
    }

    /// Takes what comes of the body to the server, as fast as that takes it. Ready: all of it was taken.
    ///
    /// # Errors
    /// Whose fault it is that it can't go on.
    pub(super) fn poll(
        &mut self,
        request: &mut Request,
        client: &mut Client,
        transaction: &mut Transaction,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Side>> {
        loop {
            while let Some(rest @ [_, ..]) = self.waiting.get(self.sent..) {
                match transaction.poll_write(cx, rest) {
                    Poll::Ready(Ok(count)) => self.sent += count,
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Side::Backend)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            self.sent = 0;
            self.waiting.clear();
            let came = if self.is_framed { Poll::Pending } else { self.poll_more(request, client, cx) };
            match came {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(side)) => return Poll::Ready(Err(side)),
                Poll::Pending => {
                    self.waiting.shrink_to(SMALL);
                    return match transaction.poll_flush(cx) {
                        Poll::Ready(Err(_)) => Poll::Ready(Err(Side::Backend)),
                        Poll::Ready(Ok(())) if self.is_framed => Poll::Ready(Ok(())),
                        _ => Poll::Pending,
                    };
                }
            }
        }
    }

    /// Reads all of the body, as far as it may be kept, before a server is asked.
    ///
    /// # Errors
    /// As with [`poll`](Self::poll).
    pub(super) fn poll_whole(
        &mut self,
        request: &mut Request,
        client: &mut Client,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Side>> {
        while !client.framing.is_done() && self.is_kept() {
            match self.poll_more(request, client, cx) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what has come, else what comes next.
    fn poll_more(
        &mut self,
        request: &mut Request,
        client: &mut Client,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Side>> {
        if client.input.is_empty() {
            client.ask_for_body();
            if client.out.waiting() > 0 && !client.has_head() && client.poll_send(cx).is_pending() {
                return Poll::Pending;
            }
            let read = client.conn.socket.poll_append(cx, &mut client.input, READ);
            let limit = request.location.settings.client_body_timeout;
            match self.reading.bound(cx, limit, read) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                    return Poll::Ready(Err(fault(request, client, BodyFault::TimedOut)));
                }
                Poll::Ready(Ok(0) | Err(_)) => {
                    client.out.fail();
                    return Poll::Ready(Err(Side::Client { is_there: false }));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(self.take(request, client))
    }

    /// Takes what has come of the body out of the client's input.
    fn take(&mut self, request: &mut Request, client: &mut Client) -> Result<(), Side> {
        let mut input = std::mem::take(&mut client.input);
        let (taken, kept) = client.framing.compact(&mut input);
        client.conn.count_body(taken);
        let before = self.received;
        self.received += kept as u64;
        if client.framing == Cursor::Lost {
            return Err(fault(request, client, BodyFault::Broken));
        }
        let (announced, most) = (client.framing.announced(), request.max_body_size);
        if self.is_chunked && most != 0 && self.received.saturating_add(announced) > most {
            let announced = announced.saturating_add(kept as u64);
            return Err(fault(request, client, BodyFault::TooLarge { received: before, announced }));
        }
        let data = input.get(..kept).unwrap_or_default();
        match &mut self.kept {
            Some(all) if self.received <= KEPT_BODY => all.extend_from_slice(data),
            _ => self.kept = None,
        }
        self.frame(request, client, data);
        client.input = input.split_off(taken);
        Ok(())
    }

    /// Frames data for the server, and the end of the body where it has come.
    fn frame(&mut self, request: &mut Request, client: &Client, data: &[u8]) {
        self.is_framed = client.framing.is_done();
        body::to_backend(request, data, self.is_framed);
        let ends: &[u8] = if self.is_framed { b"0\r\n\r\n" } else { b"" };
        match (self.is_chunked, data) {
            (false, _) => self.waiting.extend_from_slice(data),
            (true, []) => self.waiting.extend_from_slice(ends),
            (true, _) => {
                let size = format!("{:x}\r\n", data.len());
                [size.as_bytes(), data, b"\r\n", ends].iter().for_each(|part| self.waiting.extend_from_slice(part));
            }
        }
    }
}

/// The client's body can't be read on.
fn fault(request: &Request, client: &mut Client, fault: BodyFault) -> Side {
    client.is_lost = true;
    request.exchange().fault = Some(fault);
    Side::Client { is_there: true }
}
