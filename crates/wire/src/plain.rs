//! Connected sockets of the kernel.

use std::io::{self, IoSlice, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::task::{Context, Poll, ready};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connected socket of either family.
#[derive(Debug)]
pub enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Plain {
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Plain::Tcp(stream) => stream.poll_read_ready(cx),
            Plain::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Plain::Tcp(stream) => stream.poll_write_ready(cx),
            Plain::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Reads what is there. A read that does not fill the buffer has emptied the socket, so its readiness ends without a
    /// further call that would only say so.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut partial = None;
        let result = match self {
            Plain::Tcp(stream) => {
                stream.try_io(Interest::READABLE, || read(SockRef::from(stream), buffer, &mut partial))
            }
            Plain::Unix(stream) => {
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
                Plain::Tcp(stream) => stream.try_write(part),
                Plain::Unix(stream) => stream.try_write(part),
            };
        }
        match self {
            Plain::Tcp(stream) => stream.try_write_vectored(parts),
            Plain::Unix(stream) => stream.try_write_vectored(parts),
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
        matches!(self.peek(), Ok(Some(_)))
    }

    /// The next byte, which stays where it is; `None`: the peer has ended.
    pub fn peek(&self) -> io::Result<Option<u8>> {
        let descriptor = match self {
            Plain::Tcp(stream) => stream.as_raw_fd(),
            Plain::Unix(stream) => stream.as_raw_fd(),
        };
        let mut byte = [0];
        let count = recv(descriptor, &mut byte, MsgFlags::MSG_PEEK)?;
        Ok(byte.first().copied().filter(|_| count > 0))
    }

    /// Looks at the next byte once there is one.
    pub fn poll_peek(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<u8>>> {
        loop {
            ready!(self.poll_readable(cx))?;
            let peeked = match self {
                Plain::Tcp(stream) => stream.try_io(Interest::READABLE, || self.peek()),
                Plain::Unix(stream) => stream.try_io(Interest::READABLE, || self.peek()),
            };
            match peeked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return Poll::Ready(peeked),
            }
        }
    }

    /// The address of our end; `None`: a Unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Plain::Tcp(stream) => stream.local_addr().ok(),
            Plain::Unix(_) => None,
        }
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
            Plain::Tcp(stream) => stream.as_fd(),
            Plain::Unix(stream) => stream.as_fd(),
        };
        let mut asked = [PollFd::new(descriptor, flags | PollFlags::POLLHUP | PollFlags::POLLERR)];
        poll(&mut asked, PollTimeout::ZERO).is_ok_and(|found| found > 0)
    }

    /// What the kernel knows of a TCP connection.
    pub fn tcp_info(&self) -> Option<nix::libc::tcp_info> {
        let Plain::Tcp(stream) = self else { return None };
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
            Plain::Tcp(stream) => SockRef::from(stream),
            Plain::Unix(stream) => SockRef::from(stream),
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
