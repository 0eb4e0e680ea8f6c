//! Files below `root` or `alias`, with `index`, conditions and ranges (RFC 9110, sections 13 and 14).

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use limpet_log::LogLevel;
use limpet_message::field::Known;
use nix::errno::Errno;

use super::charset;
use super::ctx::Request;
use super::decision::{Answer, Decision, Target};
use super::ranges::{self, Ranges};
use super::reply::{self, Length, Reply};
use super::routing::{add_slash, error_page};
use limpet_log::os_error;

/// How much of a file is read at a time.
const CHUNK: usize = 65_536;

/// A file to be sent, with its head and the parts of it that are wanted.
#[derive(Debug)]
pub struct Opened {
    file: File,
    reply: Reply,
    parts: Vec<FilePart>,
}

/// A piece of the body: bytes of ours, then a stretch of the file.
#[derive(Debug)]
struct FilePart {
    before: Vec<u8>,
    start: u64,
    length: u64,
}

pub(super) fn find(request: &mut Request) -> Decision {
    let is_folder = request.uri.ends_with(b"/");
    if !request.is_read() {
        // A POST to a folder looks for its index first, as in nginx.
        if !(is_folder && request.head.method() == b"POST") {
            let missing = request.head.method() == b"POST" && metadata(&request.file_path(&request.uri)).is_err();
            return error_page(request, if missing { 404 } else { 405 });
        }
    }
    if is_folder { index(request) } else { open(request) }
}

/// The first index file that is there.
fn index(request: &mut Request) -> Decision {
    let folder = request.file_path(&request.uri);
    let location = std::sync::Arc::clone(&request.location);
    for file in &location.settings.index {
        let name = file.render(request);
        if name.starts_with(b"/") {
            return Decision::Reroute(Target::Path(name));
        }
        let mut path = folder.clone();
        path.extend_from_slice(&name);
        match metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                let mut uri = request.uri.clone();
                uri.extend_from_slice(&name);
                return Decision::Reroute(Target::Path(uri));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let message = format!("\"{}\" is forbidden ({})", shown(&path), os_error(&error));
                request.log_error(LogLevel::Error, &message);
                return error_page(request, 403);
            }
            Err(error) => {
                // A folder that is not there has no index either.
                let missing = !metadata(&folder).is_ok_and(|found| found.is_dir());
                if missing {
                    if request.location.settings.log_not_found {
                        let message = format!("\"{}\" is not found ({})", shown(&path), os_error(&error));
                        request.log_error(LogLevel::Error, &message);
                    }
                    return error_page(request, 404);
                }
            }
        }
    }
    request.log_error(LogLevel::Error, &format!("directory index of \"{}\" is forbidden", shown(&folder)));
    error_page(request, 403)
}

fn open(request: &mut Request) -> Decision {
    let path = request.file_path(&request.uri);
    let opened = metadata(&path).and_then(|metadata| match metadata.is_file() {
        true => Ok((Some(File::open(OsStr::from_bytes(&path))?), metadata)),
        // A pipe or device would block; a folder is redirected to.
        false => Ok((None, metadata)),
    });
    match opened {
        Ok((Some(file), metadata)) => answer(request, file, &metadata),
        Ok((None, metadata)) if metadata.is_dir() => add_slash(request),
        Ok((None, _)) => {
            request.log_error(LogLevel::Crit, &format!("\"{}\" is not a regular file", shown(&path)));
            error_page(request, 404)
        }
        Err(error) => {
            // nginx tells a missing file from one that may not be read; anything else is about this machine.
            let (level, status) = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
                    (LogLevel::Error, 404)
                }
                io::ErrorKind::PermissionDenied => (LogLevel::Error, 403),
                // Links that lead nowhere.
                _ if error.raw_os_error() == Some(Errno::ELOOP as i32) => (LogLevel::Error, 403),
                // A name with a NUL in it.
                _ if error.raw_os_error().is_none() => (LogLevel::Error, 404),
                _ => (LogLevel::Crit, 500),
            };
            if status != 404 || request.location.settings.log_not_found {
                let message = format!("open() \"{}\" failed ({})", shown(&path), os_error(&error));
                request.log_error(level, &message);
            }
            error_page(request, status)
        }
    }
}

fn metadata(path: &[u8]) -> io::Result<Metadata> {
    Path::new(OsStr::from_bytes(path)).metadata()
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// The response for a file, by the request's conditions and ranges.
fn answer(request: &mut Request, file: File, metadata: &Metadata) -> Decision {
    let modified = UNIX_EPOCH + Duration::from_secs(u64::try_from(metadata.mtime()).unwrap_or_default());
    let size = metadata.len();
    let etag = format!("\"{:x}-{size:x}\"", metadata.mtime());
    let mut reply = Reply::new(200);
    reply.last_modified = Some(httpdate::fmt_http_date(modified));
    reply.line(b"ETag", etag.as_bytes());
    match conditions(request, &etag, modified) {
        Precondition::Failed => {
            request.keepalive = false;
            return error_page(request, 412);
        }
        Precondition::NotModified => {
            reply.status = 304;
            return Decision::Answer(Answer::Local(reply, Vec::new()));
        }
        Precondition::Go => {}
    }
    let content_type = Bytes::from(request.media_type().into_owned());
    reply.content_type = Some(content_type.clone());
    reply.length = Length::Known(size);
    request.recoder = charset::apply(request, &mut reply);
    let content_type = reply.content_type.clone().unwrap_or(content_type);
    if reply.length == Length::Open {
        // Recoded to another length: there are no ranges of it.
        return Decision::Answer(Answer::File(Box::new(Opened {
            file,
            reply,
            parts: vec![FilePart { before: Vec::new(), start: 0, length: size }],
        })));
    }
    let wanted = match request.head.value(Known::Range).filter(|_| range_applies(request, &etag, modified)) {
        Some(value) => ranges::parse(value, size),
        None => Ranges::Whole,
    };
    let parts = match wanted {
        Ranges::Whole => {
            reply.last_lines.extend_from_slice(b"Accept-Ranges: bytes\r\n");
            vec![FilePart { before: Vec::new(), start: 0, length: size }]
        }
        Ranges::Unsatisfiable => {
            let (mut reply, body) = Reply::error_page(request, 416);
            reply.line(b"Content-Range", format!("bytes */{size}").as_bytes());
            return Decision::Answer(Answer::Local(reply, body));
        }
        Ranges::Some(ranges) => match ranges.as_slice() {
            [(start, end)] => {
                reply.status = 206;
                let range = format!("Content-Range: bytes {start}-{}/{size}\r\n", end - 1);
                reply.last_lines.extend_from_slice(range.as_bytes());
                vec![FilePart { before: Vec::new(), start: *start, length: end - start }]
            }
            many => {
                reply.status = 206;
                let (parts, boundary) = multipart(many, size, &content_type);
                reply.content_type = Some(format!("multipart/byteranges; boundary={boundary}").into());
                parts
            }
        },
    };
    let length = parts.iter().map(|part| part.before.len() as u64 + part.length).sum();
    reply.length = Length::Known(length);
    Decision::Answer(Answer::File(Box::new(Opened { file, reply, parts })))
}

/// The parts of a `multipart/byteranges` body, and its boundary.
fn multipart(ranges: &[(u64, u64)], size: u64, content_type: &[u8]) -> (Vec<FilePart>, String) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let boundary = format!("{:020}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut parts: Vec<FilePart> = ranges
        .iter()
        .map(|(start, end)| {
            let mut before = format!("\r\n--{boundary}\r\n").into_bytes();
            if !content_type.is_empty() {
                before.extend_from_slice(b"Content-Type: ");
                before.extend_from_slice(content_type);
                before.extend_from_slice(b"\r\n");
            }
            before.extend_from_slice(format!("Content-Range: bytes {start}-{}/{size}\r\n\r\n", end - 1).as_bytes());
            FilePart { before, start: *start, length: end - start }
        })
        .collect();
    parts.push(FilePart { before: format!("\r\n--{boundary}--\r\n").into_bytes(), start: 0, length: 0 });
    (parts, boundary)
}

enum Precondition {
    Go,
    NotModified,
    Failed,
}

/// `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since`, the latter exact as in nginx.
fn conditions(request: &Request, etag: &str, modified: SystemTime) -> Precondition {
    let date = |text: &[u8]| {
        std::str::from_utf8(text).ok().and_then(|text| httpdate::parse_http_date(text.split(';').next()?).ok())
    };
    if let Some(text) = request.head.value(Known::IfUnmodifiedSince)
        && date(text).is_none_or(|since| modified > since)
    {
        return Precondition::Failed;
    }
    if let Some(list) = request.head.value(Known::IfMatch)
        && !lists(list, etag, false)
    {
        return Precondition::Failed;
    }
    let since = request.head.value(Known::IfModifiedSince);
    let none_match = request.head.value(Known::IfNoneMatch);
    if since.is_none() && none_match.is_none() {
        return Precondition::Go;
    }
    let same_date = since.is_none_or(|text| date(text) == Some(modified));
    let same_tag = none_match.is_none_or(|list| lists(list, etag, true));
    if same_date && same_tag { Precondition::NotModified } else { Precondition::Go }
}

/// Whether a list of entity tags has this one.
fn lists(list: &[u8], etag: &str, weak: bool) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|tag| {
        let tag = if weak { tag.strip_prefix(b"W/").unwrap_or(tag) } else { tag };
        tag == etag.as_bytes()
    })
}

/// `If-Range`: a range is wanted of this very version only.
fn range_applies(request: &Request, etag: &str, modified: SystemTime) -> bool {
    match request.head.value(Known::IfRange) {
        None => true,
        Some(tag) if tag.ends_with(b"\"") => tag == etag.as_bytes(),
        Some(text) => {
            let date = std::str::from_utf8(text).ok().and_then(|text| httpdate::parse_http_date(text).ok());
            date == Some(modified)
        }
    }
}

impl Opened {
    /// The head is handed over, and the body is to be sent: its length in the file, and how the client is told of it.
    pub(super) fn begin(self, request: &mut Request) -> (Length, Sending) {
        let left = self.parts.iter().map(|part| part.before.len() as u64 + part.length).sum();
        let length = self.reply.length;
        reply::send_head(request, self.reply);
        (length, Sending { file: self.file, parts: self.parts.into_iter(), stretch: 0, left })
    }

    pub(super) fn status(&self) -> u16 {
        self.reply.status
    }

    /// The head alone, for `HEAD`.
    pub(super) fn into_reply(self) -> Reply {
        self.reply
    }
}

/// A file on its way to the client.
pub(super) struct Sending {
    file: File,
    parts: std::vec::IntoIter<FilePart>,
    /// Bytes that are left of the present stretch of the file.
    stretch: u64,
    /// Bytes that are left of everything, as the file was when it was opened.
    pub(super) left: u64,
}

impl Sending {
    /// The next piece of the body, which is not empty; `None` behind the last one, or when the file turns out to be shorter
    /// than it was.
    pub(super) fn next(&mut self, request: &mut Request) -> Option<Bytes> {
        while self.left > 0 {
            let bytes = match self.stretch {
                0 => self.next_part()?,
                _ => {
                    let bytes = self.read()?;
                    match &mut request.recoder {
                        Some(recoder) => recoder.recode(&bytes),
                        None => bytes,
                    }
                }
            };
            if !bytes.is_empty() {
                request.body_bytes += bytes.len() as u64;
                return Some(bytes.into());
            }
        }
        None
    }

    /// What goes before the next part.
    fn next_part(&mut self) -> Option<Vec<u8>> {
        let FilePart { before, start, length } = self.parts.next()?;
        self.left -= before.len() as u64;
        if length > 0 {
            self.file.seek(SeekFrom::Start(start)).ok()?;
        }
        self.stretch = length;
        Some(before)
    }

    fn read(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.stretch).unwrap_or(CHUNK).min(CHUNK)];
        let count = self.file.read(&mut bytes).ok().filter(|count| *count > 0)?;
        bytes.truncate(count);
        self.stretch -= count as u64;
        self.left -= count as u64;
        Some(bytes)
    }

    /// All of it was handed over; else the client is to see an early end.
    pub(super) fn finish(self, request: &mut Request) {
        request.complete = self.left == 0;
        request.keepalive &= request.complete;
    }
}
