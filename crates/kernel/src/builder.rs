//! Walks the tree in the order of the files, checks each directive against the table and lets its row put the words
//! into the model.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use limpet_syntax::{self as syntax, Diagnostic, FileId, Item, Origin, Sources, Span, Word};
use limpet_text::{Names, Standing, Template};

use crate::directive::{Accepted, Contexts, Directive, Form, POOL_LEAST, POOL_STEP, State, Table, contexts};
use crate::hint::{nearest, nearest_parameter};
use crate::setters::not_a_flag;
use crate::{Outside, value};

/// A message that is no error: a warning, or a notice about a directive without effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub level: Level,
    pub diagnostic: Diagnostic,
}

/// How grave a message is that is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Warn,
    Notice,
}

/// Where something was written, for messages that come later than reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    pub path: Arc<PathBuf>,
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

impl Place {
    /// An error there.
    pub fn error(&self, message: String) -> Diagnostic {
        let origin = Origin::File { path: self.path.to_path_buf(), line: self.line };
        Diagnostic { message, origin, caret: None, meant: None }
    }

    /// A warning there.
    pub fn warning(&self, message: String) -> Notice {
        Notice { level: Level::Warn, diagnostic: self.error(message) }
    }
}

/// Why a directive's words were not taken.
#[derive(Debug)]
pub enum Fault {
    /// `"NAME" directive TEXT`
    Directive(&'static str),
    /// The text as it is.
    Message(String),
    /// The text as it is, with the caret under a certain word.
    At(String, Span),
    /// The text as it is about a word that nobody knows, and a known one that may have been meant.
    Unknown { message: String, span: Span, meant: Option<String> },
    /// Something inside of the directive's block.
    Inside(Diagnostic),
}

impl From<Diagnostic> for Fault {
    fn from(diagnostic: Diagnostic) -> Self {
        Fault::Inside(diagnostic)
    }
}

/// A message about one word.
pub fn fault<T>(word: &Word, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::At(message.into(), word.span))
}

/// `invalid parameter "X"`, with the one of the `known` that may have been meant.
pub fn unknown<T>(word: &Word, parameter: &str, known: &[&str]) -> Result<T, Fault> {
    let meant = nearest_parameter(parameter, known).map(str::to_owned);
    Err(Fault::Unknown { message: format!("invalid parameter \"{parameter}\""), span: word.span, meant })
}

/// A variable that a text uses.
struct Use {
    name: String,
    /// The line that messages name.
    line: Span,
    word: Span,
}

/// Walks the tree. What the directives say is put together in `model`, to which this dereferences.
pub struct Builder<'t, T: 'static> {
    sources: &'t Sources,
    table: &'t Table<T>,
    pub model: T,
    pub notices: Vec<Notice>,
    /// Where the directive being applied stands.
    context: Contexts,
    /// The line that messages about it name.
    line: Option<Span>,
    /// The names seen in each open block.
    seen: Vec<HashSet<&'static str>>,
    paths: HashMap<FileId, Arc<PathBuf>>,
    noticed_once: HashSet<&'static str>,
    uses: Vec<Use>,
    /// The variables that the file itself defines.
    defined: BTreeSet<String>,
    variables: &'t dyn Names,
    pub outside: &'t dyn Outside,
}

impl<T> std::ops::Deref for Builder<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.model
    }
}

impl<T> std::ops::DerefMut for Builder<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.model
    }
}

impl<'t, T: Default> Builder<'t, T> {
    pub(crate) fn new(
        sources: &'t Sources,
        table: &'t Table<T>,
        outside: &'t dyn Outside,
        variables: &'t dyn Names,
    ) -> Self {
        Builder {
            sources,
            table,
            model: T::default(),
            notices: Vec::new(),
            context: contexts::MAIN,
            line: None,
            seen: vec![HashSet::new()],
            paths: HashMap::new(),
            noticed_once: HashSet::new(),
            uses: Vec::new(),
            defined: BTreeSet::new(),
            variables,
            outside,
        }
    }
}

impl<T> Builder<'_, T> {
    /// The directives of the `-g` option, which are read before the file.
    pub fn command_line(&mut self, tree: &syntax::Tree) -> Result<(), Diagnostic> {
        self.items(&tree.items).map_err(|diagnostic| Diagnostic {
            origin: Origin::CommandLine,
            caret: None,
            ..diagnostic
        })
    }

    /// The items of the main file, of the command line, or of a file that was included.
    pub fn items(&mut self, items: &[Item]) -> Result<(), Diagnostic> {
        for item in items {
            match item {
                Item::Directive(directive) => self.directive(directive)?,
                Item::Failed(diagnostic) => return Err(diagnostic.clone()),
            }
        }
        Ok(())
    }

    /// The inside of a block, whose directives are checked against `context`.
    pub fn block(&mut self, directive: &syntax::Directive, context: Contexts) -> Result<(), Fault> {
        let Some(block) = &directive.block else { return Ok(()) };
        let outer = std::mem::replace(&mut self.context, context);
        self.seen.push(HashSet::new());
        let result = self.items(&block.items);
        self.seen.pop();
        self.context = outer;
        Ok(result?)
    }

    fn directive(&mut self, directive: &syntax::Directive) -> Result<(), Diagnostic> {
        let name = directive.name.text();
        let complain = |message: String| self.diagnostic(message, directive.terminator, Some(directive.name.span));
        let Some(rows) = self.table.named(&directive.name.bytes) else {
            let meant = nearest(&name, self.table.names_in(self.context)).map(str::to_owned);
            return Err(Diagnostic { meant, ..complain(format!("unknown directive \"{name}\"")) });
        };
        let Some(row) = rows.iter().find(|row| row.contexts & self.context != 0) else {
            return Err(complain(format!("\"{name}\" directive is not allowed here")));
        };
        if matches!(row.state, State::Refused) {
            return Err(complain(format!("\"{name}\" is an nginx directive that limpet does not support")));
        }
        match (row.is_block(), &directive.block) {
            (false, Some(_)) => return Err(complain(format!("directive \"{name}\" is not terminated by \";\""))),
            (true, None) => return Err(complain(format!("directive \"{name}\" has no opening \"{{\""))),
            _ => {}
        }
        if !row.takes(directive.args.len()) {
            return Err(complain(format!("invalid number of arguments in \"{name}\" directive")));
        }
        if !row.repeatable && !self.seen.last_mut().is_some_and(|seen| seen.insert(row.name)) {
            return Err(self.diagnostic(
                format!("\"{name}\" directive is duplicate"),
                directive.terminator,
                Some(directive.name.span),
            ));
        }
        self.line = Some(directive.terminator);
        match row.state {
            State::Works(apply) => apply(self, directive).map_err(|fault| self.blame(directive, fault)),
            State::NoEffect(accepted) => {
                self.accept(accepted, directive).map_err(|fault| self.blame(directive, fault))?;
                self.note_without_effect(row, directive);
                Ok(())
            }
            State::AtDefault(accepted) => {
                self.accept(accepted, directive).map_err(|fault| self.blame(directive, fault))
            }
            State::Refused => Ok(()),
        }
    }

    /// Checks the arguments of a directive that is not acted on.
    fn accept(&self, accepted: Accepted, directive: &syntax::Directive) -> Result<(), Fault> {
        // Where any word is right, a missing `;` would make the next directive one of them.
        let mut line = directive.name.span.line;
        for word in &directive.args {
            let begins_line = std::mem::replace(&mut line, word.span.line) != word.span.line;
            if begins_line && !word.quoted && self.table.named(&word.bytes).is_some() {
                return fault(word, format!("invalid value \"{}\"", word.text()));
            }
        }
        match accepted {
            Accepted::Lines(lines) | Accepted::ExactLines(lines) => {
                let words: Vec<_> = directive.args.iter().map(Word::text).collect();
                let line = words.join(" ");
                let exact = matches!(accepted, Accepted::ExactLines(_));
                let is = |known: &str| if exact { known == line } else { known.eq_ignore_ascii_case(&line) };
                if lines.iter().any(|known| is(known)) {
                    return Ok(());
                }
                let written = format!("{} {line}", directive.name.text());
                Err(Fault::Message(format!(
                    "\"{}\" is not supported by limpet, only \"{}\" is",
                    written.trim_end(),
                    lines.join("\", \"")
                )))
            }
            Accepted::Forms(forms) => {
                let Some(last) = forms.last() else { return Ok(()) };
                for (index, word) in directive.args.iter().enumerate() {
                    check_form(*forms.get(index).unwrap_or(last), word, directive)?;
                }
                match last {
                    Form::Parameter(known) => check_needed(known, directive),
                    _ => Ok(()),
                }
            }
        }
    }

    fn note_without_effect(&mut self, row: &Directive<T>, directive: &syntax::Directive) {
        self.notice_once(row.name, &format!("\"{}\" has no effect in limpet", row.name), directive);
    }

    /// Something to tell once about all directives of a name.
    pub fn notice_once(&mut self, name: &'static str, message: &str, directive: &syntax::Directive) {
        if self.noticed_once.insert(name) {
            self.notice(Level::Notice, message, directive);
        }
    }

    fn blame(&self, directive: &syntax::Directive, fault: Fault) -> Diagnostic {
        let caret = directive.args.first().map_or(directive.name.span, |word| word.span);
        match fault {
            Fault::Directive(text) => {
                let message = format!("\"{}\" directive {text}", directive.name.text());
                self.diagnostic(message, directive.terminator, Some(caret))
            }
            Fault::Message(message) => self.diagnostic(message, directive.terminator, Some(caret)),
            Fault::At(message, span) => self.diagnostic(message, directive.terminator, Some(span)),
            Fault::Unknown { message, span, meant } => {
                Diagnostic { meant, ..self.diagnostic(message, directive.terminator, Some(span)) }
            }
            Fault::Inside(diagnostic) => diagnostic,
        }
    }

    /// A message with the line that nginx would name.
    pub fn diagnostic(&self, message: String, at: Span, caret: Option<Span>) -> Diagnostic {
        let origin = match self.sources.get(at.file) {
            Some(file) => Origin::File { path: file.path.clone(), line: at.line },
            None => Origin::Nowhere,
        };
        Diagnostic { message, origin, caret, meant: None }
    }

    /// Something to tell about a directive that is no error.
    pub fn notice(&mut self, level: Level, message: impl Into<String>, directive: &syntax::Directive) {
        let diagnostic = self.diagnostic(message.into(), directive.terminator, Some(directive.name.span));
        self.notices.push(Notice { level, diagnostic });
    }

    /// Where a directive stands, for messages after reading.
    pub fn place(&mut self, directive: &syntax::Directive) -> Place {
        let span = directive.terminator;
        let sources = self.sources;
        let path = self
            .paths
            .entry(span.file)
            .or_insert_with(|| Arc::new(sources.get(span.file).map(|file| file.path.clone()).unwrap_or_default()));
        Place { path: Arc::clone(path), line: span.line }
    }

    /// An argument with variables in it.
    pub fn template(&mut self, word: &Word) -> Result<Template, Fault> {
        self.template_in(word, &word.bytes)
    }

    /// A part of an argument with variables in it.
    pub fn template_in(&mut self, word: &Word, part: &[u8]) -> Result<Template, Fault> {
        let template = Template::parse(part).or_else(|message| fault(word, message))?;
        self.uses(&template, word);
        Ok(template)
    }

    /// Notes the variables that a text uses. Whether they exist is checked when all has been read.
    pub fn uses(&mut self, template: &Template, word: &Word) {
        let line = self.line.unwrap_or(word.span);
        self.uses.extend(template.variables().map(|name| Use { name: name.to_owned(), line, word: word.span }));
    }

    /// Fails for the first used variable that does not exist: with nginx's message, or with our own for one of nginx's that
    /// is not supported.
    pub fn check_variables(&self) -> Result<(), Diagnostic> {
        for Use { name, line, word } in self.uses.iter().filter(|one| !self.defined.contains(&one.name)) {
            let meant = match self.variables.standing(name) {
                Standing::Known => continue,
                Standing::Unsupported => {
                    let message = format!("\"{name}\" is an nginx variable that limpet does not support");
                    return Err(self.diagnostic(message, *line, Some(*word)));
                }
                Standing::Unknown => {
                    nearest(name, self.variables.known().chain(self.defined.iter().map(String::as_str)))
                        .map(str::to_owned)
                }
            };
            let diagnostic = self.diagnostic(format!("unknown \"{name}\" variable"), *line, Some(*word));
            return Err(Diagnostic { meant, ..diagnostic });
        }
        Ok(())
    }

    /// The block that is being read.
    pub fn context(&self) -> Contexts {
        self.context
    }

    /// The file defines a variable. Texts above may use it as well.
    pub fn define(&mut self, variable: &str) {
        self.defined.insert(variable.to_owned());
    }

    /// The variables that the file has defined so far.
    pub fn defined(&self) -> impl Iterator<Item = &str> {
        self.defined.iter().map(String::as_str)
    }

    /// Whether a text that has been read so far uses a variable.
    pub fn mentions(&self, variable: &str) -> bool {
        self.uses.iter().any(|one| one.name == variable)
    }
}

/// nginx's words for an argument that is not of the form that its directive takes.
fn check_form(form: Form, word: &Word, directive: &syntax::Directive) -> Result<(), Fault> {
    if form.accepts(&word.bytes) {
        return Ok(());
    }
    let (text, name) = (word.text(), directive.name.text());
    match (form, value::size(&word.bytes)) {
        (Form::Flag, _) => Err(Fault::At(not_a_flag(word, directive), word.span)),
        (Form::PowerOfTwo, _) if Form::Number.accepts(&word.bytes) => Err(Fault::Directive("must be a power of two")),
        (Form::Number | Form::Integer | Form::PowerOfTwo, _) => Err(Fault::Directive("invalid number")),
        (Form::PoolSize, Some(..POOL_LEAST)) => fault(word, format!("the pool size must be no less than {POOL_LEAST}")),
        (Form::PoolSize, Some(_)) => fault(word, format!("the pool size must be a multiple of {POOL_STEP}")),
        (Form::SizeAmong([first @ .., last]), Some(_)) => {
            fault(word, format!("\"{name}\" directive must be {}, or {last}", first.join(", ")))
        }
        (Form::CpuMask, _) => {
            // nginx reads the mask from its end, so the last wrong character is named.
            let wrong = word.bytes.iter().rfind(|byte| !matches!(byte, b'0' | b'1' | b' '));
            let wrong = char::from(wrong.copied().unwrap_or_default());
            fault(word, format!("invalid character \"{wrong}\" in \"{name}\""))
        }
        (Form::Word(_), _) => fault(word, format!("invalid value \"{text}\"")),
        (Form::Kind(what, _), _) => fault(word, format!("invalid {what} \"{text}\"")),
        (Form::Parameter(_), _) => fault(word, format!("invalid \"{name}\" parameter \"{text}\"")),
        (Form::Or(_, form), _) => check_form(*form, word, directive),
        _ => Err(Fault::Directive("invalid value")),
    }
}

/// The first of a directive's parameters has to be there, unless a word without `=` is.
fn check_needed(known: &[(&str, Form)], directive: &syntax::Directive) -> Result<(), Fault> {
    let Some((needed, _)) = known.first() else { return Ok(()) };
    let is_there = |word: &Word| {
        let is_bare = !word.bytes.ends_with(b"=") && known.iter().any(|(name, _)| name.as_bytes() == word.bytes);
        word.bytes.starts_with(needed.as_bytes()) || is_bare
    };
    if directive.args.iter().any(is_there) {
        return Ok(());
    }
    let needed = needed.trim_end_matches('=');
    Err(Fault::Message(format!("\"{}\" must have the \"{needed}\" parameter", directive.name.text())))
}
