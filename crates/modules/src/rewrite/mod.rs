//! `if` and `return`.

mod run;

use limpet_http::phase::Step;
use limpet_http::runtime::{self, Server};
use limpet_kernel::builder::{Fault, fault};
use limpet_kernel::directive::contexts;
use limpet_kernel::directive::prelude::{LOCATION, LOCATION_IF, MORE1, N12, SERVER, SERVER_IF, works};
use limpet_kernel::setters::{arg, text};
use limpet_kernel::{Inherit, value};
use limpet_syntax::{self as syntax, Word};
use limpet_text::{Part, Template};

use crate::model::{self, Location, Matcher};
use crate::module::{Module, Spot};
use crate::reading::{Builder, Directive};
use crate::site::{BuildError, Site, regex};

/// nginx's `ngx_http_rewrite_module`.
pub(crate) struct Rewrite;

impl Module for Rewrite {
    const TITLE: &'static str = "Rewrite";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = ();

    fn install_in_server(site: &Site<'_>, settings: &model::Settings, server: &mut Server) -> Result<(), BuildError> {
        server.rewrite.extend(program(site, &settings.rewrite.steps)?);
        Ok(())
    }

    fn install(site: &Site<'_>, spot: &Spot<'_>, location: &mut runtime::Location) -> Result<(), BuildError> {
        if spot.matcher.is_some() {
            location.rewrite.extend(program(site, &spot.settings.rewrite.steps)?);
        }
        Ok(())
    }
}

/// What a server or location does itself; nothing of it is inherited.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    steps: Vec<RewriteStep>,
}

impl Inherit for Settings {
    fn inherit(&mut self, _: &Settings) {}
}

/// What is done in the order of the file when a request enters a server or a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewriteStep {
    Return(Return),
    /// `location` is the index of the block among its location's `ifs`; `None` at server level.
    If {
        condition: Condition,
        steps: Vec<RewriteStep>,
        location: Option<usize>,
    },
}

/// `return`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The status; 302 where only a URL is written.
    pub code: u16,
    /// A body, or for 301, 302, 303, 307 and 308 where to go.
    pub text: Option<Template>,
}

/// The condition of an `if`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `($variable)`: neither empty nor `0`.
    Set(Template),
    /// `($variable = text)` and `!=`
    Equal { left: Template, right: Template, negated: bool },
    /// `~`, `~*`, `!~`, `!~*`
    Matches { left: Template, pattern: String, caseless: bool, negated: bool },
}

/// The steps of a block, compiled; `None` where there are none.
fn program(site: &Site<'_>, steps: &[RewriteStep]) -> Result<Option<Box<dyn Step>>, BuildError> {
    match steps {
        [] => Ok(None),
        steps => Ok(Some(Box::new(run::Program(compile(site, steps)?)))),
    }
}

fn compile(site: &Site<'_>, steps: &[RewriteStep]) -> Result<Vec<run::Rewrite>, BuildError> {
    let compile_one = |step: &RewriteStep| {
        Ok(match step {
            RewriteStep::Return(Return { code, text }) => {
                run::Rewrite::Return { code: *code, text: text.as_ref().map(|text| site.compile(text)) }
            }
            RewriteStep::If { condition, steps, location } => {
                let condition = match condition {
                    Condition::Set(text) => run::Condition::Set(site.compile(text)),
                    Condition::Equal { left, right, negated } => run::Condition::Equal {
                        left: site.compile(left),
                        right: site.compile(right),
                        negated: *negated,
                    },
                    Condition::Matches { left, pattern, caseless, negated } => run::Condition::Matches {
                        left: site.compile(left),
                        regex: regex(pattern, *caseless)?,
                        negated: *negated,
                    },
                };
                run::Rewrite::If { condition, steps: compile(site, steps)?, location: *location }
            }
        })
    };
    steps.iter().map(compile_one).collect()
}

const ROWS: &[Directive] = &[
    works(
        "if",
        SERVER | LOCATION,
        MORE1.block(),
        "A block for requests that fulfil `($variable)`, or `($variable op text)` with `=`, `!=`, `~`, `~*`, `!~`, `!~*`.",
        if_,
    )
    .repeatable(),
    works(
        "return",
        SERVER | SERVER_IF | LOCATION | LOCATION_IF,
        N12,
        "Answers with a status and a text, or with a redirect.",
        return_,
    )
    .repeatable(),
];

fn if_(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let condition = condition(builder, directive)?;
    if builder.context() == contexts::SERVER {
        let outer = std::mem::take(&mut builder.server.settings.rewrite.steps);
        let result = builder.block(directive, contexts::SERVER_IF);
        let steps = std::mem::replace(&mut builder.server.settings.rewrite.steps, outer);
        builder.server.settings.rewrite.steps.push(RewriteStep::If { condition, steps, location: None });
        return result;
    }
    let place = builder.place(directive);
    builder.locations.push(Location::new(Matcher::If, place));
    let result = builder.block(directive, contexts::LOCATION_IF);
    let Some(mut block) = builder.locations.pop() else { return result };
    if let Some(outer) = builder.locations.last_mut() {
        let steps = std::mem::take(&mut block.settings.rewrite.steps);
        outer.settings.rewrite.steps.push(RewriteStep::If { condition, steps, location: Some(outer.ifs.len()) });
        outer.ifs.push(block);
    }
    result
}

/// The words between the parentheses, which may stick to their neighbours.
fn condition(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<Condition, Fault> {
    let (first, last) = (arg(directive, 0)?, arg(directive, directive.args.len() - 1)?);
    let invalid = |word: &Word| fault(word, format!("invalid condition \"{}\"", word.text()));
    if first.quoted || !first.bytes.starts_with(b"(") {
        return invalid(first);
    }
    if last.quoted || !last.bytes.ends_with(b")") {
        return invalid(last);
    }
    let mut words = directive.args.clone();
    if let Some(word) = words.first_mut() {
        word.bytes.remove(0);
        word.span.column += 1;
    }
    if let Some(word) = words.last_mut() {
        word.bytes.pop();
    }
    words.retain(|word| word.quoted || !word.bytes.is_empty());
    let Some((variable, rest)) = words.split_first() else { return invalid(first) };
    if variable.bytes.first() == Some(&b'-') || variable.bytes.first() == Some(&b'!') {
        return fault(
            variable,
            format!("file tests like \"{}\" in \"if\" are not supported by limpet", variable.text()),
        );
    }
    if variable.bytes.len() < 2 || variable.bytes.first() != Some(&b'$') {
        return fault(variable, format!("invalid condition \"{}\"", variable.text()));
    }
    let mut left = Template::parse(&variable.bytes).or_else(|message| fault(variable, message))?;
    match left.parts.as_slice() {
        // A group is no variable here.
        [Part::Capture(group)] => left = Template { parts: vec![Part::Variable(group.to_string())] },
        [_] => {}
        _ => return fault(variable, format!("invalid condition \"{}\"", variable.text())),
    }
    builder.uses(&left, variable);
    let Some((operator, rest)) = rest.split_first() else { return Ok(Condition::Set(left)) };
    let negated = operator.bytes.first() == Some(&b'!');
    let caseless = operator.bytes.ends_with(b"*");
    match (operator.bytes.as_slice(), rest) {
        (b"=" | b"!=", [right]) => Ok(Condition::Equal { left, right: builder.template(right)?, negated }),
        (b"~" | b"~*" | b"!~" | b"!~*", [pattern]) => {
            limpet_kernel::setters::check_regex(pattern, text(pattern)?, caseless)?;
            Ok(Condition::Matches { left, pattern: text(pattern)?.to_owned(), caseless, negated })
        }
        (b"=" | b"!=" | b"~" | b"~*" | b"!~" | b"!~*", _) => invalid(last),
        _ => fault(operator, format!("unexpected \"{}\" in condition", operator.text())),
    }
}

fn return_(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let word = arg(directive, 0)?;
    let code = value::number(&word.bytes).and_then(|code| u16::try_from(code).ok()).filter(|code| *code <= 999);
    let step = match (code, directive.args.get(1)) {
        (Some(code), text) => Return { code, text: text.map(|word| builder.template(word)).transpose()? },
        (None, None) if is_url(&word.bytes) => Return { code: 302, text: Some(builder.template(word)?) },
        (None, _) => return fault(word, format!("invalid return code \"{}\"", word.text())),
    };
    let steps = match builder.locations.last_mut() {
        Some(location) => &mut location.settings.rewrite.steps,
        None => &mut builder.server.settings.rewrite.steps,
    };
    steps.push(RewriteStep::Return(step));
    Ok(())
}

fn is_url(text: &[u8]) -> bool {
    [&b"http://"[..], b"https://", b"$scheme"]
        .iter()
        .any(|start| text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start)))
}
