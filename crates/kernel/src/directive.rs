//! A row of the directive table, and looking rows up.

use std::collections::HashMap;

use limpet_syntax as syntax;

use crate::builder::{Builder, Fault};
use crate::value;

/// What the rows' files are written with.
pub mod prelude {
    pub use super::Form::{
        CpuMask, Exactly, Flag, Integer, Kind, Number, Offset, Or, Parameter, PoolSize, Positive, PositiveSize,
        PowerOfTwo, Seconds, Size, SizeAmong, Text, Time, Word,
    };
    pub use super::arity::{ANY, FLAG, MORE1, MORE2, N0, N1, N2, N3, N4};
    pub use super::arity::{N12, N13, N23, N34, N123, N1234};
    pub use super::contexts::{
        ANYWHERE, EVENTS, HTTP, LIMIT_EXCEPT, LOCATION, LOCATION_IF, MAIL, MAIL_SERVER, MAIN, SERVER, SERVER_IF,
        STREAM, STREAM_SERVER, STREAM_UPSTREAM, UPSTREAM,
    };
    pub use super::{NEXT, STALE, TLS_VERSIONS, at_default, no_effect, refused, works};
}

/// A set of the blocks in which a directive may stand.
pub type Contexts = u32;

/// The blocks, one bit each.
pub mod contexts {
    use super::Contexts;

    pub const MAIN: Contexts = 1;
    pub const EVENTS: Contexts = 1 << 1;
    pub const HTTP: Contexts = 1 << 2;
    pub const SERVER: Contexts = 1 << 3;
    pub const LOCATION: Contexts = 1 << 4;
    /// `if` in server
    pub const SERVER_IF: Contexts = 1 << 5;
    /// `if` in location
    pub const LOCATION_IF: Contexts = 1 << 6;
    pub const LIMIT_EXCEPT: Contexts = 1 << 7;
    pub const UPSTREAM: Contexts = 1 << 8;
    pub const STREAM: Contexts = 1 << 9;
    pub const STREAM_SERVER: Contexts = 1 << 10;
    pub const STREAM_UPSTREAM: Contexts = 1 << 11;
    pub const MAIL: Contexts = 1 << 12;
    pub const MAIL_SERVER: Contexts = 1 << 13;
    pub const ANYWHERE: Contexts = Contexts::MAX;

    /// The manual's words for the bits, in the order of the bits.
    pub const NAMES: [&str; 14] = [
        "main",
        "events",
        "http",
        "server",
        "location",
        "if in server",
        "if in location",
        "limit_except",
        "upstream",
        "stream",
        "stream server",
        "stream upstream",
        "mail",
        "mail server",
    ];
}

/// How many arguments a directive takes, and whether a block follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arity {
    /// Bit n is set where n arguments are allowed; bit 31 stands for 31 and more.
    counts: u32,
    pub block: bool,
}

/// nginx's numbers of arguments.
pub mod arity {
    use super::Arity;

    const fn counts(counts: u32) -> Arity {
        Arity { counts, block: false }
    }

    pub const N0: Arity = counts(1);
    pub const N1: Arity = counts(1 << 1);
    pub const N2: Arity = counts(1 << 2);
    pub const N3: Arity = counts(1 << 3);
    pub const N4: Arity = counts(1 << 4);
    pub const N12: Arity = N1.or(N2);
    pub const N13: Arity = N1.or(N3);
    pub const N23: Arity = N2.or(N3);
    pub const N34: Arity = N3.or(N4);
    pub const N123: Arity = N12.or(N3);
    pub const N1234: Arity = N123.or(N4);
    /// `on` or `off`
    pub const FLAG: Arity = N1;
    pub const ANY: Arity = counts(u32::MAX);
    pub const MORE1: Arity = counts(u32::MAX << 1);
    pub const MORE2: Arity = counts(u32::MAX << 2);
}

impl Arity {
    pub const fn or(self, other: Arity) -> Arity {
        Arity { counts: self.counts | other.counts, block: self.block }
    }

    /// A block follows the arguments.
    pub const fn block(self) -> Arity {
        Arity { block: true, ..self }
    }

    fn fits(self, count: usize) -> bool {
        self.counts & (1 << count.min(31)) != 0
    }
}

/// Puts a directive's words into the model.
pub type Apply<T> = fn(&mut Builder<'_, T>, &syntax::Directive) -> Result<(), Fault>;

/// Whether a directive does what nginx's manual says.
pub enum State<T: 'static> {
    Works(Apply<T>),
    /// Accepted, and named once as a notice.
    NoEffect(Accepted),
    /// Not built, but these words ask for what limpet does anyway.
    AtDefault(Accepted),
    /// Known, and an error: leaving it out would change what clients get or who gets in.
    Refused,
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for State<T> {}

/// Which arguments are taken of a directive that is not acted on.
#[derive(Debug, Clone, Copy)]
pub enum Accepted {
    /// Only these lines of arguments, with one blank between the words; case does not count.
    Lines(&'static [&'static str]),
    /// The same, where case counts.
    ExactLines(&'static [&'static str]),
    /// Those of these forms, one for each argument; the last one stands for all that follow.
    Forms(&'static [Form]),
}

/// The form that nginx requires of an argument, which also decides the error message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Anything.
    Text,
    /// `on` or `off`
    Flag,
    /// Digits: `invalid number` otherwise.
    Number,
    /// Digits, with a sign or without: `invalid number` otherwise.
    Integer,
    /// Digits, and more than 0: `invalid value` otherwise.
    Positive,
    /// 1, 2, 4 and so on.
    PowerOfTwo,
    /// Bytes with `k` or `m`: `invalid value` otherwise.
    Size,
    /// The same, and more than 0.
    PositiveSize,
    /// The size of a pool of nginx's: at least 112 bytes, and a multiple of 16.
    PoolSize,
    /// One of these sizes, however it is written.
    SizeAmong(&'static [&'static str]),
    /// Bytes with `k`, `m` or `g`.
    Offset,
    /// A time of milliseconds and more.
    Time,
    /// A time of whole seconds.
    Seconds,
    /// Processors, a digit for each, 1 or 0; blanks do not count.
    CpuMask,
    /// One of these, whatever the case of its letters: `invalid value "x"` otherwise.
    Word(&'static [&'static str]),
    /// One of these as it is written, or with anything behind it if it ends in `=`: `invalid value` otherwise.
    Exactly(&'static [&'static str]),
    /// One of these as it is written; the first text says what they are: `invalid WHAT "x"` otherwise.
    Kind(&'static str, &'static [&'static str]),
    /// One of these: `name=` followed by a value of its form, or a bare word; an empty name stands for any other word. The
    /// directive must have the first of them, unless it has a bare word.
    Parameter(&'static [(&'static str, Form)]),
    /// The word, or what is of the form.
    Or(&'static str, &'static Form),
}

/// The size of nginx's smallest pool, and what the size of any is a multiple of.
pub const POOL_LEAST: u64 = 112;
pub const POOL_STEP: u64 = 16;

impl Form {
    pub fn accepts(self, word: &[u8]) -> bool {
        match self {
            Form::Text => true,
            Form::Flag => value::flag(word).is_some(),
            Form::Number => value::number(word).is_some(),
            Form::Integer => {
                let digits = word.strip_prefix(b"-").or(word.strip_prefix(b"+")).unwrap_or(word);
                value::number(digits).is_some()
            }
            Form::Positive => value::number(word).is_some_and(|number| number > 0),
            Form::PowerOfTwo => value::number(word).is_some_and(u64::is_power_of_two),
            Form::Size => value::size(word).is_some(),
            Form::PositiveSize => value::size(word).is_some_and(|size| size > 0),
            Form::PoolSize => {
                value::size(word).is_some_and(|size| size >= POOL_LEAST && size.is_multiple_of(POOL_STEP))
            }
            Form::SizeAmong(sizes) => value::size(word)
                .is_some_and(|size| sizes.iter().any(|known| value::size(known.as_bytes()) == Some(size))),
            Form::Offset => value::offset(word).is_some(),
            Form::Time => value::milliseconds(word).is_some(),
            Form::Seconds => value::seconds(word).is_some(),
            Form::CpuMask => word.iter().all(|byte| matches!(byte, b'0' | b'1' | b' ')),
            Form::Word(words) => words.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word)),
            Form::Exactly(words) => words.iter().any(|known| behind(known, word).is_some()),
            Form::Kind(_, words) => words.iter().any(|known| known.as_bytes() == word),
            Form::Parameter(known) => {
                let mut known = known.iter().filter_map(|(name, form)| Some((form, behind(name, word)?)));
                known.next().is_some_and(|(form, value)| form.accepts(value))
            }
            Form::Or(known, form) => known.as_bytes() == word || form.accepts(word),
        }
    }
}

/// The rest of a word behind `name`. Behind a name that is not empty and does not end in `=` nothing may follow.
fn behind<'w>(name: &str, word: &'w [u8]) -> Option<&'w [u8]> {
    let rest = word.strip_prefix(name.as_bytes())?;
    (rest.is_empty() || name.is_empty() || name.ends_with('=')).then_some(rest)
}

/// One row of the table.
pub struct Directive<T: 'static> {
    pub name: &'static str,
    pub contexts: Contexts,
    pub arity: Arity,
    /// One line for `docs/directives.md`.
    pub doc: &'static str,
    pub(crate) state: State<T>,
    /// It may stand more than once in a block.
    pub repeatable: bool,
}

impl<T> Clone for Directive<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Directive<T> {}

pub const fn works<T>(
    name: &'static str,
    contexts: Contexts,
    arity: Arity,
    doc: &'static str,
    apply: Apply<T>,
) -> Directive<T> {
    Directive { name, contexts, arity, doc, state: State::Works(apply), repeatable: false }
}

/// A row that is accepted without effect. `forms` are those of its arguments; none: anything.
pub const fn no_effect<T>(
    name: &'static str,
    contexts: Contexts,
    arity: Arity,
    doc: &'static str,
    forms: &'static [Form],
) -> Directive<T> {
    let state = State::NoEffect(Accepted::Forms(forms));
    Directive { name, contexts, arity, doc, state, repeatable: false }
}

/// A row that is refused unless its arguments are one of `lines`, which ask for what limpet does anyway. Without lines any
/// arguments are accepted: the directive only adjusts something that stays off, as the one that switches it on is refused.
pub const fn at_default<T>(
    name: &'static str,
    contexts: Contexts,
    arity: Arity,
    doc: &'static str,
    lines: &'static [&'static str],
) -> Directive<T> {
    let accepted = if lines.is_empty() { Accepted::Forms(&[]) } else { Accepted::Lines(lines) };
    Directive { name, contexts, arity, doc, state: State::AtDefault(accepted), repeatable: false }
}

/// Versions of TLS, as OpenSSL names them.
pub const TLS_VERSIONS: &[&str] = &["SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
/// The words of `fastcgi_next_upstream` and its like.
pub const NEXT: &[&str] = &[
    "error",
    "timeout",
    "invalid_header",
    "non_idempotent",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "denied",
    "off",
    "not_found",
    "invalid_response",
    "updating",
];
/// What `proxy_cache_use_stale` and its like know.
pub const STALE: &[&str] = &[
    "error",
    "timeout",
    "invalid_header",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "updating",
    "off",
];

pub const fn refused<T>(name: &'static str, contexts: Contexts, arity: Arity, doc: &'static str) -> Directive<T> {
    Directive { name, contexts, arity, doc, state: State::Refused, repeatable: true }
}

impl<T> Directive<T> {
    pub const fn repeatable(mut self) -> Directive<T> {
        self.repeatable = true;
        self
    }

    /// For an [`at_default`] row without lines: the forms by which its arguments are checked.
    pub const fn forms(mut self, forms: &'static [Form]) -> Directive<T> {
        self.state = State::AtDefault(Accepted::Forms(forms));
        self
    }

    /// Case counts in the lines that are taken.
    pub const fn exact(mut self) -> Directive<T> {
        if let State::AtDefault(Accepted::Lines(lines)) = self.state {
            self.state = State::AtDefault(Accepted::ExactLines(lines));
        }
        self
    }

    /// `works`, `no effect`, `works at its default` or `refused`.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Works(_) => "works",
            State::NoEffect(_) => "no effect",
            State::AtDefault(_) => "works at its default",
            State::Refused => "refused",
        }
    }

    /// The arguments that are taken of a directive which works at its default only; empty: any.
    pub fn default_lines(&self) -> &'static [&'static str] {
        match self.state {
            State::AtDefault(Accepted::Lines(lines) | Accepted::ExactLines(lines)) => lines,
            _ => &[],
        }
    }

    /// Whether it is a block.
    pub fn is_block(&self) -> bool {
        self.arity.block
    }

    /// The blocks it may stand in, in the manual's words.
    pub fn context_names(&self) -> String {
        if self.contexts == contexts::ANYWHERE {
            return "any".into();
        }
        let stands_in = |(bit, _): &(usize, &&str)| self.contexts & (1 << bit) != 0;
        contexts::NAMES.iter().enumerate().filter(stands_in).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    }

    pub fn takes(&self, arguments: usize) -> bool {
        self.arity.fits(arguments)
    }
}

/// All directives: rows by nginx module, and by name.
pub struct Table<T: 'static> {
    sections: Vec<Section<T>>,
    /// The rows of a name; the blocks they may stand in differ.
    by_name: HashMap<&'static [u8], Vec<&'static Directive<T>>>,
}

/// The title of a section of the page of all directives, and its rows.
pub type Section<T> = (&'static str, &'static [Directive<T>]);

impl<T> Table<T> {
    /// Sorts the rows by their names.
    pub fn new(sections: Vec<Section<T>>) -> Table<T> {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for row in sections.iter().flat_map(|(_, rows)| *rows) {
            by_name.entry(row.name.as_bytes()).or_default().push(row);
        }
        Table { sections, by_name }
    }

    /// The rows by nginx module.
    pub fn sections(&self) -> &[Section<T>] {
        &self.sections
    }

    /// The rows of one name; the blocks they may stand in differ.
    pub fn named(&self, name: &[u8]) -> Option<&[&'static Directive<T>]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// The names of what may stand in a block and is acted on or accepted.
    pub fn names_in(&self, context: Contexts) -> impl Iterator<Item = &'static str> {
        let rows = self.sections.iter().flat_map(|(_, rows)| *rows);
        rows.filter(move |row| row.contexts & context != 0 && !matches!(row.state, State::Refused)).map(|row| row.name)
    }
}
