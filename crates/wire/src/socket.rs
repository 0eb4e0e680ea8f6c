//! Connections, encrypted or not: the one kind of thing that the rest of the program reads from and writes to.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tokio::net::{TcpStream, UnixStream};

use crate::scratch;
use crate::{PipeEnd, Plain, Tls};

/// A connection.
#[derive(Debug)]
pub enum Socket {
    Plain(Plain),
    Tls(Box<Tls>),
    /// A stream of another connection.
    Pipe(PipeEnd),
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Socket::Plain(Plain::Tcp(stream))
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Socket::Plain(Plain::Unix(stream))
    }
}

impl From<Tls> for Socket {
    fn from(tls: Tls) -> Self {
        Socket::Tls(Box::new(tls))
    }
}

impl AsRef<Socket> for Socket {
    fn as_ref(&self) -> &Socket {
        self
    }
}

impl Socket {
    /// What it is encrypted with, if it is.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Socket::Tls(tls) => Some(tls),
            Socket::Plain(_) | Socket::Pipe(_) => None,
        }
    }

    /// Asks the kernel's socket, whatever is spoken over it; a stream has none.
    fn ask<R>(&self, ask: impl FnOnce(&Plain) -> R) -> Option<R> {
        match self {
            Socket::Plain(plain) => Some(ask(plain)),
            Socket::Tls(tls) => Some(tls.ask(ask)),
            Socket::Pipe(_) => None,
        }
    }

    /// The address of our end; `None`: a Unix socket, or a stream.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.ask(Plain::local_address).flatten()
    }

    /// Ready when there may be something to read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Plain(plain) => plain.poll_readable(cx),
            Socket::Tls(tls) => tls.poll_readable(cx),
            Socket::Pipe(pipe) => pipe.poll_readable(cx),
        }
    }

    /// Reads what is there, and does not wait.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(plain) => plain.try_read(buffer),
            Socket::Tls(tls) => tls.try_read(buffer),
            Socket::Pipe(pipe) => pipe.try_read(buffer),
        }
    }

    /// Writes the parts, one behind the other, as far as they are taken at once.
    ///
    /// # Errors
    /// `WouldBlock`: none is taken. The same bytes must be given again, in one call or in several: some may be on their way.
    pub fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Socket::Plain(plain) => plain.try_write_vectored(parts),
            Socket::Tls(tls) => tls.try_write_vectored(parts),
            Socket::Pipe(pipe) => pipe.try_write_vectored(parts),
        }
    }

    /// Reads once there is something to read.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Plain(plain) => plain.poll_read(cx, buffer),
            Socket::Tls(tls) => tls.poll_read(cx, buffer),
            Socket::Pipe(pipe) => {
                ready!(pipe.poll_readable(cx))?;
                Poll::Ready(pipe.try_read(buffer))
            }
        }
    }

    /// Reads by way of the thread's buffer and appends what came, at most `most` bytes; 0: the peer has ended.
    pub fn poll_append(&self, cx: &mut Context<'_>, out: &mut Vec<u8>, most: usize) -> Poll<io::Result<usize>> {
        scratch::with(|buffer| {
            let most = most.min(buffer.len());
            let space = buffer.get_mut(..most).unwrap_or_default();
            let count = ready!(self.poll_read(cx, space))?;
            out.extend_from_slice(space.get(..count).unwrap_or_default());
            Poll::Ready(Ok(count))
        })
    }

    /// Writes the parts, one behind the other, as far as they are taken. As with
    /// [`try_write_vectored`](Self::try_write_vectored), what was given once is given again.
    pub fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Plain(plain) => plain.poll_write(cx, parts),
            Socket::Tls(tls) => tls.poll_write(cx, parts),
            Socket::Pipe(pipe) => {
                ready!(pipe.poll_writable(cx))?;
                Poll::Ready(pipe.try_write_vectored(parts))
            }
        }
    }

    /// Whether bytes have come that nobody has read.
    pub fn has_unread(&self) -> bool {
        match self {
            Socket::Plain(plain) => plain.has_unread(),
            Socket::Tls(tls) => tls.has_unread(),
            Socket::Pipe(pipe) => pipe.has_unread(),
        }
    }

    /// Whether the other side has ended the connection, or its half of it, also where there is still something to read
    /// before that end.
    pub fn has_hung_up(&self) -> bool {
        match self {
            Socket::Pipe(pipe) => pipe.has_hung_up(),
            socket => socket.ask(Plain::has_hung_up).unwrap_or(false),
        }
    }

    /// After an end was read: ready when the peer has ended the connection, and not only said with TLS that it sends no more.
    pub fn poll_hung_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Socket::Tls(tls) if !tls.is_plain() => tls.poll_hung_up(cx),
            _ => Poll::Ready(()),
        }
    }

    /// Whether there is anything to read, the end among it. The kernel is asked, not the runtime, which hears of things
    /// later.
    pub fn has_news(&self) -> bool {
        match self {
            Socket::Plain(plain) => plain.has_news(),
            Socket::Tls(tls) => tls.has_news(),
            Socket::Pipe(pipe) => pipe.has_news(),
        }
    }

    /// What the kernel knows of a TCP connection.
    pub fn tcp_info(&self) -> Option<nix::libc::tcp_info> {
        self.ask(Plain::tcp_info).flatten()
    }

    /// No more is read: who waits for bytes sees the end.
    pub fn shutdown_read(&self) {
        match self {
            Socket::Pipe(pipe) => pipe.shutdown_read(),
            socket => {
                socket.ask(Plain::shutdown_read);
            }
        }
    }

    /// No more is written: the other side sees the end.
    pub fn shutdown_write(&self) {
        match self {
            Socket::Plain(plain) => plain.shutdown_write(),
            Socket::Tls(tls) => tls.shutdown_write(),
            Socket::Pipe(pipe) => pipe.shutdown_write(),
        }
    }
}
