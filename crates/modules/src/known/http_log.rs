//! Rows of `ngx_http_log_module` that limpet does not act on, and of the tracing and session log modules.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_log_module.c
    no_effect(
        "open_log_file_cache",
        HTTP | SERVER | LOCATION,
        N1234,
        "Cache of open log files whose names hold variables.",
        &[Parameter(&[
            ("max=", Number),
            ("inactive=", Seconds),
            ("min_uses=", Number),
            ("valid=", Seconds),
            ("off", Text),
        ])],
    ),
    // NGINX Plus
    no_effect(
        "error_log_tag",
        HTTP | SERVER | LOCATION,
        N2,
        "Adds a named value to error log entries (NGINX Plus).",
        &[Text],
    )
    .repeatable(),
    at_default(
        "session_log",
        HTTP | SERVER | LOCATION,
        N1,
        "Zone in which requests of one session are gathered for a log entry (NGINX Plus).",
        &["off"],
    )
    .exact(),
    at_default("session_log_format", HTTP, MORE2, "Format of session log entries (NGINX Plus).", &[]).repeatable(),
    at_default("session_log_zone", HTTP, MORE2, "Path, zone, key and timeout of a session log (NGINX Plus).", &[])
        .repeatable(),
    // nginx-otel
    refused(
        "otel_exporter",
        HTTP,
        N0.block(),
        "Block that names the OpenTelemetry collector and its batch sizes (nginx-otel).",
    ),
    at_default("otel_resource_attr", HTTP, N2, "Attribute of the resource that reports traces (nginx-otel).", &[])
        .repeatable(),
    at_default("otel_service_name", HTTP, N1, "Service name under which traces are reported (nginx-otel).", &[]),
    at_default("otel_trace", HTTP | SERVER | LOCATION, N1, "Whether a request is traced (nginx-otel).", &["off"])
        .exact(),
    at_default(
        "otel_trace_context",
        HTTP | SERVER | LOCATION,
        N1,
        "Whether trace headers are taken from requests and passed on (nginx-otel).",
        &["ignore"],
    ),
    at_default("otel_span_name", HTTP | SERVER | LOCATION, N1, "Name of the span of a request (nginx-otel).", &[]),
    at_default(
        "otel_span_attr",
        HTTP | SERVER | LOCATION,
        N2,
        "Attribute added to the span of a request (nginx-otel).",
        &[],
    )
    .repeatable(),
];
