//! What the front hands requests to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use limpet_log::LogLevel;
use limpet_message::request::{Head, HeadLimits, Rejection};
use limpet_wire::{Address, HandshakeError, Plain, Socket};
use parking_lot::Mutex;

use super::conn::Conn;
use super::exchange::Exchange;
use super::streams::Terms;

/// Answers what the front has read. The front knows connections and heads; what a request comes to is the handler's.
pub trait Handler: Send + Sync + 'static {
    /// Has a connection begin with TLS, if its address is for that; `None`: it can't, and is closed.
    fn secure(&self, plain: Plain, local: Option<SocketAddr>, listen: &Address) -> Option<Socket>;

    /// A handshake is over.
    fn is_secure(&self, conn: &Conn);

    /// Logs a handshake that came to nothing; without an error: it took too long.
    fn no_handshake(&self, conn: &Conn, error: Option<HandshakeError>);

    /// By which terms HTTP/2 is spoken on a connection, if it is.
    fn http2(&self, conn: &Conn) -> Option<Terms>;

    /// Logs something that is of no request.
    fn tell(&self, conn: &Conn, level: LogLevel, message: &str);

    /// How long a head may take on this connection, and how large it may be.
    fn bounds(&self, conn: &Conn) -> (Duration, HeadLimits);

    /// Carries a request from its head to its log line. `input` came behind the head; what is left over, and what becomes of
    /// the connection, is in the exchange afterwards.
    fn handle(
        &self,
        conn: &Arc<Conn>,
        exchange: &Arc<Mutex<Exchange>>,
        head: Head,
        input: Vec<u8>,
    ) -> impl Future<Output = ()> + Send;

    /// Logs a request that can't be served. The result is what the client gets.
    fn reject(&self, conn: &Arc<Conn>, rejection: Rejection) -> Vec<u8>;

    /// Logs a request whose head never came to its end, and that has no answer.
    fn give_up(&self, conn: &Arc<Conn>, status: u16, reason: &str, head: Head);
}
