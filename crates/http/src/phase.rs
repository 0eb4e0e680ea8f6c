//! What modules do to a request: steps of the phases before an answer, and filters of responses. At load each module adds
//! its own to the locations where it is on, so that one that is off costs nothing.

use bytes::Bytes;

use crate::ctx::{Request, Undecided};
use crate::decision::Decision;
use crate::reply::Reply;

/// A module's step. It says `Continue` to let the request go on.
pub trait Step: Send + Sync {
    /// # Errors
    /// A regular expression could not be decided.
    fn run(&self, request: &mut Request) -> Result<Decision, Undecided>;
}

impl<F: Fn(&mut Request) -> Decision + Send + Sync> Step for F {
    fn run(&self, request: &mut Request) -> Result<Decision, Undecided> {
        Ok(self(request))
    }
}

/// nginx's phases between a location's rewriting and its content, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Limits.
    Preaccess,
    /// Who gets in.
    Access,
    /// What is tried before the content.
    Precontent,
}

/// The steps of a location in the order of their phases.
#[derive(Default)]
pub struct Steps(Vec<(Phase, Box<dyn Step>)>);

impl Steps {
    /// Adds a step behind those of its phase.
    pub fn add(&mut self, phase: Phase, step: impl Step + 'static) {
        let place = self.0.partition_point(|(other, _)| *other <= phase);
        self.0.insert(place, (phase, Box::new(step)));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Step> {
        self.0.iter().map(|(_, step)| &**step)
    }
}

/// Sees a response before its head is made, and may put something in the way of its body.
pub trait Filter: Send + Sync {
    /// Changes the head. What is returned sees the body: where that changes its length, the reply's has to be
    /// [`Open`](crate::reply::Length::Open).
    fn begin(&self, request: &Request, reply: &mut Reply) -> Option<Box<dyn BodyFilter>>;
}

/// A body on its way to the client.
pub trait BodyFilter: Send + Sync {
    /// The next piece, which may be empty, as it goes out; `end`: it is the last one.
    fn piece(&mut self, piece: &[u8], end: bool) -> Vec<u8>;
}

/// Adds lines to the head of a response, when all else is known of it.
pub trait HeaderFilter: Send + Sync {
    /// Each line is `Name: value` with its line end.
    fn append(&self, request: &Request, status: u16, lines: &mut Vec<u8>);
}

/// Told of each request at its end.
pub trait Log: Send + Sync {
    /// Writes what is to be kept of it.
    fn write(&self, request: &Request);
}

impl Request {
    /// Shows a response to the filters of the location. Those of an earlier one are gone.
    pub fn begin_filters(&mut self, reply: &mut Reply) {
        let location = std::sync::Arc::clone(&self.location);
        self.filters.clear();
        for filter in &location.filters {
            self.filters.extend(filter.begin(self, reply));
        }
    }

    /// A piece of the response's body, put through what the filters have set in its way.
    pub fn filter(&mut self, piece: Bytes, end: bool) -> Bytes {
        let through = |piece: Bytes, filter: &mut Box<dyn BodyFilter>| filter.piece(&piece, end).into();
        let piece = self.filters.iter_mut().fold(piece, through);
        if end {
            self.filters.clear();
        }
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_run_in_the_order_of_their_phases() {
        let mut steps = Steps::default();
        for phase in [Phase::Precontent, Phase::Access, Phase::Preaccess, Phase::Access] {
            steps.add(phase, |_: &mut Request| Decision::Continue);
        }
        let order: Vec<Phase> = steps.0.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(order, [Phase::Preaccess, Phase::Access, Phase::Access, Phase::Precontent]);
        assert_eq!(steps.iter().count(), 4);
    }
}
