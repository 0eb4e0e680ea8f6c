//! HTTP/2: a connection of many requests. Each stream is a connection of its own to all that is behind the front: what comes on
//! it is put into HTTP/1's words, and what is answered is taken out of them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use limpet_log::LogLevel;
use limpet_message::body::{Body, Cursor};
use limpet_message::field::{Fields, Known};
use limpet_message::response::{Framing, MAX_HEAD, ResponseHead, Unread};
use limpet_wire::http2::{FLOOD, Framed, Room, SMALL_FRAMES, receive};
use limpet_wire::{Outward, Pipe, Socket};
use tokio::time::{Sleep, sleep, timeout};

use super::conn::Conn;
use super::handler::Handler;
use super::request;

/// The longest head that an answer of our own may have, in bytes: more than any backend's.
const LONGEST_HEAD: usize = 4 * MAX_HEAD;
/// What a client says first that begins with HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// HTTP/2 counts 32 bytes more for each field than nginx: room for as many as there may be.
const FIELDS: u32 = 32 * 1000;
/// What a client may send of bodies before they are asked for, in bytes (nginx's `http2_body_preread_size`).
const WINDOW: u32 = 65_535;
/// Streams that are reset before anybody has looked at them (nginx ends a connection at about as many).
const RESETS: usize = 100;
/// The largest window there is.
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// How long a client that was told that the connection ends may take to agree.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What is collected for a client before streams have to wait, in bytes.
const SEND_BUFFER: usize = 65_536;

/// By which terms HTTP/2 is spoken.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Streams that may be open at a time.
    pub streams: u32,
    /// Requests of a connection.
    pub requests: u64,
    /// How long a connection stays without any.
    pub idle: Duration,
    /// How long it takes until the client has begun.
    pub begin: Duration,
    /// The longest head.
    pub head: u32,
    /// How long a client may take nothing of what it is sent.
    pub send: Duration,
}

/// Whether a client begins with HTTP/2; `None`: more of it is needed to tell.
pub(super) fn begins(input: &[u8]) -> Option<bool> {
    match input.starts_with(PREFACE) {
        false if PREFACE.starts_with(input) => None,
        begins => Some(begins),
    }
}

/// The socket of a connection.
struct Of(Arc<Conn>);

impl AsRef<Socket> for Of {
    fn as_ref(&self) -> &Socket {
        &self.0.socket
    }
}

/// Serves a connection until it ends. `input` has come of it already.
pub(super) async fn run(handler: Arc<impl Handler>, conn: Arc<Conn>, input: Vec<u8>, terms: Terms) {
    let io = Framed::new(Of(Arc::clone(&conn)), input, Some(terms.send), PREFACE.len());
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(terms.streams)
        .max_header_list_size(terms.head.saturating_add(FIELDS))
        .initial_window_size(WINDOW)
        // A stream whose body nobody takes must not hold the others up: each has a window of its own.
        .initial_connection_window_size(MAX_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .data_frame_budget(SMALL_FRAMES);
    conn.begin_streams();
    let Ok(Ok(mut connection)) = timeout(terms.begin, builder.handshake::<_, Bytes>(io)).await else { return };
    let mut drained = pin!(conn.drained());
    let mut idle: Option<Pin<Box<Sleep>>> = None;
    let mut is_ending = false;
    let mut end = |connection: &mut h2::server::Connection<Framed<Of>, Bytes>| {
        if !std::mem::replace(&mut is_ending, true) {
            connection.graceful_shutdown();
        }
    };
    let mut has_drained = false;
    loop {
        let accepted = poll_fn(|cx| {
            loop {
                if !has_drained && drained.as_mut().poll(cx).is_ready() {
                    has_drained = true;
                    idle = None;
                    end(&mut connection);
                }
                if let Poll::Ready(accepted) = connection.poll_accept(cx) {
                    return Poll::Ready(accepted);
                }
                if connection.has_streams() {
                    idle = None;
                    conn.end_idle();
                    return Poll::Pending;
                }
                if idle.is_none() && !conn.begin_idle() && !has_drained {
                    has_drained = true;
                    end(&mut connection);
                    continue;
                }
                let timer =
                    idle.get_or_insert_with(|| Box::pin(sleep(if has_drained { LAST_WORDS } else { terms.idle })));
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                // Whoever does not take the hint by then is let go.
                if has_drained {
                    return Poll::Ready(None);
                }
                has_drained = true;
                idle = None;
                end(&mut connection);
            }
        })
        .await;
        match accepted {
            Some(Ok((request, respond))) => {
                conn.end_idle();
                if conn.count_request() >= terms.requests {
                    end(&mut connection);
                }
                tokio::spawn(stream(Arc::clone(&handler), Arc::clone(&conn), request, respond, terms.send));
            }
            Some(Err(error)) => {
                let told = error.get_io().and_then(|error| match error.kind() {
                    std::io::ErrorKind::TimedOut => Some("client timed out (110: Connection timed out)"),
                    std::io::ErrorKind::Other => Some(FLOOD),
                    _ => None,
                });
                if let Some(message) = told {
                    handler.tell(&conn, LogLevel::Info, message);
                } else if error.is_go_away() || error.is_library() {
                    handler.tell(&conn, LogLevel::Info, &format!("client broke the rules of HTTP/2: {error}"));
                }
                return;
            }
            None => return,
        }
    }
}

/// One request.
async fn stream(
    handler: Arc<impl Handler>,
    conn: Arc<Conn>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    limit: Duration,
) {
    let (parts, mut body) = request.into_parts();
    let pipe = Pipe::default();
    let child = Arc::new(Conn::stream(&conn, &pipe));
    let has_length = parts.headers.contains_key(CONTENT_LENGTH);
    let has_body = !body.is_end_stream();
    let head = head(&parts, has_body && !has_length);
    let is_head = parts.method == http::Method::HEAD;
    let serve = async {
        request::stream(&*handler, &child, head).await;
        child.socket.shutdown_write();
    };
    let receive = async {
        if has_body && receive(&pipe, &mut body, !has_length).await.is_err() {
            pipe.give_up();
        }
        // It may be wanted no longer; that says the other direction.
        std::future::pending::<()>().await;
    };
    let number = respond.stream_id();
    let mut serve = pin!(serve);
    let mut receive = pin!(receive);
    let mut send = pin!(answer(&pipe, respond, is_head, limit));
    let mut is_served = false;
    let mut sent = None;
    poll_fn(|cx| {
        if !is_served {
            is_served = serve.as_mut().poll(cx).is_ready();
        }
        let _ = receive.as_mut().poll(cx);
        if sent.is_none() {
            match send.as_mut().poll(cx) {
                Poll::Ready(end) => sent = Some(end),
                Poll::Pending => return Poll::Pending,
            }
        }
        // The client has all, or has gone.
        pipe.give_up();
        if !is_served {
            is_served = serve.as_mut().poll(cx).is_ready();
        }
        if is_served { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    if let Some(End::Canceled) = sent {
        handler.tell(&conn, LogLevel::Info, &format!("client canceled stream {}", u32::from(number)));
    }
}

/// How an answer has ended.
enum End {
    /// It went out, or broke off on our side.
    Ours,
    /// The client wants it no more.
    Canceled,
}

/// A head in HTTP/1's words.
fn head(parts: &Parts, is_chunked: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| text.extend_from_slice(part));
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    line(&[parts.method.as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/2.0\r\n"]);
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    if let Some(authority) = authority {
        line(&[b"Host: ", authority.as_bytes(), b"\r\n"]);
    }
    // Another host beside the authority is one too many, as it is in HTTP/1.
    let is_said =
        |value: &HeaderValue| authority.is_some_and(|said| said.as_bytes().eq_ignore_ascii_case(value.as_bytes()));
    for (name, value) in &parts.headers {
        if *name == COOKIE || *name == EXPECT || (*name == HOST && is_said(value)) {
            continue;
        }
        line(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    // A cookie for each field saves room in HTTP/2; to all others they are one.
    let crumbs: Vec<&[u8]> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if !crumbs.is_empty() {
        line(&[b"cookie: ", &crumbs.join(&b"; "[..]), b"\r\n"]);
    }
    if is_chunked {
        line(&[b"Transfer-Encoding: chunked\r\n"]);
    }
    line(&[b"\r\n"]);
    text
}

/// Passes an answer on until it is over, or the client does not want it any more.
async fn answer(pipe: &Pipe, mut respond: SendResponse<Bytes>, is_head: bool, limit: Duration) -> End {
    let mut bytes = Vec::new();
    let head = loop {
        let outward = poll_fn(|cx| match respond.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => pipe.poll_outward(cx, usize::MAX).map(Some),
        });
        match outward.await {
            Some(Outward::Bytes(more)) if bytes.is_empty() => bytes = more,
            Some(Outward::Bytes(more)) => bytes.extend_from_slice(&more),
            Some(Outward::Ended) => return broken(&mut respond),
            None => return End::Canceled,
        }
        match ResponseHead::parse(&bytes, LONGEST_HEAD) {
            // The client sends its body without being asked to go on.
            Ok((head, length)) if head.status == 100 => drop(bytes.drain(..length)),
            Ok((head, length)) => {
                bytes.drain(..length);
                break head;
            }
            Err(Unread::Incomplete) => {}
            Err(Unread::Invalid(_)) => return broken(&mut respond),
        }
    };
    let has_none = is_head || matches!(head.status, 204 | 304);
    let framing = match head.framing {
        _ if has_none => Some(Cursor::Done),
        Framing::Length(length) => Some(Cursor::new(Body::Length(length))),
        Framing::Chunked => Some(Cursor::new(Body::Chunked)),
        Framing::Close => None,
    };
    let is_over = framing.as_ref().is_some_and(|framing| framing.is_done());
    let Ok(stream) = respond.send_response(response(&head), is_over) else { return End::Canceled };
    if is_over { End::Ours } else { send_body(pipe, stream, framing, bytes, limit).await }
}

fn broken(respond: &mut SendResponse<Bytes>) -> End {
    respond.send_reset(Reason::INTERNAL_ERROR);
    End::Ours
}

/// The head of a response, without what is about connections.
fn response(head: &ResponseHead) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = fields(head.fields.iter());
    response
}

/// Lines without what is about connections.
fn fields<'f>(lines: impl Iterator<Item = (Known, &'f [u8], &'f [u8])>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (known, name, value) in lines {
        let is_of_connection = matches!(
            known,
            Known::Connection | Known::KeepAlive | Known::ProxyConnection | Known::TransferEncoding | Known::Upgrade
        );
        if is_of_connection {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

/// Sends a body, of which `bytes` are there already.
async fn send_body(
    pipe: &Pipe,
    mut stream: SendStream<Bytes>,
    mut framing: Option<Cursor>,
    mut bytes: Vec<u8>,
    limit: Duration,
) -> End {
    let mut trailers = Vec::new();
    let mut room = Room::new(Some(limit));
    stream.reserve_capacity(1);
    if stream.capacity() == 0 {
        pipe.put_back(std::mem::take(&mut bytes));
    }
    loop {
        if let Some(framing) = &mut framing {
            let (_, kept) = framing.compact_with_trailers(&mut bytes, &mut trailers, LONGEST_HEAD);
            bytes.truncate(kept);
            if *framing == Cursor::Lost {
                {
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return End::Ours;
                }
            }
        }
        let is_over = framing.as_ref().is_some_and(|framing| framing.is_done());
        if !bytes.is_empty() || is_over {
            // The blank line is always there.
            let trailers = Some(&trailers).filter(|trailers| is_over && trailers.len() > 2);
            let data = Bytes::from(std::mem::take(&mut bytes));
            if !room.send(&mut stream, data, is_over && trailers.is_none()).await {
                stream.send_reset(Reason::CANCEL);
                return End::Canceled;
            }
            if let Some(trailers) = trailers {
                let _ = stream.send_trailers(fields(Fields::of_trailers(trailers).unwrap_or_default().iter()));
            }
            if is_over {
                return End::Ours;
            }
        }
        // Nothing is taken before there is room for it: who writes has to wait then.
        if room.wait(&mut stream, 1, |cx| pipe.poll_has_outward(cx)).await.is_none() {
            stream.send_reset(Reason::CANCEL);
            return End::Canceled;
        }
        // As much as there is room for. No more is asked for than there is to send, since all streams share it.
        stream.reserve_capacity(pipe.outward().max(1));
        let most = stream.capacity().max(1);
        let outward = poll_fn(|cx| match stream.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => pipe.poll_outward(cx, most).map(Some),
        });
        match outward.await {
            Some(Outward::Bytes(more)) => bytes = more,
            // Its end is that of the connection, or it broke off.
            Some(Outward::Ended) if framing.is_none() => {
                let _ = stream.send_data(Bytes::new(), true);
                return End::Ours;
            }
            Some(Outward::Ended) => {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return End::Ours;
            }
            None => return End::Canceled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_begins_with_the_preface_or_it_is_not_known_yet() {
        assert_eq!(begins(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"), Some(true));
        assert_eq!([begins(b""), begins(b"P"), begins(b"PRI * H")], [None; 3]);
        assert_eq!(
            [begins(b"PU"), begins(b"GET / HTTP/1.1\r\n"), begins(b"PRI * HTTP/2.0\r\n\r\nXX")],
            [Some(false); 3]
        );
    }

    #[test]
    fn a_head_is_put_into_the_words_of_http_1() {
        let request = Request::builder()
            .uri("https://a.example/x?y")
            .header("cookie", "a=1")
            .header("host", "A.example")
            .header("x-y", "z")
            .header("cookie", "b=2")
            .body(())
            .expect("a request");
        let (parts, ()) = request.into_parts();
        let text = String::from_utf8(head(&parts, true)).expect("text");
        let expected =
            "GET /x?y HTTP/2.0\r\nHost: a.example\r\nx-y: z\r\ncookie: a=1; b=2\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(text, expected);
    }
}
