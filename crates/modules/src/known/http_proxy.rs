//! Rows of `ngx_http_proxy_module` that limpet does not act on, Tengine's additions to that module included.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_proxy_module.c
    refused(
        "proxy_cookie_domain",
        HTTP | SERVER | LOCATION,
        N12,
        "Rewrites the domain of cookies that a backend sets.",
    ),
    refused("proxy_cookie_path", HTTP | SERVER | LOCATION, N12, "Rewrites the path of cookies that a backend sets."),
    refused(
        "proxy_cookie_flags",
        HTTP | SERVER | LOCATION,
        N1234,
        "Adds flags to cookies that a backend sets, or removes them.",
    ),
    at_default("proxy_store", HTTP | SERVER | LOCATION, N1, "Saves responses of a backend as files.", &["off"]).exact(),
    at_default(
        "proxy_store_access",
        HTTP | SERVER | LOCATION,
        N123,
        "Permissions of the files made by `proxy_store`.",
        &[],
    ),
    at_default(
        "proxy_ignore_client_abort",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Stays with a backend until it is done, even if the client has left.",
        &["off"],
    ),
    no_effect(
        "proxy_send_lowat",
        HTTP | SERVER | LOCATION,
        N1,
        "Send low-water mark of sockets to a backend, in bytes; without meaning on Linux.",
        &[Size],
    ),
    at_default(
        "proxy_intercept_errors",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lets `error_page` replace responses of a backend from 300 upwards.",
        &["off"],
    ),
    no_effect(
        "proxy_headers_hash_max_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Largest size of the hash tables of header fields for a backend.",
        &[Number],
    ),
    no_effect(
        "proxy_headers_hash_bucket_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Bucket size of the hash tables of header fields for a backend, in bytes.",
        &[Number],
    ),
    refused("proxy_set_body", HTTP | SERVER | LOCATION, N1, "Replaces the request body sent to a backend."),
    refused("proxy_method", HTTP | SERVER | LOCATION, N1, "Replaces the request method sent to a backend."),
    at_default(
        "proxy_pass_request_headers",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether request header fields go to a backend.",
        &["on"],
    ),
    at_default(
        "proxy_pass_request_body",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether the request body goes to a backend.",
        &["on"],
    ),
    at_default(
        "proxy_force_ranges",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Serves byte ranges of a response whatever a backend says about them.",
        &["off"],
    ),
    at_default(
        "proxy_limit_rate",
        HTTP | SERVER | LOCATION,
        N1,
        "Speed of reading a response from a backend, in bytes per second.",
        &["0", "0k", "0m"],
    ),
    at_default(
        "proxy_cache",
        HTTP | SERVER | LOCATION,
        N1,
        "Zone in which responses of a backend are cached.",
        &["off"],
    )
    .exact(),
    at_default(
        "proxy_cache_key",
        HTTP | SERVER | LOCATION,
        N1,
        "Key under which a response of a backend is cached.",
        &[],
    ),
    at_default("proxy_cache_path", HTTP, MORE2, "Folder, zone and limits of a cache of backend responses.", &[])
        .repeatable(),
    at_default(
        "proxy_cache_bypass",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a backend is asked although the cache has an answer.",
        &[],
    )
    .repeatable(),
    at_default(
        "proxy_no_cache",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a response of a backend is not cached.",
        &[],
    )
    .repeatable(),
    at_default(
        "proxy_cache_valid",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Time for which cached responses of a backend stay fresh, by status code.",
        &[],
    )
    .repeatable(),
    at_default(
        "proxy_cache_min_uses",
        HTTP | SERVER | LOCATION,
        N1,
        "Requests after which a response of a backend is cached.",
        &[],
    ),
    at_default(
        "proxy_cache_max_range_offset",
        HTTP | SERVER | LOCATION,
        N1,
        "Range start beyond which a backend is asked directly, in bytes.",
        &[],
    ),
    at_default(
        "proxy_cache_use_stale",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Troubles of a backend in which an outdated cached response is served.",
        &[],
    )
    .forms(&[Word(STALE)])
    .repeatable(),
    at_default(
        "proxy_cache_methods",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Request methods whose backend responses are cached.",
        &[],
    )
    .forms(&[Word(&["GET", "HEAD", "POST"])])
    .repeatable(),
    at_default(
        "proxy_cache_lock",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lets one request at a time fetch a missing cache entry from a backend.",
        &[],
    )
    .forms(&[Flag]),
    at_default("proxy_cache_lock_timeout", HTTP | SERVER | LOCATION, N1, "Longest wait for `proxy_cache_lock`.", &[]),
    at_default(
        "proxy_cache_lock_age",
        HTTP | SERVER | LOCATION,
        N1,
        "Time after which another request may fetch the entry that `proxy_cache_lock` guards.",
        &[],
    ),
    at_default(
        "proxy_cache_revalidate",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Asks a backend with conditional requests about outdated entries.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "proxy_cache_convert_head",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Turns HEAD into GET so that the response can be cached.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "proxy_cache_background_update",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Refreshes an outdated entry from a backend while the client gets the old one.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "proxy_ssl_certificate_cache",
        HTTP | SERVER | LOCATION,
        N123,
        "Cache of certificates shown to a backend whose names hold variables.",
        &[],
    ),
    no_effect(
        "proxy_sndbuf_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Send buffer of sockets to a backend (Tengine), in bytes.",
        &[Size],
    ),
    no_effect(
        "proxy_rcvbuf_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Receive buffer of sockets to a backend (Tengine), in bytes.",
        &[Size],
    ),
    at_default("proxy_enable_ntls", HTTP | SERVER | LOCATION, N1, "Speaks NTLS with a backend (Tengine).", &[]),
    at_default(
        "proxy_ssl_enc_certificate",
        HTTP | SERVER | LOCATION,
        N1,
        "NTLS encryption certificate shown to a backend (Tengine).",
        &[],
    ),
    at_default(
        "proxy_ssl_enc_certificate_key",
        HTTP | SERVER | LOCATION,
        N1,
        "Private key of that NTLS encryption certificate for a backend (Tengine).",
        &[],
    ),
    at_default(
        "proxy_ssl_sign_certificate",
        HTTP | SERVER | LOCATION,
        N1,
        "NTLS signing certificate shown to a backend (Tengine).",
        &[],
    ),
    at_default(
        "proxy_ssl_sign_certificate_key",
        HTTP | SERVER | LOCATION,
        N1,
        "Private key of that NTLS signing certificate for a backend (Tengine).",
        &[],
    ),
    // NGINX Plus and cache purging
    refused(
        "proxy_cache_purge",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a request removes its entry from the cache (NGINX Plus, third party).",
    ),
    at_default(
        "proxy_bind_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Works out `proxy_bind` anew for each attempt (NGINX Plus).",
        &["on"],
    ),
    at_default(
        "proxy_request_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Makes the request anew for each backend tried (NGINX Plus).",
        &["off"],
    ),
    at_default(
        "proxy_ssl_key_log",
        HTTP | SERVER | LOCATION,
        N1,
        "File that receives the session keys of TLS connections to a backend (NGINX Plus).",
        &[],
    ),
];
