//! Answers of our own, sent through Pingora's session.

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::ctx::Request;
use crate::decision::{Answer, Decision};
use crate::file::Opened;
use crate::reply;
use crate::reply::{Length, Reply};

/// Does what the last step of a failed request has said.
pub(super) async fn word(session: &mut Session, request: &mut Request, word: Decision) {
    let sent = match word {
        Decision::Answer(given) if request.reply.is_none() => answer(session, request, *given).await,
        _ => {
            request.keepalive = false;
            // Nothing is sent: an empty head keeps the one that Pingora writes from being sent.
            request.exchange().head.get_or_insert_default();
            return;
        }
    };
    if sent.is_err() {
        request.keepalive = false;
    }
}

/// Sends an answer.
///
/// # Errors
/// The client has gone.
pub(super) async fn answer(session: &mut Session, request: &mut Request, answer: Answer) -> Result<()> {
    match answer {
        Answer::Local(reply, body) => local(session, request, reply, body).await,
        Answer::File(file) if request.head.is_head() => local(session, request, file.into_reply(), Vec::new()).await,
        Answer::File(opened) => file(session, request, opened).await,
    }
}

async fn local(session: &mut Session, request: &mut Request, reply: Reply, body: Vec<u8>) -> Result<()> {
    let status = shown_status(reply.status);
    let body = reply::send_head_of(request, reply, body);
    let mut header = ResponseHeader::build_no_case(status, Some(2))?;
    header.set_content_length(body.len())?;
    write(session, header, Some(Bytes::from(body)).filter(|body| !body.is_empty())).await?;
    request.complete = true;
    Ok(())
}

async fn write(session: &mut Session, header: ResponseHeader, body: Option<Bytes>) -> Result<()> {
    session.write_response_header(Box::new(header), body.is_none()).await?;
    match body {
        Some(body) => session.write_response_body(Some(body), true).await,
        None => Ok(()),
    }
}

/// Sends the head of a file and the wanted parts, a piece at a time.
async fn file(session: &mut Session, request: &mut Request, opened: Opened) -> Result<()> {
    let status = shown_status(opened.status());
    let (length, mut sending) = opened.begin(request);
    let mut header = ResponseHeader::build_no_case(status, Some(2))?;
    if length != Length::Open {
        header.set_content_length(usize::try_from(sending.left).unwrap_or(usize::MAX))?;
    } else if request.head.http_1_1 {
        header.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    session.write_response_header(Box::new(header), sending.left == 0).await?;
    while let Some(piece) = sending.next(request) {
        session.write_response_body(Some(piece), sending.left == 0).await?;
    }
    sending.finish(request);
    Ok(())
}

/// A status that Pingora can write; the client sees our own line.
fn shown_status(status: u16) -> u16 {
    if (200..=999).contains(&status) { status } else { 200 }
}
