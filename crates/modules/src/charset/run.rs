//! The character set of a response: what `Content-Type` says of it, and whether its body is recoded (nginx's
//! `ngx_http_charset_module`).

use std::sync::Arc;

use bytes::Bytes;
use limpet_http::phase::{BodyFilter, Filter};
use limpet_http::reply::{Length, Reply};
use limpet_http::{Request, Text};
use limpet_log::LogLevel;
use limpet_message::field::Known;

use super::recode::{Map, Recoder};

/// What a location says of character sets.
pub struct Charsets {
    /// `None`: off.
    pub destination: Option<Named>,
    pub source: Option<Named>,
    /// A backend's own is recoded, too.
    pub overrides: bool,
    /// In lower case.
    pub types: Arc<Vec<Vec<u8>>>,
    /// All that the file names.
    pub known: Arc<Vec<String>>,
    pub maps: Arc<Vec<Arc<Map>>>,
}

/// A character set, by its name or a variable's value.
pub enum Named {
    Name(String),
    Text(Text),
}

impl Named {
    fn get(&self, request: &Request) -> String {
        match self {
            Named::Name(name) => name.clone(),
            Named::Text(text) => String::from_utf8_lossy(&text.render(request)).into_owned(),
        }
    }
}

impl Filter for Charsets {
    fn begin(&self, request: &Request, reply: &mut Reply) -> Option<Box<dyn BodyFilter>> {
        apply(self, request, reply).map(|recoder| Box::new(recoder) as _)
    }
}

impl BodyFilter for Recoder {
    fn piece(&mut self, piece: &[u8], _: bool) -> Vec<u8> {
        self.recode(piece)
    }
}

/// Completes the response's `Content-Type`. The body is to be put through what is returned, if anything is; where that
/// changes its length, the length is open then.
fn apply(charsets: &Charsets, request: &Request, reply: &mut Reply) -> Option<Recoder> {
    let content_type = reply.content_type.clone().filter(|content_type| !content_type.is_empty())?;
    let (media_type, own) = split(&content_type);
    let destination = destination(request, charsets, &content_type, own)?;
    let source = match own {
        Some(own) => Some(String::from_utf8_lossy(own).into_owned()),
        None => charsets.source.as_ref().map(|source| source.get(request)).filter(|source| !source.is_empty()),
    };
    let recoder = match source.filter(|source| !source.eq_ignore_ascii_case(&destination)) {
        None => None,
        Some(source) => match Recoder::between(&charsets.maps, &source, &destination) {
            // What is compressed can't be recoded.
            Some(_) if is_encoded(request) => return None,
            Some(recoder) => Some(recoder),
            None => {
                let message = format!("no \"charset_map\" between the charsets \"{source}\" and \"{destination}\"");
                request.log_error(LogLevel::Error, &message);
                return None;
            }
        },
    };
    reply.content_type = Some(match reply.status {
        301 | 302 => Bytes::copy_from_slice(media_type),
        _ => [media_type, b"; charset=", destination.as_bytes()].concat().into(),
    });
    if recoder.as_ref().is_some_and(|recoder| !recoder.keeps_length()) && reply.length != Length::Unsaid {
        reply.length = Length::Open;
        reply.drop_line(b"Accept-Ranges");
    }
    recoder
}

/// The character set that the response is to have; `None` where it stays as it is.
fn destination(request: &Request, charsets: &Charsets, content_type: &[u8], own: Option<&[u8]>) -> Option<String> {
    let response =
        request.response.as_ref().filter(|_| request.pass().is_some_and(|pass| pass.terms.heeds_accel_charset));
    let by_backend = response.and_then(|response| response.fields.value(Known::XAccelCharset));
    if let Some(named) = by_backend.filter(|named| !named.is_empty()) {
        let named = String::from_utf8_lossy(named).into_owned();
        if charsets.known.iter().any(|known| known.eq_ignore_ascii_case(&named)) {
            return Some(named);
        }
        request.log_error(LogLevel::Error, &format!("unknown charset \"{named}\" to override"));
        return None;
    }
    let destination = charsets.destination.as_ref()?;
    let is_meant = match own {
        Some(_) => charsets.overrides,
        None => {
            let is = |wanted: &Vec<u8>| wanted == b"*" || wanted.eq_ignore_ascii_case(content_type);
            charsets.types.iter().any(is)
        }
    };
    Some(destination.get(request)).filter(|name| is_meant && !name.is_empty())
}

/// The media type, and the character set that is named behind it.
fn split(content_type: &[u8]) -> (&[u8], Option<&[u8]>) {
    const NAME: &[u8] = b"charset=";
    for at in content_type.iter().enumerate().filter(|(_, byte)| **byte == b';').map(|(at, _)| at) {
        let behind = content_type.get(at + 1..).unwrap_or_default().trim_ascii_start();
        if behind.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
            let own = behind.get(NAME.len()..).unwrap_or_default();
            let quoted = own.strip_prefix(b"\"").and_then(|own| own.strip_suffix(b"\""));
            return (content_type.get(..at).unwrap_or_default(), Some(quoted.unwrap_or(own)));
        }
    }
    (content_type, None)
}

fn is_encoded(request: &Request) -> bool {
    let response = request.response.as_ref();
    response.is_some_and(|response| response.fields.values_named(b"content-encoding").next().is_some())
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_content_type_is_split_at_its_charset() {
        for (content_type, media_type, own) in [
            ("text/html", "text/html", None),
            ("text/html; charset=a", "text/html", Some("a")),
            ("text/html;Charset=\"b\"", "text/html", Some("b")),
            ("text/html; x=y; charset=a; z", "text/html; x=y", Some("a; z")),
            ("text/html; x=y", "text/html; x=y", None),
            ("text/html; charset=", "text/html", Some("")),
        ] {
            let (found, charset) = split(content_type.as_bytes());
            assert_eq!((found, charset), (media_type.as_bytes(), own.map(str::as_bytes)), "{content_type}");
        }
    }
}
