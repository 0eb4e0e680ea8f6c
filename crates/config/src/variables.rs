//! The names of the variables that a configuration may use. What they stand for is the proxy's business.

/// Variables with a fixed name.
pub const NAMES: &[&str] = &[
    "args",
    "binary_remote_addr",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_requests",
    "connection_time",
    "content_length",
    "content_type",
    "document_root",
    "document_uri",
    "host",
    "hostname",
    "https",
    "is_args",
    "msec",
    "nginx_version",
    "pid",
    "pipe",
    "proxy_add_x_forwarded_for",
    "proxy_host",
    "proxy_port",
    "query_string",
    "remote_addr",
    "remote_port",
    "remote_user",
    "request",
    "request_completion",
    "request_filename",
    "request_id",
    "request_length",
    "request_method",
    "request_time",
    "request_uri",
    "scheme",
    "server_addr",
    "server_name",
    "server_port",
    "server_protocol",
    "session_sticky_server",
    "session_sticky_sid",
    "session_sticky_state",
    "status",
    "time_iso8601",
    "time_local",
    "upstream_addr",
    "upstream_bytes_received",
    "upstream_bytes_sent",
    "upstream_connect_time",
    "upstream_header_time",
    "upstream_last_addr",
    "upstream_response_length",
    "upstream_response_time",
    "upstream_status",
    "uri",
];

/// Families of variables: what follows names a header, a cookie or an argument.
pub const PREFIXES: &[&str] = &["arg_", "cookie_", "http_", "sent_http_", "upstream_cookie_", "upstream_http_"];

/// Whether there is such a variable. A digit is a capture of the last regular expression.
pub fn is_known(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
        || PREFIXES.iter().any(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
        || (name.len() == 1 && name.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted() {
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn names_prefixes_and_captures_are_known() {
        for name in ["uri", "http_user_agent", "cookie_route", "1", "session_sticky_sid"] {
            assert!(is_known(name), "{name}");
        }
        for name in ["nope", "http_", "12", ""] {
            assert!(!is_known(name), "{name}");
        }
    }
}
