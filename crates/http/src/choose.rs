//! Which server a request goes to, now or after another one failed.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use limpet_balance::Ask;
use limpet_log::{LogLevel, clock};
use limpet_upstream::{Dial, Members, Secure, Slice, Trace, Upstream};
use limpet_wire::address::local;

use super::attempt::{Attempt, Try};
use super::ctx::Request;
use super::decision::Decision;
use super::routing::error_page;
use super::sticky::{self, NoServer};
use super::{fail, upstream_request};
use crate::Text;
use crate::pass::{BindTo, HashKey, HttpVersion, Pass, PassTls, SliceSize, Slices, TlsName, host_of};
use crate::runtime::Content;

/// Chooses a server. After `Continue` the request's attempt says how it is reached.
pub(super) async fn choose(request: &mut Request) -> Decision {
    let location = Arc::clone(&request.location);
    let Content::Upstream(pass) = &location.content else {
        return fail::internal(request, "a location without a backend asks for one");
    };
    let members = match &request.members {
        Some(members) => Arc::clone(members),
        None => begin(request, &pass.upstream),
    };
    loop {
        match next(request, pass, &members) {
            Decision::Continue => {}
            without => return without,
        }
        let is_true = |text: &Text| limpet_text::is_true(&text.render(request));
        if pass.terms.allow.iter().all(is_true) {
            return Decision::Continue;
        }
        match fail::denied(request) {
            Decision::NextServer => {}
            other => return other,
        }
        // This may go through many servers: let other requests run in between.
        tokio::task::yield_now().await;
    }
}

/// Begins a try at the next server, if there is one.
fn next(request: &mut Request, pass: &Pass, members: &Arc<Members>) -> Decision {
    let upstream = &pass.upstream;
    let index = match server(request, &pass.key, members) {
        Ok(index) => index,
        Err(reason) => {
            let mut nobody = Try::new(Arc::clone(&upstream.name), None);
            nobody.status = 502;
            request.tries.push(nobody);
            if reason == NoServer::NoneLeft {
                // For the error log, which takes the URI from this head.
                head_for_backend(request, pass);
                request.log_error(LogLevel::Error, "no live upstreams while connecting to upstream");
            }
            return error_page(request, 502);
        }
    };
    let Some(backend) = members.backends.get(index) else {
        return fail::internal(request, "the server that was chosen is not there");
    };
    let head = head_for_backend(request, pass);
    let trace = Arc::new(Trace::new(request.body_to_come()));
    request.tries.push(Try::new(Arc::clone(&backend.name), Some(Arc::clone(&trace))));
    let dial = Arc::new(Dial {
        backend: Arc::clone(backend),
        pools: Arc::clone(&upstream.pools),
        worker: request.conn.worker,
        head: head.clone(),
        fresh: request.again.take().is_some(),
        careful: !fail::is_repeatable(request),
        connect_timeout: pass.terms.connect_timeout,
        read_timeout: pass.terms.read_timeout,
        send_timeout: pass.terms.send_timeout,
        bind: bind(request, pass),
        socket: pass.terms.socket,
        tls: pass.tls.as_ref().map(|tls| secure(request, tls)),
        is_http2: pass.terms.http_version == HttpVersion::Http2,
        is_grpc: pass.terms.tells_of_trailers,
        slice: pass.slices.as_ref().map(|slices| slice(request, slices)),
        body: request.body_for_backend(),
        stored: request.stored.clone(),
        upgrades: upstream_request::asks_for_upgrade(request, &head),
        max_head_size: pass.terms.max_head_size,
        wants_trailers: pass.terms.passes_trailers,
        is_head: request.head.is_head(),
        trace,
        client: Arc::clone(&request.conn) as _,
    });
    request.attempt = Some(Attempt::new(Arc::clone(members), index, dial));
    Decision::Continue
}

/// The server for the next try: one that is asked again, the session's own, or the one that the method chooses. The request
/// has entered it.
fn server(request: &mut Request, key: &HashKey, members: &Members) -> Result<usize, NoServer> {
    if let Some(again) = request.again {
        members.group.visit_again(again, clock::steady_milliseconds());
        return Ok(again);
    }
    if let Some(own) = sticky::own_server(request, members)? {
        return Ok(own);
    }
    let progress = members.progress.get(request.conn.worker).ok_or(NoServer::NoneLeft)?;
    if request.key.is_none() {
        request.key = match key {
            HashKey::None => None,
            HashKey::Address => Some(request.conn.address_octets()),
            HashKey::Text(text) => Some(text.render(request)),
        };
    }
    let key = request.key.as_deref().unwrap_or_default();
    let ask = Ask { key, tried: &request.tried, now: clock::steady_milliseconds() };
    let index = members.group.next(&mut progress.lock(), &ask).ok_or(NoServer::NoneLeft)?;
    sticky::assign(request, members, index);
    Ok(index)
}

/// The request's head as backends get it, made once.
fn head_for_backend(request: &mut Request, pass: &Pass) -> Bytes {
    if let Some(head) = &request.upstream_head {
        return head.clone();
    }
    upstream_request::hide_session(request, pass);
    let head = upstream_request::head(request, pass);
    // For the log they are what the client sent.
    request.shown_cookies = None;
    request.upstream_head = Some(head.clone());
    head
}

/// The local address for the connection. A text that is no address is logged, and the system chooses one.
fn bind(request: &Request, pass: &Pass) -> Option<(SocketAddr, bool)> {
    let bind = pass.terms.bind.as_ref()?;
    let address = match &bind.address {
        BindTo::Address(address) => *address,
        BindTo::Text(text) => {
            let text = text.render(request);
            if text.is_empty() {
                return None;
            }
            let text = String::from_utf8_lossy(&text);
            match local(&text) {
                Some(address) => address,
                None => {
                    request.log_error(LogLevel::Error, &format!("invalid local address \"{text}\""));
                    return None;
                }
            }
        }
    };
    Some((address, bind.transparent))
}

/// What the connection is encrypted with.
fn secure(request: &Request, tls: &PassTls) -> Secure {
    let name = match &tls.name {
        TlsName::Fixed(name) => Arc::clone(name),
        TlsName::Text(text) => {
            let name = text.render(request);
            Arc::from(host_of(&String::from_utf8_lossy(&name)))
        }
    };
    Secure { client: Arc::clone(&tls.client), name, tells: tls.tells }
}

/// The requests that this one shares idle connections with.
fn slice(request: &Request, slices: &Slices) -> Slice {
    let mut key = slices.key.render(request);
    key.truncate(slices.key_length);
    let most = match &slices.most {
        SliceSize::Number(most) => *most,
        SliceSize::Text(text) => {
            let number = text.render(request);
            std::str::from_utf8(&number).ok().and_then(|number| number.parse().ok()).unwrap_or_else(|| {
                request.log_error(LogLevel::Warn, "keepalive slice: invalid variable value");
                0
            })
        }
    };
    Slice { key: key.into(), most }
}

/// The first try of a request: its upstream's servers, and its session.
fn begin(request: &mut Request, upstream: &Upstream) -> Arc<Members> {
    let members = upstream.members.load_full();
    request.members = Some(Arc::clone(&members));
    request.first_try = Some(clock::now());
    if let Some(policy) = &upstream.sticky {
        sticky::read_session(request, policy, &members);
    }
    members
}
