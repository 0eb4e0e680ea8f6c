//! `docs/directives.md`, made from the table.

use std::fmt::Write;

use crate::directive::{Directive, Table};

/// The text of the page.
pub fn render<T>(table: &Table<T>) -> String {
    let mut page = String::from(INTRODUCTION);
    for state in ["works", "no effect", "works at its default", "refused"] {
        let rows = table.sections().iter().flat_map(|(_, rows)| *rows);
        let count = rows.filter(|row| row.state() == state).count();
        // Writing to a String can't fail.
        let _ = writeln!(page, "- {count} rows are marked *{state}*");
    }
    for (title, rows) in table.sections() {
        let _ = write!(page, "\n## {title}\n\n| directive | context | state | |\n|---|---|---|---|\n");
        for row in *rows {
            let block = if row.is_block() { " { }" } else { "" };
            let _ = writeln!(
                page,
                "| `{}{block}` | {} | {} | {} |",
                row.name,
                row.context_names(),
                state(row),
                row.doc.replace('|', "\\|")
            );
        }
    }
    page
}

/// The state of a row, with the values that are taken where not all are.
fn state<T>(row: &Directive<T>) -> String {
    match row.default_lines() {
        [] => row.state().into(),
        lines => format!("{}: `{}`", row.state(), lines.join("`, `")),
    }
}

const INTRODUCTION: &str = "\
# Directives

Made from the table in `crates/modules/src`; a test fails when this page is stale (`make docs` writes it anew).

- *works*: does what nginx's manual says, with what the line here names.
- *no effect*: accepted, harmless by design, its arguments checked, and named once by `-t` as a notice.
- *works at its default*: not built, but the values named here ask for what limpet does anyway, and are accepted; any
  other is refused. Where none is named any value is accepted: the directive only adjusts something that stays off, as
  the one that would switch it on is refused.
- *refused*: known, and an error, because leaving it out would change what clients get or who gets in.

What stands in no row is nginx's `unknown directive`.

";
