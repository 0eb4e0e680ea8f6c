//! A file as an answer, with conditions and ranges (RFC 9110, sections 13 and 14).

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use limpet_message::field::Known;

use super::ctx::Request;
use super::decision::Decision;
use super::ranges::{self, Ranges};
use super::reply::{self, Length, Reply};
use super::routing::error_page;

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

/// The response for a file, by the request's conditions and ranges.
pub fn answer(request: &mut Request, file: File, metadata: &Metadata) -> Decision {
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
            return Decision::local(reply, Vec::new());
        }
        Precondition::Go => {}
    }
    let content_type = Bytes::from(request.media_type().into_owned());
    reply.content_type = Some(content_type.clone());
    reply.length = Length::Known(size);
    request.begin_filters(&mut reply);
    let content_type = reply.content_type.clone().unwrap_or(content_type);
    if reply.length == Length::Open {
        // Recoded to another length: there are no ranges of it.
        return Decision::file(Opened {
            file,
            reply,
            parts: vec![FilePart { before: Vec::new(), start: 0, length: size }],
        });
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
            return Decision::local(reply, body);
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
    Decision::file(Opened { file, reply, parts })
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
                0 => Bytes::from(self.next_part()?),
                _ => {
                    let bytes = Bytes::from(self.read()?);
                    request.filter(bytes, self.left == 0)
                }
            };
            if !bytes.is_empty() {
                request.body_bytes += bytes.len() as u64;
                return Some(bytes);
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

    /// Notes whether all was handed over; if not, the connection is not kept, so that the client sees an early end.
    pub(super) fn finish(self, request: &mut Request) {
        request.complete = self.left == 0;
        request.keepalive &= request.complete;
    }
}
