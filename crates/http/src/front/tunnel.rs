//! A connection after its protocol was changed: bytes both ways, until one end is done or nothing moves for too long.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Duration;

use limpet_log::clock;
use limpet_wire::{IoTimeout, Socket};

use super::conn::Conn;

/// What a 101 leaves behind: the backend's connection, and what it sent behind its head.
pub struct Tunnel {
    pub backend: Socket,
    pub early: Vec<u8>,
    /// The longest time in which nothing moves (`proxy_read_timeout`).
    pub read_timeout: Duration,
    /// How long the backend may take nothing (`proxy_send_timeout`), and the client (`send_timeout`).
    pub send_timeout: Duration,
    pub client_send_timeout: Duration,
    /// Is told how it has gone, when it is over.
    pub ended: Box<dyn FnOnce(Carried) + Send>,
}

/// What a tunnel has carried, in bytes, and which side timed out.
pub struct Carried {
    pub up: u64,
    pub down: u64,
    pub timed_out: Option<TunnelSide>,
}

/// An end of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelSide {
    Client,
    Backend,
}

/// Carries the bytes both ways. `input` has come from the client already. It is over as soon as the backend is done and all of it
/// was passed on. A client that is done may wait for what the backend still says: that is told the client's end, and goes on.
pub(super) async fn run(conn: &Conn, tunnel: Tunnel, input: Vec<u8>) {
    let Tunnel { backend, early, read_timeout, send_timeout, client_send_timeout, ended } = tunnel;
    let mut up = Direction { waiting: input, send_timeout, ..Direction::default() };
    let mut down = Direction { waiting: early, send_timeout: client_send_timeout, ..Direction::default() };
    let mut timed_out = None;
    let mut is_told = false;
    while !down.ended {
        let step = poll_fn(|cx| {
            let sent = up.poll(cx, &conn.socket, &backend).map_err(|error| (error, TunnelSide::Backend))?;
            let received = down.poll(cx, &backend, &conn.socket).map_err(|error| (error, TunnelSide::Client))?;
            let is_news = sent || received || (up.ended && !is_told) || down.ended;
            if is_news { Poll::Ready(Ok(())) } else { Poll::Pending }
        });
        let stepped: Result<Result<(), (io::Error, TunnelSide)>, _> = tokio::time::timeout(read_timeout, step).await;
        match stepped {
            Ok(Ok(())) if up.ended && !is_told => {
                backend.shutdown_write();
                is_told = true;
            }
            Ok(Ok(())) => {}
            Ok(Err((error, side))) => {
                timed_out = (error.kind() == io::ErrorKind::TimedOut).then_some(side);
                break;
            }
            Err(_) => {
                timed_out = (!is_told).then_some(TunnelSide::Backend);
                break;
            }
        }
    }
    clock::tick();
    conn.count_sent(usize::try_from(down.carried).unwrap_or(usize::MAX));
    ended(Carried { up: up.carried, down: down.carried, timed_out });
}

/// One way of a tunnel. What could not be written yet is all that it holds.
#[derive(Default)]
struct Direction {
    waiting: Vec<u8>,
    sending: IoTimeout,
    send_timeout: Duration,
    /// The end was read, and all before it was passed on.
    ended: bool,
    finished: bool,
    carried: u64,
}

impl Direction {
    /// Moves what can be moved; `true` when anything was.
    fn poll(&mut self, cx: &mut Context<'_>, from: &Socket, to: &Socket) -> io::Result<bool> {
        let mut moved = false;
        while !self.ended {
            if !self.waiting.is_empty() {
                let written = to.poll_write(cx, &[IoSlice::new(&self.waiting)]);
                match self.sending.bound(cx, self.send_timeout, written) {
                    Poll::Ready(count) => {
                        let count = count?;
                        self.waiting.drain(..count);
                        self.carried += count as u64;
                        moved = true;
                        continue;
                    }
                    Poll::Pending => return Ok(moved),
                }
            }
            if self.finished {
                self.ended = true;
                return Ok(true);
            }
            match from.poll_append(cx, &mut self.waiting, usize::MAX) {
                Poll::Ready(count) => self.finished = count? == 0,
                Poll::Pending => return Ok(moved),
            }
        }
        Ok(moved)
    }
}
