//! The same tests over TLS: `limpet_tests::Limpet` sees to it.

#[path = "../buffering.rs"]
mod buffering;
#[path = "../charset.rs"]
mod charset;
#[path = "../failures.rs"]
mod failures;
#[path = "../framing.rs"]
mod framing;
#[path = "../handing_back.rs"]
mod handing_back;
#[path = "../isolation.rs"]
mod isolation;
#[path = "../next_upstream.rs"]
mod next_upstream;
#[path = "../proxying.rs"]
mod proxying;
#[path = "../requests.rs"]
mod requests;
#[path = "../sticky.rs"]
mod sticky;
