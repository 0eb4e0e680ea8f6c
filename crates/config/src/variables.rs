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
    "date_gmt",
    "date_local",
    "day",
    "document_root",
    "document_uri",
    "dollar",
    "host",
    "hostname",
    "hour",
    "hour12",
    "https",
    "is_args",
    "is_request_port",
    "limit_rate",
    "minute",
    "month",
    "msec",
    "msie",
    "nginx_version",
    "pid",
    "pipe",
    "proxy_add_x_forwarded_for",
    "proxy_host",
    "proxy_port",
    "query_string",
    "raw_uri",
    "realip_remote_addr",
    "realip_remote_port",
    "realpath_root",
    "remote_addr",
    "remote_port",
    "remote_user",
    "request",
    "request_body",
    "request_body_file",
    "request_completion",
    "request_filename",
    "request_id",
    "request_length",
    "request_method",
    "request_port",
    "request_time",
    "request_uri",
    "scheme",
    "second",
    "server_addr",
    "server_name",
    "server_port",
    "server_protocol",
    "session_sticky_server",
    "session_sticky_sid",
    "session_sticky_state",
    "status",
    "tcpinfo_rcv_space",
    "tcpinfo_rtt",
    "tcpinfo_rttvar",
    "tcpinfo_snd_cwnd",
    "time_http",
    "time_iso8601",
    "time_local",
    "unix_time",
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
    "year",
    "year2",
];

/// nginx's and Tengine's variables that describe what is not there: they have no value, as with the feature off.
pub const WITHOUT_VALUE: &[&str] = &[
    "brotli_ratio",
    "connect_addr",
    "connect_host",
    "connect_port",
    "geoip_area_code",
    "geoip_city",
    "geoip_city_continent_code",
    "geoip_city_country_code",
    "geoip_city_country_code3",
    "geoip_city_country_name",
    "geoip_country_code",
    "geoip_country_code3",
    "geoip_country_name",
    "geoip_dma_code",
    "geoip_latitude",
    "geoip_longitude",
    "geoip_org",
    "geoip_postal_code",
    "geoip_region",
    "geoip_region_country_code",
    "geoip_region_name",
    "geoip_region_region",
    "grpc_internal_trailers",
    "gzip_ratio",
    "http2",
    "http3",
    "limit_conn_status",
    "limit_req_status",
    "otel_parent_id",
    "otel_parent_sampled",
    "otel_span_id",
    "otel_trace_id",
    "proxy_connect_connect_time",
    "proxy_connect_first_byte_time",
    "proxy_connect_resolve_time",
    "proxy_connect_response",
    "proxy_protocol_addr",
    "proxy_protocol_port",
    "proxy_protocol_server_addr",
    "proxy_protocol_server_port",
    "secure_link_expires",
    "slice_range",
    "ssl_alpn_protocol",
    "ssl_cipher",
    "ssl_ciphers",
    "ssl_client_cert",
    "ssl_client_escaped_cert",
    "ssl_client_fingerprint",
    "ssl_client_i_dn",
    "ssl_client_i_dn_legacy",
    "ssl_client_raw_cert",
    "ssl_client_s_dn",
    "ssl_client_s_dn_legacy",
    "ssl_client_serial",
    "ssl_client_sigalg",
    "ssl_client_v_end",
    "ssl_client_v_remain",
    "ssl_client_v_start",
    "ssl_client_verify",
    "ssl_curve",
    "ssl_curves",
    "ssl_early_data",
    "ssl_ech_outer_server_name",
    "ssl_ech_status",
    "ssl_handshake_time",
    "ssl_handshake_time_msec",
    "ssl_protocol",
    "ssl_server_name",
    "ssl_session_id",
    "ssl_session_reused",
    "ssl_sigalg",
    "ssl_sigalgs",
    "trim_bytes",
    "trim_original_bytes",
    "uid_got",
    "uid_set",
    "upstream_cache_etag",
    "upstream_cache_last_modified",
    "upstream_cache_status",
    "upstream_queue_time",
    "xquic_connection_id",
    "xquic_request_info",
    "xquic_ssl_cipher",
    "xquic_ssl_protocol",
    "xquic_ssl_session_reused",
    "xquic_stream_id",
    "zstd_ratio",
];

/// Variables of theirs that are not built.
const UNSUPPORTED: &[&str] = &[
    "ancient_browser",
    "connections_active",
    "connections_reading",
    "connections_waiting",
    "connections_writing",
    "fastcgi_path_info",
    "fastcgi_script_name",
    "full_request",
    "host_comment",
    "ingress_connect_timeout",
    "ingress_failover_count",
    "ingress_force_https",
    "ingress_read_timeout",
    "ingress_route_target",
    "ingress_write_timeout",
    "invalid_referer",
    "jwt_payload",
    "memcached_key",
    "modern_browser",
    "normalized_request",
    "proxy_add_via",
    "proxy_connect_connect_timeout",
    "proxy_connect_data_timeout",
    "proxy_connect_read_timeout",
    "proxy_connect_send_timeout",
    "proxy_internal_body_length",
    "proxy_internal_chunked",
    "proxy_internal_host",
    "reqstat_enable",
    "request_recv_finish_time",
    "request_recv_start_time",
    "request_recv_time",
    "request_start_time",
    "response_send_finish_time",
    "response_send_start_time",
    "response_send_time",
    "secure_link",
    "server_rt",
    "uid_reset",
    "upstream_first_pkg_time",
    "upstream_last_server_name",
    "upstream_read_time",
    "upstream_send_time",
    "upstream_stat_recv_finish_time",
    "upstream_stat_recv_start_time",
    "upstream_stat_recv_time",
    "upstream_stat_send_finish_time",
    "upstream_stat_send_start_time",
    "upstream_stat_send_time",
    "xquic_off",
];

/// Families of variables: what follows names a header, a cookie or an argument. Alone they are known and without a value.
pub const PREFIXES: &[&str] = &[
    "arg_",
    "cookie_",
    "http_",
    "sent_http_",
    "sent_trailer_",
    "upstream_cookie_",
    "upstream_http_",
    "upstream_trailer_",
];

/// Families without a value.
const PREFIXES_WITHOUT_VALUE: &[&str] = &["proxy_protocol_tlv_"];

/// Families that are not built.
const UNSUPPORTED_PREFIXES: &[&str] =
    &["ascii_", "base64_decode_", "escape_uri_", "jwt_claim_", "jwt_header_", "md5_encode_", "oidc_", "sent_cookie_"];

/// Whether there is such a variable.
pub fn is_known(name: &str) -> bool {
    let in_family = || PREFIXES.iter().chain(PREFIXES_WITHOUT_VALUE).any(|prefix| name.starts_with(prefix));
    NAMES.binary_search(&name).is_ok() || WITHOUT_VALUE.binary_search(&name).is_ok() || in_family()
}

/// Whether it is one of nginx's or Tengine's that is not built.
pub(crate) fn is_unsupported(name: &str) -> bool {
    let in_family = || UNSUPPORTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    UNSUPPORTED.binary_search(&name).is_ok() || in_family()
}

/// The names that may have been meant by one that nobody knows.
pub(crate) fn known() -> impl Iterator<Item = &'static str> {
    NAMES.iter().chain(WITHOUT_VALUE).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_stand_once() {
        assert!(NAMES.is_sorted() && WITHOUT_VALUE.is_sorted() && UNSUPPORTED.is_sorted());
        for name in known() {
            assert!(!is_unsupported(name), "{name}");
        }
        assert!(!WITHOUT_VALUE.iter().any(|name| NAMES.contains(name)));
    }

    #[test]
    fn names_and_prefixes_are_known() {
        for name in ["uri", "http_user_agent", "cookie_route", "http_", "ssl_cipher", "proxy_protocol_tlv_alpn"] {
            assert!(is_known(name), "{name}");
        }
        for name in ["nope", "12", "", "1", "memcached_key"] {
            assert!(!is_known(name), "{name}");
        }
        assert!(is_unsupported("memcached_key") && is_unsupported("jwt_claim_sub") && !is_unsupported("nope"));
    }
}
