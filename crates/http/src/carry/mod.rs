//! Who moves the bytes of a request between the client and the backend.

pub mod direct;
mod pingora;

pub use pingora::PingoraCarrier;
