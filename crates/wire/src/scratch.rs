//! A buffer of each thread's own, so that what waits for bytes needs none.

use std::cell::RefCell;

const SIZE: usize = 65_536;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SIZE]);
}

/// Lends the thread's buffer. What it holds from before means nothing.
pub fn with<R>(take: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with_borrow_mut(|buffer| take(buffer))
}
