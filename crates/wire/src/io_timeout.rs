//! How long a socket may make no progress.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use limpet_log::clock;
use limpet_log::clock::Moment;

/// A bound on the time between two steps of reading, or of writing.
#[derive(Default)]
pub struct IoTimeout {
    /// When the present wait has lasted long enough.
    deadline: Option<Moment>,
    /// Goes off at the deadline, or before it. To set one costs more than most waits last, so it stays from one wait to
    /// the next; one that goes off early is set again for the rest.
    alarm: Option<Alarm>,
}

struct Alarm {
    at: Moment,
    timer: Pin<Box<tokio::time::Sleep>>,
}

impl IoTimeout {
    pub fn new() -> Self {
        IoTimeout::default()
    }

    /// Passes on what an operation came to. One that waits for longer than `limit` fails.
    pub fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        limit: Duration,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.deadline = None;
            return result;
        }
        let deadline = *self.deadline.get_or_insert_with(|| clock::tick() + limit);
        while clock::now() < deadline {
            let alarm = match &mut self.alarm {
                Some(alarm) if alarm.at <= deadline => alarm,
                slot => {
                    let left = deadline.since(clock::now());
                    slot.insert(Alarm { at: deadline, timer: Box::pin(tokio::time::sleep(left)) })
                }
            };
            if Future::poll(alarm.timer.as_mut(), cx).is_pending() {
                return Poll::Pending;
            }
            self.alarm = None;
            clock::tick();
        }
        self.deadline = None;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Something else moved: the time begins again.
    pub fn renew(&mut self) {
        self.deadline = None;
    }
}

impl fmt::Debug for IoTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.deadline.is_some() { "waiting" } else { "at rest" })
    }
}
