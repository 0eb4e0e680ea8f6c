//! One request of a connection: its head is read, it is handed over, and what is left of it is read away.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use limpet_message::body::Cursor;
use limpet_message::request::{Head, HeadLimits, Unread};
use limpet_wire::{IoTimeout, Turn, scratch};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::conn::Conn;
use super::exchange::{BodyFault, Exchange};
use super::handler::Handler;
use super::tunnel;

/// How long what a client still sends is read before its connection is closed (`lingering_timeout`, `lingering_time`).
const LINGER_IDLE: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_secs(30);
/// Bytes of a head after which it is looked at when a line ends only.
const JUDGED_AT_ONCE: usize = 256;

/// One request of a connection with streams; `input` is its head.
pub(super) async fn stream(handler: &impl Handler, conn: &Arc<Conn>, input: Vec<u8>) {
    Box::pin(request(handler, conn, input, false)).await;
}

/// Reads the rest of a head and carries the request through. The result is how long to wait for the next one, and what has
/// come of it; `None` when the connection is over.
pub(super) async fn request(
    handler: &impl Handler,
    conn: &Arc<Conn>,
    mut input: Vec<u8>,
    pipelined: bool,
) -> Option<(Duration, Vec<u8>)> {
    conn.begin_request(pipelined);
    drop_blank_lines(&mut input);
    let (limit, limits) = handler.bounds(conn);
    let parsed = if conn.is_stream() { Head::parse_stream(&input, limits) } else { Head::parse(&input, limits) };
    let read = match parsed {
        Err(Unread::Incomplete) => match Box::pin(timeout(limit, read_head(conn, &mut input, limits))).await {
            Ok(read) => read,
            Err(_) => {
                let reason = "client timed out (110: Connection timed out)";
                handler.give_up(conn, 408, reason, Head::unfinished(&input, limits));
                return None;
            }
        },
        read => read,
    };
    let (head, length) = match read {
        Ok(read) => read,
        Err(Unread::Incomplete) => {
            if !input.is_empty() {
                // The client went away in the middle of its head.
                let reason = "client prematurely closed connection";
                handler.give_up(conn, 400, reason, Head::unfinished(&input, limits));
            }
            return None;
        }
        Err(Unread::Rejected(rejection)) => {
            let page = handler.reject(conn, *rejection);
            Box::pin(async {
                send(conn, &page, LINGER).await;
                if !conn.is_stream() {
                    linger(conn).await;
                }
            })
            .await;
            return None;
        }
    };
    input.drain(..length);
    // What came of the body with the head shows whether it is broken, and whether it is whole already.
    let mut framing = Cursor::new(head.body);
    framing.advance(&input);
    let exchange = Arc::new(Mutex::new(Exchange {
        awaits_continue: head.expects_continue && !framing.is_done(),
        fault: (framing == Cursor::Lost).then_some(BodyFault::Broken),
        ..Exchange::default()
    }));
    handler.handle(conn, &exchange, head, input).await;
    let kept = conclude(conn, &exchange).await?;
    let input = std::mem::take(&mut exchange.lock().input);
    Some((kept, input))
}

/// Line ends before a request are read over, however many; what was read of them is not kept.
fn drop_blank_lines(input: &mut Vec<u8>) {
    let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    input.drain(..blank);
}

async fn read_head(conn: &Conn, input: &mut Vec<u8>, limits: HeadLimits) -> Result<(Head, usize), Unread> {
    loop {
        let before = input.len();
        let count = poll_fn(|cx| conn.socket.poll_append(cx, input, usize::MAX).map(|read| read.unwrap_or(0))).await;
        if count == 0 {
            return Err(Unread::Incomplete);
        }
        if before == 0 {
            drop_blank_lines(input);
        }
        // A head that comes in small pieces is not looked at again for each: only the end of a line, or too many bytes,
        // can change what is known of it.
        let new = input.get(before..).unwrap_or_default();
        if before > limits.line.min(JUDGED_AT_ONCE)
            && !new.contains(&b'\n')
            && input.len() < limits.head.min(limits.line)
        {
            continue;
        }
        match Head::parse(input, limits) {
            Err(Unread::Incomplete) => {}
            read => return read,
        }
    }
}

/// Sends all bytes; `false` when the client has gone, or takes nothing for longer than `limit`.
async fn send(conn: &Conn, mut bytes: &[u8], limit: Duration) -> bool {
    let mut sending = IoTimeout::new();
    poll_fn(|cx| {
        while !bytes.is_empty() {
            let written = conn.socket.poll_write(cx, &[IoSlice::new(bytes)]);
            match sending.bound(cx, limit, written) {
                Poll::Ready(Ok(count)) if count > 0 => bytes = bytes.get(count..).unwrap_or_default(),
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(true)
    })
    .await
}

/// After a response: its end goes out, the rest of the request's body is read away and the connection is kept, or it is
/// closed.
async fn conclude(conn: &Conn, exchange: &Mutex<Exchange>) -> Option<Duration> {
    let (rest, limit, tunnel, reusable, framing, awaits_continue, keepalive_timeout) = {
        let mut exchange = exchange.lock();
        let Exchange { send_timeout, reusable, framing, awaits_continue, keepalive_timeout, .. } = *exchange;
        let (rest, tunnel) = (std::mem::take(&mut exchange.unsent), exchange.tunnel.take());
        (rest, send_timeout, tunnel, reusable, framing, awaits_continue, keepalive_timeout)
    };
    if !rest.is_empty() {
        let mut turn = Turn::default();
        poll_fn(|cx| turn.poll(cx)).await;
        if !send(conn, &rest, limit).await {
            return None;
        }
    }
    let cut_off = exchange.lock().cut_off.take();
    if let Some(mut cut_off) = cut_off {
        let _ = Box::pin(poll_fn(|cx| cut_off.poll_send(cx, limit))).await;
    }
    if conn.is_stream() {
        return None;
    }
    if let Some(tunnel) = tunnel {
        let input = std::mem::take(&mut exchange.lock().input);
        Box::pin(tunnel::run(conn, tunnel, input)).await;
        // So that what was sent still arrives, even if the client goes on sending.
        Box::pin(linger(conn)).await;
        return None;
    }
    match framing {
        Cursor::Done if reusable => Some(keepalive_timeout),
        // A client that still waits for `100 Continue` may or may not send its body: nobody can tell.
        Cursor::Length(_) | Cursor::Chunked(_) if reusable && !awaits_continue => {
            Box::pin(discard_body(conn, exchange)).await.then_some(keepalive_timeout)
        }
        Cursor::Done if exchange.lock().input.is_empty() && !conn.socket.has_unread() => None,
        _ => {
            Box::pin(linger(conn)).await;
            None
        }
    }
}

/// Reads the rest of a body; `false` when it does not end in time.
async fn discard_body(conn: &Conn, exchange: &Mutex<Exchange>) -> bool {
    let discard = async {
        loop {
            {
                let mut exchange = exchange.lock();
                let input = std::mem::take(&mut exchange.input);
                let taken = exchange.framing.advance(&input);
                exchange.input = input.get(taken..).unwrap_or_default().to_vec();
                match exchange.framing {
                    Cursor::Done => return true,
                    Cursor::Lost => return false,
                    _ => {}
                }
            }
            match timeout(LINGER_IDLE, read_some(conn)).await {
                Ok(Some(bytes)) => exchange.lock().input = bytes,
                _ => return false,
            }
        }
    };
    timeout(LINGER, discard).await.unwrap_or(false)
}

async fn read_some(conn: &Conn) -> Option<Vec<u8>> {
    poll_fn(|cx| {
        scratch::with(|buffer| match conn.socket.poll_read(cx, buffer) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(None),
            Poll::Ready(Ok(count)) => Poll::Ready(buffer.get(..count).map(<[u8]>::to_vec)),
            Poll::Pending => Poll::Pending,
        })
    })
    .await
}

/// Closing with unread bytes would reset the connection and could take the response from the client. So the sending side
/// is closed first, and what comes is read away for a while.
async fn linger(conn: &Conn) {
    conn.socket.shutdown_write();
    conn.begin_spare();
    let rest = async { while let Ok(Some(_)) = timeout(LINGER_IDLE, read_some(conn)).await {} };
    let _ = timeout(LINGER, rest).await;
}
