//! Variables of nginx and Tengine for features that limpet lacks, and those that are not supported.

use limpet_text::Registry;

use limpet_http::Request;

/// They have no value, as with the feature off.
const WITHOUT_VALUE: &[&str] = &[
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
    "ssl_client_sigalg",
    "ssl_ech_outer_server_name",
    "ssl_ech_status",
    "ssl_handshake_time",
    "ssl_handshake_time_msec",
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

/// The same by the beginning of their names.
const FAMILIES_WITHOUT_VALUE: &[&str] = &["proxy_protocol_tlv_", "sent_trailer_", "upstream_trailer_"];

/// There, and empty.
const EMPTY: &[&str] = &["http2", "http3"];

/// Not built.
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

/// The same by the beginning of their names.
const UNSUPPORTED_FAMILIES: &[&str] =
    &["ascii_", "base64_decode_", "escape_uri_", "jwt_claim_", "jwt_header_", "md5_encode_", "oidc_", "sent_cookie_"];

pub(crate) fn add(registry: &mut Registry<Request>) {
    for name in WITHOUT_VALUE {
        registry.add(*name, |_: &Request, _: &mut Vec<u8>| false);
    }
    for prefix in FAMILIES_WITHOUT_VALUE {
        registry.add_family(prefix, |_| |_: &Request, _: &mut Vec<u8>| false);
    }
    for name in EMPTY {
        registry.add(*name, |_: &Request, _: &mut Vec<u8>| true);
    }
    registry.refuse(UNSUPPORTED, UNSUPPORTED_FAMILIES);
}
