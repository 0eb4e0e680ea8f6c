//! Connections that TLS is spoken on. OpenSSL reads and writes by way of a [`Link`]; waiting is the kernel socket's.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, ready};

use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, ShutdownState, Ssl, SslRef, SslStream};
use parking_lot::Mutex;
use tokio::task::coop;

use crate::Plain;

/// About how much is encrypted before it is sent.
const BATCH: usize = 65_536;
/// The largest record of TLS: what is encrypted in one piece.
pub const LARGEST_RECORD: usize = 16_384;
/// The first byte of a handshake, and a bit of the first byte of SSL 2.0's.
const HANDSHAKE: u8 = 0x16;
const SSL2: u8 = 0x80;

thread_local! {
    /// What is encrypted and goes out next.
    static ENCRYPTED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Short parts that share a record.
    static RECORD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connection with TLS. Who is in front of it sees the bytes as they are before and after.
pub struct Tls {
    state: Mutex<State>,
}

struct State {
    stream: SslStream<Link>,
    /// Bytes of the caller's that are encrypted, and not all sent yet.
    accepted: usize,
    /// Bytes in a record of ours.
    record: usize,
    /// The handshake is over.
    is_open: bool,
    /// There is none: the client has begun with something else.
    is_plain: bool,
    /// Nothing can be said any more, not even a farewell.
    is_broken: bool,
    /// Whether the client's early data is still to come, and what has come of it (TLS 1.3).
    is_early: bool,
    early: Vec<u8>,
}

/// What OpenSSL reads from and writes to.
struct Link {
    plain: Plain,
    /// What is encrypted and waits to be sent, and how much of it was.
    waiting: Vec<u8>,
    sent: usize,
    /// What is written only waits, whatever the kernel would take.
    corked: bool,
    /// The peer has ended the connection, and nothing was sent since.
    has_ended: bool,
}

/// Why a handshake has come to nothing.
#[derive(Debug)]
pub enum HandshakeError {
    /// The peer has ended the connection.
    Closed,
    /// What the kernel says.
    Io(io::Error),
    /// What OpenSSL says.
    Tls(ErrorStack),
}

/// How a connection to a port for TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Tls,
    /// With something else, most likely HTTP.
    Plain,
    /// With its end.
    Nothing,
}

impl Tls {
    /// TLS on a connection, before its handshake. `record`: bytes in a record of ours.
    ///
    /// # Errors
    /// OpenSSL has no memory.
    pub fn new(plain: Plain, ssl: Ssl, record: usize) -> io::Result<Tls> {
        let link = Link { plain, waiting: Vec::new(), sent: 0, corked: false, has_ended: false };
        let record = record.clamp(1, LARGEST_RECORD);
        let stream = SslStream::new(ssl, link).map_err(io::Error::other)?;
        Ok(Tls {
            state: Mutex::new(State {
                stream,
                accepted: 0,
                record,
                is_open: false,
                is_plain: false,
                is_broken: false,
                is_early: false,
                early: Vec::new(),
            }),
        })
    }

    /// From now on early data is taken: it is there before the handshake is over.
    pub fn take_early_data(&self) {
        self.state.lock().is_early = true;
    }

    /// The server's side of a handshake, or the client's.
    ///
    /// # Errors
    /// Why there is none.
    pub fn poll_handshake(&self, cx: &mut Context<'_>, is_server: bool) -> Poll<Result<(), HandshakeError>> {
        let mut state = self.state.lock();
        loop {
            forget_errors();
            let shaken = match is_server {
                true if state.is_early => state.accept_early(),
                true => state.stream.accept(),
                false => state.stream.connect(),
            };
            let waited = match shaken {
                Ok(()) if state.is_early && state.early.is_empty() => {
                    state.is_early = false;
                    continue;
                }
                Ok(()) => {
                    state.is_open = true;
                    return Poll::Ready(Ok(()));
                }
                Err(error) => state.poll_for(error, cx),
            };
            if let Err(error) = ready!(waited) {
                state.is_broken = true;
                return Poll::Ready(Err(error));
            }
        }
    }

    /// From now on bytes pass as they are: the client does not speak TLS.
    pub fn be_plain(&self) {
        self.state.lock().is_plain = true;
    }

    /// Whether bytes pass as they are.
    pub fn is_plain(&self) -> bool {
        self.state.lock().is_plain
    }

    /// How the connection begins. Nothing is taken from it.
    pub fn poll_opening(&self, cx: &mut Context<'_>) -> Poll<io::Result<Opening>> {
        let opening = match ready!(self.state.lock().plain().poll_peek(cx))? {
            Some(byte) if byte == HANDSHAKE || byte & SSL2 != 0 => Opening::Tls,
            Some(_) => Opening::Plain,
            None => Opening::Nothing,
        };
        Poll::Ready(Ok(opening))
    }

    /// Asks OpenSSL about the connection.
    pub fn with<R>(&self, ask: impl FnOnce(&SslRef) -> R) -> R {
        ask(self.state.lock().stream.ssl())
    }

    /// Bytes in a record from now on.
    pub fn set_record(&self, record: usize) {
        self.state.lock().record = record.clamp(1, LARGEST_RECORD);
    }

    pub(crate) fn ask<R>(&self, ask: impl FnOnce(&Plain) -> R) -> R {
        ask(self.state.lock().plain())
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        if state.is_plain {
            return state.plain().poll_readable(cx);
        }
        loop {
            match state.peek() {
                Err(error) if error.code() == ErrorCode::WANT_READ => ready!(state.plain().poll_readable(cx))?,
                // What is wrong shows when it is read.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.is_plain {
            return state.plain().try_read(buffer);
        }
        match state.read(buffer) {
            Ok(count) => Ok(count),
            Err(error) => state.read_failed(error),
        }
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // OpenSSL may have much to give without anybody waiting.
        let turn = ready!(coop::poll_proceed(cx));
        let mut state = self.state.lock();
        if state.is_plain {
            return state.plain().poll_read(cx, buffer);
        }
        loop {
            match state.read(buffer) {
                Ok(count) => {
                    turn.made_progress();
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.code() == ErrorCode::WANT_READ => ready!(state.plain().poll_readable(cx))?,
                Err(error) if error.code() == ErrorCode::WANT_WRITE => ready!(state.plain().poll_writable(cx))?,
                Err(error) => return Poll::Ready(state.read_failed(error)),
            }
        }
    }

    pub(crate) fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.state.lock().write(parts)
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        loop {
            ready!(state.plain().poll_writable(cx))?;
            match state.write(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// After the peer's farewell: ready when it has ended the connection as well.
    pub(crate) fn poll_hung_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.state.lock().plain().poll_peek(cx)) {
            Ok(Some(_)) => Poll::Pending,
            Ok(None) | Err(_) => Poll::Ready(()),
        }
    }

    pub(crate) fn has_unread(&self) -> bool {
        let mut state = self.state.lock();
        // What the kernel has may be no more than tickets for later sessions, which nobody has to read.
        if state.is_plain { state.plain().has_unread() } else { matches!(state.peek(), Ok(1..)) }
    }

    pub(crate) fn has_news(&self) -> bool {
        let mut state = self.state.lock();
        if state.is_plain {
            return state.plain().has_news();
        }
        let peeked = state.peek();
        // What the runtime has not heard of yet OpenSSL has not seen.
        !matches!(peeked, Err(error) if error.code() == ErrorCode::WANT_READ) || state.plain().has_news()
    }

    pub(crate) fn shutdown_write(&self) {
        let mut state = self.state.lock();
        state.take_leave();
        state.plain().shutdown_write();
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        state.take_leave();
        if state.is_open {
            // However it has ended: a session is lost only by what OpenSSL itself finds wrong.
            state.stream.set_shutdown(ShutdownState::SENT | ShutdownState::RECEIVED);
        }
    }
}

/// OpenSSL takes errors that an earlier call has left, of this connection or another, for those of the next one.
fn forget_errors() {
    drop(ErrorStack::get());
}

impl State {
    fn plain(&self) -> &Plain {
        &self.stream.get_ref().plain
    }

    /// Reads early data, as far as it has come; nothing of it: there is no more.
    fn accept_early(&mut self) -> Result<(), openssl::ssl::Error> {
        let mut space = vec![0; LARGEST_RECORD];
        let count = self.stream.read_early_data(&mut space)?;
        space.truncate(count);
        self.early = space;
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, openssl::ssl::Error> {
        forget_errors();
        loop {
            if !self.early.is_empty() {
                let count = self.early.len().min(buffer.len());
                buffer.iter_mut().zip(self.early.drain(..count)).for_each(|(to, from)| *to = from);
                return Ok(count);
            }
            if !self.is_early {
                return self.stream.ssl_read(buffer);
            }
            self.accept_early()?;
            self.is_early = !self.early.is_empty();
        }
    }

    /// Whether there is a byte to read, which stays.
    fn peek(&mut self) -> Result<usize, openssl::ssl::Error> {
        forget_errors();
        if self.is_early && self.early.is_empty() {
            self.accept_early()?;
            self.is_early = !self.early.is_empty();
        }
        if self.early.is_empty() { self.stream.ssl_peek(&mut [0]) } else { Ok(1) }
    }

    /// Waits for what a handshake waits for.
    fn poll_for(&self, error: openssl::ssl::Error, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeError>> {
        let waited = match error.code() {
            ErrorCode::WANT_READ => self.plain().poll_readable(cx),
            ErrorCode::WANT_WRITE => self.plain().poll_writable(cx),
            _ => {
                return Poll::Ready(Err(match error.into_io_error() {
                    Ok(error) => HandshakeError::Io(error),
                    Err(error) => {
                        let stack = error.ssl_error().filter(|stack| !stack.errors().is_empty());
                        stack.map_or(HandshakeError::Closed, |stack| HandshakeError::Tls(stack.clone()))
                    }
                }));
            }
        };
        waited.map_err(HandshakeError::Io)
    }

    /// What a read comes to that has failed.
    fn read_failed(&mut self, error: openssl::ssl::Error) -> io::Result<usize> {
        match error.code() {
            ErrorCode::ZERO_RETURN => Ok(0),
            ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => Err(io::ErrorKind::WouldBlock.into()),
            // The end without a farewell.
            ErrorCode::SYSCALL if error.io_error().is_none() => Ok(0),
            _ => {
                self.is_broken = true;
                Err(error.into_io_error().unwrap_or_else(io::Error::other))
            }
        }
    }

    /// Encrypts what the parts hold, a batch at most, and sends it in one go. What the kernel does not take of that waits, and the
    /// caller hears of it as of something that was not taken yet: its next call is only told how much that was.
    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_plain {
            return self.plain().try_write_vectored(parts);
        }
        self.stream.get_mut().send()?;
        if self.accepted > 0 {
            // They are given again, in their order, but perhaps not all of them in one call.
            let given: usize = parts.iter().map(|part| part.len()).sum();
            let told = self.accepted.min(given);
            self.accepted -= told;
            return Ok(told);
        }
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        ENCRYPTED.with_borrow_mut(|space| {
            space.clear();
            let link = self.stream.get_mut();
            std::mem::swap(&mut link.waiting, space);
            link.corked = true;
            let encrypted = self.encrypt(parts);
            let link = self.stream.get_mut();
            link.corked = false;
            let sent = link.send();
            if matches!(&sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                // The thread's space stays the thread's.
                let rest = link.waiting.get(link.sent..).unwrap_or_default().to_vec();
                *space = std::mem::replace(&mut link.waiting, rest);
                link.sent = 0;
                self.accepted = encrypted?;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            std::mem::swap(&mut link.waiting, space);
            self.is_broken |= sent.is_err();
            sent?;
            encrypted
        })
    }

    fn encrypt(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut taken = 0;
        let mut left = parts.iter().filter(|part| !part.is_empty()).peekable();
        RECORD.with_borrow_mut(|shared| {
            shared.clear();
            while let Some(part) = left.next() {
                let mut part: &[u8] = part;
                while !part.is_empty() && taken < BATCH {
                    let space = self.record.saturating_sub(shared.len());
                    let (now, later) = part.split_at(space.min(part.len()));
                    part = later;
                    let is_full = now.len() == space || left.peek().is_none();
                    match (shared.is_empty(), is_full) {
                        (true, true) => taken += self.write_record(now)?,
                        (_, false) => shared.extend_from_slice(now),
                        (false, true) => {
                            shared.extend_from_slice(now);
                            taken += self.write_record(shared)?;
                            shared.clear();
                        }
                    }
                }
            }
            Ok(taken)
        })
    }

    fn write_record(&mut self, bytes: &[u8]) -> io::Result<usize> {
        forget_errors();
        // Before the client has said its last word of the handshake.
        let written = match self.is_early {
            true => self.stream.write_early_data(bytes),
            false => self.stream.ssl_write(bytes),
        };
        written.map_err(|error| match error.code() {
            ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => io::ErrorKind::WouldBlock.into(),
            _ => {
                self.is_broken = true;
                error.into_io_error().unwrap_or_else(io::Error::other)
            }
        })
    }

    /// Says that no more is written.
    fn take_leave(&mut self) {
        let link = self.stream.get_ref();
        // Whoever has ended the connection, and got nothing since, needs no farewell.
        let may_be_said = link.waiting.is_empty() && !link.has_ended;
        if self.is_open && !self.is_broken && may_be_said {
            self.is_broken = true;
            forget_errors();
            let _ = self.stream.shutdown();
        }
    }
}

impl Link {
    /// Sends what waits.
    ///
    /// # Errors
    /// `WouldBlock` where the kernel does not take all of it.
    fn send(&mut self) -> io::Result<()> {
        while let Some(rest @ [_, ..]) = self.waiting.get(self.sent..) {
            self.sent += self.plain.try_write_vectored(&[IoSlice::new(rest)])?;
            self.has_ended = false;
        }
        self.sent = 0;
        self.waiting.clear();
        Ok(())
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.plain.try_read(buffer)?;
        self.has_ended |= count == 0;
        Ok(count)
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.corked {
            self.waiting.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        self.send()?;
        self.plain.try_write_vectored(&[IoSlice::new(bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS")
    }
}
