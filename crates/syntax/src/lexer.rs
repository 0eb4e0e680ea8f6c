//! Bytes to words, by the rules of nginx's own reader.
//!
//! A word ends at blank, `;` or `{`; `}` and `#` are special only where a word would start; `\` hides the next byte from
//! the rules (it is resolved when the word is cut out); `${` does not open a block.

use crate::source::{FileId, Span};
use crate::tree::Word;

/// The longest word, in bytes as written. nginx reads files through a buffer of this size.
pub(crate) const MAX_WORD: usize = 4096;

/// How a run of words ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// `;`
    Terminated,
    /// `{`
    BlockOpened,
    /// `}`, with no word before it
    BlockClosed,
    /// The end of the text, with no word before it
    Finished,
}

/// Words up to their end. The span is that of the ending byte.
#[derive(Debug)]
pub(crate) struct Sentence {
    pub words: Vec<Word>,
    pub end: End,
    pub at: Span,
}

/// What stopped the lexer, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LexError {
    pub message: String,
    pub at: Span,
}

/// Reads sentences from one text, one after the other.
pub(crate) struct Lexer<'t> {
    text: &'t [u8],
    position: usize,
    file: FileId,
    line: u32,
    /// Where the current line begins.
    line_start: usize,
    /// The text is the argument of `-g`, not a file: an early end has another message.
    command_line: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t [u8], file: FileId, command_line: bool) -> Self {
        let position = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Lexer { text, position, file, line: 1, line_start: position, command_line }
    }

    /// The place of the next byte.
    pub(crate) fn here(&self) -> Span {
        self.span_at(self.position)
    }

    /// The next words up to `;`, `{`, `}` or the end of the text.
    ///
    /// # Errors
    /// In nginx's words, with the line that nginx names.
    pub(crate) fn sentence(&mut self) -> Result<Sentence, LexError> {
        let mut words = Vec::new();
        loop {
            self.skip_blanks_and_comments()?;
            let at = self.here();
            let Some(byte) = self.peek() else {
                if words.is_empty() {
                    return Ok(Sentence { words, end: End::Finished, at });
                }
                return Err(self.unexpected_end());
            };
            let end = match byte {
                b';' => End::Terminated,
                b'{' => End::BlockOpened,
                b'}' => End::BlockClosed,
                b'"' | b'\'' => {
                    words.push(self.quoted_word(byte)?);
                    continue;
                }
                _ => {
                    words.push(self.plain_word()?);
                    continue;
                }
            };
            self.position = self.position.saturating_add(1);
            // A closing brace wants no words before it, the two others want some.
            if words.is_empty() != (end == End::BlockClosed) {
                return Err(unexpected(byte, at));
            }
            return Ok(Sentence { words, end, at });
        }
    }

    /// A word without quotes: up to a blank, `;` or `{`, which are left for the caller.
    fn plain_word(&mut self) -> Result<Word, LexError> {
        let span = self.here();
        let start = self.position;
        let mut after_dollar = false;
        while let Some(byte) = self.peek() {
            if is_blank(byte) || byte == b';' || (byte == b'{' && !after_dollar) {
                return Ok(self.cut(start, span, false));
            }
            after_dollar = byte == b'$';
            self.advance(start, span, None)?;
            if byte == b'\\' && self.peek().is_some() {
                self.advance(start, span, None)?;
            }
        }
        Err(self.unexpected_end())
    }

    /// A word in quotes, and what may follow it: a blank, `;`, `{` or `)`.
    fn quoted_word(&mut self, quote: u8) -> Result<Word, LexError> {
        let span = self.here();
        self.position = self.position.saturating_add(1);
        let start = self.position;
        while let Some(byte) = self.peek() {
            if byte == quote {
                let word = self.cut(start, span, true);
                self.position = self.position.saturating_add(1);
                return match self.peek() {
                    Some(next) if !is_blank(next) && !matches!(next, b';' | b'{' | b')') => {
                        Err(unexpected(next, self.here()))
                    }
                    Some(_) => Ok(word),
                    None => Err(self.unexpected_end()),
                };
            }
            self.advance(start, span, Some(quote))?;
            if byte == b'\\' && self.peek().is_some() {
                self.advance(start, span, Some(quote))?;
            }
        }
        Err(self.unexpected_end())
    }

    fn skip_blanks_and_comments(&mut self) -> Result<(), LexError> {
        let mut comment = false;
        while let Some(byte) = self.peek() {
            match byte {
                0 => return Err(self.nul()),
                b'\n' => comment = false,
                _ if comment => {}
                b'#' => comment = true,
                _ if is_blank(byte) => {}
                _ => return Ok(()),
            }
            self.step(byte);
        }
        Ok(())
    }

    /// One byte further inside a word that began at `start`.
    fn advance(&mut self, start: usize, span: Span, quote: Option<u8>) -> Result<(), LexError> {
        if self.position.saturating_sub(start) == MAX_WORD {
            let message = match quote {
                Some(quote) => {
                    format!("too long parameter, probably missing terminating \"{}\" character", quote as char)
                }
                None => {
                    let begin = self.text.get(start..start.saturating_add(10)).unwrap_or_default();
                    format!("too long parameter \"{}...\" started", String::from_utf8_lossy(begin))
                }
            };
            return Err(LexError { message, at: span });
        }
        match self.peek() {
            Some(0) => Err(self.nul()),
            Some(byte) => {
                self.step(byte);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn step(&mut self, byte: u8) {
        self.position = self.position.saturating_add(1);
        if byte == b'\n' {
            self.line = self.line.saturating_add(1);
            self.line_start = self.position;
        }
    }

    fn cut(&self, start: usize, span: Span, quoted: bool) -> Word {
        let raw = self.text.get(start..self.position).unwrap_or_default();
        Word { bytes: unescape(raw), quoted, span }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    fn span_at(&self, position: usize) -> Span {
        Span {
            file: self.file,
            line: self.line,
            column: ((position.saturating_sub(self.line_start)) as u32).saturating_add(1),
        }
    }

    fn unexpected_end(&self) -> LexError {
        let message = if self.command_line {
            "unexpected end of parameter, expecting \";\""
        } else {
            "unexpected end of file, expecting \";\" or \"}\""
        };
        LexError { message: message.into(), at: self.here() }
    }

    fn nul(&self) -> LexError {
        LexError { message: "unexpected NUL byte, a configuration file is text".into(), at: self.here() }
    }
}

fn unexpected(byte: u8, at: Span) -> LexError {
    LexError { message: format!("unexpected \"{}\"", String::from_utf8_lossy(&[byte])), at }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// `\"`, `\'` and `\\` lose the backslash, `\t`, `\r` and `\n` become what they stand for, any other pair stays as it is.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(quote @ (b'"' | b'\'' | b'\\')) => bytes.push(quote),
            Some(b't') => bytes.push(b'\t'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b'n') => bytes.push(b'\n'),
            Some(other) => bytes.extend([b'\\', other]),
            None => bytes.push(b'\\'),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let sentence = Lexer::new(text.as_bytes(), FileId(0), false).sentence().unwrap();
        sentence.words.iter().map(|word| word.text().into_owned()).collect()
    }

    fn error(text: &[u8]) -> (String, u32) {
        let mut lexer = Lexer::new(text, FileId(0), false);
        loop {
            match lexer.sentence() {
                Ok(Sentence { end: End::Finished, .. }) => panic!("no error"),
                Ok(_) => {}
                Err(error) => return (error.message, error.at.line),
            }
        }
    }

    #[test]
    fn words_end_at_blanks_semicolons_and_opening_braces() {
        assert_eq!(words("a b\tc\r\nd;"), ["a", "b", "c", "d"]);
        assert_eq!(words("server{"), ["server"]);
    }

    #[test]
    fn a_hash_is_a_comment_only_where_a_word_would_start() {
        assert_eq!(words("a#b # c ; d\n e;"), ["a#b", "e"]);
    }

    #[test]
    fn a_closing_brace_inside_a_word_is_part_of_it() {
        assert_eq!(words("a }b;".trim_start_matches("a ")), Vec::<String>::new());
        assert_eq!(words("a b}c ${x}y$z{"), ["a", "b}c", "${x}y$z"]);
    }

    #[test]
    fn escapes_are_resolved_and_unknown_ones_kept() {
        assert_eq!(words(r#""a\"b" 'c\'d' e\;f \d \t\n\\;"#), ["a\"b", "c'd", "e\\;f", "\\d", "\t\n\\"]);
        assert_eq!(words(r"a\ b;"), [r"a\ b"]);
    }

    #[test]
    fn quotes_hold_blanks_and_braces() {
        assert_eq!(words("\"a b;{}#\" 'x\ny';"), ["a b;{}#", "x\ny"]);
        assert_eq!(words("\"\";"), [""]);
        assert_eq!(words("if ($a = \"b\") {"), ["if", "($a", "=", "b", ")"]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(words("\u{feff}user x;"), ["user", "x"]);
    }

    #[test]
    fn bytes_that_are_not_utf8_pass_through() {
        let sentence = Lexer::new(b"a \xff\xfe;", FileId(0), false).sentence().unwrap();
        assert_eq!(sentence.words[1].bytes, b"\xff\xfe");
    }

    #[test]
    fn spans_count_lines_and_columns_from_one() {
        let sentence = Lexer::new(b"\n  ab \"c\"\n ;", FileId(0), false).sentence().unwrap();
        let place = |span: Span| (span.line, span.column);
        assert_eq!(place(sentence.words[0].span), (2, 3));
        assert_eq!(place(sentence.words[1].span), (2, 6));
        assert_eq!(place(sentence.at), (3, 2));
    }

    #[test]
    fn errors_are_nginxs() {
        assert_eq!(error(b"a;\n ;"), ("unexpected \";\"".into(), 2));
        assert_eq!(error(b"{"), ("unexpected \"{\"".into(), 1));
        assert_eq!(error(b"a }"), ("unexpected \"}\"".into(), 1));
        assert_eq!(error(b"\"a\"b;"), ("unexpected \"b\"".into(), 1));
        assert_eq!(error(b"a\nb"), ("unexpected end of file, expecting \";\" or \"}\"".into(), 2));
        assert_eq!(error(b"a 'b;\n\n"), ("unexpected end of file, expecting \";\" or \"}\"".into(), 3));
        assert_eq!(error(b"a \0;").1, 1);
        assert_eq!(error(b"# \0\n").1, 1);
    }

    #[test]
    fn a_word_has_at_most_4096_bytes() {
        let word = "x".repeat(MAX_WORD);
        assert_eq!(words(&format!("{word};"))[0].len(), MAX_WORD);
        assert_eq!(
            error(format!("a\n{word}x\n;").as_bytes()),
            ("too long parameter \"xxxxxxxxxx...\" started".into(), 2)
        );
        let message = "too long parameter, probably missing terminating \"'\" character";
        assert_eq!(error(format!("a '{word}x\n';").as_bytes()), (message.into(), 1));
    }
}
