//! Who moves the bytes of a request between the client and the backend.

mod pingora;

pub use pingora::PingoraCarrier;
