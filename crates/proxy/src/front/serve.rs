//! The life of a connection: wait, read a head, hand the request over, and again.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use limpet_config::Address;
use limpet_config::model::LogLevel;
use nix::errno::Errno;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;

use super::conn::{BodyFault, Conn, Exchange, Socket};
use super::head::{Head, HeadLimits, LineRead, Rejection, Unread};
use super::stream::ClientStream;
use super::tunnel;
use crate::framing::Framing;
use crate::http::{Reply, Request};
use crate::log;
use crate::patience::Patience;
use crate::runtime::{Runtime, Shared};
use crate::scratch;
use crate::turn::Turn;
use crate::worker::{Open, Worker};

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
pub(crate) async fn accept(worker: Arc<Worker>, listen: Address, socket: OwnedFd, closed: impl Future<Output = ()>) {
    let listener = match listener(&listen, socket) {
        Ok(listener) => listener,
        Err(error) => {
            log::write_default(LogLevel::Alert, &format!("accept on {listen} is not possible: {error}"));
            return;
        }
    };
    let mut closed = pin!(closed);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closed => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(socket) => {
                // Nobody else is accepted while this one waits.
                let is_closed = tokio::select! {
                    biased;
                    () = worker.make_room() => false,
                    () = &mut closed => true,
                };
                let number = worker.shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
                let conn = Arc::new(Conn::new(&worker, number, socket, listen.clone()));
                // Counted here: a graceful stop must know of it before its task runs for the first time.
                let open = Open::new(&worker, &conn);
                tokio::spawn(serve(Arc::clone(&worker), conn, open));
                if is_closed {
                    return;
                }
            }
            Err(error) if is_shortage(&error) => {
                worker.slots.tell(LogLevel::Crit, &format!("accept4() failed ({})", log::os_error(&error)));
                worker.give_up_idle();
                tokio::select! {
                    () = &mut closed => return,
                    () = worker.slots.freed(SHORTAGE) => {}
                }
            }
            // This one client is gone; others wait.
            Err(error) => {
                worker.slots.tell(LogLevel::Error, &format!("accept4() failed ({})", log::os_error(&error)));
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

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

fn listener(address: &Address, socket: OwnedFd) -> io::Result<Listener> {
    Ok(match address {
        Address::Ip(_) => Listener::Tcp(TcpListener::from_std(socket.into())?),
        Address::Unix(_) => Listener::Unix(UnixListener::from_std(socket.into())?),
    })
}

impl Listener {
    async fn accept(&self) -> io::Result<Socket> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // A client that is gone already will be noticed by its first read.
                let _ = stream.set_nodelay(true);
                Ok(Socket::Tcp(stream))
            }
            Listener::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0)),
        }
    }
}

/// Serves a connection until it ends.
async fn serve(worker: Arc<Worker>, conn: Arc<Conn>, _open: Open) {
    let mut first = true;
    let mut patience = None;
    let mut waiting = Patience::new();
    loop {
        let input = std::mem::take(&mut conn.exchange().input);
        let pipelined = !first && !input.is_empty();
        let input = if input.is_empty() {
            match wait(&worker, &conn, patience, &mut waiting, first).await {
                Some(input) => input,
                None => return,
            }
        } else {
            input
        };
        first = false;
        let Some(kept) = Box::pin(exchange(&worker, &conn, input, pipelined)).await else { return };
        patience = Some(kept);
    }
}

/// Waits for the first bytes of a request; `None` when the connection is to end.
async fn wait(
    worker: &Worker,
    conn: &Conn,
    patience: Option<Duration>,
    waiting: &mut Patience,
    first: bool,
) -> Option<Vec<u8>> {
    let limit = patience.unwrap_or_else(|| head_bounds(&worker.shared.runtime.load(), conn).0);
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

/// Reads the rest of a head and carries the request through. The result is how long to wait for the next one; `None`
/// when the connection is over.
async fn exchange(worker: &Arc<Worker>, conn: &Arc<Conn>, mut input: Vec<u8>, pipelined: bool) -> Option<Duration> {
    conn.begin_request(pipelined);
    drop_blank_lines(&mut input);
    // Most heads are there at once, and the configuration is asked for but once.
    let (read, limit, limits) = {
        let runtime = worker.shared.runtime.load();
        let (limit, limits) = head_bounds(&runtime, conn);
        (Head::parse(&input, limits).map(|head| begin(&runtime, conn, head)), limit, limits)
    };
    let read = match read {
        Err(Unread::Incomplete) => match timeout(limit, read_head(conn, &mut input, limits)).await {
            Ok(read) => read.map(|head| begin(&worker.shared.runtime.load(), conn, head)),
            Err(_) => {
                let reason = "client timed out (110: Connection timed out)";
                give_up(&worker.shared, conn, 408, reason, &input, limits);
                return None;
            }
        },
        read => read,
    };
    let (mut request, length) = match read {
        Ok(read) => read,
        Err(Unread::Incomplete) => {
            if input.is_empty() {
                return None;
            }
            // The client went away in the middle of its head.
            give_up(&worker.shared, conn, 400, "client prematurely closed connection", &input, limits);
            return None;
        }
        Err(Unread::Rejected(rejection)) => {
            let page = reject(&worker.shared, conn, *rejection);
            send(conn, &page, LINGER).await;
            linger(conn).await;
            return None;
        }
    };
    input.drain(..length);
    {
        let mut exchange = conn.exchange();
        exchange.reusable = false;
        exchange.ending = false;
        exchange.continues = false;
        // What is wrong with a body that came with its head, or all of it, is known before anybody is asked.
        let mut framing = Framing::new(request.head.body);
        framing.advance(&input);
        exchange.awaits_continue = request.head.expects_continue && !framing.is_done();
        exchange.fault = (framing == Framing::Lost).then_some(BodyFault::Broken);
    }
    if request.location.settings.kept_body > 0 {
        request.early_body = whole_body(&request.head, &input);
    }
    let stream = ClientStream::new(Arc::clone(conn), &request.head, input);
    let mut session = ServerSession::new_http1(Box::new(stream));
    // Reading is timed by the stream; Pingora's own timers would wake a thread a hundred times a second, for good.
    session.set_read_timeout(None);
    session.set_connection_user_context(Some(request));
    // The session gives the stream back or drops it; either way what is left of it is in the exchange.
    drop(worker.proxy.process_new_http(session, &worker.shutdown).await);
    conclude(conn).await
}

/// The data of a body that has come with its head, if all of it has.
fn whole_body(head: &Head, input: &[u8]) -> Option<Vec<u8>> {
    let (mut framing, mut bytes) = (Framing::new(head.body), input.to_vec());
    let (_, kept) = framing.compact(&mut bytes);
    bytes.truncate(kept);
    framing.is_done().then_some(bytes)
}

/// A request whose head was read, and the head's length.
fn begin(runtime: &Runtime, conn: &Arc<Conn>, (head, length): (Head, usize)) -> (Box<Request>, usize) {
    (Box::new(Request::new(Arc::clone(conn), runtime, head)), length)
}

/// Line ends before a request are read over, however many; what was read of them is not kept.
fn drop_blank_lines(input: &mut Vec<u8>) {
    let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    input.drain(..blank);
}

async fn read_head(conn: &Conn, input: &mut Vec<u8>, limits: HeadLimits) -> Result<(Head, usize), Unread> {
    loop {
        let before = input.len();
        let count = poll_fn(|cx| {
            scratch::with(|buffer| match conn.socket.poll_read(cx, buffer) {
                Poll::Ready(Ok(count)) => {
                    input.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    Poll::Ready(count)
                }
                Poll::Ready(Err(_)) => Poll::Ready(0),
                Poll::Pending => Poll::Pending,
            })
        })
        .await;
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

/// Logs a request that can't be served, and makes the page for it.
fn reject(shared: &Shared, conn: &Arc<Conn>, Rejection { status, reason, head }: Rejection) -> Vec<u8> {
    let mut request = Request::rejected(Arc::clone(conn), &shared.runtime.load(), head);
    request.log_error(LogLevel::Info, &reason);
    let (mut reply, body) = Reply::error_page(&request, status);
    reply.finish(&request);
    let mut page = reply.to_wire(&request);
    request.head_bytes = page.len() as u64;
    if !request.head.is_head() {
        request.body_bytes = body.len() as u64;
        page.extend_from_slice(&body);
    }
    request.status = status;
    request.complete = true;
    conn.count_sent(page.len());
    request.log_access();
    page
}

/// Logs a request whose head never came to its end. There is no answer to it.
fn give_up(shared: &Shared, conn: &Arc<Conn>, status: u16, reason: &str, input: &[u8], limits: HeadLimits) {
    let head = Head::unfinished(input, limits);
    let part = if head.line_read == LineRead::Whole { "headers" } else { "line" };
    let mut request = Request::rejected(Arc::clone(conn), &shared.runtime.load(), head);
    request.log_error(LogLevel::Info, &format!("{reason} while reading client request {part}"));
    request.status = status;
    request.log_access();
}

/// Sends all bytes; `false` when the client has gone, or takes nothing for longer than `limit`.
async fn send(conn: &Conn, mut bytes: &[u8], limit: Duration) -> bool {
    let mut sending = Patience::new();
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
async fn conclude(conn: &Conn) -> Option<Duration> {
    let (rest, limit, tunnel, reusable, framing, awaits_continue, patience) = {
        let mut exchange = conn.exchange();
        let Exchange { send_timeout, reusable, framing, awaits_continue, patience, .. } = *exchange;
        let (rest, tunnel) = (std::mem::take(&mut exchange.unsent), exchange.tunnel.take());
        (rest, send_timeout, tunnel, reusable, framing, awaits_continue, patience)
    };
    if !rest.is_empty() {
        let mut turn = Turn::default();
        poll_fn(|cx| turn.poll(cx)).await;
        if !send(conn, &rest, limit).await {
            return None;
        }
    }
    if let Some(tunnel) = tunnel {
        tunnel::run(conn, tunnel).await;
        return None;
    }
    match framing {
        Framing::Done if reusable => Some(patience),
        // A client that still waits for `100 Continue` may or may not send its body: nobody can tell.
        Framing::Length(_) | Framing::Chunked(_) if reusable && !awaits_continue => {
            discard_body(conn).await.then_some(patience)
        }
        Framing::Done if conn.exchange().input.is_empty() && !conn.socket.has_unread() => None,
        _ => {
            linger(conn).await;
            None
        }
    }
}

/// Reads the rest of a body; `false` when it does not end in time.
async fn discard_body(conn: &Conn) -> bool {
    let discard = async {
        loop {
            {
                let mut exchange = conn.exchange();
                let input = std::mem::take(&mut exchange.input);
                let taken = exchange.framing.advance(&input);
                exchange.input = input.get(taken..).unwrap_or_default().to_vec();
                match exchange.framing {
                    Framing::Done => return true,
                    Framing::Lost => return false,
                    _ => {}
                }
            }
            match timeout(LINGER_IDLE, read_some(conn)).await {
                Ok(Some(bytes)) => conn.exchange().input = bytes,
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

/// How long a head may take, and how large it may be: what the server says that answers by default there.
fn head_bounds(runtime: &Runtime, conn: &Conn) -> (Duration, HeadLimits) {
    let server = runtime.listening(conn).and_then(|listening| runtime.servers.get(listening.default));
    server.map_or((Duration::from_secs(60), HeadLimits::default()), |server| {
        (server.client_header_timeout, server.head_limits)
    })
}
