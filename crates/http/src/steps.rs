//! The rewrite steps of a server or location.

use super::ctx::{Captures, Request, Undecided};
use crate::Text;
use crate::runtime::{Condition, Rewrite};

/// What the steps came to.
pub(super) enum Outcome<'s> {
    /// On to the next phase.
    Continue,
    Return {
        code: u16,
        text: Option<&'s Text>,
    },
}

/// Takes the steps in order. A block of an `if` that is entered becomes the request's location.
pub(super) fn run<'s>(
    request: &mut Request,
    steps: &'s [Rewrite],
    ifs: &[std::sync::Arc<crate::runtime::Location>],
) -> Result<Outcome<'s>, Undecided> {
    for step in steps {
        match step {
            Rewrite::Return { code, text } => return Ok(Outcome::Return { code: *code, text: text.as_ref() }),
            Rewrite::If { condition, steps, location } => {
                if !holds(request, condition)? {
                    continue;
                }
                if let Some(block) = location.and_then(|index| ifs.get(index)) {
                    request.location = std::sync::Arc::clone(block);
                }
                if let answer @ Outcome::Return { .. } = run(request, steps, ifs)? {
                    return Ok(answer);
                }
            }
        }
    }
    Ok(Outcome::Continue)
}

fn holds(request: &mut Request, condition: &Condition) -> Result<bool, Undecided> {
    Ok(match condition {
        Condition::Set(text) => {
            let value = text.render(request);
            !value.is_empty() && value != b"0"
        }
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
