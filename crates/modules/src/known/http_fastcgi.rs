//! Rows of the FastCGI module.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_fastcgi_module.c
    refused("fastcgi_pass", LOCATION | LOCATION_IF, N1, "Passes requests to a FastCGI server."),
    at_default(
        "fastcgi_index",
        HTTP | SERVER | LOCATION,
        N1,
        "File name added to URIs that end in a slash, for `$fastcgi_script_name`.",
        &[],
    ),
    at_default(
        "fastcgi_split_path_info",
        HTTP | SERVER | LOCATION,
        N1,
        "Regular expression that parts script name and path information.",
        &[],
    )
    .repeatable(),
    at_default("fastcgi_store", HTTP | SERVER | LOCATION, N1, "Saves responses of a FastCGI server as files.", &[]),
    at_default(
        "fastcgi_store_access",
        HTTP | SERVER | LOCATION,
        N123,
        "Permissions of the files made by `fastcgi_store`.",
        &[],
    ),
    no_effect(
        "fastcgi_buffering",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Takes in the response of a FastCGI server at once, or passes it on as it arrives.",
        &[Flag],
    ),
    at_default(
        "fastcgi_request_buffering",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Reads the whole request body before it turns to a FastCGI server.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fastcgi_ignore_client_abort",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Stays with a FastCGI server until it is done, even if the client has left.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fastcgi_bind",
        HTTP | SERVER | LOCATION,
        N12,
        "Local address for connections to a FastCGI server.",
        &[],
    ),
    no_effect(
        "fastcgi_socket_keepalive",
        HTTP | SERVER | LOCATION,
        FLAG,
        "TCP keepalive probes on connections to a FastCGI server.",
        &[Flag],
    ),
    no_effect(
        "fastcgi_socket_rcvbuf",
        HTTP | SERVER | LOCATION,
        N1,
        "Receive buffer of sockets to a FastCGI server, in bytes.",
        &[Size],
    ),
    no_effect(
        "fastcgi_socket_sndbuf",
        HTTP | SERVER | LOCATION,
        N1,
        "Send buffer of sockets to a FastCGI server, in bytes.",
        &[Size],
    ),
    at_default(
        "fastcgi_connect_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait for a connection to a FastCGI server.",
        &[],
    ),
    at_default(
        "fastcgi_send_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two writes to a FastCGI server.",
        &[],
    ),
    no_effect(
        "fastcgi_send_lowat",
        HTTP | SERVER | LOCATION,
        N1,
        "Send low-water mark of sockets to a FastCGI server, in bytes; without meaning on Linux.",
        &[Size],
    ),
    no_effect(
        "fastcgi_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Buffer for the header of a response from a FastCGI server, in bytes.",
        &[Size],
    ),
    at_default(
        "fastcgi_pass_request_headers",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether request header fields go to a FastCGI server.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fastcgi_pass_request_body",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether the request body goes to a FastCGI server.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fastcgi_intercept_errors",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lets `error_page` replace responses of a FastCGI server from 300 upwards.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fastcgi_read_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two reads from a FastCGI server.",
        &[],
    ),
    no_effect(
        "fastcgi_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for a response from a FastCGI server.",
        &[Positive, PositiveSize],
    ),
    no_effect(
        "fastcgi_busy_buffers_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Most of a response from a FastCGI server that may wait on its way to the client, in bytes.",
        &[Size],
    ),
    at_default(
        "fastcgi_force_ranges",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Serves byte ranges of a response whatever a FastCGI server says about them.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fastcgi_limit_rate",
        HTTP | SERVER | LOCATION,
        N1,
        "Speed of reading a response from a FastCGI server, in bytes per second.",
        &[],
    ),
    at_default(
        "fastcgi_cache",
        HTTP | SERVER | LOCATION,
        N1,
        "Zone in which responses of a FastCGI server are cached.",
        &[],
    ),
    at_default(
        "fastcgi_cache_key",
        HTTP | SERVER | LOCATION,
        N1,
        "Key under which a response of a FastCGI server is cached.",
        &[],
    ),
    at_default(
        "fastcgi_cache_path",
        HTTP,
        MORE2,
        "Folder, zone and limits of a cache of FastCGI server responses.",
        &[],
    )
    .repeatable(),
    at_default(
        "fastcgi_cache_bypass",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a FastCGI server is asked although the cache has an answer.",
        &[],
    )
    .repeatable(),
    at_default(
        "fastcgi_no_cache",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a response of a FastCGI server is not cached.",
        &[],
    )
    .repeatable(),
    at_default(
        "fastcgi_cache_valid",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Time for which cached responses of a FastCGI server stay fresh, by status code.",
        &[],
    )
    .repeatable(),
    at_default(
        "fastcgi_cache_min_uses",
        HTTP | SERVER | LOCATION,
        N1,
        "Requests after which a response of a FastCGI server is cached.",
        &[],
    ),
    at_default(
        "fastcgi_cache_max_range_offset",
        HTTP | SERVER | LOCATION,
        N1,
        "Range start beyond which a FastCGI server is asked directly, in bytes.",
        &[],
    ),
    at_default(
        "fastcgi_cache_use_stale",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Troubles of a FastCGI server in which an outdated cached response is served.",
        &[],
    )
    .forms(&[Word(STALE)])
    .repeatable(),
    at_default(
        "fastcgi_cache_methods",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Request methods whose FastCGI server responses are cached.",
        &[],
    )
    .forms(&[Word(&["GET", "HEAD", "POST"])])
    .repeatable(),
    at_default(
        "fastcgi_cache_lock",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lets one request at a time fetch a missing cache entry from a FastCGI server.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fastcgi_cache_lock_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait for `fastcgi_cache_lock`.",
        &[],
    ),
    at_default(
        "fastcgi_cache_lock_age",
        HTTP | SERVER | LOCATION,
        N1,
        "Time after which another request may fetch the entry that `fastcgi_cache_lock` guards.",
        &[],
    ),
    at_default(
        "fastcgi_cache_revalidate",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Asks a FastCGI server with conditional requests about outdated entries.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fastcgi_cache_background_update",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Refreshes an outdated entry from a FastCGI server while the client gets the old one.",
        &[],
    )
    .forms(&[Flag]),
    no_effect(
        "fastcgi_temp_path",
        HTTP | SERVER | LOCATION,
        N1234,
        "Folder and subfolder levels for responses of a FastCGI server kept in files.",
        &[Text, Positive],
    ),
    no_effect(
        "fastcgi_max_temp_file_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Largest temporary file for a response of a FastCGI server, in bytes.",
        &[Size],
    ),
    no_effect(
        "fastcgi_temp_file_write_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Most bytes written at once to a temporary file for a FastCGI server.",
        &[Size],
    ),
    at_default(
        "fastcgi_next_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Failures of a FastCGI server after which the next one is tried.",
        &[],
    )
    .forms(&[Word(NEXT)])
    .repeatable(),
    at_default(
        "fastcgi_next_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Most FastCGI servers tried for one request.",
        &[],
    ),
    at_default(
        "fastcgi_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Most FastCGI servers tried for one request (Tengine).",
        &[],
    ),
    at_default(
        "fastcgi_next_upstream_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Time within which the next FastCGI server may be tried.",
        &[],
    ),
    at_default("fastcgi_param", HTTP | SERVER | LOCATION, N23, "Parameter sent to a FastCGI server.", &[]).repeatable(),
    at_default(
        "fastcgi_pass_header",
        HTTP | SERVER | LOCATION,
        N1,
        "Response header field of a FastCGI server that is passed on although it is hidden by default.",
        &[],
    )
    .repeatable(),
    at_default(
        "fastcgi_hide_header",
        HTTP | SERVER | LOCATION,
        N1,
        "Response header field of a FastCGI server that is kept from clients.",
        &[],
    )
    .repeatable(),
    at_default(
        "fastcgi_ignore_headers",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Response header fields of a FastCGI server that do not steer caching, redirects and the like.",
        &[],
    )
    .repeatable(),
    at_default(
        "fastcgi_catch_stderr",
        HTTP | SERVER | LOCATION,
        N1,
        "Text in a FastCGI server's error stream that makes a response invalid.",
        &[],
    )
    .repeatable(),
    at_default(
        "fastcgi_keep_conn",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Asks a FastCGI server to keep connections open.",
        &[],
    )
    .forms(&[Flag]),
    no_effect(
        "fastcgi_sndbuf_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Send buffer of sockets to a FastCGI server (Tengine), in bytes.",
        &[Size],
    ),
    no_effect(
        "fastcgi_rcvbuf_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Receive buffer of sockets to a FastCGI server (Tengine), in bytes.",
        &[Size],
    ),
];
