//! What is made of the list of modules, which stands in `lib.rs`: the settings of all of them, and calls of each in turn.

use std::fmt::Debug;

use limpet_http::runtime;
use limpet_kernel::Inherit;
use limpet_kernel::directive::Section;

use crate::known;
use crate::model::Http;
use crate::module::{Module, Spot, Verifying};
use crate::reading::Reading;
use crate::site::{BuildError, Site};

/// Calls the same of all modules, in the order of their lines.
macro_rules! make {
    ($($name:ident: $module:path,)*) => {
        /// What blocks inherit, by module.
        #[derive(Debug, Clone, Default)]
        pub struct Settings {
            $(pub(crate) $name: <$module as Module>::Settings,)*
        }

        impl Inherit for Settings {
            fn inherit(&mut self, outer: &Settings) {
                $(self.$name.inherit(&outer.$name);)*
            }
        }

        /// What the http block says once for all servers, by module.
        #[derive(Debug, Clone, Default)]
        #[expect(dead_code, reason = "a module that says nothing there has a field all the same")]
        pub struct Mains {
            $(pub(crate) $name: <$module as Module>::Main,)*
        }

        /// The sections of `docs/directives.md`, in its order.
        pub(crate) fn sections() -> Vec<Section<Reading>> {
            let acted_on = [$((<$module as Module>::TITLE, <$module as Module>::ROWS),)*];
            acted_on.into_iter().chain(known::SECTIONS.iter().copied()).collect()
        }

        /// Adds the variables of all modules.
        pub(crate) fn variables(registry: &mut Registry) {
            $(<$module as Module>::variables(registry);)*
        }

        /// Adds the variables that a file defines.
        pub(crate) fn define(http: &Http, registry: &mut Registry) {
            $(<$module as Module>::define(http, registry);)*
        }

        /// Checks an http block.
        ///
        /// # Errors
        /// The first thing that can't work.
        pub(crate) fn verify(http: &mut Http, verifying: &mut Verifying<'_>) -> Result<(), limpet_kernel::Diagnostic> {
            $(<$module as Module>::verify(http, verifying)?;)*
            Ok(())
        }

        /// Puts a server to work.
        ///
        /// # Errors
        /// What can't be put to work, in nginx's words.
        pub(crate) fn install_in_server(
            site: &Site<'_>,
            settings: &Settings,
            server: &mut runtime::Server,
        ) -> Result<(), BuildError> {
            $(<$module as Module>::install_in_server(site, settings, server)?;)*
            Ok(())
        }

        /// Puts a location to work.
        ///
        /// # Errors
        /// What can't be put to work, in nginx's words.
        pub(crate) fn install(
            site: &Site<'_>,
            spot: &Spot<'_>,
            location: &mut runtime::Location,
        ) -> Result<(), BuildError> {
            $(<$module as Module>::install(site, spot, location)?;)*
            Ok(())
        }
    };
}

type Registry = limpet_text::Registry<limpet_http::Request>;

modules!(make);
