//! The model while a file is read, and what directives ask of it.

use limpet_kernel::{self as kernel, Diagnostic, Inherit, contexts};
use limpet_syntax as syntax;

use crate::model::{Config, Http, Location, PassTarget, Server, Settings, Upstream};
use crate::module::Verifying;
use crate::{address, http_core, list, upstream};

/// The walk over a file with the model of all modules.
pub(crate) type Builder<'t> = kernel::Builder<'t, Reading>;
/// A row of a module.
pub(crate) type Directive = kernel::Directive<Reading>;

/// The function of a row that does no more than to set a setting: where it goes, and what its argument is.
macro_rules! set {
    ($module:ident.$setting:ident, $value:path) => {
        |builder, directive| {
            $crate::reading::Blocks::settings(builder).$module.$setting = Some($value(directive)?);
            Ok(())
        }
    };
}
pub(crate) use set;

/// The model while it is put together. What is being read stands in one field a kind of block.
#[derive(Default)]
pub struct Reading {
    pub(crate) config: Config,
    pub(crate) http: Http,
    pub(crate) server: Server,
    /// The location being read and those around it; `if` blocks of locations are among them.
    pub(crate) locations: Vec<Location>,
    pub(crate) upstream: Upstream,
    pub(crate) has_events: bool,
}

/// What the functions of rows ask of the builder.
pub(crate) trait Blocks {
    /// What the block being read passes on to the blocks inside.
    fn settings(&mut self) -> &mut Settings;

    /// The upstream that a `proxy_pass` names: a block, which may come later in the file, or an address, with a port where it
    /// names none.
    ///
    /// # Errors
    /// What is wrong with the name.
    fn upstream_of(
        &mut self,
        authority: &str,
        default_port: u16,
        directive: &syntax::Directive,
    ) -> Result<PassTarget, String>;

    /// The http block has been read: what its blocks inherit is filled in, and what can be seen only as a whole is
    /// checked.
    fn finish_http(&mut self) -> Result<(), Diagnostic>;
}

impl Blocks for Builder<'_> {
    fn settings(&mut self) -> &mut Settings {
        let context = self.context();
        let Reading { http, server, locations, .. } = &mut self.model;
        match (context, locations.last_mut()) {
            (contexts::LOCATION | contexts::LOCATION_IF, Some(location)) => &mut location.settings,
            (contexts::SERVER, _) => &mut server.settings,
            _ => &mut http.settings,
        }
    }

    fn upstream_of(
        &mut self,
        authority: &str,
        default_port: u16,
        directive: &syntax::Directive,
    ) -> Result<PassTarget, String> {
        let place = self.place(directive);
        let same = |upstream: &Upstream| {
            let is_block = !upstream.implicit || upstream.block.is_some();
            upstream.name.eq_ignore_ascii_case(authority) && (is_block || upstream.default_port == default_port)
        };
        if let Some(index) = self.http.upstreams.iter().position(same) {
            return Ok(PassTarget(index));
        }
        address::target(authority).map_err(|wrong| format!("{wrong} in upstream \"{authority}\""))?;
        let upstream = Upstream { implicit: true, default_port, place, ..Upstream::named(authority) };
        self.http.upstreams.push(upstream);
        Ok(PassTarget(self.http.upstreams.len() - 1))
    }

    fn finish_http(&mut self) -> Result<(), Diagnostic> {
        let mut http = std::mem::take(&mut self.http);
        self.check_variables()?;
        http.mentions_request_body = self.mentions("request_body");
        http.defined_variables = self.defined().map(str::to_owned).collect();
        merge(&mut http);
        upstream::resolve_addresses(&mut http, self.outside)?;
        http_core::verify_servers(&http, &mut self.notices)?;
        list::verify(&mut http, &mut Verifying { notices: &mut self.notices })?;
        self.config.http = Some(http);
        Ok(())
    }
}

/// Fills in, in every block, what it takes from the blocks around it.
fn merge(http: &mut Http) {
    let outer = &http.settings;
    for server in &mut http.servers {
        server.settings.inherit(outer);
        for location in &mut server.locations {
            merge_location(location, &server.settings);
        }
    }
}

fn merge_location(location: &mut Location, outer: &Settings) {
    location.settings.inherit(outer);
    for inner in &mut location.locations {
        merge_location(inner, &location.settings);
    }
    for inner in &mut location.ifs {
        merge_location(inner, &location.settings);
        // The block of an `if` is its location with changes, so what answers there answers here.
        if inner.content.is_none() {
            inner.content = location.content.clone();
        }
    }
}
