//! Rows of the SCGI module.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_scgi_module.c
    refused("scgi_pass", LOCATION | LOCATION_IF, N1, "Passes requests to an SCGI server."),
    at_default("scgi_store", HTTP | SERVER | LOCATION, N1, "Saves responses of an SCGI server as files.", &[]),
    at_default(
        "scgi_store_access",
        HTTP | SERVER | LOCATION,
        N123,
        "Permissions of the files made by `scgi_store`.",
        &[],
    ),
    no_effect(
        "scgi_buffering",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Takes in the response of an SCGI server at once, or passes it on as it arrives.",
        &[Flag],
    ),
    at_default(
        "scgi_request_buffering",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Reads the whole request body before it turns to an SCGI server.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "scgi_ignore_client_abort",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Stays with an SCGI server until it is done, even if the client has left.",
        &[],
    )
    .forms(&[Flag]),
    at_default("scgi_bind", HTTP | SERVER | LOCATION, N12, "Local address for connections to an SCGI server.", &[]),
    no_effect(
        "scgi_socket_keepalive",
        HTTP | SERVER | LOCATION,
        FLAG,
        "TCP keepalive probes on connections to an SCGI server.",
        &[Flag],
    ),
    no_effect(
        "scgi_socket_rcvbuf",
        HTTP | SERVER | LOCATION,
        N1,
        "Receive buffer of sockets to an SCGI server, in bytes.",
        &[Size],
    ),
    no_effect(
        "scgi_socket_sndbuf",
        HTTP | SERVER | LOCATION,
        N1,
        "Send buffer of sockets to an SCGI server, in bytes.",
        &[Size],
    ),
    at_default(
        "scgi_connect_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait for a connection to an SCGI server.",
        &[],
    ),
    at_default(
        "scgi_send_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two writes to an SCGI server.",
        &[],
    ),
    no_effect(
        "scgi_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Buffer for the header of a response from an SCGI server, in bytes.",
        &[Size],
    ),
    at_default(
        "scgi_pass_request_headers",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether request header fields go to an SCGI server.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "scgi_pass_request_body",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether the request body goes to an SCGI server.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "scgi_intercept_errors",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lets `error_page` replace responses of an SCGI server from 300 upwards.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "scgi_read_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two reads from an SCGI server.",
        &[],
    ),
    no_effect(
        "scgi_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for a response from an SCGI server.",
        &[Positive, PositiveSize],
    ),
    no_effect(
        "scgi_busy_buffers_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Most of a response from an SCGI server that may wait on its way to the client, in bytes.",
        &[Size],
    ),
    at_default(
        "scgi_force_ranges",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Serves byte ranges of a response whatever an SCGI server says about them.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "scgi_limit_rate",
        HTTP | SERVER | LOCATION,
        N1,
        "Speed of reading a response from an SCGI server, in bytes per second.",
        &[],
    ),
    at_default(
        "scgi_cache",
        HTTP | SERVER | LOCATION,
        N1,
        "Zone in which responses of an SCGI server are cached.",
        &[],
    ),
    at_default(
        "scgi_cache_key",
        HTTP | SERVER | LOCATION,
        N1,
        "Key under which a response of an SCGI server is cached.",
        &[],
    ),
    at_default("scgi_cache_path", HTTP, MORE2, "Folder, zone and limits of a cache of SCGI server responses.", &[])
        .repeatable(),
    at_default(
        "scgi_cache_bypass",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which an SCGI server is asked although the cache has an answer.",
        &[],
    )
    .repeatable(),
    at_default(
        "scgi_no_cache",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a response of an SCGI server is not cached.",
        &[],
    )
    .repeatable(),
    at_default(
        "scgi_cache_valid",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Time for which cached responses of an SCGI server stay fresh, by status code.",
        &[],
    )
    .repeatable(),
    at_default(
        "scgi_cache_min_uses",
        HTTP | SERVER | LOCATION,
        N1,
        "Requests after which a response of an SCGI server is cached.",
        &[],
    ),
    at_default(
        "scgi_cache_max_range_offset",
        HTTP | SERVER | LOCATION,
        N1,
        "Range start beyond which an SCGI server is asked directly, in bytes.",
        &[],
    ),
    at_default(
        "scgi_cache_use_stale",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Troubles of an SCGI server in which an outdated cached response is served.",
        &[],
    )
    .forms(&[Word(STALE)])
    .repeatable(),
    at_default(
        "scgi_cache_methods",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Request methods whose SCGI server responses are cached.",
        &[],
    )
    .forms(&[Word(&["GET", "HEAD", "POST"])])
    .repeatable(),
    at_default(
        "scgi_cache_lock",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lets one request at a time fetch a missing cache entry from an SCGI server.",
        &[],
    )
    .forms(&[Flag]),
    at_default("scgi_cache_lock_timeout", HTTP | SERVER | LOCATION, N1, "Longest wait for `scgi_cache_lock`.", &[]),
    at_default(
        "scgi_cache_lock_age",
        HTTP | SERVER | LOCATION,
        N1,
        "Time after which another request may fetch the entry that `scgi_cache_lock` guards.",
        &[],
    ),
    at_default(
        "scgi_cache_revalidate",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Asks an SCGI server with conditional requests about outdated entries.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "scgi_cache_background_update",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Refreshes an outdated entry from an SCGI server while the client gets the old one.",
        &[],
    )
    .forms(&[Flag]),
    no_effect(
        "scgi_temp_path",
        HTTP | SERVER | LOCATION,
        N1234,
        "Folder and subfolder levels for responses of an SCGI server kept in files.",
        &[Text, Positive],
    ),
    no_effect(
        "scgi_max_temp_file_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Largest temporary file for a response of an SCGI server, in bytes.",
        &[Size],
    ),
    no_effect(
        "scgi_temp_file_write_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Most bytes written at once to a temporary file for an SCGI server.",
        &[Size],
    ),
    at_default(
        "scgi_next_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Failures of an SCGI server after which the next one is tried.",
        &[],
    )
    .forms(&[Word(NEXT)])
    .repeatable(),
    at_default(
        "scgi_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Most SCGI servers tried for one request (Tengine).",
        &[],
    ),
    at_default(
        "scgi_next_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Most SCGI servers tried for one request.",
        &[],
    ),
    at_default(
        "scgi_next_upstream_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Time within which the next SCGI server may be tried.",
        &[],
    ),
    at_default("scgi_param", HTTP | SERVER | LOCATION, N23, "Parameter sent to an SCGI server.", &[]).repeatable(),
    at_default(
        "scgi_pass_header",
        HTTP | SERVER | LOCATION,
        N1,
        "Response header field of an SCGI server that is passed on although it is hidden by default.",
        &[],
    )
    .repeatable(),
    at_default(
        "scgi_hide_header",
        HTTP | SERVER | LOCATION,
        N1,
        "Response header field of an SCGI server that is kept from clients.",
        &[],
    )
    .repeatable(),
    at_default(
        "scgi_ignore_headers",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Response header fields of an SCGI server that do not steer caching, redirects and the like.",
        &[],
    )
    .repeatable(),
];
