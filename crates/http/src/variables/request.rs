//! Variables of the client's request.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use limpet_log::{LogLevel, os_error};
use limpet_message::body::Body;
use limpet_message::field::Known;
use limpet_message::request::LineRead;
use limpet_text::Registry;
use limpet_upstream::StoredBody;
use memchr::memmem;

use super::{header_name, join, maybe, number, text};
use crate::Request;

pub(super) fn add(registry: &mut Registry<Request>) {
    for name in ["args", "query_string"] {
        registry.add(name, |request: &Request, out: &mut Vec<u8>| maybe(out, request.args.as_deref()));
    }
    registry.add_family("arg_", |rest| {
        let name = rest.as_bytes().to_vec();
        move |request: &Request, out: &mut Vec<u8>| {
            maybe(out, request.args.as_deref().and_then(|args| argument(args, &name)))
        }
    });
    registry.add("content_length", |request: &Request, out: &mut Vec<u8>| {
        join(request.head.fields.values_named(b"content-length"), b", ", out)
    });
    registry.add("content_type", |request: &Request, out: &mut Vec<u8>| {
        join(request.head.fields.values_named(b"content-type"), b", ", out)
    });
    registry.add_family("cookie_", |rest| {
        let name = rest.as_bytes().to_vec();
        move |request: &Request, out: &mut Vec<u8>| maybe(out, cookie(request, &name))
    });
    registry.add("document_root", |request: &Request, out: &mut Vec<u8>| {
        request.location.settings.root.append(request, out);
        true
    });
    registry.add("host", |request: &Request, out: &mut Vec<u8>| text(out, request.host()));
    registry.add_family("http_", |rest| {
        let name = header_name(rest);
        move |request: &Request, out: &mut Vec<u8>| match name.as_slice() {
            b"cookie" => join(request.cookies().into_iter(), b"; ", out),
            name => join(request.head.fields.values_named(name), b", ", out),
        }
    });
    registry.add("is_args", |request: &Request, out: &mut Vec<u8>| match request.args.as_deref() {
        Some(args) if !args.is_empty() => text(out, b"?"),
        _ => true,
    });
    // A colon where the host that was asked for has a port (Tengine).
    registry.add("is_request_port", |request: &Request, out: &mut Vec<u8>| {
        text(out, if request_port(request).is_empty() { b"" } else { b":" })
    });
    registry.add("limit_rate", |_: &Request, out: &mut Vec<u8>| text(out, b"0"));
    registry.add("msie", |request: &Request, out: &mut Vec<u8>| {
        let agent = request.head.value(Known::UserAgent).unwrap_or_default();
        let has = |word: &[u8]| memmem::find(agent, word).is_some();
        text(out, if has(b"MSIE ") && !has(b"Opera") { b"1" } else { b"" })
    });
    registry.add("raw_uri", |request: &Request, out: &mut Vec<u8>| {
        let path = request.head.target().split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        request.head.line_read == LineRead::Whole && text(out, path)
    });
    registry.add("realpath_root", |request: &Request, out: &mut Vec<u8>| {
        let root = request.location.settings.root.render(request);
        match std::fs::canonicalize(OsStr::from_bytes(&root)) {
            Ok(path) => text(out, path.as_os_str().as_bytes()),
            Err(error) => {
                let root = String::from_utf8_lossy(&root);
                let message = format!("realpath() \"{root}\" failed ({})", os_error(&error));
                request.log_error(LogLevel::Crit, &message);
                false
            }
        }
    });
    registry.add("remote_user", |request: &Request, out: &mut Vec<u8>| {
        maybe(out, remote_user(request.head.value(Known::Authorization)).as_deref())
    });
    registry.add("request", |request: &Request, out: &mut Vec<u8>| {
        maybe(out, Some(request.head.line()).filter(|line| !line.is_empty()))
    });
    registry.add("request_body", |request: &Request, out: &mut Vec<u8>| {
        let stored = || request.stored.as_ref().and_then(|stored| stored.in_memory(0));
        let stored = || stored().filter(|_| request.head.body != Body::None);
        maybe(out, request.body.as_deref().or_else(stored))
    });
    registry.add("request_body_file", |request: &Request, out: &mut Vec<u8>| match request.stored.as_deref() {
        Some(StoredBody::File(file)) => maybe(out, file.path.as_ref().map(|path| path.as_os_str().as_bytes())),
        _ => false,
    });
    registry
        .add("request_filename", |request: &Request, out: &mut Vec<u8>| text(out, &request.file_path(&request.uri)));
    registry.add("request_id", |request: &Request, out: &mut Vec<u8>| text(out, request.id().as_bytes()));
    registry.add("request_length", |request: &Request, out: &mut Vec<u8>| {
        number(out, request.head.length() as u64 + request.conn.body_bytes_read())
    });
    registry.add("request_method", |request: &Request, out: &mut Vec<u8>| {
        maybe(out, Some(request.head.method()).filter(|method| !method.is_empty()))
    });
    registry.add("request_port", |request: &Request, out: &mut Vec<u8>| text(out, request_port(request)));
    registry.add("request_uri", |request: &Request, out: &mut Vec<u8>| {
        request.head.line_read == LineRead::Whole && text(out, request.head.target())
    });
    registry.add("server_name", |request: &Request, out: &mut Vec<u8>| text(out, request.server.name.as_bytes()));
    registry.add("server_protocol", |request: &Request, out: &mut Vec<u8>| {
        request.head.line_read != LineRead::No && text(out, request.head.protocol())
    });
    for name in ["uri", "document_uri"] {
        registry.add(name, |request: &Request, out: &mut Vec<u8>| {
            matches!(request.head.line_read, LineRead::Path | LineRead::Whole) && text(out, &request.uri)
        });
    }
}

/// The port behind the host that a client asks for; empty where there is none.
fn request_port(request: &Request) -> &[u8] {
    let host = request.head.value(Known::Host).unwrap_or_default();
    let behind_name =
        host.iter().rposition(|byte| *byte == b']').map_or(host, |end| host.get(end..).unwrap_or_default());
    let colon = behind_name.iter().position(|byte| *byte == b':');
    colon.and_then(|colon| behind_name.get(colon + 1..)).unwrap_or_default()
}

/// The value of a query argument; names are compared without case, as in nginx.
pub fn argument<'a>(args: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    args.split(|byte| *byte == b'&').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at_checked(at)?;
        key.eq_ignore_ascii_case(name).then(|| value.get(1..).unwrap_or_default())
    })
}

/// The first cookie of a name, which is compared without case, as in nginx.
fn cookie<'r>(request: &'r Request, name: &[u8]) -> Option<&'r [u8]> {
    request.cookies().into_iter().find_map(|header| {
        header.split(|byte| *byte == b';').find_map(|pair| {
            let pair = pair.trim_ascii_start();
            let at = pair.iter().position(|byte| *byte == b'=')?;
            let (key, value) = pair.split_at_checked(at)?;
            key.eq_ignore_ascii_case(name).then(|| value.get(1..).unwrap_or_default())
        })
    })
}

/// The user of `Authorization: Basic …`.
fn remote_user(authorization: Option<&[u8]>) -> Option<Vec<u8>> {
    let value = authorization?;
    let (scheme, coded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = STANDARD.decode(coded.trim_ascii()).ok()?;
    let end = decoded.iter().position(|byte| *byte == b':')?;
    decoded.get(..end).filter(|user| !user.is_empty()).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_basic_authorization_is_decoded() {
        assert_eq!(remote_user(Some(b"Basic YWxpY2U6c2VjcmV0")), Some(b"alice".to_vec()));
        assert_eq!(remote_user(Some(b"Bearer x")), None);
        assert_eq!(remote_user(Some(b"Basic !!!")), None);
    }

    #[test]
    fn arguments_are_found_by_name() {
        assert_eq!(argument(b"a=1&B=2&b=3", b"b"), Some(&b"2"[..]));
        assert_eq!(argument(b"a&b", b"b"), None);
        assert_eq!(argument(b"xa=1", b"a"), None);
    }
}
