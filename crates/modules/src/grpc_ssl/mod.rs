//! `grpc_ssl_…`: TLS towards gRPC servers.

use crate::gateway::tls;
use crate::module::Module;
use crate::reading::Directive;

/// The part of nginx's `ngx_http_grpc_module` that is about TLS.
pub(crate) struct GrpcSsl;

impl Module for GrpcSsl {
    const TITLE: &'static str = "gRPC: TLS";
    const ROWS: &'static [Directive] = tls::rows!("grpc_ssl", grpc_ssl);
    type Settings = tls::Settings;
    type Main = ();
}
