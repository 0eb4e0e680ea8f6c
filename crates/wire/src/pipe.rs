//! Connections inside the program: a stream of HTTP/2 is one, on either side of it, so that all the rest sees a connection like
//! any other. One end is a [`Socket`](crate::Socket), the other whoever translates.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Bytes that wait to be read before the translator has to wait.
const WAITING: usize = 16_384;
/// Bytes that wait to be translated before writes have to wait: as much as a socket takes, so that what fits need not be put
/// into a file.
const WRITTEN: usize = 65_536;

/// The translator's end of such a connection.
#[derive(Debug, Clone, Default)]
pub struct Pipe(Arc<Mutex<State>>);

/// The other end. When it is dropped nothing more is written to it.
#[derive(Debug)]
pub struct PipeEnd(Arc<Mutex<State>>);

/// What the translator has to say of an end that is none of the connection's own, in nginx's words.
#[derive(Debug, Clone)]
pub struct Fault(pub String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.shutdown_write();
    }
}

#[derive(Debug, Default)]
struct State {
    /// From the translator to the socket.
    inward: Vec<u8>,
    /// How much of it was read.
    read: usize,
    inward_ended: bool,
    /// From the socket to the translator.
    outward: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
    outward_ended: bool,
    /// The translator has given up: nothing more arrives anywhere.
    broken: bool,
    /// Why, where that is to be known.
    fault: Option<(io::ErrorKind, Fault)>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    translator: Option<Waker>,
}

/// What the translator finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Outward {
    Bytes(Vec<u8>),
    Ended,
}

impl State {
    fn is_readable(&self) -> bool {
        self.read < self.inward.len() || self.inward_ended || self.broken
    }

    /// Bytes that the translator has not taken.
    fn unsent(&self) -> usize {
        self.outward.len() - self.taken
    }

    fn wake(waker: &mut Option<Waker>) {
        if let Some(waker) = waker.take() {
            waker.wake();
        }
    }
}

/// Remembers who waits.
fn waits(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        slot => *slot = Some(cx.waker().clone()),
    }
}

impl PipeEnd {
    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.is_readable() {
            return Poll::Ready(Ok(()));
        }
        waits(&mut state.reader, cx);
        Poll::Pending
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if !state.is_readable() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if state.read >= state.inward.len()
            && let Some((kind, fault)) = &state.fault
        {
            return Err(io::Error::new(*kind, fault.clone()));
        }
        let rest = state.inward.get(state.read..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        state.read += count;
        if state.read >= state.inward.len() {
            state.read = 0;
            // What was large is not kept.
            if state.inward.capacity() > WAITING {
                state.inward = Vec::new();
            }
            state.inward.clear();
        }
        if state.inward.len() - state.read < WAITING {
            State::wake(&mut state.translator);
        }
        Ok(count)
    }

    pub(crate) fn poll_writable(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.unsent() < WRITTEN || state.broken || state.outward_ended {
            return Poll::Ready(Ok(()));
        }
        waits(&mut state.writer, cx);
        Poll::Pending
    }

    pub(crate) fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.broken || state.outward_ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let given: usize = parts.iter().map(|part| part.len()).sum();
        if state.taken > 0 && state.outward.len().saturating_add(given) > state.outward.capacity() {
            // It need not grow for what is gone.
            let taken = std::mem::take(&mut state.taken);
            state.outward.drain(..taken);
        }
        let mut taken = 0;
        for part in parts {
            let space = WRITTEN.saturating_sub(state.unsent());
            let now = part.get(..space.min(part.len())).unwrap_or_default();
            state.outward.extend_from_slice(now);
            taken += now.len();
        }
        if taken == 0 && parts.iter().any(|part| !part.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        State::wake(&mut state.translator);
        Ok(taken)
    }

    pub(crate) fn has_unread(&self) -> bool {
        let state = self.0.lock();
        state.read < state.inward.len()
    }

    pub(crate) fn has_hung_up(&self) -> bool {
        self.0.lock().broken
    }

    pub(crate) fn has_news(&self) -> bool {
        self.0.lock().is_readable()
    }

    pub(crate) fn shutdown_read(&self) {
        let mut state = self.0.lock();
        state.inward_ended = true;
        State::wake(&mut state.reader);
    }

    pub(crate) fn shutdown_write(&self) {
        let mut state = self.0.lock();
        state.outward_ended = true;
        State::wake(&mut state.translator);
    }
}

impl Pipe {
    /// The other end. There is one.
    pub fn end(&self) -> PipeEnd {
        PipeEnd(Arc::clone(&self.0))
    }

    /// Whether so much of what was put in has been read that there is room for more.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.inward.len() - state.read < WAITING || state.broken || state.inward_ended {
            return Poll::Ready(());
        }
        waits(&mut state.translator, cx);
        Poll::Pending
    }

    /// Puts bytes in, for who reads from the socket.
    pub fn put(&self, parts: &[&[u8]]) {
        let mut state = self.0.lock();
        if state.inward_ended || state.broken {
            return;
        }
        if state.read > WAITING {
            let read = std::mem::take(&mut state.read);
            state.inward.drain(..read);
        }
        parts.iter().for_each(|part| state.inward.extend_from_slice(part));
        State::wake(&mut state.reader);
    }

    /// Nothing more comes, as when the other side of a connection has closed it.
    pub fn give_up(&self) {
        self.end_with(None);
    }

    /// The same, for this reason: who reads gets it as an error of this kind with a [`Fault`].
    pub fn fail(&self, kind: io::ErrorKind, reason: String) {
        self.end_with(Some((kind, Fault(reason))));
    }

    fn end_with(&self, fault: Option<(io::ErrorKind, Fault)>) {
        let mut state = self.0.lock();
        if state.broken {
            return;
        }
        state.broken = true;
        state.fault = fault;
        State::wake(&mut state.reader);
        State::wake(&mut state.writer);
    }

    /// Gives back what was taken last, which can't be passed on yet: nobody has to hold more for it.
    pub fn put_back(&self, mut bytes: Vec<u8>) {
        let mut state = self.0.lock();
        let taken = std::mem::take(&mut state.taken);
        bytes.extend_from_slice(state.outward.get(taken..).unwrap_or_default());
        state.outward = bytes;
    }

    /// Bytes that were written to the socket and not taken by the translator.
    pub fn outward(&self) -> usize {
        self.0.lock().unsent()
    }

    /// Ready when something was written to the socket that the translator has not taken (`true`), or nothing more will be.
    pub fn poll_has_outward(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.0.lock();
        if !state.outward.is_empty() || state.outward_ended {
            return Poll::Ready(!state.outward.is_empty());
        }
        waits(&mut state.translator, cx);
        Poll::Pending
    }

    /// What was written to the socket since, at most so many bytes of it, or its end.
    pub fn poll_outward(&self, cx: &Context<'_>, most: usize) -> Poll<Outward> {
        let mut state = self.0.lock();
        if !state.outward.is_empty() {
            let end = state.taken.saturating_add(most).min(state.outward.len());
            let bytes = match (state.taken, end == state.outward.len()) {
                (0, true) => std::mem::take(&mut state.outward),
                (taken, is_all) => {
                    let bytes = state.outward.get(taken..end).unwrap_or_default().to_vec();
                    state.taken = end;
                    if is_all {
                        state.taken = 0;
                        state.outward.clear();
                    }
                    bytes
                }
            };
            if state.unsent() < WRITTEN {
                State::wake(&mut state.writer);
            }
            return Poll::Ready(Outward::Bytes(bytes));
        }
        if state.outward_ended {
            return Poll::Ready(Outward::Ended);
        }
        waits(&mut state.translator, cx);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_both_ways_and_no_more_than_there_is_room_for() {
        let (pipe, cx) = (Pipe::default(), Context::from_waker(Waker::noop()));
        let end = pipe.end();
        assert_eq!(end.try_read(&mut [0; 4]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        pipe.put(&[b"ab", b"cde"]);
        assert!(end.has_unread());
        let mut space = [0; 4];
        assert_eq!((end.try_read(&mut space).unwrap(), &space), (4, b"abcd"));
        assert_eq!(end.try_read(&mut space).unwrap(), 1);
        assert!(pipe.poll_room(&cx).is_ready() && !end.has_unread());
        pipe.put(&[&vec![b'x'; WAITING + 2]]);
        assert!(pipe.poll_room(&cx).is_pending());
        assert_eq!(end.try_read(&mut space).unwrap(), 4);
        assert!(pipe.poll_room(&cx).is_ready());
        assert_eq!(end.try_read(&mut vec![0; 2 * WAITING]).unwrap(), WAITING - 2);
        let large = vec![b'x'; WRITTEN + 1];
        assert_eq!(end.try_write_vectored(&[IoSlice::new(b"12"), IoSlice::new(&large)]).unwrap(), WRITTEN);
        assert!(end.poll_writable(&cx).is_pending());
        assert_eq!(end.try_write_vectored(&[IoSlice::new(b"3")]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let Poll::Ready(Outward::Bytes(bytes)) = pipe.poll_outward(&cx, usize::MAX) else { panic!("nothing") };
        assert_eq!(bytes.len(), WRITTEN);
        assert!(pipe.poll_outward(&cx, usize::MAX).is_pending() && end.poll_writable(&cx).is_ready());
        end.shutdown_write();
        assert_eq!(pipe.poll_outward(&cx, usize::MAX), Poll::Ready(Outward::Ended));
        pipe.give_up();
        assert_eq!(end.try_read(&mut space).unwrap(), 0);
        assert!(end.has_hung_up());
    }

    #[test]
    fn what_was_written_is_taken_in_pieces() {
        let (pipe, cx) = (Pipe::default(), Context::from_waker(Waker::noop()));
        let end = pipe.end();
        let mut expected = Vec::new();
        let mut all = Vec::new();
        for round in 0..40_u8 {
            let bytes = vec![round; 5000];
            let count = end.try_write_vectored(&[IoSlice::new(&bytes)]).unwrap_or(0);
            expected.extend_from_slice(&bytes[..count]);
            if let Poll::Ready(Outward::Bytes(bytes)) = pipe.poll_outward(&cx, 3000) {
                assert!(bytes.len() <= 3000);
                all.extend(bytes);
            }
        }
        if let Poll::Ready(Outward::Bytes(bytes)) = pipe.poll_outward(&cx, 3000) {
            pipe.put_back(bytes);
        }
        while let Poll::Ready(Outward::Bytes(bytes)) = pipe.poll_outward(&cx, 3000) {
            all.extend(bytes);
        }
        assert_eq!(pipe.outward(), 0);
        assert!(all == expected && all.len() > WRITTEN);
    }

    #[test]
    fn who_reads_learns_why_nothing_more_comes() {
        let pipe = Pipe::default();
        let end = pipe.end();
        pipe.put(&[b"ab"]);
        pipe.fail(io::ErrorKind::InvalidData, "no".into());
        pipe.give_up();
        assert_eq!(end.try_read(&mut [0; 9]).unwrap(), 2);
        let error = end.try_read(&mut [0; 9]).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::InvalidData, "no"));
        drop(end);
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(pipe.poll_outward(&cx, usize::MAX), Poll::Ready(Outward::Ended));
    }
}
