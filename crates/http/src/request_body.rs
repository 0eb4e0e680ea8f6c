//! Reading the whole of a request's body before a server is asked (`proxy_request_buffering on`), as nginx does: into memory
//! while it is small, else into a file.

use std::fs::OpenOptions;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use limpet_log::{LogLevel, os_error};
use limpet_message::body::{Body, Cursor};
use limpet_upstream::{StoredBody, StoredFile};
use limpet_wire::IoTimeout;

use super::ctx::Request;
use super::decision::Decision;
use super::fail::BROKEN_BODY;
use super::routing::error_page;
use crate::front::{make_folder, nameless};

/// `client_body_temp_path`
#[derive(Debug)]
pub struct TempPath {
    pub folder: PathBuf,
    /// How many digits of a file's number name each folder below it.
    pub levels: Vec<usize>,
}

/// `client_body_in_file_only`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InFileOnly {
    #[default]
    Off,
    /// Each body is in a file with a name, which goes away with the request.
    Clean,
    /// The file stays.
    On,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Whether the body is to be read before anybody is asked.
pub(super) fn is_wanted(request: &Request) -> bool {
    request.head.body != Body::None && request.pass().is_some_and(|pass| pass.terms.request_buffering)
}

/// Reads the body, which the request keeps. `input` came behind its head; afterwards it is what came behind its body.
pub(super) async fn read(request: &mut Request, input: &mut Vec<u8>) -> Decision {
    let mut reader = Reader {
        framing: Cursor::new(request.head.body),
        store: Store::new(request),
        received: 0,
        reading: IoTimeout::new(),
    };
    if request.head.expects_continue {
        // Without it no body may come. That it can't be sent shows with the next read.
        if let Ok(count) = request.conn.socket.try_write_vectored(&[IoSlice::new(CONTINUE)]) {
            request.conn.count_sent(count);
        }
        request.exchange().awaits_continue = false;
        request.head.expects_continue = false;
    }
    let decision = loop {
        match reader.take(request, input) {
            Decision::Continue if !reader.framing.is_done() => {}
            decision => break decision,
        }
        match reader.more(request, input).await {
            Decision::Continue => {}
            decision => break decision,
        }
    };
    request.exchange().framing = reader.framing;
    if let Decision::Continue = decision {
        match reader.store.finish(request) {
            Ok(body) => {
                request.stored = Some(Arc::new(body));
                request.body = None;
            }
            Err(error) => return cannot_store(request, &error),
        }
    }
    decision
}

struct Reader {
    framing: Cursor,
    store: Store,
    /// Bytes of data so far.
    received: u64,
    reading: IoTimeout,
}

impl Reader {
    /// Takes what has come of the body out of `input`.
    fn take(&mut self, request: &mut Request, input: &mut Vec<u8>) -> Decision {
        let before = self.received;
        let (taken, kept) = self.framing.compact(input);
        request.conn.count_body(taken);
        self.received = self.received.saturating_add(kept as u64);
        if self.framing == Cursor::Lost {
            request.log_error(LogLevel::Error, BROKEN_BODY);
            return error_page(request, 400);
        }
        let announced = self.framing.announced();
        let most = request.max_body_size;
        if most != 0 && self.received.saturating_add(announced) > most {
            let announced = announced.saturating_add(kept as u64);
            let message = format!("client intended to send too large chunked body: {before}+{announced} bytes");
            request.log_error(LogLevel::Error, &message);
            return error_page(request, 413);
        }
        if let Err(error) = self.store.add(request, input.get(..kept).unwrap_or_default()) {
            return cannot_store(request, &error);
        }
        input.drain(..taken);
        Decision::Continue
    }

    /// Waits for more of it.
    async fn more(&mut self, request: &mut Request, input: &mut Vec<u8>) -> Decision {
        let limit = request.location.settings.client_body_timeout;
        let conn = Arc::clone(&request.conn);
        let read = poll_fn(|cx| {
            let read = conn.socket.poll_append(cx, input, usize::MAX);
            self.reading.bound(cx, limit, read)
        });
        match read.await {
            Ok(1..) => Decision::Continue,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                request.log_error(LogLevel::Info, "client timed out (110: Connection timed out)");
                request.status = 408;
                request.keepalive = false;
                Decision::Close
            }
            Ok(0) | Err(_) => {
                request.log_error(LogLevel::Info, "client prematurely closed connection");
                request.status = 400;
                request.keepalive = false;
                Decision::Close
            }
        }
    }
}

fn cannot_store(request: &mut Request, error: &io::Error) -> Decision {
    let folder = request.location.settings.body_temp_path.folder.display().to_string();
    request.log_error(
        LogLevel::Crit,
        &format!("a client request body can't be stored in \"{folder}\" ({})", os_error(error)),
    );
    error_page(request, 500)
}

/// Where a body goes while it comes.
enum Store {
    Memory(Vec<u8>),
    File(StoredFile),
}

impl Store {
    fn new(request: &Request) -> Store {
        let most = request.location.settings.body_buffer_size as u64;
        let expected = match request.head.body {
            Body::Length(length) => length.min(most),
            Body::Chunked | Body::None => 0,
        };
        Store::Memory(Vec::with_capacity(expected as usize))
    }

    fn add(&mut self, request: &Request, data: &[u8]) -> io::Result<()> {
        let settings = &request.location.settings;
        if let Store::Memory(bytes) = self {
            if bytes.len() + data.len() <= settings.body_buffer_size && settings.body_in_file_only == InFileOnly::Off {
                bytes.extend_from_slice(data);
                return Ok(());
            }
            let mut file = create(&settings.body_temp_path, settings.body_in_file_only)?;
            request.log_error(LogLevel::Warn, &buffered_to(&file));
            write(&mut file, bytes)?;
            *self = Store::File(file);
        }
        match self {
            Store::File(file) => write(file, data),
            Store::Memory(_) => Ok(()),
        }
    }

    fn finish(self, request: &Request) -> io::Result<StoredBody> {
        let settings = &request.location.settings;
        match self {
            Store::Memory(bytes) if settings.body_in_file_only == InFileOnly::Off => Ok(StoredBody::Memory(bytes)),
            Store::Memory(_) => Ok(StoredBody::File(create(&settings.body_temp_path, settings.body_in_file_only)?)),
            Store::File(file) => Ok(StoredBody::File(file)),
        }
    }
}

/// nginx's words.
fn buffered_to(file: &StoredFile) -> String {
    let path = file.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    format!("a client request body is buffered to a temporary file {path}").trim_end().to_owned()
}

fn write(stored: &mut StoredFile, data: &[u8]) -> io::Result<()> {
    stored.file.write_all(data)?;
    stored.length += data.len() as u64;
    Ok(())
}

/// A new file: one without a name, unless somebody is to find it.
fn create(temp: &TempPath, in_file_only: InFileOnly) -> io::Result<StoredFile> {
    if in_file_only == InFileOnly::Off {
        return Ok(StoredFile { file: nameless(&temp.folder)?, length: 0, path: None, is_removed: false });
    }
    let path = next_path(temp);
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    Ok(StoredFile { file, length: 0, path: Some(path), is_removed: in_file_only == InFileOnly::Clean })
}

/// nginx's names: ten digits, below folders of the last of them. They begin anew with the process.
fn next_path(temp: &TempPath) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    loop {
        let name = format!("{:010}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut path = temp.folder.clone();
        let mut end = name.len();
        for level in &temp.levels {
            let start = end.saturating_sub(*level);
            path.push(name.get(start..end).unwrap_or_default());
            end = start;
        }
        path.push(name);
        if !path.exists() {
            return path;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_spread_over_folders_by_the_end_of_their_number() {
        let temp = TempPath { folder: "/nowhere/that/is".into(), levels: vec![1, 2] };
        let path = next_path(&temp);
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        assert_eq!(path, PathBuf::from("/nowhere/that/is").join(&name[9..]).join(&name[7..9]).join(&name));
    }
}
