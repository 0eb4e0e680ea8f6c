//! HTTP/2 towards a server. To a transaction it is a connection of HTTP/1: what that says is put into a stream, and the answer
//! into HTTP/1's words. As in nginx a connection has one stream at a time, so that pools, limits and counts are the same.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::header::{CONTENT_LENGTH, TE, TRAILER};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use limpet_message::body::{Body, Cursor};
use limpet_message::field::{Fields, Known, decimal};
use limpet_wire::http2::{Framed, Room, SMALL_FRAMES, lines, receive};
use limpet_wire::{Outward, Pipe, Socket};
use memchr::memmem;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// What a server may send of a response before it is taken, in bytes.
const WINDOW: u32 = 262_144;
/// The kind of an error that says that nothing was done of a request.
pub(super) const REFUSED: io::ErrorKind = io::ErrorKind::ConnectionRefused;
/// What is collected for a server before a request has to wait, in bytes.
const SEND_BUFFER: usize = 65_536;
/// The largest frame of a connection to a server.
const FRAME: u32 = 16_384;

/// Begins HTTP/2 on a new connection. What is read from and written to the result is HTTP/1. `longest_head`: of a response,
/// in bytes; `keeps_trailers`: those of a response with a length as well, which is left out then.
pub(super) fn begin(socket: Socket, longest_head: usize, keeps_trailers: bool) -> Socket {
    let pipe = Pipe::default();
    let end = Socket::Pipe(pipe.end());
    tokio::spawn(run(pipe, socket, longest_head, keeps_trailers));
    end
}

async fn run(pipe: Pipe, socket: Socket, longest_head: usize, keeps_trailers: bool) {
    let scheme = if socket.tls().is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(SMALL_FRAMES)
        .max_header_list_size(u32::try_from(longest_head).unwrap_or(u32::MAX));
    let (requests, connection) = match builder.handshake::<_, Bytes>(Framed::new(socket, Vec::new(), None, 0)).await {
        Ok(both) => both,
        Err(error) => return fail(&pipe, &error),
    };
    let mut connection = pin!(connection);
    let is_asked = AtomicBool::new(false);
    let mut requests = pin!(serve(&pipe, requests, &scheme, &is_asked, keeps_trailers));
    let mut has_ended = false;
    poll_fn(|cx| {
        loop {
            if requests.as_mut().poll(cx).is_ready() || (has_ended && !is_asked.load(Relaxed)) {
                return Poll::Ready(());
            }
            // What has come of an answer before the end is still passed on, and the stream learns what has become of its connection.
            if has_ended || connection.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            has_ended = true;
        }
    })
    .await;
    pipe.give_up();
}

/// Why an exchange ends before its time.
enum Broken {
    /// Nobody wants it any more.
    Unwanted,
    /// What was to be sent can't be sent over HTTP/2.
    Unfit(String),
    Stream(h2::Error),
}

impl From<h2::Error> for Broken {
    fn from(error: h2::Error) -> Self {
        Broken::Stream(error)
    }
}

/// Serves one request after the other, until the connection can't serve another.
async fn serve(
    pipe: &Pipe,
    mut requests: SendRequest<Bytes>,
    scheme: &Scheme,
    is_asked: &AtomicBool,
    keeps_trailers: bool,
) {
    let mut input = Vec::new();
    loop {
        is_asked.store(false, Relaxed);
        match exchange(pipe, &mut requests, scheme, &mut input, is_asked, keeps_trailers).await {
            Ok(true) => {}
            Ok(false) | Err(Broken::Unwanted) => return,
            Err(Broken::Unfit(message)) => return pipe.fail(io::ErrorKind::InvalidInput, message),
            Err(Broken::Stream(error)) => return fail(pipe, &error),
        }
    }
}

/// One request. `false`: it was answered before the server has taken all of it.
async fn exchange(
    pipe: &Pipe,
    requests: &mut SendRequest<Bytes>,
    scheme: &Scheme,
    input: &mut Vec<u8>,
    is_asked: &AtomicBool,
    keeps_trailers: bool,
) -> Result<bool, Broken> {
    let length = loop {
        match memmem::find(input, b"\r\n\r\n") {
            Some(end) => break end + 4,
            None => more(pipe, input).await?,
        }
    };
    is_asked.store(true, Relaxed);
    let rest = input.split_off(length);
    let (request, framing) = request(&std::mem::replace(input, rest), scheme)?;
    poll_fn(|cx| requests.poll_ready(cx)).await?;
    let (response, stream) = requests.send_request(request, framing.is_done())?;
    let mut has_sent = false;
    let mut is_answered = false;
    let mut answer = pin!(answer(pipe, response, keeps_trailers));
    let whole = {
        let mut upload = pin!(upload(pipe, stream, framing, input));
        let mut is_whole = true;
        poll_fn(|cx| {
            if !is_answered && let Poll::Ready(result) = answer.as_mut().poll(cx) {
                if let Err(error) = result {
                    return Poll::Ready(Err(Broken::Stream(error)));
                }
                is_answered = true;
            }
            if !has_sent && let Poll::Ready(result) = upload.as_mut().poll(cx) {
                match result {
                    // The server wants no more of it. Whether it has answered says the other direction.
                    Ok(sent) => is_whole = sent,
                    Err(broken) => return Poll::Ready(Err(broken)),
                }
                has_sent = true;
            }
            match (has_sent, is_answered) {
                (true, true) => Poll::Ready(Ok(Some(is_whole))),
                (true, false) if is_whole => Poll::Ready(Ok(None)),
                _ => Poll::Pending,
            }
        })
        .await?
    };
    let whole = match whole {
        Some(is_whole) => is_whole,
        // All was sent: what is left to be seen there is that nobody wants the answer any more.
        None => {
            poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(result.map(|()| true).map_err(Broken::Stream)),
                Poll::Pending => match pipe.poll_outward(cx, usize::MAX) {
                    Poll::Ready(_) => Poll::Ready(Err(Broken::Unwanted)),
                    Poll::Pending => Poll::Pending,
                },
            })
            .await?
        }
    };
    Ok(whole)
}

/// Waits for more of what the transaction says.
async fn more(pipe: &Pipe, input: &mut Vec<u8>) -> Result<(), Broken> {
    match poll_fn(|cx| pipe.poll_outward(cx, usize::MAX)).await {
        Outward::Bytes(bytes) if input.is_empty() => *input = bytes,
        Outward::Bytes(bytes) => input.extend_from_slice(&bytes),
        Outward::Ended => return Err(Broken::Unwanted),
    }
    Ok(())
}

/// Sends a request's body; `false` when the server wants no more of it.
async fn upload(
    pipe: &Pipe,
    mut stream: SendStream<Bytes>,
    mut framing: Cursor,
    input: &mut Vec<u8>,
) -> Result<bool, Broken> {
    if framing.is_done() {
        return Ok(true);
    }
    // Whoever writes to the pipe bounds its waits.
    let mut room = Room::new(None);
    loop {
        let (taken, kept) = framing.compact(input);
        let rest = input.split_off(taken.min(input.len()));
        input.truncate(kept);
        let data = Bytes::from(std::mem::replace(input, rest));
        let is_over = framing.is_done();
        if !room.send(&mut stream, data, is_over).await {
            return Ok(false);
        }
        if is_over {
            return Ok(true);
        }
        let outward = poll_fn(|cx| match stream.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => pipe.poll_outward(cx, usize::MAX).map(Some),
        });
        match outward.await {
            Some(Outward::Bytes(bytes)) => input.extend_from_slice(&bytes),
            Some(Outward::Ended) => return Err(Broken::Unwanted),
            None => return Ok(false),
        }
    }
}

/// Passes an answer on.
async fn answer(pipe: &Pipe, response: ResponseFuture, keeps_trailers: bool) -> Result<(), h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let is_over = body.is_end_stream();
    let has_length = head.headers.contains_key(CONTENT_LENGTH);
    // HTTP/1 has trailers behind chunks only.
    let is_chunked = !is_over && (!has_length || keeps_trailers || head.headers.contains_key(TRAILER));
    pipe.put(&[&head_of(head.status, head.headers, is_chunked, is_over)]);
    if is_over { Ok(()) } else { receive(pipe, &mut body, is_chunked).await }
}

/// The head of a response in HTTP/1's words.
fn head_of(status: StatusCode, mut fields: HeaderMap, is_chunked: bool, is_over: bool) -> Vec<u8> {
    let framing: &[u8] = match () {
        () if is_chunked => {
            fields.remove(CONTENT_LENGTH);
            b"transfer-encoding: chunked\r\n"
        }
        () if is_over && !fields.contains_key(CONTENT_LENGTH) && !matches!(status.as_u16(), 204 | 304) => {
            b"content-length: 0\r\n"
        }
        () => b"",
    };
    [b"HTTP/2.0 ", status.as_str().as_bytes(), b"\r\n", &lines(&fields), framing, b"\r\n"].concat()
}

/// What a path can't have in HTTP/2's terms and HTTP/1 passes all the same.
const UNFIT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'`').add(b'\\').add(b'^');

/// A head in HTTP/1's words as a request of HTTP/2, and where its body ends.
fn request(head: &[u8], scheme: &Scheme) -> Result<(Request<()>, Cursor), Broken> {
    let unfit = |what: &str, bytes: &[u8]| {
        Broken::Unfit(format!("{what} \"{}\" can't be sent over HTTP/2", String::from_utf8_lossy(bytes).trim()))
    };
    let line_end = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
    let (line, fields) = head.split_at(line_end);
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fields = Fields::of_trailers(fields).map_err(|shown| unfit("the header", shown.as_bytes()))?;
    let mut headers = HeaderMap::with_capacity(fields.count());
    let (mut authority, mut framing) = (None, Cursor::Done);
    for (known, name, value) in fields.iter() {
        match known {
            Known::Host => {
                authority = Some(Authority::try_from(value).map_err(|_| unfit("the host", value))?);
                continue;
            }
            Known::TransferEncoding => {
                framing = Cursor::new(Body::Chunked);
                continue;
            }
            Known::ContentLength => framing = Cursor::new(Body::Length(decimal(value).unwrap_or_default())),
            Known::Connection | Known::KeepAlive | Known::ProxyConnection | Known::Upgrade => continue,
            _ => {}
        }
        let name = HeaderName::from_bytes(name).map_err(|_| unfit("the header", name))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| unfit("the header", name.as_str().as_bytes()))?;
        if name != TE || value == "trailers" {
            headers.append(name, value);
        }
    }
    let path = match PathAndQuery::try_from(target) {
        Ok(path) => path,
        Err(_) => PathAndQuery::try_from(percent_encode(target, UNFIT).to_string().as_bytes())
            .map_err(|_| unfit("the URI", target))?,
    };
    let authority = authority.unwrap_or_else(|| Authority::from_static("localhost"));
    let uri = Uri::builder().scheme(scheme.clone()).authority(authority).path_and_query(path).build();
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method).map_err(|_| unfit("the method", method))?;
    *request.uri_mut() = uri.map_err(|_| unfit("the URI", target))?;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = headers;
    Ok((request, framing))
}

/// Says why a request failed, in nginx's words where it has any.
fn fail(pipe: &Pipe, error: &h2::Error) {
    let number = error.reason().map_or(0, u32::from);
    let (kind, message) = match () {
        () if error.is_go_away() && error.is_remote() => (REFUSED, format!("upstream sent goaway with error {number}")),
        () if error.is_reset() && error.is_remote() => {
            // Nothing was done of a request that was refused.
            let is_refused = error.reason() == Some(Reason::REFUSED_STREAM);
            let kind = if is_refused { REFUSED } else { io::ErrorKind::InvalidData };
            (kind, format!("upstream rejected request with error {number}"))
        }
        () if error.is_io() => (io::ErrorKind::UnexpectedEof, "upstream prematurely closed connection".to_owned()),
        () => (io::ErrorKind::InvalidData, format!("upstream broke the rules of HTTP/2 ({error})")),
    };
    pipe.fail(kind, message);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(head: &str) -> Result<(Request<()>, Cursor), String> {
        request(head.as_bytes(), &Scheme::HTTP).map_err(|broken| match broken {
            Broken::Unfit(message) => message,
            _ => "other".into(),
        })
    }

    #[test]
    fn a_request_of_http_1_becomes_one_of_http_2() {
        let head = "PUT /a?b HTTP/1.1\r\nHost: x:1\r\nConnection: close\r\nTE: gzip\r\nTE: trailers\r\nX-Y: z\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let (request, framing) = put(head).expect("a request");
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("PUT", "http://x:1/a?b"));
        assert_eq!(framing, Cursor::new(Body::Chunked));
        assert_eq!(String::from_utf8(lines(request.headers())).expect("text"), "te: trailers\r\nx-y: z\r\n");
        let (request, framing) = put("GET /<a>\u{e9}|{} HTTP/1.0\r\nContent-Length: 3\r\n\r\n").expect("a request");
        assert_eq!(request.uri().path(), "/%3Ca%3E%C3%A9|{}");
        assert_eq!((framing, &request.headers()[CONTENT_LENGTH]), (Cursor::Length(3), &HeaderValue::from_static("3")));
    }

    #[test]
    fn what_can_not_be_sent_is_told() {
        assert_eq!(
            put("GET / HTTP/1.1\r\nHost: a b\r\n\r\n").unwrap_err(),
            "the host \"a b\" can't be sent over HTTP/2"
        );
        assert_eq!(put("G{T / HTTP/1.1\r\n\r\n").unwrap_err(), "the method \"G{T\" can't be sent over HTTP/2");
    }

    #[test]
    fn a_head_of_http_2_says_in_http_1_where_its_body_ends() {
        let head = |fields: &[(&'static str, &'static str)], is_chunked, is_over| {
            let map =
                fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            String::from_utf8(head_of(StatusCode::OK, map.collect(), is_chunked, is_over)).expect("text")
        };
        assert_eq!(head(&[("a", "1")], true, false), "HTTP/2.0 200\r\na: 1\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(head(&[("content-length", "1")], false, false), "HTTP/2.0 200\r\ncontent-length: 1\r\n\r\n");
        assert_eq!(head(&[], false, true), "HTTP/2.0 200\r\ncontent-length: 0\r\n\r\n");
        let announced = [("content-length", "1"), ("trailer", "x")];
        assert_eq!(head(&announced, true, false), "HTTP/2.0 200\r\ntrailer: x\r\ntransfer-encoding: chunked\r\n\r\n");
    }
}
