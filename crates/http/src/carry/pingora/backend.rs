//! A connection to a backend as Pingora's session sees it.
//!
//! The head that Pingora writes is swallowed and ours goes out in its place. Instead of the backend's head Pingora gets
//! one made here; of the body it gets the data without chunks, and then the end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use async_trait::async_trait;
use limpet_message::response::{Framing, ResponseHead};
use limpet_upstream::{Dial, Transaction};
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most of a body that Pingora gets at a time.
const PIECE: usize = 32_768;

/// What Pingora asks for a connection.
pub(super) struct Connector(pub(super) Arc<Dial>);

#[async_trait]
impl L4Connect for Connector {
    async fn connect(&self, _address: &SocketAddr) -> pingora::Result<Stream> {
        let Some(transaction) = Dial::connect(&self.0).await else { return Error::err(ErrorType::ConnectError) };
        let socket = BackendSocket { transaction, head_taken: false, head_shown: false, input: Vec::new() };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(socket))))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug)]
struct BackendSocket {
    transaction: Transaction,
    /// Pingora has written its head.
    head_taken: bool,
    /// The response's head is there, and Pingora has got the one in its place, or finds it in `input`.
    head_shown: bool,
    /// What Pingora is to read before anything else.
    input: Vec<u8>,
}

impl AsyncRead for BackendSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.transaction.send_rest(cx)?;
        if !this.head_shown {
            if !ready!(this.transaction.poll_head(cx))? {
                return Poll::Ready(Ok(()));
            }
            this.head_shown = true;
            this.input = this.transaction.trace().head().map(|head| synthetic_head(head)).unwrap_or_default();
            this.input.extend(this.transaction.take_input());
        }
        if !this.input.is_empty() {
            let count = this.input.len().min(buffer.remaining());
            buffer.put_slice(this.input.get(..count).unwrap_or_default());
            this.input.drain(..count);
            return Poll::Ready(Ok(()));
        }
        // Pingora also reads here to test whether the connection is alive: behind a response it sees the end and lets go.
        // Pingora holds several pieces at a time for a client that is slow.
        let space = buffer.initialize_unfilled();
        let most = space.len().min(PIECE);
        let count = ready!(this.transaction.poll_body(cx, space.get_mut(..most).unwrap_or_default()))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BackendSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.head_taken, true) {
            return Poll::Ready(Ok(bytes.len()));
        }
        this.transaction.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().transaction.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl VirtualSocket for BackendSocket {
    /// They were set when the connection was made.
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

/// The head that Pingora parses: the status, and how long the body is where that is known.
fn synthetic_head(head: &ResponseHead) -> Vec<u8> {
    if head.status == 101 {
        // What follows is no HTTP: for Pingora the exchange ends here.
        return b"HTTP/1.1 200 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    }
    let mut text = Vec::with_capacity(96);
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(itoa::Buffer::new().format(head.status).as_bytes());
    text.extend_from_slice(b" \r\n");
    match head.framing {
        Framing::Length(_) if head.body.is_some() => text.extend_from_slice(b"content-length: 0\r\n"),
        Framing::Length(length) => {
            text.extend_from_slice(b"content-length: ");
            text.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        // The data of chunks is told without them, and ends with the end of what can be read.
        Framing::Chunked | Framing::Close => {}
    }
    if !head.keepalive {
        text.extend_from_slice(b"connection: close\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(text: &str, rest: &str) -> String {
        let (mut head, _) = ResponseHead::parse(text.as_bytes(), 65_536).unwrap();
        head.take_body(&mut rest.into());
        String::from_utf8(synthetic_head(&head)).unwrap()
    }

    #[test]
    fn pingora_is_told_the_status_and_where_the_body_ends() {
        let five = "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(told_of(five, ""), "HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\n");
        // What came with the head goes out with it.
        assert_eq!(told_of(five, "hello"), "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n");
        let chunked = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(told_of(chunked, ""), "HTTP/1.1 200 \r\nconnection: close\r\n\r\n");
    }

    #[test]
    fn for_pingora_nothing_follows_a_change_of_protocol() {
        let head = told_of("HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n", "");
        assert_eq!(head, "HTTP/1.1 200 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
}
