//! Rows of modules that only NGINX Plus has.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // Cache purging (NGINX Plus, third party)
    refused(
        "fastcgi_cache_purge",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a request removes its entry from the FastCGI cache.",
    ),
    refused(
        "uwsgi_cache_purge",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a request removes its entry from the uwsgi cache.",
    ),
    refused(
        "scgi_cache_purge",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a request removes its entry from the SCGI cache.",
    ),
    // NGINX Plus
    at_default(
        "fastcgi_allow_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a FastCGI server may be contacted (NGINX Plus).",
        &[],
    )
    .repeatable(),
    at_default(
        "fastcgi_bind_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Works out `fastcgi_bind` anew for each attempt (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fastcgi_request_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Makes the request anew for each FastCGI server tried (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "uwsgi_allow_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a uwsgi server may be contacted (NGINX Plus).",
        &[],
    )
    .repeatable(),
    at_default(
        "uwsgi_bind_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Works out `uwsgi_bind` anew for each attempt (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "uwsgi_request_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Makes the request anew for each uwsgi server tried (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "uwsgi_ssl_key_log",
        HTTP | SERVER | LOCATION,
        N1,
        "File that receives the session keys of TLS connections to a uwsgi server (NGINX Plus).",
        &[],
    ),
    at_default(
        "scgi_allow_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which an SCGI server may be contacted (NGINX Plus).",
        &[],
    )
    .repeatable(),
    at_default(
        "scgi_bind_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Works out `scgi_bind` anew for each attempt (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "scgi_request_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Makes the request anew for each SCGI server tried (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "grpc_allow_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a gRPC server may be contacted (NGINX Plus).",
        &[],
    )
    .repeatable(),
    at_default(
        "grpc_bind_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Works out `grpc_bind` anew for each attempt (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "grpc_request_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Makes the request anew for each gRPC server tried (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "grpc_ssl_key_log",
        HTTP | SERVER | LOCATION,
        N1,
        "File that receives the session keys of TLS connections to a gRPC server (NGINX Plus).",
        &[],
    ),
    at_default(
        "tunnel_allow_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a tunnel target may be contacted (NGINX Plus).",
        &[],
    )
    .repeatable(),
    at_default(
        "tunnel_bind_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Works out `tunnel_bind` anew for each attempt (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    // NGINX Plus
    at_default(
        "status_zone",
        SERVER | LOCATION | LOCATION_IF,
        N1,
        "Zone in which requests are counted for the `api` (NGINX Plus).",
        &[],
    ),
    refused("api", LOCATION, N0.or(N1), "Serves the REST interface for status and changes (NGINX Plus)."),
    refused("keyval", HTTP, N34, "Sets a variable from a key-value zone (NGINX Plus)."),
    at_default(
        "keyval_zone",
        HTTP,
        MORE1,
        "Shared zone of keys and values, kept in a file if wished (NGINX Plus).",
        &[],
    )
    .repeatable(),
    refused("num_map", HTTP, N2.block(), "Block that sets a variable by a number and its range (NGINX Plus)."),
    refused("f4f", LOCATION, N0, "Serves fragments of F4F files (NGINX Plus)."),
    no_effect(
        "f4f_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Buffer for reading the index of an F4F file, in bytes (NGINX Plus).",
        &[Size],
    ),
    refused("hls", LOCATION, N0, "Serves MP4 files as HTTP Live Streaming (NGINX Plus)."),
    no_effect(
        "hls_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for live streaming (NGINX Plus).",
        &[Positive, PositiveSize],
    ),
    at_default(
        "hls_forward_args",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Repeats query arguments in the links of playlists (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    at_default("hls_fragment", HTTP | SERVER | LOCATION, N1, "Length of the fragments of a stream (NGINX Plus).", &[]),
    no_effect(
        "hls_mp4_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "First buffer for reading MP4 metadata, in bytes (NGINX Plus).",
        &[Size],
    ),
    at_default(
        "hls_mp4_max_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Largest MP4 metadata, in bytes (NGINX Plus).",
        &[],
    ),
    at_default(
        "mp4_limit_rate",
        HTTP | SERVER | LOCATION,
        N1,
        "Speed limit for MP4 files, relative to their bit rate (NGINX Plus).",
        &[],
    ),
    at_default(
        "mp4_limit_rate_after",
        HTTP | SERVER | LOCATION,
        N1,
        "Playing time sent before `mp4_limit_rate` applies (NGINX Plus).",
        &[],
    ),
];
