//! The direct way of a request: from the client to the backend in the connection's own task, with one buffer that all of a
//! thread's requests share, no channel, and no future that is boxed for it.

mod client;
mod upload;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use limpet_log::LogLevel;
use limpet_upstream::{Dial, Transaction};
use limpet_wire::scratch;

use self::client::Client;
use self::upload::Upload;
use crate::ctx::Request;
use crate::decision::{Answer, Decision};
use crate::fail::{self, Side};
use crate::reply::{self, Length};
use crate::{begin, body, choose, finish, response};

/// Pieces of a body up to this size are collected, and sent when there is nothing more to read.
const COLLECT: u64 = 8192;

/// Carries a request on from `decision`, which routing has come to, to its log line. `input` came behind its head.
pub async fn carry(mut request: Box<Request>, decision: Decision, input: Vec<u8>) {
    let mut client = Client::new(&request, input);
    let is_whole = match decision {
        Decision::Continue => proxy(&mut request, &mut client).await,
        decision => Box::pin(settle(&mut request, &mut client, decision)).await,
    };
    if is_whole {
        client.count_waiting();
    } else if !client.out.has_failed() {
        // What there is of a response that broke off still goes out.
        let _ = poll_fn(|cx| client.poll_send(cx)).await;
    }
    finish::finish(request, !is_whole);
    client.give_back(is_whole);
}

/// Does what the last step has said. Whether the response went out whole, or its end can be left to the front.
async fn settle(request: &mut Request, client: &mut Client, decision: Decision) -> bool {
    let is_sent = match decision {
        Decision::Answer(answer) if request.reply.is_none() => send(request, client, *answer).await,
        _ => false,
    };
    request.keepalive &= is_sent;
    is_sent
}

/// Sends an answer of our own; `false` when the client has gone.
async fn send(request: &mut Request, client: &mut Client, answer: Answer) -> bool {
    let may_chunk = request.head.http_1_1;
    match answer {
        Answer::Local(reply, body) => local(request, client, reply, body).await,
        Answer::File(file) if request.head.is_head() => local(request, client, file.into_reply(), Vec::new()).await,
        Answer::File(file) => {
            let (length, mut sending) = file.begin(request);
            client.take_head(length, may_chunk);
            // Nothing of the file is held while the client takes what is sent already.
            while poll_fn(|cx| client.poll_send(cx)).await.is_ok() {
                match sending.next(request) {
                    Some(piece) => client.push(request, &piece),
                    None => break,
                }
            }
            if client.out.has_failed() {
                return false;
            }
            client.end(request, &[]);
            sending.finish(request);
            drain(client).await
        }
    }
}

async fn local(request: &mut Request, client: &mut Client, reply: reply::Reply, body: Vec<u8>) -> bool {
    let body = reply::send_head_of(request, reply, body);
    client.take_head(Length::Known(body.len() as u64), false);
    client.push(request, &body);
    request.complete = drain(client).await;
    request.complete
}

/// Sends the end of a response as far as it can't be left to the front; `false` when the client has gone.
async fn drain(client: &mut Client) -> bool {
    client.out.may_be_left() || poll_fn(|cx| client.poll_send(cx)).await.is_ok()
}

/// Asks one server after another until one has answered. Whether the response went out whole.
async fn proxy(request: &mut Request, client: &mut Client) -> bool {
    match Upload::of(request) {
        Some(upload) => Box::pin(stream(request, client, upload)).await,
        None => ask(request, client, None).await,
    }
}

/// The same with a body that is still to come.
async fn stream(request: &mut Request, client: &mut Client, mut upload: Upload) -> bool {
    if begin::reads_body(request)
        && let Err(side) = poll_fn(|cx| upload.poll_whole(request, client, cx)).await
    {
        let decision = fail::finally(request, side);
        return settle(request, client, decision).await;
    }
    ask(request, client, Some(&mut upload)).await
}

async fn ask(request: &mut Request, client: &mut Client, mut upload: Option<&mut Upload>) -> bool {
    loop {
        let decision = match choose::choose(request).await {
            Decision::Continue => match attempt(request, client, upload.as_deref_mut()).await {
                Ok(is_whole) => return is_whole,
                Err(decision) => decision,
            },
            decision => decision,
        };
        match decision {
            Decision::NextServer => {}
            decision => return Box::pin(settle(request, client, decision)).await,
        }
    }
}

/// One try at the server that was chosen. Whether the response went out whole.
///
/// # Errors
/// What to do instead.
async fn attempt(
    request: &mut Request,
    client: &mut Client,
    mut upload: Option<&mut Upload>,
) -> Result<bool, Decision> {
    let Some(dial) = request.attempt.as_ref().map(|attempt| Arc::clone(&attempt.dial)) else {
        return Err(fail::internal(request, "a server was chosen, and there is no try"));
    };
    let mut transaction = match unless_gone(client, Dial::connect(&dial)).await {
        Some(Some(transaction)) => transaction,
        Some(None) => return Err(fail::to_connect(request)),
        None => return Err(fail::finally(request, Side::Client { is_there: false })),
    };
    let exchanged = match upload.as_deref_mut() {
        None => unless_gone(client, poll_fn(|cx| transaction.poll_exchange(cx))).await.map_or_else(
            || Err(Side::Client { is_there: false }),
            |head| if let Ok(true) = head { Ok(()) } else { Err(Side::Backend) },
        ),
        Some(upload) => {
            upload.begin(request, client);
            poll_fn(|cx| poll_exchange(request, client, &mut transaction, upload, cx)).await
        }
    };
    let may_resend = upload.as_ref().is_none_or(|upload| upload.is_kept());
    if let Err(side) = exchanged {
        return Err(fail::while_proxying(request, side, may_resend));
    }
    match response::from_backend(request, may_resend) {
        Decision::Continue => {}
        decision => return Err(decision),
    }
    let Some(length) = response::to_client(request) else {
        return Err(fail::internal(request, "a response without a head"));
    };
    client.take_head(length, request.head.http_1_1);
    if request.status == 101 {
        // The front carries what follows.
        return Ok(true);
    }
    if let Some(buffering) = request.buffering() {
        client.out.buffer(buffering);
    }
    let is_head = request.head.is_head();
    match relay(request, client, &mut transaction, upload.as_deref_mut(), is_head).await {
        Ok(()) => {
            if let Some(upload) = upload.filter(|upload| !upload.is_over()) {
                return Ok(Box::pin(outlast(request, client, &mut transaction, upload)).await);
            }
            // The backend has done its part, however slow the client is.
            drop(transaction);
            Ok(drain(client).await)
        }
        Err(Side::Client { .. }) => {
            if client.has_timed_out() {
                let message = "client timed out (110: Connection timed out) while sending to client";
                request.log_error(LogLevel::Info, message);
            }
            Err(fail::finally(request, Side::Client { is_there: false }))
        }
        Err(side) => Err(fail::while_proxying(request, side, false)),
    }
}

/// Sends the request with the body as it comes, and reads the head of the response, which may be there before all of that.
fn poll_exchange(
    request: &mut Request,
    client: &mut Client,
    transaction: &mut Transaction,
    upload: &mut Upload,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Side>> {
    let has_all = match upload.poll(request, client, transaction, cx) {
        Poll::Ready(Err(side)) => return Poll::Ready(Err(side)),
        sent => sent.is_ready(),
    };
    if has_all && transaction.send_rest(cx).is_err() {
        return Poll::Ready(Err(Side::Backend));
    }
    match transaction.poll_head(cx) {
        Poll::Ready(Ok(true)) => Poll::Ready(Ok(())),
        Poll::Ready(Ok(false) | Err(_)) => Poll::Ready(Err(Side::Backend)),
        Poll::Pending if has_all => client.poll_gone(cx).map(|()| Err(Side::Client { is_there: false })),
        Poll::Pending => Poll::Pending,
    }
}

/// The response is over, and the request is not: the rest of it still goes to a backend that takes it, so that both connections
/// may serve other requests. Whether the client got the response.
async fn outlast(
    request: &mut Request,
    client: &mut Client,
    transaction: &mut Transaction,
    upload: &mut Upload,
) -> bool {
    let is_sent = poll_fn(|cx| client.poll_send(cx)).await.is_ok();
    if is_sent {
        // Whatever becomes of that, it has been answered.
        let _ = poll_fn(|cx| upload.poll(request, client, transaction, cx)).await;
    }
    is_sent
}

/// What a future comes to; `None` when the client ends its connection first.
async fn unless_gone<T>(client: &mut Client, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => client.poll_gone(cx).map(|()| None),
    })
    .await
}

/// Passes the body of a response on.
///
/// # Errors
/// Whose fault it is that the response broke off.
async fn relay(
    request: &mut Request,
    client: &mut Client,
    transaction: &mut Transaction,
    mut upload: Option<&mut Upload>,
    is_head: bool,
) -> Result<(), Side> {
    let came_with_head = transaction.take_input();
    if !is_head && !came_with_head.is_empty() {
        let piece = body::to_client(request, Some(came_with_head.into()), false);
        client.push(request, piece.as_deref().unwrap_or_default());
    }
    poll_fn(|cx| poll_relay(request, client, transaction, upload.as_deref_mut(), cx)).await?;
    let rest = body::to_client(request, None, true);
    if !is_head {
        client.push(request, rest.as_deref().unwrap_or_default());
        client.end(request, &response::trailers(request));
    }
    Ok(())
}

fn poll_relay(
    request: &mut Request,
    client: &mut Client,
    transaction: &mut Transaction,
    upload: Option<&mut Upload>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Side>> {
    let client_gone = || Poll::Ready(Err(Side::Client { is_there: false }));
    // A backend may answer before it has read all of the request.
    let has_all = match upload.map(|upload| upload.poll(request, client, transaction, cx)) {
        Some(Poll::Ready(Err(side))) => return Poll::Ready(Err(side)),
        sent => sent.is_none_or(|sent| sent.is_ready()),
    };
    loop {
        let mut is_blocked = false;
        if client.out.waiting() > COLLECT {
            match client.poll_send(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return client_gone(),
                Poll::Pending => is_blocked = true,
            }
            if is_blocked && !client.out.has_room() {
                return Poll::Pending;
            }
        }
        let read = scratch::with(|buffer| {
            let read = transaction.poll_body(cx, buffer);
            let Poll::Ready(Ok(count @ 1..)) = read else { return read };
            let piece = buffer.get(..count).unwrap_or_default();
            if !request.filters.is_empty() {
                let piece = body::to_client(request, Some(piece.to_vec().into()), false);
                client.push(request, piece.as_deref().unwrap_or_default());
                return read;
            }
            body::count(request, count);
            if is_blocked || client.out.waiting() + count as u64 <= COLLECT {
                client.push(request, piece);
            } else {
                client.send_through(request, piece);
            }
            read
        });
        match read {
            Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Side::Backend)),
            Poll::Pending => {
                return match client.poll_send(cx) {
                    Poll::Ready(Err(_)) => client_gone(),
                    _ if has_all && client.poll_gone(cx).is_ready() => client_gone(),
                    _ => Poll::Pending,
                };
            }
        }
    }
}
