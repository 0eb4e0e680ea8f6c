//! `http2`: HTTP/2 for clients.

use std::collections::HashSet;

use limpet_http::variables::text;
use limpet_http::{Request, runtime};
use limpet_kernel::Diagnostic;
use limpet_kernel::directive::prelude::{FLAG, HTTP, N1, SERVER, works};
use limpet_kernel::setters::{flag, number};
use limpet_text::Registry;

use crate::model::{self, Http};
use crate::module::{Module, Verifying};
use crate::reading::{Directive, set};
use crate::site::{BuildError, Site};

/// nginx's `ngx_http_v2_module`.
pub(crate) struct Http2;

impl Module for Http2 {
    const TITLE: &'static str = "HTTP/2";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = ();

    fn variables(registry: &mut Registry<Request>) {
        registry.add("http2", |request: &Request, out: &mut Vec<u8>| match request.conn.is_stream() {
            true => text(out, if request.conn.is_secure() { b"h2" } else { b"h2c" }),
            false => false,
        });
    }

    /// The `http2` of a `listen` is for all servers of its address.
    fn verify(http: &mut Http, _: &mut Verifying<'_>) -> Result<(), Diagnostic> {
        let listens = http.servers.iter().flat_map(|server| &server.listens);
        let addresses: HashSet<_> =
            listens.filter(|listen| listen.http2).map(|listen| listen.address.clone()).collect();
        for server in &mut http.servers {
            if server.listens.iter().any(|listen| addresses.contains(&listen.address)) {
                server.settings.http2.on = Some(true);
            }
        }
        Ok(())
    }

    fn install_in_server(
        _: &Site<'_>,
        settings: &model::Settings,
        server: &mut runtime::Server,
    ) -> Result<(), BuildError> {
        let Settings { on, streams } = settings.http2;
        server.http2.is_on = on.unwrap_or(false);
        if let Some(streams) = streams {
            server.http2.streams = u32::try_from(streams).unwrap_or(u32::MAX);
        }
        Ok(())
    }
}

limpet_kernel::settings! {
    on: bool,
    streams: u64,
}

const ROWS: &[Directive] = &[
    works(
        "http2",
        HTTP | SERVER,
        FLAG,
        "Whether HTTP/2 is spoken with clients: offered in the handshake of TLS, and known by its beginning in the clear. \
         Default: off.",
        set!(http2.on, flag),
    ),
    works(
        "http2_max_concurrent_streams",
        HTTP | SERVER,
        N1,
        "Requests that a client may have open at a time. Default: 128.",
        set!(http2.streams, number),
    ),
];
