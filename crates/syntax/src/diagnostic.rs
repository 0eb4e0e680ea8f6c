//! An error with its place, in nginx's words.

use std::fmt;
use std::path::PathBuf;

use crate::source::{Sources, Span};

/// What the text came from, as nginx names it at the end of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `… in FILE:LINE`
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// Counted from 1.
        line: u32,
    },
    /// `… in command line`
    CommandLine,
    /// Nothing is appended: the main file itself could not be read, or the whole configuration is meant.
    Nowhere,
}

/// One message about a configuration. [`Display`](fmt::Display) gives nginx's line without the `[emerg]` before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostic {
    /// What is wrong, without the place.
    pub message: String,
    /// The place.
    pub origin: Origin,
    /// Where a caret points on a terminal; not always on the line that nginx names.
    pub caret: Option<Span>,
    /// What may have been meant in place of a word that nobody knows.
    pub meant: Option<String>,
}

impl Diagnostic {
    /// A message about the whole of a configuration.
    pub fn nowhere(message: impl Into<String>) -> Self {
        Diagnostic { message: message.into(), origin: Origin::Nowhere, caret: None, meant: None }
    }

    /// The source line with a caret under the word that is meant, for people at a terminal.
    pub fn excerpt(&self, sources: &Sources) -> Option<String> {
        let span = self.caret?;
        let bytes = sources.line(span)?;
        let line = String::from_utf8_lossy(bytes).into_owned();
        // Columns are bytes, and what is shown are letters.
        let before = bytes.get(..(span.column as usize).saturating_sub(1)).unwrap_or(bytes);
        let column = String::from_utf8_lossy(before).chars().count();
        // Long lines are cut around the place, tabs kept so that the caret stays under its word.
        let start = column.saturating_sub(60);
        let shown: String = line.chars().skip(start).take(110).collect();
        let pad: String =
            shown.chars().take(column.saturating_sub(start)).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let number = span.line.to_string();
        let gutter = " ".repeat(number.len());
        let mut excerpt = format!("{gutter} |\n{number} | {shown}\n{gutter} | {pad}^");
        if let Some(meant) = &self.meant {
            excerpt.push_str(&format!("\n{gutter} = did you mean \"{meant}\"?"));
        }
        Some(excerpt)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.origin {
            Origin::File { path, line } => write!(f, " in {}:{line}", path.display()),
            Origin::CommandLine => f.write_str(" in command line"),
            Origin::Nowhere => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, line: u32, column: u32, meant: Option<&str>) -> Option<String> {
        let mut sources = Sources::default();
        let file = sources.add("a.conf".into(), text.as_bytes().into());
        let caret = Some(Span { file, line, column });
        Diagnostic { caret, meant: meant.map(str::to_owned), ..Diagnostic::nowhere("wrong") }.excerpt(&sources)
    }

    #[test]
    fn a_caret_stands_under_the_word_that_is_meant() {
        let text = format!("{}server {{\r\n\t lisen 80;\r\n", "\n".repeat(9));
        assert_eq!(excerpt(&text, 10, 8, None).unwrap(), "   |\n10 | server {\n   |        ^");
        assert_eq!(
            excerpt(&text, 11, 3, Some("listen")).unwrap(),
            "   |\n11 | \t lisen 80;\n   | \t ^\n   = did you mean \"listen\"?"
        );
        assert_eq!(excerpt("a ééé; b {} }\n", 1, 16, None).unwrap(), "  |\n1 | a ééé; b {} }\n  |             ^");
        assert_eq!(excerpt(&text, 13, 1, None), None);
        assert_eq!(Diagnostic::nowhere("wrong").excerpt(&Sources::default()), None);
    }

    #[test]
    fn a_long_line_is_cut_around_its_caret() {
        let text = format!("{}{}{}", "a".repeat(40), "b".repeat(110), "c".repeat(50));
        let shown = excerpt(&text, 1, 101, None).unwrap();
        assert_eq!(shown, format!("  |\n1 | {}\n  | {}^", "b".repeat(110), " ".repeat(60)));
    }
}
