//! nginx's and Tengine's modules: what their directives say, and what that makes of a request.

/// All modules, in the order of their sections on the page of directives, in which each has its turn at load: the name of its
/// settings, and the module.
macro_rules! modules {
    ($make:ident) => {
        $make! {
            core: crate::core::Core,
            http: crate::http_core::Servers,
            location: crate::http_core::location::Locations,
            files: crate::files::Files,
            headers: crate::headers::Headers,
            charset: crate::charset::Charset,
            rewrite: crate::rewrite::Rewrite,
            proxy: crate::proxy::Proxy,
            proxy_ssl: crate::proxy_ssl::ProxySsl,
            grpc: crate::grpc::Grpc,
            grpc_ssl: crate::grpc_ssl::GrpcSsl,
            upstream: crate::upstream::Upstreams,
            balance: crate::balance::Balance,
            check: crate::check::Checks,
            resolver: crate::resolver::Resolving,
            sticky: crate::sticky::SessionSticky,
            http2: crate::http2::Http2,
            ssl: crate::ssl::Tls,
            log: crate::log::Logs,
        }
    };
}

mod address;
mod balance;
pub mod build;
mod charset;
mod check;
pub mod core;
mod files;
mod gateway;
mod grpc;
mod grpc_ssl;
mod headers;
mod http2;
mod http_core;
mod known;
mod list;
pub mod log;
pub mod model;
mod module;
mod proxy;
mod proxy_ssl;
mod reading;
mod resolver;
mod rewrite;
mod site;
mod ssl;
mod sticky;
#[cfg(test)]
mod tests;
mod upstream;

use std::path::Path;
use std::sync::LazyLock;

use limpet_http::Request;
use limpet_kernel::{Diagnostic, Outside, Table};
use limpet_text::Registry;

use reading::{Builder, Reading};

/// What came of reading a main file.
pub struct Loaded {
    /// The tree as far as it could be read, with the text of all files.
    pub tree: limpet_kernel::Tree,
    /// Warnings, and notices about directives without effect, in the order of the files.
    pub notices: Vec<limpet_kernel::Notice>,
    /// # Errors
    /// The first error, as nginx says it.
    pub config: Result<model::Config, Diagnostic>,
}

/// All directives.
pub fn table() -> &'static Table<Reading> {
    static TABLE: LazyLock<Table<Reading>> = LazyLock::new(|| Table::new(list::sections()));
    &TABLE
}

/// Reads a main file with everything that it includes. `globals` are the directives of the `-g` option.
pub fn load(path: &Path, globals: &[u8], outside: &dyn Outside) -> Loaded {
    static VARIABLES: LazyLock<Registry<Request>> = LazyLock::new(variables);
    let loaded = limpet_kernel::load(path, globals, table(), outside, &*VARIABLES, finish);
    Loaded { tree: loaded.tree, notices: loaded.notices, config: loaded.model.map(|reading| reading.config) }
}

/// The variables of this program, before a file defines its own.
fn variables() -> Registry<Request> {
    let mut registry = Registry::default();
    known::variables::add(&mut registry);
    limpet_http::variables::add(&mut registry);
    list::variables(&mut registry);
    registry
}

fn finish(builder: &mut Builder<'_>) -> Result<(), Diagnostic> {
    match builder.has_events {
        true => Ok(()),
        false => Err(Diagnostic::nowhere("no \"events\" section in configuration")),
    }
}
