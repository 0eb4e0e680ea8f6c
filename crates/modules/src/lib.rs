//! nginx's and Tengine's modules: what their directives say, and what that makes of a request.

mod address;
pub mod build;
mod directives;
mod merge;
pub mod model;
mod reading;
mod verify;

use std::path::Path;
use std::sync::LazyLock;

use limpet_kernel::{Diagnostic, Outside, Table};

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
    static TABLE: LazyLock<Table<Reading>> = LazyLock::new(|| Table::new(directives::SECTIONS));
    &TABLE
}

/// Reads a main file with everything that it includes. `globals` are the directives of the `-g` option.
pub fn load(path: &Path, globals: &[u8], outside: &dyn Outside) -> Loaded {
    let loaded = limpet_kernel::load(path, globals, table(), outside, limpet_http::registry(), finish);
    Loaded { tree: loaded.tree, notices: loaded.notices, config: loaded.model.map(|reading| reading.config) }
}

fn finish(builder: &mut Builder<'_>) -> Result<(), Diagnostic> {
    match builder.has_events {
        true => Ok(()),
        false => Err(Diagnostic::nowhere("no \"events\" section in configuration")),
    }
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn no_two_rows_of_a_name_share_a_block() {
        for row in table().sections().iter().flat_map(|(_, rows)| rows.iter()) {
            let rows = table().named(row.name.as_bytes()).unwrap();
            let twice = rows.iter().filter(|other| other.contexts & row.contexts != 0);
            assert_eq!(twice.count(), 1, "\"{}\" stands twice for the same block", row.name);
        }
    }

    #[test]
    fn every_row_has_a_line_of_documentation() {
        for row in table().sections().iter().flat_map(|(_, rows)| rows.iter()) {
            assert!(row.doc.ends_with('.') && !row.doc.contains('\n'), "\"{}\": {:?}", row.name, row.doc);
        }
    }

    #[test]
    fn the_page_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/directives.md");
        let page = limpet_kernel::page::render(table());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == page, "docs/directives.md is stale: run `make docs`");
    }
}
