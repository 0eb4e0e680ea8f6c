//! Rows of `ngx_http_rewrite_module` that limpet does not act on.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_rewrite_module.c
    refused(
        "rewrite",
        SERVER | LOCATION | SERVER_IF | LOCATION_IF,
        N23,
        "Changes the URI, or redirects, when a regular expression matches.",
    ),
    refused(
        "break",
        SERVER | LOCATION | SERVER_IF | LOCATION_IF,
        N0,
        "Ends the rewrite directives of the current block.",
    ),
    refused("set", SERVER | LOCATION | SERVER_IF | LOCATION_IF, N2, "Gives a variable a value."),
    no_effect(
        "rewrite_log",
        HTTP | SERVER | LOCATION | SERVER_IF | LOCATION_IF,
        FLAG,
        "Writes the outcome of rewrite directives to the error log at `notice`.",
        &[Flag],
    ),
    no_effect(
        "uninitialized_variable_warn",
        HTTP | SERVER | LOCATION | SERVER_IF | LOCATION_IF,
        FLAG,
        "Logs a warning when a variable without a value is used.",
        &[Flag],
    ),
    // NGINX Plus
    refused(
        "internal_redirect",
        SERVER | LOCATION,
        N1,
        "Moves a request to another URI after its rate limits and before its access checks (NGINX Plus).",
    ),
];
