//! The life of a connection: wait, read a head, hand the request over, and again.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use limpet_log::LogLevel;
use limpet_wire::{Address, IoTimeout, Opening, Plain, Tls, scratch};
use nix::errno::Errno;
use rustix::net::SocketFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::clients::{Clients, Open};
use super::conn::Conn;
use super::handler::Handler;
use super::request::request;
use super::streams::{self, Terms};

/// How long a client that connected just before a graceful stop may take for its first byte.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long nobody is accepted when there are no descriptors left, unless a connection ends (nginx's
/// `accept_mutex_delay`).
const SHORTAGE: Duration = Duration::from_millis(500);

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
            Ok((plain, peer)) => {
                // Only where it listens on every address does it differ from one connection to the next.
                let local = match &listen {
                    Address::Ip(address) if !address.ip().is_unspecified() => Some(*address),
                    Address::Ip(_) => plain.local_address(),
                    Address::Unix(_) => None,
                };
                let Some(socket) = handler.secure(plain, local, &listen) else { continue };
                // Nobody else is accepted while this one waits.
                let is_closed = tokio::select! {
                    biased;
                    () = clients.make_room() => false,
                    () = &mut closed => true,
                };
                let number = clients.counters.connections.fetch_add(1, Ordering::Relaxed) + 1;
                let conn = Arc::new(Conn::new(&clients, number, socket, listen.clone(), local, peer));
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
async fn next(listener: &AsyncFd<Arc<OwnedFd>>, address: &Address) -> io::Result<(Plain, Option<SocketAddr>)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let accept = |socket: &Arc<OwnedFd>| rustix::net::acceptfrom_with(socket, flags).map_err(io::Error::from);
    let (socket, peer) = listener.async_io(Interest::READABLE, accept).await?;
    let plain = match address {
        Address::Ip(_) => {
            let stream = TcpStream::from_std(socket.into())?;
            // A client that is gone already will be noticed by its first read.
            let _ = stream.set_nodelay(true);
            Plain::Tcp(stream)
        }
        Address::Unix(_) => Plain::Unix(UnixStream::from_std(socket.into())?),
    };
    // The kernel may not know any more who it was, if it has gone already.
    Ok((plain, peer.and_then(|peer| peer.try_into().ok())))
}

/// Serves a connection until it ends.
async fn serve(handler: Arc<impl Handler>, conn: Arc<Conn>, open: Open) {
    if let Some(tls) = conn.socket.tls()
        && !Box::pin(shake_hands(&*handler, &conn, tls)).await
    {
        return;
    }
    let mut first = true;
    // What came behind the last request.
    let mut input = Vec::new();
    let mut http2 = handler.http2(&conn);
    if let Some(terms) = http2
        && conn.tls().is_some_and(|tls| tls.with(|ssl| ssl.selected_alpn_protocol() == Some(b"h2")))
    {
        Box::pin(streams::run(handler, Arc::clone(&conn), input, terms)).await;
        return open.had_streams(conn.requests().min(terms.streams.into()));
    }
    http2 = http2.filter(|_| !conn.is_secure());
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
        if let Some(terms) = http2.take()
            && Box::pin(begins_streams(&conn, &mut input, terms)).await
        {
            Box::pin(streams::run(handler, Arc::clone(&conn), input, terms)).await;
            return open.had_streams(conn.requests().min(terms.streams.into()));
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

/// Reads on until it is known whether a client begins with HTTP/2.
async fn begins_streams(conn: &Conn, input: &mut Vec<u8>, terms: Terms) -> bool {
    let known = async {
        loop {
            if let Some(begins) = streams::begins(input) {
                return begins;
            }
            let read = poll_fn(|cx| conn.socket.poll_append(cx, input, usize::MAX)).await;
            if !matches!(read, Ok(1..)) {
                return false;
            }
        }
    };
    timeout(terms.begin, known).await.unwrap_or(false)
}
