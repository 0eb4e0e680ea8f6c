//! Rows of `upstream` blocks that limpet does not act on.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_upstream.c
    // ngx_http_upstream.c and ngx_http_upstream_round_robin.c, Tengine's additions
    at_default(
        "upstream_change_no_server_status",
        HTTP,
        N1,
        "Answers 502 rather than 500 when a group has no server left (Tengine).",
        &["on"],
    ),
    no_effect(
        "rr_discarded_range",
        HTTP,
        N1,
        "Range of the random starting point of weighted round robin (Tengine); limpet begins with the first server.",
        &[Number],
    ),
    // ngx_http_upstream_sticky_module.c
    refused("sticky", UPSTREAM, MORE2, "nginx's session affinity, by `cookie`, `route` or `learn`."),
    // ngx_http_upstream_dynamic_module (Tengine)
    // ngx_http_upstream_check_module (Tengine)
    no_effect("check_shm_size", HTTP, N1, "Size of the shared memory for probe results (Tengine), in bytes.", &[Size]),
    // NGINX Plus
    refused(
        "queue",
        UPSTREAM,
        N12,
        "Requests that wait while no server of a group can take them, and for how long (NGINX Plus).",
    ),
    refused("ntlm", UPSTREAM, N0, "Ties a client connection to one backend connection for NTLM (NGINX Plus)."),
    refused("state", UPSTREAM, N1, "File that keeps the servers of a group across restarts (NGINX Plus)."),
    refused("health_check", LOCATION, ANY, "Probes the servers that a location passes to (NGINX Plus)."),
    refused("match", HTTP, N12.block(), "Block of conditions for a healthy response (NGINX Plus)."),
    refused("sticky_cookie_insert", UPSTREAM, N1234, "Older spelling of `sticky cookie` (NGINX Plus)."),
    // nginx-upstream-fair (third party)
    refused("fair", UPSTREAM, ANY, "Picks the server with the least work in hand (third party)."),
    no_effect(
        "upstream_fair_shm_size",
        HTTP,
        N1,
        "Size of the shared memory of `fair` (third party), in bytes.",
        &[Size],
    )
    .repeatable(),
];
