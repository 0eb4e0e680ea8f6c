//! `proxy_pass` and how requests are handed on.

mod pass;
mod variables;
mod words;

use std::sync::Arc;

use limpet_http::front::outgoing::Buffering;
use limpet_http::pass::Terms;
use limpet_http::{HttpVersion, Request};
use limpet_kernel::directive::prelude::{FLAG, HTTP, LOCATION, LOCATION_IF, MORE1, N1, N2, N12, N1234, SERVER, works};
use limpet_kernel::setters::{flag, size};
use limpet_kernel::{Diagnostic, Inherit};
use limpet_text::Registry;
use words::{
    proxy_allow_upstream, proxy_buffers, proxy_http_version, proxy_pass, proxy_redirect, proxy_temp_path,
    proxy_upstream_tries,
};

use crate::gateway::{self, BackendHeader};
use crate::model::Http;
use crate::module::{Module, Verifying};
use crate::reading::{Blocks, Directive};
use crate::site::{BuildError, Site};

/// The number and size of `proxy_buffers` that nginx has on machines with pages of 4k.
const BUFFERS: (u64, u64) = (8, 4096);

/// nginx's `ngx_http_proxy_module`.
pub(crate) struct Proxy;

impl Module for Proxy {
    const TITLE: &'static str = "Proxy";
    const ROWS: &'static [Directive] = &gateway::joined::<{ OWN.len() + COMMON.len() }>(OWN, COMMON);
    type Settings = Settings;
    type Main = ();

    fn variables(registry: &mut Registry<Request>) {
        variables::add(registry);
    }

    fn verify(http: &mut Http, _: &mut Verifying<'_>) -> Result<(), Diagnostic> {
        http.check(|settings| settings.proxy.check_buffers())
    }
}

/// What blocks inherit of this module.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub common: gateway::Settings,
    pub own: own::Settings,
}

mod own {
    use std::path::PathBuf;
    use std::sync::Arc;

    use limpet_http::HttpVersion;
    use limpet_text::Template;

    use crate::proxy::ProxyRedirect;

    limpet_kernel::settings! {
        buffering: bool,
        /// Their number, and the bytes of each.
        buffers: (u64, u64),
        /// Bytes.
        busy_buffers_size: u64,
        /// Bytes.
        max_temp_file_size: u64,
        /// Bytes.
        temp_file_write_size: u64,
        temp_path: PathBuf,
        request_buffering: bool,
        http_version: HttpVersion,
        redirect: ProxyRedirect,
        /// Texts that must all be true for a server to be asked.
        allow_upstream: Arc<Vec<Template>>,
        pass_trailers: bool,
    }
}

impl Inherit for Settings {
    fn inherit(&mut self, outer: &Self) {
        self.common.inherit(&outer.common);
        self.own.inherit(&outer.own);
    }
}

impl Settings {
    /// The settings with nginx's defaults filled in.
    fn terms(&self, site: &Site<'_>) -> Result<Terms, BuildError> {
        let allow = self.own.allow_upstream.iter().flat_map(|texts| texts.iter());
        Ok(Terms {
            buffering: self.buffering(site)?,
            buffers: self.own.buffering.unwrap_or(true),
            heeds_accel_buffering: !self.common.ignores(BackendHeader::Buffering),
            request_buffering: self.own.request_buffering.unwrap_or(true),
            http_version: self.own.http_version.unwrap_or(HttpVersion::Http11),
            allow: allow.map(|text| site.compile(text)).collect(),
            passes_trailers: self.own.pass_trailers.unwrap_or(false),
            ..self.common.terms(site)
        })
    }

    fn buffering(&self, site: &Site<'_>) -> Result<Buffering, BuildError> {
        let (number, size) = self.own.buffers.unwrap_or(BUFFERS);
        Ok(Buffering {
            memory: usize::try_from(number.saturating_mul(size)).unwrap_or(usize::MAX),
            file: self.own.max_temp_file_size.unwrap_or(1 << 30),
            folder: Arc::new(site.temp_folder(self.own.temp_path.as_deref(), "proxy_temp")?),
        })
    }

    /// nginx's conditions between the sizes of buffers.
    fn check_buffers(&self) -> Result<(), String> {
        let (number, one) = self.own.buffers.unwrap_or(BUFFERS);
        let largest = self.common.buffer_size.unwrap_or(BUFFERS.1).max(one);
        let twice = largest.saturating_mul(2);
        let at_least = |name: &str| {
            let text = "must be equal to or greater than the maximum of the value of \"proxy_buffer_size\" and one of the \
                        \"proxy_buffers\"";
            Err(format!("\"{name}\" {text}"))
        };
        let busy = self.own.busy_buffers_size.unwrap_or(twice);
        match () {
            () if number < 2 => Err("there must be at least 2 \"proxy_buffers\"".into()),
            () if busy < largest => at_least("proxy_busy_buffers_size"),
            () if busy > number.saturating_sub(1).saturating_mul(one) => {
                Err("\"proxy_busy_buffers_size\" must be less than the size of all \"proxy_buffers\" minus one buffer"
                    .into())
            }
            () if self.own.temp_file_write_size.unwrap_or(twice) < largest => at_least("proxy_temp_file_write_size"),
            () => match self.own.max_temp_file_size {
                Some(size @ 1..) if size < largest => at_least("proxy_max_temp_file_size").map_err(|text: String| {
                    text.replace(
                        "must be equal",
                        "must be equal to zero to disable temporary files usage or must be equal",
                    )
                }),
                _ => Ok(()),
            },
        }
    }
}

/// `proxy_redirect`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyRedirect {
    Off,
    /// What `proxy_pass` goes to becomes the location.
    Default,
}

/// The function of a row that does no more than to set a setting of this module alone.
macro_rules! set {
    ($setting:ident, $value:path) => {
        |builder, directive| {
            builder.settings().proxy.own.$setting = Some($value(directive)?);
            Ok(())
        }
    };
}

const COMMON: &[Directive] = gateway::rows!("proxy", proxy.common);

const OWN: &[Directive] = &[
    works(
        "proxy_pass",
        LOCATION | LOCATION_IF,
        N1,
        "The upstream or address to hand requests to, and the URI that takes the place of the location's.",
        proxy_pass,
    ),
    works(
        "proxy_redirect",
        HTTP | SERVER | LOCATION,
        N12,
        "Rewrites `Location` and `Refresh` of a backend's responses: `default`, what `proxy_pass` goes to becomes the \
         location, or `off`. Other rewrites are not built. Default: default.",
        proxy_redirect,
    )
    .repeatable(),
    works(
        "proxy_http_version",
        HTTP | SERVER | LOCATION,
        N1,
        "The protocol spoken to backends: 1.0, 1.1, or 2. Default: 1.1.",
        proxy_http_version,
    ),
    works(
        "proxy_buffering",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether a response is taken in as fast as the backend sends it, into memory and a file, or as fast as the client takes \
         it. A backend may say otherwise with `X-Accel-Buffering`. Default: on.",
        set!(buffering, flag),
    ),
    works(
        "proxy_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for a response that its client does not take yet. Default: 8 4k.",
        proxy_buffers,
    ),
    works(
        "proxy_busy_buffers_size",
        HTTP | SERVER | LOCATION,
        N1,
        "How much of the buffers may be on its way to the client. It is checked against the others; what can be sent is sent.",
        set!(busy_buffers_size, size),
    ),
    works(
        "proxy_max_temp_file_size",
        HTTP | SERVER | LOCATION,
        N1,
        "The largest file for what the buffers don't hold; 0: none. Default: 1024m.",
        set!(max_temp_file_size, size),
    ),
    works(
        "proxy_temp_file_write_size",
        HTTP | SERVER | LOCATION,
        N1,
        "How much is written to the file at a time. It is checked against the others; what has come is written.",
        set!(temp_file_write_size, size),
    ),
    works(
        "proxy_temp_path",
        HTTP | SERVER | LOCATION,
        N1234,
        "The folder for these files, which have no names there. Default: proxy_temp.",
        proxy_temp_path,
    ),
    works(
        "proxy_request_buffering",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether the whole body of a request is read before a server is asked, into memory or a file. Default: on.",
        set!(request_buffering, flag),
    ),
    works(
        "proxy_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Tengine's name of `proxy_next_upstream_tries`.",
        proxy_upstream_tries,
    ),
    works(
        "proxy_pass_trailers",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether the trailers of a response are passed on. Default: off.",
        set!(pass_trailers, flag),
    ),
    works(
        "proxy_allow_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Texts with variables that are looked at before each try: if one of them is empty or `0`, the server is not \
         asked (NGINX Plus).",
        proxy_allow_upstream,
    ),
];
