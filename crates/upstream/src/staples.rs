//! What authorities say of certificates (OCSP) is fetched again before it ends, so that it can be shown with them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use limpet_log::{LogLevel, os_error, write_default};
use limpet_message::body::{Body, Cursor};
use limpet_message::response::{Framing, MAX_HEAD, ResponseHead, Unread};
use limpet_tls::ocsp::Staple;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

/// How long a responder may take (nginx's).
const TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer with its head, in bytes.
const LONGEST: usize = MAX_HEAD;

/// Keeps one up to date, for good.
pub(super) async fn keep_fresh(staple: Arc<Staple>) {
    loop {
        let wait = staple.due_in(Instant::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let fetched = match timeout(TIMEOUT, fetch(&staple)).await {
            Ok(fetched) => fetched,
            Err(_) => Err("OCSP responder timed out (110: Connection timed out)".to_owned()),
        };
        let taken = fetched.and_then(|answer| staple.take(&answer, Instant::now()));
        if let Err(message) = taken {
            staple.put_off(Instant::now());
            let (host, name) = (&staple.responder.host, &staple.name);
            let message =
                format!("{message} while requesting certificate status, responder: {host}, certificate: \"{name}\"");
            write_default(LogLevel::Error, &message);
        }
    }
}

/// Asks each address of the responder in turn until one answers.
async fn fetch(staple: &Staple) -> Result<Vec<u8>, String> {
    let (host, port) = (staple.responder.host.trim_matches(['[', ']']), staple.responder.port);
    let request = staple.request()?;
    let addresses =
        lookup_host((host, port)).await.map_err(|error| format!("{host} could not be resolved ({error})"))?;
    let mut result = Err(format!("{host} could not be resolved"));
    for address in addresses {
        result = ask(address, &request).await.map_err(|error| match error.get_ref() {
            Some(inner) => inner.to_string(),
            None => format!("OCSP responder {address} failed ({})", os_error(&error)),
        });
        if result.is_ok() {
            break;
        }
    }
    result
}

async fn ask(address: std::net::SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let wrong = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut response = Vec::new();
    let too_large = || wrong("OCSP responder sent too large an answer".to_owned());
    let (head, length) = loop {
        let has_ended = stream.read_buf(&mut response).await? == 0;
        match ResponseHead::parse(&response, LONGEST) {
            Ok(read) => break read,
            Err(Unread::Invalid(_)) => return Err(wrong("OCSP responder sent invalid response".to_owned())),
            Err(Unread::Incomplete) if has_ended => {
                return Err(wrong("OCSP responder prematurely closed connection".to_owned()));
            }
            Err(Unread::Incomplete) => {}
        }
    };
    if head.status != 200 {
        return Err(wrong(format!("OCSP responder sent status {}", head.status)));
    }
    let mut body = response.split_off(length);
    let mut framing = match head.framing {
        Framing::Length(length) => Some(Cursor::new(Body::Length(length))),
        Framing::Chunked => Some(Cursor::new(Body::Chunked)),
        Framing::Close => None,
    };
    let mut answer = Vec::new();
    loop {
        let kept = match &mut framing {
            Some(framing) => framing.compact(&mut body).1,
            None => body.len(),
        };
        answer.extend_from_slice(body.get(..kept).unwrap_or_default());
        body.clear();
        if framing.is_some_and(Cursor::is_done) {
            return Ok(answer);
        }
        if answer.len() > LONGEST {
            return Err(too_large());
        }
        if stream.read_buf(&mut body).await? == 0 {
            return match framing {
                None => Ok(answer),
                Some(_) => Err(wrong("OCSP responder prematurely closed connection".to_owned())),
            };
        }
    }
}
