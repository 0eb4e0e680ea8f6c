//! The life of a connection: wait, read a head, hand the request over, and again.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use limpet_log::LogLevel;
use limpet_message::body::Cursor;
use limpet_message::request::{Head, HeadLimits, Unread};
use limpet_wire::{Address, IoTimeout, Opening, Plain, Tls, Turn, scratch};
use nix::errno::Errno;
use parking_lot::Mutex;
use rustix::net::SocketFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::clients::{Clients, Open};
use super::conn::Conn;
use super::exchange::{BodyFault, Exchange};
use super::handler::Handler;
use super::tunnel;

/// How long what a client still sends is read before its connection is closed (`lingering_timeout`, `lingering_time`).
const LINGER_IDLE: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_secs(30);
/// How long a client that connected just before a graceful stop may take for its first byte.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long nobody is accepted when there are no descriptors left, unless a connection ends (nginx's
/// `accept_mutex_delay`).
const SHORTAGE: Duration = Duration::from_millis(500);
/// Bytes of a head after which it is looked at when a line ends only.
const JUDGED_AT_ONCE: usize = 256;

/// Accepts connections until the worker is told to close the address.
pub async fn accept(
    clients: Arc<Clients>,
    handler: Arc<impl Handler>,
    listen: Address,
    socket: Arc<OwnedFd>,
    closed: impl Future<Output = ()>,
) {
    #[allow(unsafe_code, reason = "a listener of tokio's owns its descriptor, and workers share theirs")]
    // SAFETY: the `Arc` keeps the one descriptor open for as long as the `AsyncFd` lives.
    let registered = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
    let listener = match registered {
        Ok(listener) => listener,
        Err(error) => {
            limpet_log::write_default(LogLevel::Alert, &format!("accept on {listen} is not possible: {error}"));
            return;
        }
    };
    let mut closed = pin!(closed);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closed => return,
            accepted = next(&listener, &listen) => accepted,
        };
        match accepted {
            Ok(plain) => {
                let Some(socket) = handler.secure(plain, &listen) else { continue };
                // Nobody else is accepted while this one waits.
                let is_closed = tokio::select! {
                    biased;
                    () = clients.make_room() => false,
                    () = &mut closed => true,
                };
                let number = clients.counters.connections.fetch_add(1, Ordering::Relaxed) + 1;
                let conn = Arc::new(Conn::new(&clients, number, socket, listen.clone()));
                // Counted here: a graceful stop must know of it before its task runs for the first time.
                let open = Open::new(&clients, &conn);
                tokio::spawn(serve(Arc::clone(&handler), conn, open));
                if is_closed {
                    return;
                }
            }
            Err(error) if is_shortage(&error) => {
                clients.slots.tell(LogLevel::Crit, &format!("accept4() failed ({})", limpet_log::os_error(&error)));
                clients.give_up_idle();
                tokio::select! {
                    () = &mut closed => return,
                    () = clients.slots.freed(SHORTAGE) => {}
                }
            }
            // This one client is gone; others wait.
            Err(error) => {
                clients.slots.tell(LogLevel::Error, &format!("accept4() failed ({})", limpet_log::os_error(&error)));
            }
        }
    }
}

/// No descriptors or no memory.
fn is_shortage(error: &io::Error) -> bool {
    [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM]
        .map(|errno| errno as i32)
        .map(Some)
        .contains(&error.raw_os_error())
}

/// The next client of a listening socket, which the workers share.
async fn next(listener: &AsyncFd<Arc<OwnedFd>>, address: &Address) -> io::Result<Plain> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let accept = |socket: &Arc<OwnedFd>| rustix::net::accept_with(socket, flags).map_err(io::Error::from);
    let socket = listener.async_io(Interest::READABLE, accept).await?;
    Ok(match address {
        Address::Ip(_) => {
            let stream = TcpStream::from_std(socket.into())?;
            // A client that is gone already will be noticed by its first read.
            let _ = stream.set_nodelay(true);
            Plain::Tcp(stream)
        }
        Address::Unix(_) => Plain::Unix(UnixStream::from_std(socket.into())?),
    })
}

/// Serves a connection until it ends.
async fn serve(handler: Arc<impl Handler>, conn: Arc<Conn>, _open: Open) {
    if let Some(tls) = conn.socket.tls()
        && !Box::pin(shake_hands(&*handler, &conn, tls)).await
    {
        return;
    }
    let mut first = true;
    // What came behind the last request.
    let mut input = Vec::new();
    let mut keepalive_timeout = None;
    let mut waiting = IoTimeout::new();
    loop {
        let pipelined = !first && !input.is_empty();
        if input.is_empty() {
            match wait(&*handler, &conn, keepalive_timeout, &mut waiting, first).await {
                Some(bytes) => input = bytes,
                None => return,
            }
        }
        first = false;
        let Some((kept, rest)) = Box::pin(request(&*handler, &conn, input, pipelined)).await else { return };
        keepalive_timeout = Some(kept);
        input = rest;
    }
}

/// Begins TLS on a connection, unless its client begins with something else; `false` when the connection is over.
async fn shake_hands(handler: &impl Handler, conn: &Conn, tls: &Tls) -> bool {
    let limit = handler.bounds(conn).0;
    // One that has said nothing yet is given up like one that waits for a request.
    conn.begin_idle();
    let opening = timeout(limit, poll_fn(|cx| tls.poll_opening(cx))).await;
    conn.end_idle();
    match opening {
        Ok(Ok(Opening::Tls)) => {}
        Ok(Ok(Opening::Plain)) => {
            tls.be_plain();
            return true;
        }
        _ => return false,
    }
    match timeout(limit, poll_fn(|cx| tls.poll_handshake(cx, true))).await {
        Ok(Ok(())) => {
            handler.is_secure(conn);
            true
        }
        Ok(Err(error)) => {
            handler.no_handshake(conn, Some(error));
            false
        }
        Err(_) => {
            handler.no_handshake(conn, None);
            false
        }
    }
}

/// Waits for the first bytes of a request; `None` when the connection is to end.
async fn wait(
    handler: &impl Handler,
    conn: &Conn,
    keepalive_timeout: Option<Duration>,
    waiting: &mut IoTimeout,
    first: bool,
) -> Option<Vec<u8>> {
    let limit = keepalive_timeout.unwrap_or_else(|| handler.bounds(conn).0);
    if !conn.begin_idle() && !first {
        return None;
    }
    let limit = if conn.is_draining() { limit.min(LAST_WORDS) } else { limit };
    let bytes = poll_fn(|cx| {
        scratch::with(|buffer| {
            let read = conn.socket.poll_read(cx, buffer);
            waiting.bound(cx, limit, read).map_ok(|count| buffer.get(..count).unwrap_or_default().to_vec())
        })
    })
    .await;
    conn.end_idle();
    bytes.ok().filter(|bytes| !bytes.is_empty())
}

/// Reads the rest of a head and carries the request through. The result is how long to wait for the next one, and what has
/// come of it; `None` when the connection is over.
async fn request(
    handler: &impl Handler,
    conn: &Arc<Conn>,
    mut input: Vec<u8>,
    pipelined: bool,
) -> Option<(Duration, Vec<u8>)> {
    conn.begin_request(pipelined);
    drop_blank_lines(&mut input);
    let (limit, limits) = handler.bounds(conn);
    let read = match Head::parse(&input, limits) {
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
                linger(conn).await;
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
