//! Connected sockets.

use std::io::{self, IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::task::{Context, Poll, ready};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use crate::scratch;

/// A connected socket of either family.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_write_ready(cx),
            Socket::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Reads what is there. A read that does not fill the buffer has emptied the socket, so its readiness ends without a
    /// further call that would only say so.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut partial = None;
        let result = match self {
            Socket::Tcp(stream) => {
                stream.try_io(Interest::READABLE, || read(SockRef::from(stream), buffer, &mut partial))
            }
            Socket::Unix(stream) => {
                stream.try_io(Interest::READABLE, || read(SockRef::from(stream), buffer, &mut partial))
            }
        };
        partial.map_or(result, Ok)
    }

    pub fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        // One part goes out by a cheaper call than several.
        let mut full = parts.iter().filter(|part| !part.is_empty());
        if let (Some(part), None) = (full.next(), full.next()) {
            return match self {
                Socket::Tcp(stream) => stream.try_write(part),
                Socket::Unix(stream) => stream.try_write(part),
            };
        }
        match self {
            Socket::Tcp(stream) => stream.try_write_vectored(parts),
            Socket::Unix(stream) => stream.try_write_vectored(parts),
        }
    }

    /// Reads once there is something to read.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.poll_readable(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
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

    /// Writes the parts, one behind the other, as far as the kernel takes them.
    pub fn poll_write(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            match self.poll_writable(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            match self.try_write_vectored(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Whether bytes have come that nobody has read.
    pub fn has_unread(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let socket = match self {
            Socket::Tcp(stream) => SockRef::from(stream),
            Socket::Unix(stream) => SockRef::from(stream),
        };
        socket.peek(&mut byte).is_ok_and(|count| count > 0)
    }

    /// Whether the other side has ended the connection, or its half of it, also where there is still something to read
    /// before that end.
    pub fn has_hung_up(&self) -> bool {
        self.is_any(PollFlags::from_bits_retain(nix::libc::POLLRDHUP))
    }

    /// Whether there is anything to read, the end among it. The kernel is asked, not the runtime, which hears of things
    /// later.
    pub fn has_news(&self) -> bool {
        self.is_any(PollFlags::POLLIN)
    }

    /// Whether one of these is so, or the connection is broken.
    fn is_any(&self, flags: PollFlags) -> bool {
        let descriptor = match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        };
        let mut asked = [PollFd::new(descriptor, flags | PollFlags::POLLHUP | PollFlags::POLLERR)];
        poll(&mut asked, PollTimeout::ZERO).is_ok_and(|found| found > 0)
    }

    /// What the kernel knows of a TCP connection.
    pub fn tcp_info(&self) -> Option<nix::libc::tcp_info> {
        let Socket::Tcp(stream) = self else { return None };
        #[allow(unsafe_code, reason = "no safe crate asks for it; numbers of any value are a valid `tcp_info`")]
        // SAFETY: the kernel writes at most `length` bytes into the structure, which lives for that long.
        unsafe {
            let mut info: nix::libc::tcp_info = std::mem::zeroed();
            let mut length = size_of::<nix::libc::tcp_info>() as nix::libc::socklen_t;
            let (level, option) = (nix::libc::IPPROTO_TCP, nix::libc::TCP_INFO);
            let place = std::ptr::from_mut(&mut info).cast();
            (nix::libc::getsockopt(stream.as_raw_fd(), level, option, place, &raw mut length) == 0).then_some(info)
        }
    }

    /// No more is read: who waits for bytes sees the end.
    pub fn shutdown_read(&self) {
        self.shutdown(std::net::Shutdown::Read);
    }

    /// No more is written: the client sees the end.
    pub fn shutdown_write(&self) {
        self.shutdown(std::net::Shutdown::Write);
    }

    fn shutdown(&self, how: std::net::Shutdown) {
        let socket = match self {
            Socket::Tcp(stream) => SockRef::from(stream),
            Socket::Unix(stream) => SockRef::from(stream),
        };
        let _ = socket.shutdown(how);
    }
}

fn read(socket: SockRef<'_>, buffer: &mut [u8], partial: &mut Option<usize>) -> io::Result<usize> {
    let count = (&*socket).read(buffer)?;
    if count > 0 && count < buffer.len() {
        *partial = Some(count);
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(count)
}
