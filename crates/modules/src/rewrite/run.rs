//! The steps of a server or location.

use std::sync::Arc;

use limpet_http::ctx::{Captures, Undecided};
use limpet_http::decision::Decision;
use limpet_http::phase::Step;
use limpet_http::reply::{Length, Reply};
use limpet_http::routing::{error_page, redirect};
use limpet_http::runtime::Location;
use limpet_http::{Request, Text};
use limpet_text::Regex;

/// A step, compiled.
pub enum Rewrite {
    Return {
        code: u16,
        text: Option<Text>,
    },
    /// `location` is the index of the block among its location's `ifs`.
    If {
        condition: Condition,
        steps: Vec<Rewrite>,
        location: Option<usize>,
    },
}

pub enum Condition {
    Set(Text),
    Equal { left: Text, right: Text, negated: bool },
    Matches { left: Text, regex: Regex, negated: bool },
}

/// The steps of a server or location, which are taken in order.
pub struct Program(pub Vec<Rewrite>);

impl Step for Program {
    fn run(&self, request: &mut Request) -> Result<Decision, Undecided> {
        let location = Arc::clone(&request.location);
        run(request, &self.0, &location)
    }
}

/// A block of an `if` that is entered becomes the request's location.
fn run(request: &mut Request, steps: &[Rewrite], location: &Location) -> Result<Decision, Undecided> {
    for step in steps {
        match step {
            Rewrite::Return { code, text } => return Ok(return_(request, *code, text.as_ref())),
            Rewrite::If { condition, steps, location: block } => {
                if !holds(request, condition)? {
                    continue;
                }
                if let Some(block) = block.and_then(|index| location.ifs.get(index)) {
                    request.location = Arc::clone(block);
                }
                match run(request, steps, location)? {
                    Decision::Continue => {}
                    word => return Ok(word),
                }
            }
        }
    }
    Ok(Decision::Continue)
}

fn holds(request: &mut Request, condition: &Condition) -> Result<bool, Undecided> {
    Ok(match condition {
        Condition::Set(text) => limpet_text::is_true(&text.render(request)),
        Condition::Equal { left, right, negated } => (left.render(request) == right.render(request)) != *negated,
        Condition::Matches { left, regex, negated } => {
            let value = left.render(request);
            match Captures::of(regex, &value)? {
                Some(captures) => {
                    request.captures = captures;
                    !negated
                }
                None => *negated,
            }
        }
    })
}

fn return_(request: &mut Request, code: u16, text: Option<&Text>) -> Decision {
    request.status = code;
    let text = text.map(|text| text.render(request));
    match (code, text) {
        (444 | 408 | 499, None) => Decision::Close,
        (204, _) => Decision::local(Reply::new(204), Vec::new()),
        (301 | 302 | 303 | 307 | 308, Some(target)) => redirect(request, code, &target),
        (400.., None) | (301 | 302 | 303 | 307 | 308, None) => error_page(request, code),
        (_, text) => {
            let body = text.unwrap_or_default();
            let mut reply = Reply::new(code);
            reply.content_type = Some(request.media_type().into_owned().into());
            reply.length = Length::Known(body.len() as u64);
            Decision::local(reply, body)
        }
    }
}
