//! What a module is: its rows, what they say, and what that makes of requests.

use std::fmt::Debug;

use limpet_http::{self as http, Request};
use limpet_kernel::{Diagnostic, Inherit, Notice, Place};
use limpet_text::Registry;

use crate::model::{Http, Matcher, PassTarget, Settings};
use crate::reading::Directive;
use crate::site::{BuildError, Site};

/// One of nginx's or Tengine's modules. A folder of this crate holds all about it; its line in `modules!` (`lib.rs`) makes
/// it part of the program.
pub(crate) trait Module {
    /// The title of its section on the page of directives.
    const TITLE: &'static str;
    const ROWS: &'static [Directive];
    /// What of it a block passes on to those inside; `()`: nothing.
    type Settings: Inherit + Debug;
    /// What the http block says of it once for all; `()`: nothing.
    type Main: Clone + Default + Debug;

    /// Adds its variables.
    fn variables(_: &mut Registry<Request>) {}

    /// Adds the variables that this file defines.
    fn define(_: &Http, _: &mut Registry<Request>) {}

    /// Checks what can be seen only when the whole http block has been read and inherited.
    ///
    /// # Errors
    /// The first thing that can't work.
    fn verify(_: &mut Http, _: &mut Verifying<'_>) -> Result<(), Diagnostic> {
        Ok(())
    }

    /// Puts what a server says to work, for before a location is found.
    ///
    /// # Errors
    /// What can't be put to work, in nginx's words.
    fn install_in_server(_: &Site<'_>, _: &Settings, _: &mut http::runtime::Server) -> Result<(), BuildError> {
        Ok(())
    }

    /// Puts what a location says to work: sets its settings and adds steps and filters. Its content is there already.
    ///
    /// # Errors
    /// What can't be put to work, in nginx's words.
    fn install(_: &Site<'_>, _: &Spot<'_>, _: &mut http::runtime::Location) -> Result<(), BuildError> {
        Ok(())
    }
}

/// What checks of a whole http block go by.
pub(crate) struct Verifying<'v> {
    pub(crate) notices: &'v mut Vec<Notice>,
}

/// A location, the block of an `if`, or a server where no location is found.
pub struct Spot<'s> {
    pub(crate) settings: &'s Settings,
    /// `None`: a server.
    pub(crate) matcher: Option<&'s Matcher>,
    pub(crate) place: &'s Place,
}

/// What answers in a location.
pub trait Content: Send + Sync + Debug {
    /// Puts it to work.
    ///
    /// # Errors
    /// What can't be put to work, in nginx's words.
    fn build(&self, site: &Site<'_>, spot: &Spot<'_>) -> Result<http::runtime::Content, BuildError>;

    /// The upstream that requests are handed to, if they are.
    fn target(&self) -> Option<PassTarget> {
        None
    }
}
