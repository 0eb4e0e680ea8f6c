//! How long a socket may make no progress.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pingora::time::fast_timeout::fast_sleep;

/// A bound on the time between two steps of reading, or of writing. A timer exists only while something is waited for.
pub(crate) struct Patience {
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Patience { timer: None }
    }

    /// Passes on what an operation came to. One that waits for longer than `limit` fails.
    pub(crate) fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        limit: Duration,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.timer = None;
            return result;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(fast_sleep(limit)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.timer = None;
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Something else moved: the time begins again.
    pub(crate) fn renew(&mut self) {
        self.timer = None;
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.timer.is_some() { "waiting" } else { "at rest" })
    }
}
