//! Sending in turns. What short requests and responses have to send waits until the tasks that are ready have run, and then
//! goes out one after the other. A peer that sleeps is woken for the first of them and finds the others coming, where
//! otherwise it would be woken, at the sender's cost, for each.

use std::task::{Context, Poll};

/// Whether the others have had their turn.
#[derive(Debug, Default)]
pub struct Turn(bool);

impl Turn {
    /// Lets the tasks that are ready run first, once.
    pub fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
