//! What passes between the front, the steps and the carrier of one request about the client's side of it.

use std::time::Duration;

use limpet_message::body::Cursor;

use super::outgoing::{Buffering, Outgoing};
use super::tunnel::Tunnel;

/// nginx's `send_timeout` and `client_body_timeout`, for the time before a location is known.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a request's body can't be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// Its chunks are broken.
    Broken,
    /// It is larger than the location takes: bytes that came, and bytes that were announced behind them.
    TooLarge { received: u64, announced: u64 },
    /// Nothing came of it for `client_body_timeout`.
    TimedOut,
}

/// What passes between the front, the steps and the carrier during one request.
pub struct Exchange {
    /// Bytes that came and belong to nobody yet.
    pub input: Vec<u8>,
    pub framing: Cursor,
    /// The client waits for `100 Continue` before it sends the body, as far as that has not come already.
    pub awaits_continue: bool,
    /// A `100 Continue` that was not sent yet goes before the response.
    pub continues: bool,
    /// Why the body can't be read on.
    pub fault: Option<BodyFault>,
    /// The most bytes of a body (`client_max_body_size`); 0: any number.
    pub max_body_size: u64,
    /// How long nothing may come of the body (`client_body_timeout`).
    pub body_timeout: Duration,
    /// The response's head as the client gets it, until it is written.
    pub head: Option<Vec<u8>>,
    /// How much of the response is held while the client is slow, until that is known to whoever writes it.
    pub buffering: Option<Buffering>,
    /// The response's end has been handed over: what is left of it may wait for its turn.
    pub ending: bool,
    /// What the session has left to send.
    pub unsent: Vec<u8>,
    /// What was buffered of a response that broke off, to be sent before the end.
    pub(crate) cut_off: Option<Outgoing>,
    /// The response went out whole, and the connection may serve another request.
    pub reusable: bool,
    /// How long the next request is waited for.
    pub keepalive_timeout: Duration,
    /// How long the client may take nothing of the response.
    pub send_timeout: Duration,
    /// The protocol was changed: the connection is no longer one of requests.
    pub tunnel: Option<Tunnel>,
}

impl Default for Exchange {
    fn default() -> Self {
        Exchange {
            input: Vec::new(),
            framing: Cursor::Done,
            awaits_continue: false,
            continues: false,
            fault: None,
            max_body_size: 0,
            body_timeout: CLIENT_TIMEOUT,
            head: None,
            buffering: None,
            ending: false,
            unsent: Vec::new(),
            cut_off: None,
            reusable: false,
            keepalive_timeout: Duration::ZERO,
            send_timeout: CLIENT_TIMEOUT,
            tunnel: None,
        }
    }
}
