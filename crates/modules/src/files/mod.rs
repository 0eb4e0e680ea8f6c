//! Files below `root` or `alias` (nginx's static module), and `index`.

mod run;

use std::sync::Arc;

use limpet_http::runtime::Content;
use limpet_kernel::builder::{Fault, fault};
use limpet_kernel::directive::prelude::{HTTP, LOCATION, MORE1, SERVER, works};
use limpet_syntax as syntax;
use limpet_text::Template;

use crate::module::{Module, Spot};
use crate::reading::{Blocks, Builder, Directive};
use crate::site::Site;

/// nginx's `ngx_http_index_module` and `ngx_http_static_module`.
pub(crate) struct Files;

impl Module for Files {
    const TITLE: &'static str = "HTTP: files";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = ();
}

limpet_kernel::settings! {
    index: Arc<Vec<Template>>,
}

/// What answers where nothing else does.
pub(crate) fn content(site: &Site<'_>, spot: &Spot<'_>) -> Content {
    let index = match &spot.settings.files.index {
        Some(files) => files.iter().map(|file| site.compile(file)).collect(),
        None => vec![site.compile(&Template::plain(b"index.html"))],
    };
    Content::Module(Box::new(run::Files { index }))
}

const ROWS: &[Directive] = &[works(
    "index",
    HTTP | SERVER | LOCATION,
    MORE1,
    "The files to look for when a folder is asked for. Default: index.html.",
    index,
)
.repeatable()];

fn index(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let mut files = builder.settings().files.index.take().map(|files| files.to_vec()).unwrap_or_default();
    for word in &directive.args {
        if word.bytes.is_empty() {
            let name = word.text();
            return fault(word, format!("index \"{name}\" in \"index\" directive is invalid"));
        }
        files.push(builder.template(word)?);
    }
    builder.settings().files.index = Some(Arc::new(files));
    Ok(())
}
