//! One probe: what is sent, and what the answer says.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use limpet_log::os_error;
use limpet_message::field::{Fields, Known};
use limpet_message::host::host_name;
use limpet_tls::client::{Client, ClientSettings};
use limpet_wire::{Address, HandshakeError, LARGEST_RECORD, Plain, Socket, Tls};
use pingora_error::{Error, ErrorType};
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::HealthCheck;
use tokio::net::{TcpSocket, UnixStream};

use super::hello::client_hello;
use super::{Rules, fastcgi};
use crate::dial::is_our_own;
use crate::written::{CheckKind, Expected};

/// CPong of the Apache JServ Protocol 1.3.
const AJP_PONG: [u8; 5] = [0x41, 0x42, 0x00, 0x01, 0x09];
/// The most bytes that are read of an answer: the longest record of FastCGI with its header.
const MOST: usize = (64 << 10) + 8;

/// 2xx and 3xx, which an HTTP probe takes for good where nothing else is said.
const GOOD: Expected = [false, true, true, false, false];

/// Why a server has not passed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeFailure {
    /// Nobody listens, or the connection was closed at once. It is not logged.
    #[error("nobody listens")]
    Silent,
    /// This machine lacks what a connection takes, in nginx's words.
    #[error("{0}")]
    Own(String),
    /// The connection ended in the middle of the answer.
    #[error("the connection was closed")]
    Closed,
    /// The answer is not what it should be.
    #[error("wrong answer")]
    Protocol,
    /// A call failed, in nginx's words.
    #[error("{0}")]
    Io(String),
}

/// A connection for the next probe, and how many it has served.
struct ProbeConnection {
    socket: Socket,
    served: u32,
}

/// Sends all of it.
async fn send(socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| socket.poll_write(cx, &[IoSlice::new(bytes)])).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = bytes.get(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// What an answer says, as far as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Bad,
    /// More bytes will tell.
    Open,
}

/// A server's probe as Pingora's health checks are: what a Rust program writes for those can be put in its place.
pub(super) struct Probe {
    rules: Arc<Rules>,
    target: Address,
    /// The connection for the next probe. The lock is held while a probe runs.
    connection: tokio::sync::Mutex<Option<ProbeConnection>>,
}

impl Probe {
    pub(super) fn new(rules: Arc<Rules>, target: Address) -> Self {
        Probe { rules, target, connection: tokio::sync::Mutex::default() }
    }
}

#[async_trait]
impl HealthCheck for Probe {
    /// # Errors
    /// Its cause is a [`ProbeFailure`].
    async fn check(&self, _: &Backend) -> pingora_error::Result<()> {
        let mut connection = self.connection.lock().await;
        run(&self.rules, &self.target, &mut connection)
            .await
            .map_err(|failure| Error::because(ErrorType::CustomCode("check", 0), "", failure))
    }

    fn health_threshold(&self, success: bool) -> usize {
        (if success { self.rules.check.rise } else { self.rules.check.fall }) as usize
    }
}

/// Probes once. A connection that may serve the next probe stays in its slot.
async fn run(rules: &Rules, target: &Address, slot: &mut Option<ProbeConnection>) -> Result<(), ProbeFailure> {
    let check = &rules.check;
    let kept = slot.take().filter(|connection| !connection.socket.has_hung_up());
    let ProbeConnection { socket, served } = match kept {
        Some(connection) => connection,
        None => {
            let speaks_first = !matches!(check.kind, CheckKind::Tcp | CheckKind::Mysql);
            let socket = connect(target, speaks_first).await.map_err(|error| unconnected(&error))?;
            let socket = match check.kind {
                CheckKind::Https => encrypted(socket, target, &rules.question).await?,
                _ => Socket::Plain(socket),
            };
            ProbeConnection { socket, served: 0 }
        }
    };
    let hello = match check.kind {
        CheckKind::Tcp => return if socket.has_hung_up() { Err(ProbeFailure::Silent) } else { Ok(()) },
        CheckKind::SslHello => {
            let mut random = [0; 32];
            fastrand::fill(&mut random);
            Some(client_hello(random))
        }
        _ => None,
    };
    let send = hello.as_ref().unwrap_or(&rules.question);
    let failed = |call: &str, error: &io::Error| ProbeFailure::Io(format!("{call} failed ({})", os_error(error)));
    self::send(&socket, send).await.map_err(|error| failed("send()", &error))?;
    let keeps = check.kind.is_http() && served + 1 < rules.requests;
    let mut answer = Vec::new();
    loop {
        let verdict = match check.kind {
            CheckKind::Http | CheckKind::Https => http(&answer, rules.expected.unwrap_or(GOOD), keeps),
            CheckKind::SslHello => ssl_hello(&answer),
            CheckKind::Mysql => mysql(&answer),
            CheckKind::Ajp => ajp(&answer),
            CheckKind::Fastcgi => fastcgi::verdict(&answer, rules.expected),
            CheckKind::Tcp => Verdict::Good,
        };
        match verdict {
            Verdict::Good => break,
            Verdict::Bad => return Err(ProbeFailure::Protocol),
            Verdict::Open if answer.len() > MOST => return Err(ProbeFailure::Protocol),
            Verdict::Open => {}
        }
        match poll_fn(|cx| socket.poll_append(cx, &mut answer, MOST)).await {
            Ok(0) => return Err(ProbeFailure::Closed),
            Ok(_) => {}
            Err(error) => return Err(failed("recv()", &error)),
        }
    }
    if keeps && is_whole(&answer) {
        *slot = Some(ProbeConnection { socket, served: served + 1 });
    }
    Ok(())
}

async fn connect(target: &Address, speaks_first: bool) -> io::Result<Plain> {
    Ok(match target {
        Address::Ip(address) => {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if speaks_first {
                // The handshake's last packet can then be the one with the question, which wakes the server once and not
                // twice. Where the system does not know how, it costs what it always did.
                let _ = socket2::SockRef::from(&socket).set_tcp_quickack(false);
            }
            Plain::Tcp(socket.connect(*address).await?)
        }
        Address::Unix(path) => Plain::Unix(UnixStream::connect(path).await?),
    })
}

fn unconnected(error: &io::Error) -> ProbeFailure {
    let what = || format!("connect() failed ({})", os_error(error));
    match error.kind() {
        _ if is_our_own(error) => ProbeFailure::Own(what()),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => ProbeFailure::Silent,
        _ => ProbeFailure::Io(what()),
    }
}

/// Begins TLS. The server is told the name that it is asked for by; its certificate is not looked at.
async fn encrypted(plain: Plain, target: &Address, question: &[u8]) -> Result<Socket, ProbeFailure> {
    static CLIENT: LazyLock<Option<Client>> = LazyLock::new(|| Client::new(&ClientSettings::default()).ok());
    let failed = |why: String| ProbeFailure::Io(format!("SSL_do_handshake() failed{why}"));
    let client = CLIENT.as_ref().ok_or_else(|| failed(String::new()))?;
    let lines = question.iter().position(|byte| *byte == b'\n').and_then(|end| question.get(end + 1..));
    let fields = lines.and_then(|lines| Fields::of_trailers(lines).ok());
    let host = fields.and_then(|fields| fields.value(Known::Host).and_then(host_name));
    let host = host.and_then(|host| String::from_utf8(host).ok());
    let ssl = client.begin(&target.to_string(), host.as_deref()).map_err(|error| ProbeFailure::Io(error.message))?;
    let tls = Tls::new(plain, ssl, LARGEST_RECORD).map_err(|error| failed(format!(" ({error})")))?;
    match poll_fn(|cx| tls.poll_handshake(cx, false)).await {
        Ok(()) => Ok(tls.into()),
        Err(HandshakeError::Closed) => Err(ProbeFailure::Closed),
        Err(HandshakeError::Io(error)) => Err(failed(format!(" ({})", os_error(&error)))),
        Err(HandshakeError::Tls(stack)) => Err(failed(limpet_tls::errors(&stack))),
    }
}

/// The status line decides. For a connection that is to be kept the whole head must have come.
fn http(answer: &[u8], expected: [bool; 5], keeps: bool) -> Verdict {
    let Some(end) = answer.iter().position(|byte| *byte == b'\n') else { return Verdict::Open };
    let line = answer.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some(status) = status(line) else { return Verdict::Bad };
    let hundreds = usize::from(status / 100);
    let good = hundreds.checked_sub(1).and_then(|at| expected.get(at)).copied().unwrap_or(false);
    match good {
        false => Verdict::Bad,
        true if keeps && head_end(answer).is_none() => Verdict::Open,
        true => Verdict::Good,
    }
}

/// The status of a status line: `HTTP/1.1 200`, and whatever stands behind a blank or dot.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let blank = rest.iter().position(|byte| *byte == b' ')?;
    let (version, rest) = rest.split_at_checked(blank)?;
    let dot = version.iter().position(|byte| *byte == b'.')?;
    let (major, minor) = version.split_at_checked(dot)?;
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if !digits(major) || major.starts_with(b"0") || !digits(minor.get(1..)?) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let (number, rest) = rest.split_at_checked(3)?;
    if !digits(number) || !matches!(rest.first(), None | Some(b' ' | b'.')) {
        return None;
    }
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Where the body begins: behind a line with nothing in it.
fn head_end(answer: &[u8]) -> Option<usize> {
    let ends = answer.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    ends.into_iter().find_map(|at| match answer.get(at..)? {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    })
}

/// Whether an answer came whole with its head and lets the connection go on: below 400, and with its length said.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = head_end(answer) else { return false };
    let head = answer.get(..end).unwrap_or_default();
    let mut length = None;
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            length = std::str::from_utf8(value).ok().and_then(|value| value.parse::<usize>().ok());
        } else if name.eq_ignore_ascii_case(b"connection") && value.eq_ignore_ascii_case(b"close") {
            return false;
        }
    }
    length == Some(answer.len() - end) && head.get(9..10).is_some_and(|first| first < b"4".as_slice())
}

/// A handshake record with a ServerHello in it.
fn ssl_hello(answer: &[u8]) -> Verdict {
    match (answer.first(), answer.get(5)) {
        (None | Some(0x16), None) => Verdict::Open,
        (Some(0x16), Some(0x02)) => Verdict::Good,
        _ => Verdict::Bad,
    }
}

/// The first packet of a connection has the number 0.
fn mysql(answer: &[u8]) -> Verdict {
    match (answer.get(3), answer.get(4)) {
        (Some(0), Some(_)) => Verdict::Good,
        (Some(0) | None, None) => Verdict::Open,
        _ => Verdict::Bad,
    }
}

fn ajp(answer: &[u8]) -> Verdict {
    match answer.get(..AJP_PONG.len()) {
        Some(pong) if pong == AJP_PONG => Verdict::Good,
        Some(_) => Verdict::Bad,
        None => Verdict::Open,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_status_line_decides() {
        for (answer, verdict) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], Verdict::Good),
            (b"HTTP/1.0 200\n", Verdict::Good),
            (b"HTTP/1.1  301.1\r\n", Verdict::Good),
            (b"HTTP/1.0 200", Verdict::Open),
            (b"", Verdict::Open),
            (b"HTTP/1.1 404 Not Found\r\n", Verdict::Bad),
            (b"HTTP/1.1 600 x\r\n", Verdict::Bad),
            (b"HTTP/1.1 099 x\r\n", Verdict::Bad),
            (b"HTTP/0.9 200 x\r\n", Verdict::Bad),
            (b"HTTP/1.1 2000\r\n", Verdict::Bad),
            (b"SSH-2.0-x\r\n", Verdict::Bad),
        ] {
            assert_eq!(http(answer, GOOD, false), verdict, "{}", String::from_utf8_lossy(answer));
        }
        assert_eq!(http(b"HTTP/1.1 404 x\r\n", [false, false, false, true, false], false), Verdict::Good);
        assert_eq!(http(b"HTTP/1.1 200 x\r\n", GOOD, true), Verdict::Open);
    }

    #[test]
    fn only_an_answer_that_is_over_keeps_its_connection() {
        let whole = |text: &str| is_whole(text.as_bytes());
        assert!(whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        assert!(!whole("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"));
        assert!(!whole("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!whole("HTTP/1.1 404 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!whole("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
    }

    #[test]
    fn the_first_bytes_of_other_protocols_decide() {
        assert_eq!(ssl_hello(&[0x16, 3, 3, 0, 60, 2]), Verdict::Good);
        assert_eq!(ssl_hello(&[0x15, 3, 3, 0, 2, 2, 40]), Verdict::Bad);
        assert_eq!(ssl_hello(&[0x16, 3]), Verdict::Open);
        assert_eq!(mysql(&[0x4a, 0, 0, 0, 10]), Verdict::Good);
        assert_eq!(mysql(b"HTTP/1.1"), Verdict::Bad);
        assert_eq!(mysql(&[1, 0, 0]), Verdict::Open);
        assert_eq!(ajp(&AJP_PONG), Verdict::Good);
        assert_eq!(ajp(b"HTTP/"), Verdict::Bad);
        assert_eq!(ajp(&AJP_PONG[..3]), Verdict::Open);
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in prop::collection::vec(any::<u8>(), 0..80)) {
            http(&answer, GOOD, true);
            is_whole(&answer);
            ssl_hello(&answer);
            mysql(&answer);
            ajp(&answer);
        }
    }
}
