//! What is to be sent to a client: in memory up to a bound, then in a file, so that a backend need not wait for a slow client
//! (`proxy_buffering`, `proxy_buffers`, `proxy_max_temp_file_size`).

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use limpet_log::os_error;
use limpet_wire::IoTimeout;

use super::conn::Conn;
use super::temp_file::nameless;

/// How much of a response is held while its client is slow.
#[derive(Debug, Clone)]
pub struct Buffering {
    /// Bytes in memory (`proxy_buffers`); 0: the backend waits for the client (`proxy_buffering off`).
    pub memory: usize,
    /// Bytes in a file (`proxy_max_temp_file_size`); 0: none.
    pub file: u64,
    /// The folder for files (`proxy_temp_path`).
    pub folder: Arc<PathBuf>,
}

/// How much is read from the file at a time.
const FILE_READ: usize = 32_768;

/// Bytes on their way to a client, in their order: those in memory, then those in the file.
pub(crate) struct Outgoing {
    conn: Arc<Conn>,
    memory: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    /// `None`: nothing is buffered but what was left of a write.
    buffering: Option<Buffering>,
    spool: Spool,
    /// What comes behind the file, once that can't be written any more.
    tail: Vec<u8>,
    sending: IoTimeout,
    has_failed: bool,
}

#[derive(Default)]
struct Spool {
    file: Option<File>,
    written: u64,
    read: u64,
    /// It can't be written: there is no place left, say.
    is_broken: bool,
    /// It has just been made.
    is_new: bool,
}

/// The bytes could not be put into a file: nothing more is read from the backend until they are sent.
pub(crate) struct NotSpooled(io::Error);

impl NotSpooled {
    /// For the log.
    pub(crate) fn message(&self) -> String {
        format!("an upstream response can't be buffered to a temporary file ({})", os_error(&self.0))
    }
}

/// The longest end of a response that is left to the front.
const LEFT_TO_THE_FRONT: usize = 65_536;

impl Outgoing {
    pub(crate) fn new(conn: Arc<Conn>) -> Self {
        Outgoing {
            conn,
            memory: Vec::new(),
            sent: 0,
            buffering: None,
            spool: Spool::default(),
            tail: Vec::new(),
            sending: IoTimeout::new(),
            has_failed: false,
        }
    }

    /// From now on so much is held.
    pub(crate) fn buffer(&mut self, buffering: &Buffering) {
        self.buffering = Some(buffering.clone()).filter(|buffering| buffering.memory > 0);
    }

    /// Bytes that wait to be sent, in memory and in the file.
    pub(crate) fn waiting(&self) -> u64 {
        self.in_memory() as u64 + self.spool.waiting() + self.tail.len() as u64
    }

    fn in_memory(&self) -> usize {
        self.memory.len().saturating_sub(self.sent)
    }

    /// The client is gone, or has taken nothing for too long.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Nothing more can be sent: the client has ended its connection.
    pub(crate) fn fail(&mut self) {
        self.has_failed = true;
    }

    /// Whether more may be put behind what waits.
    pub(crate) fn has_room(&self) -> bool {
        match &self.buffering {
            _ if self.waiting() == 0 => true,
            None => false,
            Some(buffering) => {
                let in_memory = self.spool.waiting() == 0 && self.in_memory() < buffering.memory;
                in_memory || (!self.spool.is_broken && self.spool.waiting() < buffering.file)
            }
        }
    }

    /// Puts bytes in front of everything: nothing was sent yet.
    pub(crate) fn begin_with(&mut self, head: Vec<u8>) {
        match self.memory.is_empty() {
            true => self.memory = head,
            false => self.memory.extend_from_slice(&head),
        }
    }

    /// Puts bytes behind what waits.
    ///
    /// # Errors
    /// They belong into a file, and are in memory.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), NotSpooled> {
        let fits = |buffering: &Buffering| {
            self.spool.waiting() == 0 && (self.in_memory() + bytes.len() <= buffering.memory || buffering.file == 0)
        };
        match &self.buffering {
            Some(buffering) if !self.spool.is_broken && !fits(buffering) => {
                match self.spool.push(&buffering.folder, bytes) {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        self.spool.is_broken = true;
                        self.put_behind(bytes);
                        return Err(NotSpooled(error));
                    }
                }
            }
            _ => self.put_behind(bytes),
        }
        Ok(())
    }

    /// Puts bytes into memory, behind what is in the file if there is anything.
    fn put_behind(&mut self, bytes: &[u8]) {
        match self.spool.waiting() == 0 && self.tail.is_empty() {
            true => self.memory.extend_from_slice(bytes),
            false => self.tail.extend_from_slice(bytes),
        }
    }

    /// Whether a file was made for what waits, asked for the first time since.
    pub(crate) fn has_new_file(&mut self) -> bool {
        std::mem::take(&mut self.spool.is_new)
    }

    /// Sends bytes right from where they lie, behind what waits. What the socket does not take waits from then on.
    ///
    /// # Errors
    /// As for [`push`](Self::push). That the client has gone shows when something is sent next.
    pub(crate) fn send_through(&mut self, parts: [&[u8]; 3]) -> Result<(), NotSpooled> {
        let mut written = 0;
        if self.spool.waiting() == 0 && self.tail.is_empty() {
            let waiting = self.memory.get(self.sent..).unwrap_or_default();
            let [first, second, third] = parts;
            match self.conn.socket.try_write_vectored(&[waiting, first, second, third].map(IoSlice::new)) {
                Ok(count) => written = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.has_failed = true,
            }
            self.conn.count_sent(written);
            if written > 0 {
                self.sending.renew();
            }
            let of_waiting = written.min(waiting.len());
            self.advance(of_waiting);
            written -= of_waiting;
        }
        let mut result = Ok(());
        for part in parts {
            let skipped = written.min(part.len());
            written -= skipped;
            let rest = part.get(skipped..).unwrap_or_default();
            if !rest.is_empty() {
                result = result.and(self.push(rest));
            }
        }
        result
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent >= self.memory.len() {
            self.memory.clear();
            self.sent = 0;
        }
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// The client has gone, or takes nothing for longer than `limit`.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<io::Result<()>> {
        loop {
            if self.has_failed {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            }
            if self.in_memory() == 0 {
                self.memory.clear();
                self.sent = 0;
                if self.spool.waiting() > 0 {
                    self.spool.take(&mut self.memory).inspect_err(|_| self.has_failed = true)?;
                } else if self.tail.is_empty() {
                    return Poll::Ready(Ok(()));
                } else {
                    self.memory = std::mem::take(&mut self.tail);
                }
            }
            let rest = self.memory.get(self.sent..).unwrap_or_default();
            let written = self.conn.socket.poll_write(cx, &[IoSlice::new(rest)]);
            let count = ready!(self.sending.bound(cx, limit, written)).inspect_err(|_| self.has_failed = true)?;
            if count == 0 {
                self.has_failed = true;
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.conn.count_sent(count);
            self.advance(count);
        }
    }

    /// Whether what waits is little enough to be sent by the front, in its turn.
    pub(crate) fn may_be_left(&self) -> bool {
        self.spool.waiting() == 0 && self.tail.is_empty() && self.in_memory() <= LEFT_TO_THE_FRONT
    }

    /// What waits in memory, taken out; what is in the file stays.
    pub(crate) fn take_memory(&mut self) -> Vec<u8> {
        let rest = self.memory.split_off(self.sent.min(self.memory.len()));
        self.memory = Vec::new();
        self.sent = 0;
        rest
    }

    /// Sends as much of what is in memory as the socket takes at once, and whether that was all there is.
    pub(crate) fn send_at_once(&mut self) -> bool {
        let rest = self.memory.get(self.sent..).unwrap_or_default();
        if !rest.is_empty()
            && let Ok(count) = self.conn.socket.try_write_vectored(&[IoSlice::new(rest)])
        {
            self.conn.count_sent(count);
            self.advance(count);
        }
        self.waiting() == 0
    }
}

impl Spool {
    fn waiting(&self) -> u64 {
        self.written.saturating_sub(self.read)
    }

    fn push(&mut self, folder: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                self.is_new = true;
                none.insert(nameless(folder)?)
            }
        };
        file.write_all_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Reads the next of it behind what is in `out`.
    fn take(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        // Not by way of the thread's buffer: what it holds may be what is to be put behind this.
        let most = usize::try_from(self.waiting()).unwrap_or(usize::MAX).min(FILE_READ);
        let before = out.len();
        out.resize(before + most, 0);
        let read = file.read_at(out.get_mut(before..).unwrap_or_default(), self.read);
        let count = read.as_ref().copied().unwrap_or(0);
        out.truncate(before + count);
        read?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read += count as u64;
        if self.read == self.written {
            // All of it is on its way: the file begins anew.
            (self.read, self.written) = (0, 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read;

    use limpet_wire::{Address, Socket};

    use super::*;
    use crate::front::Clients;

    #[test]
    fn what_waits_is_sent_in_its_order_when_the_file_can_not_be_written_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, address) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let socket = Socket::from(tokio::net::TcpStream::from_std(ours).unwrap());
            let clients = Clients::new(0, Arc::default(), Arc::default(), None);
            let conn = Arc::new(Conn::new(&clients, 1, socket, Address::Ip(address), Some(address), None));
            let mut out = Outgoing::new(conn);
            out.buffer(&Buffering { memory: 10, file: 1000, folder: Arc::new(folder.path().into()) });
            assert!(out.push(b"memory ").is_ok() && out.push(b"file one ").is_ok() && out.push(b"file two ").is_ok());
            assert_eq!((out.spool.waiting(), out.has_new_file(), out.has_new_file()), (18, true, false));
            // The same bytes, and nobody may write.
            let copy = folder.path().join("copy");
            std::fs::write(&copy, "file one file two ").unwrap();
            out.spool.file = Some(File::open(copy).unwrap());
            let (one, two) = (out.push(b"tail one ").is_err(), out.send_through([b"tail ", b"two", b""]).is_err());
            assert_eq!((one, two, out.has_room()), (true, false, false));
            poll_fn(|cx| out.poll_send(cx, Duration::from_secs(1))).await.unwrap();
            assert_eq!(out.waiting(), 0);
        });
        drop(runtime);
        let mut received = [0; 42];
        peer.read_exact(&mut received).unwrap();
        assert_eq!(String::from_utf8_lossy(&received), "memory file one file two tail one tail two");
    }
}
