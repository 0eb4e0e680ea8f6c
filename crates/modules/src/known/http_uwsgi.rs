//! Rows of the uwsgi module.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_uwsgi_module.c
    refused("uwsgi_pass", LOCATION | LOCATION_IF, N1, "Passes requests to a uwsgi server, over TLS with `suwsgi://`."),
    at_default("uwsgi_modifier1", HTTP | SERVER | LOCATION, N1, "First modifier of uwsgi packets.", &[]),
    at_default("uwsgi_modifier2", HTTP | SERVER | LOCATION, N1, "Second modifier of uwsgi packets.", &[]),
    at_default("uwsgi_store", HTTP | SERVER | LOCATION, N1, "Saves responses of a uwsgi server as files.", &[]),
    at_default(
        "uwsgi_store_access",
        HTTP | SERVER | LOCATION,
        N123,
        "Permissions of the files made by `uwsgi_store`.",
        &[],
    ),
    no_effect(
        "uwsgi_buffering",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Takes in the response of a uwsgi server at once, or passes it on as it arrives.",
        &[Flag],
    ),
    at_default(
        "uwsgi_request_buffering",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Reads the whole request body before it turns to a uwsgi server.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "uwsgi_ignore_client_abort",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Stays with a uwsgi server until it is done, even if the client has left.",
        &[],
    )
    .forms(&[Flag]),
    at_default("uwsgi_bind", HTTP | SERVER | LOCATION, N12, "Local address for connections to a uwsgi server.", &[]),
    no_effect(
        "uwsgi_socket_keepalive",
        HTTP | SERVER | LOCATION,
        FLAG,
        "TCP keepalive probes on connections to a uwsgi server.",
        &[Flag],
    ),
    no_effect(
        "uwsgi_socket_rcvbuf",
        HTTP | SERVER | LOCATION,
        N1,
        "Receive buffer of sockets to a uwsgi server, in bytes.",
        &[Size],
    ),
    no_effect(
        "uwsgi_socket_sndbuf",
        HTTP | SERVER | LOCATION,
        N1,
        "Send buffer of sockets to a uwsgi server, in bytes.",
        &[Size],
    ),
    at_default(
        "uwsgi_connect_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait for a connection to a uwsgi server.",
        &[],
    ),
    at_default(
        "uwsgi_send_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two writes to a uwsgi server.",
        &[],
    ),
    no_effect(
        "uwsgi_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Buffer for the header of a response from a uwsgi server, in bytes.",
        &[Size],
    ),
    at_default(
        "uwsgi_pass_request_headers",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether request header fields go to a uwsgi server.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "uwsgi_pass_request_body",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether the request body goes to a uwsgi server.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "uwsgi_intercept_errors",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lets `error_page` replace responses of a uwsgi server from 300 upwards.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "uwsgi_read_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two reads from a uwsgi server.",
        &[],
    ),
    no_effect(
        "uwsgi_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for a response from a uwsgi server.",
        &[Positive, PositiveSize],
    ),
    no_effect(
        "uwsgi_busy_buffers_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Most of a response from a uwsgi server that may wait on its way to the client, in bytes.",
        &[Size],
    ),
    at_default(
        "uwsgi_force_ranges",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Serves byte ranges of a response whatever a uwsgi server says about them.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "uwsgi_limit_rate",
        HTTP | SERVER | LOCATION,
        N1,
        "Speed of reading a response from a uwsgi server, in bytes per second.",
        &[],
    ),
    at_default(
        "uwsgi_cache",
        HTTP | SERVER | LOCATION,
        N1,
        "Zone in which responses of a uwsgi server are cached.",
        &[],
    ),
    at_default(
        "uwsgi_cache_key",
        HTTP | SERVER | LOCATION,
        N1,
        "Key under which a response of a uwsgi server is cached.",
        &[],
    ),
    at_default("uwsgi_cache_path", HTTP, MORE2, "Folder, zone and limits of a cache of uwsgi server responses.", &[])
        .repeatable(),
    at_default(
        "uwsgi_cache_bypass",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a uwsgi server is asked although the cache has an answer.",
        &[],
    )
    .repeatable(),
    at_default(
        "uwsgi_no_cache",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a response of a uwsgi server is not cached.",
        &[],
    )
    .repeatable(),
    at_default(
        "uwsgi_cache_valid",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Time for which cached responses of a uwsgi server stay fresh, by status code.",
        &[],
    )
    .repeatable(),
    at_default(
        "uwsgi_cache_min_uses",
        HTTP | SERVER | LOCATION,
        N1,
        "Requests after which a response of a uwsgi server is cached.",
        &[],
    ),
    at_default(
        "uwsgi_cache_max_range_offset",
        HTTP | SERVER | LOCATION,
        N1,
        "Range start beyond which a uwsgi server is asked directly, in bytes.",
        &[],
    ),
    at_default(
        "uwsgi_cache_use_stale",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Troubles of a uwsgi server in which an outdated cached response is served.",
        &[],
    )
    .forms(&[Word(STALE)])
    .repeatable(),
    at_default(
        "uwsgi_cache_methods",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Request methods whose uwsgi server responses are cached.",
        &[],
    )
    .forms(&[Word(&["GET", "HEAD", "POST"])])
    .repeatable(),
    at_default(
        "uwsgi_cache_lock",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lets one request at a time fetch a missing cache entry from a uwsgi server.",
        &[],
    )
    .forms(&[Flag]),
    at_default("uwsgi_cache_lock_timeout", HTTP | SERVER | LOCATION, N1, "Longest wait for `uwsgi_cache_lock`.", &[]),
    at_default(
        "uwsgi_cache_lock_age",
        HTTP | SERVER | LOCATION,
        N1,
        "Time after which another request may fetch the entry that `uwsgi_cache_lock` guards.",
        &[],
    ),
    at_default(
        "uwsgi_cache_revalidate",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Asks a uwsgi server with conditional requests about outdated entries.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "uwsgi_cache_background_update",
        HTTP | SERVER | LOCATION,
        N1,
        "Refreshes an outdated entry from a uwsgi server while the client gets the old one.",
        &[],
    ),
    no_effect(
        "uwsgi_temp_path",
        HTTP | SERVER | LOCATION,
        N1234,
        "Folder and subfolder levels for responses of a uwsgi server kept in files.",
        &[Text, Positive],
    ),
    no_effect(
        "uwsgi_max_temp_file_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Largest temporary file for a response of a uwsgi server, in bytes.",
        &[Size],
    ),
    no_effect(
        "uwsgi_temp_file_write_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Most bytes written at once to a temporary file for a uwsgi server.",
        &[Size],
    ),
    at_default(
        "uwsgi_next_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Failures of a uwsgi server after which the next one is tried.",
        &[],
    )
    .forms(&[Word(NEXT)])
    .repeatable(),
    at_default(
        "uwsgi_next_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Most uwsgi servers tried for one request.",
        &[],
    ),
    at_default(
        "uwsgi_next_upstream_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Time within which the next uwsgi server may be tried.",
        &[],
    ),
    at_default(
        "uwsgi_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Most uwsgi servers tried for one request (Tengine).",
        &[],
    ),
    at_default("uwsgi_param", HTTP | SERVER | LOCATION, N23, "Parameter sent to a uwsgi server.", &[]).repeatable(),
    at_default("uwsgi_string", HTTP | SERVER | LOCATION, N1, "Text sent to a uwsgi server after the parameters.", &[]),
    at_default(
        "uwsgi_pass_header",
        HTTP | SERVER | LOCATION,
        N1,
        "Response header field of a uwsgi server that is passed on although it is hidden by default.",
        &[],
    )
    .repeatable(),
    at_default(
        "uwsgi_hide_header",
        HTTP | SERVER | LOCATION,
        N1,
        "Response header field of a uwsgi server that is kept from clients.",
        &[],
    )
    .repeatable(),
    at_default(
        "uwsgi_ignore_headers",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Response header fields of a uwsgi server that do not steer caching, redirects and the like.",
        &[],
    )
    .repeatable(),
    at_default(
        "uwsgi_ssl_session_reuse",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Resumes TLS sessions with a uwsgi server.",
        &[],
    )
    .forms(&[Flag]),
    at_default("uwsgi_ssl_protocols", HTTP | SERVER | LOCATION, MORE1, "TLS versions offered to a uwsgi server.", &[])
        .forms(&[Word(TLS_VERSIONS)])
        .repeatable(),
    at_default("uwsgi_ssl_ciphers", HTTP | SERVER | LOCATION, N1, "Ciphers offered to a uwsgi server.", &[]),
    at_default(
        "uwsgi_ssl_name",
        HTTP | SERVER | LOCATION,
        N1,
        "Name sent to a uwsgi server by SNI and expected in its certificate.",
        &[],
    ),
    at_default(
        "uwsgi_ssl_server_name",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Sends a server name (SNI) to a uwsgi server.",
        &[],
    )
    .forms(&[Flag]),
    at_default("uwsgi_ssl_verify", HTTP | SERVER | LOCATION, FLAG, "Checks the certificate of a uwsgi server.", &[])
        .forms(&[Flag]),
    at_default(
        "uwsgi_ssl_verify_depth",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest certificate chain accepted from a uwsgi server.",
        &[],
    ),
    at_default(
        "uwsgi_ssl_trusted_certificate",
        HTTP | SERVER | LOCATION,
        N1,
        "Certificate authorities for a uwsgi server.",
        &[],
    ),
    at_default("uwsgi_ssl_crl", HTTP | SERVER | LOCATION, N1, "Revoked certificates of uwsgi servers, in PEM.", &[]),
    at_default("uwsgi_ssl_certificate", HTTP | SERVER | LOCATION, N1, "Certificate shown to a uwsgi server.", &[]),
    at_default(
        "uwsgi_ssl_certificate_key",
        HTTP | SERVER | LOCATION,
        N1,
        "Private key of the certificate shown to a uwsgi server.",
        &[],
    ),
    at_default(
        "uwsgi_ssl_certificate_cache",
        HTTP | SERVER | LOCATION,
        N123,
        "Cache of certificates shown to a uwsgi server whose names hold variables.",
        &[],
    ),
    at_default(
        "uwsgi_ssl_password_file",
        HTTP | SERVER | LOCATION,
        N1,
        "File of passphrases for private keys used with a uwsgi server.",
        &[],
    ),
    at_default(
        "uwsgi_ssl_conf_command",
        HTTP | SERVER | LOCATION,
        N2,
        "Sets an OpenSSL option for connections to a uwsgi server.",
        &[],
    )
    .repeatable(),
    at_default("uwsgi_enable_ntls", HTTP | SERVER | LOCATION, N1, "Speaks NTLS with a uwsgi server (Tengine).", &[]),
    at_default(
        "uwsgi_ssl_enc_certificate",
        HTTP | SERVER | LOCATION,
        N1,
        "NTLS encryption certificate shown to a uwsgi server (Tengine).",
        &[],
    ),
    at_default(
        "uwsgi_ssl_enc_certificate_key",
        HTTP | SERVER | LOCATION,
        N1,
        "Private key of that NTLS encryption certificate for a uwsgi server (Tengine).",
        &[],
    ),
    at_default(
        "uwsgi_ssl_sign_certificate",
        HTTP | SERVER | LOCATION,
        N1,
        "NTLS signing certificate shown to a uwsgi server (Tengine).",
        &[],
    ),
    at_default(
        "uwsgi_ssl_sign_certificate_key",
        HTTP | SERVER | LOCATION,
        N1,
        "Private key of that NTLS signing certificate for a uwsgi server (Tengine).",
        &[],
    ),
];
