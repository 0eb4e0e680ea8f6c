//! What the variables of a configuration stand for.

use std::ffi::OsStr;
use std::io::Write;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use limpet_config::model::LogLevel;
use limpet_message::field::Known;
use limpet_message::request::LineRead;

use crate::clock;
use crate::http::{Request, Try};
use crate::log::os_error;
use crate::runtime::Content;

/// A variable, its name resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    Args,
    Arg(Vec<u8>),
    BinaryRemoteAddr,
    BodyBytesSent,
    BytesSent,
    Capture(usize),
    Connection,
    ConnectionRequests,
    ConnectionTime,
    Cookie(Vec<u8>),
    /// In local time, or that of Greenwich.
    Date {
        is_local: bool,
    },
    DocumentRoot,
    /// `$` itself (Tengine).
    Dollar,
    Header(Vec<u8>),
    Host,
    Hostname,
    Https,
    IsArgs,
    /// A colon where the host that was asked for has a port.
    IsRequestPort,
    LimitRate,
    Msec,
    Msie,
    NginxVersion,
    Pid,
    Pipe,
    ProxyAddXForwardedFor,
    ProxyHost,
    ProxyPort,
    RawUri,
    RealpathRoot,
    RemoteAddr,
    RemotePort,
    RemoteUser,
    Request,
    RequestBody,
    RequestCompletion,
    RequestFilename,
    RequestId,
    RequestLength,
    RequestMethod,
    /// The port of the host that was asked for.
    RequestPort,
    RequestTime,
    RequestUri,
    Scheme,
    SentHeader(Vec<u8>),
    ServerAddr,
    ServerName,
    ServerPort,
    ServerProtocol,
    SessionStickyServer,
    SessionStickySid,
    SessionStickyState,
    Status,
    Tcp(TcpNumber),
    TimeHttp,
    TimeIso8601,
    TimeLocal,
    /// A part of the local time (Tengine).
    TimePart(TimePart),
    UnixTime,
    UpstreamAddr,
    UpstreamBytesReceived,
    UpstreamBytesSent,
    UpstreamConnectTime,
    UpstreamCookie(Vec<u8>),
    UpstreamHeader(Vec<u8>),
    UpstreamHeaderTime,
    UpstreamLastAddr,
    UpstreamResponseLength,
    UpstreamResponseTime,
    UpstreamStatus,
    Uri,
    /// It describes what is not there.
    Nothing,
    /// The same, but found and empty.
    Empty,
}

/// What the kernel knows of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TcpNumber {
    RoundTrip,
    RoundTripVariance,
    SendWindow,
    ReceiveSpace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimePart {
    Year,
    ShortYear,
    Month,
    Day,
    Hour,
    Hour12,
    Minute,
    Second,
}

impl Variable {
    pub(crate) fn named(name: &str) -> Variable {
        let header = |name: &str| name.replace('_', "-").into_bytes();
        type Family = (&'static str, fn(Vec<u8>) -> Variable, bool);
        let families: [Family; 6] = [
            ("arg_", Variable::Arg, false),
            ("cookie_", Variable::Cookie, false),
            ("http_", Variable::Header, true),
            ("sent_http_", Variable::SentHeader, true),
            ("upstream_cookie_", Variable::UpstreamCookie, false),
            ("upstream_http_", Variable::UpstreamHeader, true),
        ];
        for (prefix, variable, is_header) in families {
            if let Some(rest) = name.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
                return variable(if is_header { header(rest) } else { rest.as_bytes().to_vec() });
            }
        }
        match name {
            "args" | "query_string" => Variable::Args,
            "binary_remote_addr" => Variable::BinaryRemoteAddr,
            "body_bytes_sent" => Variable::BodyBytesSent,
            "bytes_sent" => Variable::BytesSent,
            "connection" => Variable::Connection,
            "connection_requests" => Variable::ConnectionRequests,
            "connection_time" => Variable::ConnectionTime,
            "content_length" => Variable::Header(b"content-length".to_vec()),
            "content_type" => Variable::Header(b"content-type".to_vec()),
            "date_gmt" => Variable::Date { is_local: false },
            "date_local" => Variable::Date { is_local: true },
            "day" => Variable::TimePart(TimePart::Day),
            "document_root" => Variable::DocumentRoot,
            "dollar" => Variable::Dollar,
            "host" => Variable::Host,
            "hostname" => Variable::Hostname,
            "hour" => Variable::TimePart(TimePart::Hour),
            "hour12" => Variable::TimePart(TimePart::Hour12),
            "https" => Variable::Https,
            "http2" | "http3" => Variable::Empty,
            "is_args" => Variable::IsArgs,
            "is_request_port" => Variable::IsRequestPort,
            "limit_rate" => Variable::LimitRate,
            "minute" => Variable::TimePart(TimePart::Minute),
            "month" => Variable::TimePart(TimePart::Month),
            "msec" => Variable::Msec,
            "msie" => Variable::Msie,
            "nginx_version" => Variable::NginxVersion,
            "pid" => Variable::Pid,
            "pipe" => Variable::Pipe,
            "proxy_add_x_forwarded_for" => Variable::ProxyAddXForwardedFor,
            "proxy_host" => Variable::ProxyHost,
            "proxy_port" => Variable::ProxyPort,
            "raw_uri" => Variable::RawUri,
            "realpath_root" => Variable::RealpathRoot,
            "remote_addr" | "realip_remote_addr" => Variable::RemoteAddr,
            "remote_port" | "realip_remote_port" => Variable::RemotePort,
            "remote_user" => Variable::RemoteUser,
            "request" => Variable::Request,
            "request_body" => Variable::RequestBody,
            "request_completion" => Variable::RequestCompletion,
            "request_filename" => Variable::RequestFilename,
            "request_id" => Variable::RequestId,
            "request_length" => Variable::RequestLength,
            "request_method" => Variable::RequestMethod,
            "request_port" => Variable::RequestPort,
            "request_time" => Variable::RequestTime,
            "request_uri" => Variable::RequestUri,
            "scheme" => Variable::Scheme,
            "second" => Variable::TimePart(TimePart::Second),
            "server_addr" => Variable::ServerAddr,
            "server_name" => Variable::ServerName,
            "server_port" => Variable::ServerPort,
            "server_protocol" => Variable::ServerProtocol,
            "session_sticky_server" => Variable::SessionStickyServer,
            "session_sticky_sid" => Variable::SessionStickySid,
            "session_sticky_state" => Variable::SessionStickyState,
            "status" => Variable::Status,
            "tcpinfo_rcv_space" => Variable::Tcp(TcpNumber::ReceiveSpace),
            "tcpinfo_rtt" => Variable::Tcp(TcpNumber::RoundTrip),
            "tcpinfo_rttvar" => Variable::Tcp(TcpNumber::RoundTripVariance),
            "tcpinfo_snd_cwnd" => Variable::Tcp(TcpNumber::SendWindow),
            "time_http" => Variable::TimeHttp,
            "time_iso8601" => Variable::TimeIso8601,
            "time_local" => Variable::TimeLocal,
            "upstream_addr" => Variable::UpstreamAddr,
            "upstream_bytes_received" => Variable::UpstreamBytesReceived,
            "upstream_bytes_sent" => Variable::UpstreamBytesSent,
            "upstream_connect_time" => Variable::UpstreamConnectTime,
            "upstream_header_time" => Variable::UpstreamHeaderTime,
            "upstream_last_addr" => Variable::UpstreamLastAddr,
            "upstream_response_length" => Variable::UpstreamResponseLength,
            "upstream_response_time" => Variable::UpstreamResponseTime,
            "upstream_status" => Variable::UpstreamStatus,
            "unix_time" => Variable::UnixTime,
            "uri" | "document_uri" => Variable::Uri,
            "year" => Variable::TimePart(TimePart::Year),
            "year2" => Variable::TimePart(TimePart::ShortYear),
            // The configuration has checked the names: these have no value here.
            _ => Variable::Nothing,
        }
    }

    /// Appends the value; `false` when there is none, which logs show as `-`.
    pub(crate) fn append(&self, request: &Request, out: &mut Vec<u8>) -> bool {
        let head = &request.head;
        let conn = &request.conn;
        let mut text = |value: &[u8]| {
            out.extend_from_slice(value);
            true
        };
        match self {
            Variable::Args => request.args.as_deref().is_some_and(text),
            Variable::Arg(name) => request.args.as_deref().and_then(|args| argument(args, name)).is_some_and(text),
            Variable::BinaryRemoteAddr => match conn.peer_ip() {
                Some(std::net::IpAddr::V4(ip)) => text(&ip.octets()),
                Some(std::net::IpAddr::V6(ip)) => text(&ip.octets()),
                None => text(b"unix:"),
            },
            Variable::BodyBytesSent => number(out, request.body_bytes_sent()),
            Variable::BytesSent => number(out, conn.bytes_sent()),
            Variable::Capture(group) => request.captures.get(*group).is_some_and(text),
            Variable::Connection => number(out, conn.number),
            Variable::ConnectionRequests => number(out, conn.requests()),
            Variable::ConnectionTime => seconds(out, clock::now().since(conn.accepted)),
            Variable::Cookie(name) => cookie(request, name).is_some_and(text),
            Variable::Date { is_local } => text(clock::long_date(*is_local).as_bytes()),
            Variable::Dollar => text(b"$"),
            Variable::IsRequestPort => text(if request_port(request).is_empty() { b"" } else { b":" }),
            Variable::LimitRate => text(b"0"),
            Variable::Msie => {
                let agent = head.value(Known::UserAgent).unwrap_or_default();
                let has = |word: &[u8]| agent.windows(word.len()).any(|window| window == word);
                text(if has(b"MSIE ") && !has(b"Opera") { b"1" } else { b"" })
            }
            Variable::RawUri => {
                let path = head.target().split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
                head.line_read == LineRead::Whole && text(path)
            }
            Variable::RealpathRoot => {
                let root = request.location.settings.root.render(request);
                match std::fs::canonicalize(OsStr::from_bytes(&root)) {
                    Ok(path) => text(path.as_os_str().as_bytes()),
                    Err(error) => {
                        let root = String::from_utf8_lossy(&root);
                        let message = format!("realpath() \"{root}\" failed ({})", os_error(&error));
                        request.log_error(LogLevel::Crit, &message);
                        false
                    }
                }
            }
            Variable::RequestBody => request.body.as_ref().is_some_and(|body| text(body)),
            Variable::RequestPort => text(request_port(request)),
            Variable::Tcp(wanted) => conn.socket.tcp_info().is_some_and(|info| {
                let value = match wanted {
                    TcpNumber::RoundTrip => info.tcpi_rtt,
                    TcpNumber::RoundTripVariance => info.tcpi_rttvar,
                    TcpNumber::SendWindow => info.tcpi_snd_cwnd,
                    TcpNumber::ReceiveSpace => info.tcpi_rcv_space,
                };
                number(out, value.into())
            }),
            Variable::TimeHttp => clock::with_texts(|texts| text(texts.http.as_bytes())),
            Variable::TimePart(part) => clock::with_texts(|texts| text(time_part(*part, &texts.iso8601).as_bytes())),
            Variable::UnixTime => number(out, clock::unix_time().as_secs()),
            Variable::DocumentRoot => {
                request.location.settings.root.append(request, out);
                true
            }
            Variable::Header(name) if name == b"cookie" => join(request.cookies().into_iter(), b"; ", out),
            Variable::Header(name) => join(head.fields.values_named(name), b", ", out),
            Variable::Host => text(request.host()),
            Variable::Hostname => text(limpet_config::hostname().as_bytes()),
            Variable::Https => false,
            Variable::IsArgs => match request.args.as_deref() {
                Some(args) if !args.is_empty() => text(b"?"),
                _ => true,
            },
            Variable::Msec => seconds(out, clock::unix_time()),
            Variable::NginxVersion => text(crate::NGINX_VERSION.as_bytes()),
            Variable::Pid => number(out, u64::from(std::process::id())),
            Variable::Pipe => text(if conn.is_pipelined() { b"p" } else { b"." }),
            Variable::ProxyAddXForwardedFor => {
                if join(head.values(Known::XForwardedFor), b", ", out) {
                    out.extend_from_slice(b", ");
                }
                out.extend_from_slice(conn.remote_addr().as_bytes());
                true
            }
            Variable::ProxyHost => match &request.location.content {
                Content::Proxy(pass) => text(pass.host.as_bytes()),
                _ => false,
            },
            Variable::ProxyPort => match &request.location.content {
                Content::Proxy(pass) => text(pass.port.as_bytes()),
                _ => false,
            },
            Variable::RemoteAddr => text(conn.remote_addr().as_bytes()),
            Variable::RemotePort => text(conn.remote_port().as_bytes()),
            Variable::RemoteUser => remote_user(head.value(Known::Authorization)).is_some_and(|user| text(&user)),
            Variable::Request => match head.line() {
                b"" => false,
                line => text(line),
            },
            Variable::RequestCompletion => text(if request.complete { b"OK" } else { b"" }),
            Variable::RequestFilename => text(&request.file_path(&request.uri)),
            Variable::RequestId => text(request.id().as_bytes()),
            Variable::RequestLength => number(out, head.length() as u64 + conn.body_bytes_read()),
            Variable::RequestMethod => match head.method() {
                b"" => false,
                method => text(method),
            },
            Variable::RequestTime => seconds(out, clock::now().since(request.started)),
            Variable::RequestUri => head.line_read == LineRead::Whole && text(head.target()),
            Variable::Scheme => text(b"http"),
            Variable::SentHeader(name) => match &request.reply {
                Some(reply) => join(reply.values(request, name).iter().map(Vec::as_slice), b", ", out),
                None => false,
            },
            Variable::ServerAddr => text(conn.local_addr().as_bytes()),
            Variable::ServerName => text(request.server.name.as_bytes()),
            Variable::ServerPort => text(conn.local_port().as_bytes()),
            Variable::ServerProtocol => head.line_read != LineRead::No && text(head.protocol()),
            Variable::SessionStickyServer => request.sticky.server.as_ref().is_some_and(|s| text(s.name.as_bytes())),
            Variable::SessionStickySid => request.sticky.server.as_ref().is_some_and(|s| text(&s.sid)),
            Variable::SessionStickyState => text(request.sticky.state.word().as_bytes()),
            Variable::Status => match request.status {
                0 => text(b"000"),
                // What nginx calls 494 to 497 is a 400 to everybody else.
                494..=497 => text(b"400"),
                status => {
                    let _ = write!(out, "{status:03}");
                    true
                }
            },
            Variable::TimeIso8601 => clock::with_texts(|texts| text(texts.iso8601.as_bytes())),
            Variable::TimeLocal => clock::with_texts(|texts| text(texts.local.as_bytes())),
            Variable::UpstreamAddr => tries(request, out, |one, out| {
                out.extend_from_slice(one.name.as_bytes());
                true
            }),
            Variable::UpstreamStatus => tries(request, out, |one, out| {
                one.status != 0 && {
                    let _ = write!(out, "{:03}", one.status);
                    true
                }
            }),
            Variable::UpstreamConnectTime => tries(request, out, |one, out| maybe_seconds(one.connected, out)),
            Variable::UpstreamHeaderTime => tries(request, out, |one, out| maybe_seconds(one.header, out)),
            Variable::UpstreamResponseTime => tries(request, out, |one, out| maybe_seconds(one.ended, out)),
            Variable::UpstreamLastAddr => {
                let last = request.tries.iter().rev().find(|one| one.is_server());
                last.is_some_and(|last| text(last.name.as_bytes()))
            }
            Variable::UpstreamResponseLength => tries(request, out, |one, out| number(out, one.body_bytes)),
            Variable::UpstreamBytesReceived => tries(request, out, |one, out| number(out, one.bytes_received())),
            Variable::UpstreamBytesSent => tries(request, out, |one, out| number(out, one.bytes_sent())),
            Variable::UpstreamCookie(name) => upstream_cookie(request, name).is_some_and(|value| text(&value)),
            Variable::UpstreamHeader(name) => match &request.response {
                Some(response) => join(response.fields.values_named(name), b", ", out),
                None => false,
            },
            Variable::Uri => matches!(head.line_read, LineRead::Path | LineRead::Whole) && text(&request.uri),
            Variable::Nothing => false,
            Variable::Empty => true,
        }
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

/// A part of `2026-11-26T03:14:35+00:00`.
fn time_part(part: TimePart, time: &str) -> String {
    let digits = |range: Range<usize>| time.get(range).unwrap_or_default().to_owned();
    match part {
        TimePart::Year => digits(0..4),
        TimePart::ShortYear => digits(2..4),
        TimePart::Month => digits(5..7),
        TimePart::Day => digits(8..10),
        TimePart::Hour => digits(11..13),
        TimePart::Hour12 => match digits(11..13).parse::<u32>() {
            Ok(hour) => format!("{:02}", (hour + 11) % 12 + 1),
            Err(_) => String::new(),
        },
        TimePart::Minute => digits(14..16),
        TimePart::Second => digits(17..19),
    }
}

fn number(out: &mut Vec<u8>, number: u64) -> bool {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    true
}

/// Seconds with three digits behind the point.
fn seconds(out: &mut Vec<u8>, time: Duration) -> bool {
    let _ = write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis());
    true
}

fn maybe_seconds(time: Option<Duration>, out: &mut Vec<u8>) -> bool {
    time.is_some_and(|time| seconds(out, time))
}

/// The values with a separator between them; `false` when there is none.
fn join<'v>(values: impl Iterator<Item = &'v [u8]>, separator: &[u8], out: &mut Vec<u8>) -> bool {
    let mut any = false;
    for value in values {
        if any {
            out.extend_from_slice(separator);
        }
        any = true;
        out.extend_from_slice(value);
    }
    any
}

/// A value for each server that was tried, `-` where one has none. A colon stands where another location was asked.
fn tries(request: &Request, out: &mut Vec<u8>, value: impl Fn(&Try, &mut Vec<u8>) -> bool) -> bool {
    let starts = request.handed_back.as_ref().map_or(&[][..], |handed_back| &handed_back.starts);
    for (index, one) in request.tries.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(if starts.contains(&index) { b" : " } else { b", " });
        }
        if !value(one, out) {
            out.push(b'-');
        }
    }
    !request.tries.is_empty()
}

/// The value of a query argument; names are compared without case, as in nginx.
fn argument<'a>(args: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
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

fn upstream_cookie(request: &Request, name: &[u8]) -> Option<Vec<u8>> {
    // nginx knows no other blank here than this one.
    let trim_start = |text: &'_ [u8]| text.iter().take_while(|byte| **byte == b' ').count();
    request.response.as_ref()?.fields.values(Known::SetCookie).find_map(|line| {
        let pair = line.split(|byte| *byte == b';').next()?;
        let (key, rest) = pair.split_at_checked(name.len())?;
        let value = rest.get(trim_start(rest)..)?.strip_prefix(b"=")?;
        key.eq_ignore_ascii_case(name).then(|| value.get(trim_start(value)..).unwrap_or_default().to_vec())
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
    fn every_name_that_the_configuration_knows_is_a_variable() {
        for name in limpet_config::variables::NAMES.iter().filter(|name| **name != "request_body_file") {
            assert_ne!(Variable::named(name), Variable::Nothing, "{name}");
        }
        for prefix in limpet_config::variables::PREFIXES.iter().filter(|prefix| !prefix.contains("_trailer_")) {
            assert_ne!(Variable::named(&format!("{prefix}x")), Variable::Nothing, "{prefix}");
        }
        for name in limpet_config::variables::WITHOUT_VALUE {
            assert!(matches!(Variable::named(name), Variable::Nothing | Variable::Empty), "{name}");
        }
    }

    #[test]
    fn the_time_has_parts() {
        let part = |part| time_part(part, "2026-11-26T00:14:35+00:00");
        assert_eq!((part(TimePart::Year), part(TimePart::ShortYear)), ("2026".into(), "26".into()));
        assert_eq!((part(TimePart::Hour), part(TimePart::Hour12)), ("00".into(), "12".into()));
        assert_eq!(time_part(TimePart::Hour12, "2026-11-26T13:14:35+00:00"), "01");
    }

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
