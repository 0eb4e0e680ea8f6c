//! The model while a file is read, and what directives ask of it.

use std::collections::BTreeMap;

use limpet_kernel::{self as kernel, Diagnostic, contexts};
use limpet_syntax as syntax;

use crate::address;
use crate::merge::merge;
use crate::model::{Config, Http, Location, PassTarget, Server, Settings, Upstream};
use crate::verify::verify;

/// The walk over a file with the model of all modules.
pub(crate) type Builder<'t> = kernel::Builder<'t, Reading>;
/// A row of a module.
pub(crate) type Directive = kernel::Directive<Reading>;

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
    /// The upstreams that `session_sticky_hide_cookie` names, and what to say when there is none of that name.
    pub(crate) hidden: Vec<(String, Diagnostic)>,
    /// The shared memory that upstreams name: its size, and what to say where none is written.
    pub(crate) zones: BTreeMap<String, (Option<u64>, Diagnostic)>,
}

/// What the functions of rows ask of the builder.
pub(crate) trait Blocks {
    /// What the block being read passes on to the blocks inside.
    fn settings(&mut self) -> &mut Settings;

    /// The upstream that a `proxy_pass` names: a block, which may come later in the file, or an address.
    ///
    /// # Errors
    /// What is wrong with the name.
    fn upstream_of(&mut self, authority: &str, directive: &syntax::Directive) -> Result<PassTarget, String>;

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

    fn upstream_of(&mut self, authority: &str, directive: &syntax::Directive) -> Result<PassTarget, String> {
        let place = self.place(directive);
        let same = |upstream: &Upstream| upstream.name.eq_ignore_ascii_case(authority);
        if let Some(index) = self.http.upstreams.iter().position(same) {
            return Ok(PassTarget(index));
        }
        address::target(authority).map_err(|wrong| format!("{wrong} in upstream \"{authority}\""))?;
        let upstream = Upstream { implicit: true, place, ..Upstream::named(authority) };
        self.http.upstreams.push(upstream);
        Ok(PassTarget(self.http.upstreams.len() - 1))
    }

    fn finish_http(&mut self) -> Result<(), Diagnostic> {
        let mut http = std::mem::take(&mut self.http);
        if let Some((_, without_size)) = self.zones.values().find(|(size, _)| size.is_none()) {
            return Err(without_size.clone());
        }
        self.check_variables()?;
        http.mentions_request_body = self.mentions("request_body");
        merge(&mut http);
        verify(&mut http, &self.model.hidden, self.outside, &mut self.notices)?;
        self.config.http = Some(http);
        Ok(())
    }
}
