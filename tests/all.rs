//! The real binary against real backends, one module a theme.

#![allow(clippy::duplicate_mod, reason = "`on_pingora` runs the same tests with another carrier")]

mod balancing;
mod browser;
mod buffering;
mod charset;
mod checks;
mod command_line;
mod connections;
mod differential;
mod examples;
mod failures;
mod faults;
mod files;
mod framing;
mod grpc;
mod guides;
mod handing_back;
mod http;
mod http2;
mod isolation;
mod locations;
mod names;
mod next_upstream;
mod on_pingora;
mod over_tls;
mod proxying;
mod reloading;
mod requests;
mod sticky;
mod tls;
mod variables;
mod walls;
mod websocket;
