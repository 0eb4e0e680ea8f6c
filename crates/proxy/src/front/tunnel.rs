//! A connection after its protocol was changed: bytes both ways, until one end is done or nothing moves for too long.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Duration;

use super::conn::Conn;
use crate::clock;
use crate::wire::Socket;
use crate::wire::scratch;

/// What a 101 leaves behind: the backend's connection, and what it sent behind its head.
pub(crate) struct Tunnel {
    pub(crate) backend: Socket,
    pub(crate) early: Vec<u8>,
    /// The longest time in which nothing moves (`proxy_read_timeout`).
    pub(crate) patience: Duration,
    /// Is told how many bytes went to the backend and to the client, when it is over.
    pub(crate) ended: Box<dyn FnOnce(u64, u64) + Send>,
}

/// How long the other way may stand still once one way has ended. nginx ends both at once; so what is on its way to an end
/// that has only stopped sending still arrives.
const FAREWELL: Duration = Duration::from_secs(1);

/// Carries the bytes both ways. `input` has come from the client already.
pub(super) async fn run(conn: &Conn, tunnel: Tunnel, input: Vec<u8>) {
    let Tunnel { backend, early, patience, ended } = tunnel;
    let mut up = Direction { waiting: input, ..Direction::default() };
    let mut down = Direction { waiting: early, ..Direction::default() };
    loop {
        let is_parting = (up.ended && down.waiting.is_empty()) || (down.ended && up.waiting.is_empty());
        let patience = if is_parting { patience.min(FAREWELL) } else { patience };
        let step = poll_fn(|cx| {
            let moved = up.poll(cx, &conn.socket, &backend)? | down.poll(cx, &backend, &conn.socket)?;
            if moved || (up.ended && down.ended) { Poll::Ready(Ok::<(), io::Error>(())) } else { Poll::Pending }
        });
        match tokio::time::timeout(patience, step).await {
            Ok(Ok(())) if up.ended && down.ended => break,
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    clock::tick();
    conn.count_sent(usize::try_from(down.carried).unwrap_or(usize::MAX));
    ended(up.carried, down.carried);
}

/// One way of a tunnel. What could not be written yet is all that it holds.
#[derive(Default)]
struct Direction {
    waiting: Vec<u8>,
    /// The end was read and passed on.
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
                match to.poll_write(cx, &[IoSlice::new(&self.waiting)]) {
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
                to.shutdown_write();
                self.ended = true;
                return Ok(true);
            }
            let waiting = &mut self.waiting;
            let read = scratch::with(|buffer| {
                from.poll_read(cx, buffer).map_ok(|count| {
                    waiting.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    count
                })
            });
            match read {
                Poll::Ready(count) => self.finished = count? == 0,
                Poll::Pending => return Ok(moved),
            }
        }
        Ok(moved)
    }
}
