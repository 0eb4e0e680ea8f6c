//! Rows of Tengine's own content modules.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_zstd (Tengine)
    at_default(
        "zstd",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        FLAG,
        "Compresses responses with Zstandard (Tengine).",
        &["off"],
    ),
    at_default("zstd_types", HTTP | SERVER | LOCATION, MORE1, "MIME types that Zstandard compresses (Tengine).", &[])
        .repeatable(),
    at_default("zstd_comp_level", HTTP | SERVER | LOCATION, N1, "Compression level of Zstandard (Tengine).", &[]),
    at_default(
        "zstd_min_length",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Shortest response that Zstandard compresses, in bytes (Tengine).",
        &[],
    ),
    no_effect(
        "zstd_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for Zstandard (Tengine).",
        &[Positive, PositiveSize],
    ),
    at_default("zstd_dict_file", HTTP, N1, "Dictionary file for Zstandard (Tengine).", &[]),
    at_default(
        "zstd_static",
        HTTP | SERVER | LOCATION,
        N1,
        "Serves the `.zst` file that lies beside a file (Tengine).",
        &["off"],
    ),
    // ngx_http_sysguard_module (Tengine)
    at_default(
        "sysguard",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Turns requests away while the machine is overloaded (Tengine).",
        &["off"],
    ),
    at_default(
        "sysguard_mode",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Whether one limit or all of them have to be exceeded (Tengine).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "sysguard_load",
        HTTP | SERVER | LOCATION,
        N12,
        "Limit on the load average, and where requests go beyond it (Tengine).",
        &[],
    ),
    at_default(
        "sysguard_cpu",
        HTTP | SERVER | LOCATION,
        N123,
        "Limit on processor use in percent, and where requests go beyond it (Tengine).",
        &[],
    ),
    at_default(
        "sysguard_mem",
        HTTP | SERVER | LOCATION,
        N12,
        "Limits on swap use and free memory, and where requests go beyond them (Tengine).",
        &[],
    )
    .repeatable(),
    at_default(
        "sysguard_rt",
        HTTP | SERVER | LOCATION,
        N123,
        "Limit on the average response time in seconds, and where requests go beyond it (Tengine).",
        &[],
    ),
    at_default(
        "sysguard_interval",
        HTTP | SERVER | LOCATION,
        N1,
        "Time for which a look at the system's state stays valid (Tengine).",
        &[],
    ),
    no_effect(
        "sysguard_log_level",
        HTTP | SERVER | LOCATION,
        N1,
        "Severity of the log entries about overload (Tengine).",
        &[Word(&["info", "notice", "warn", "error"])],
    ),
    // ngx_http_user_agent_module (Tengine)
    refused(
        "user_agent",
        HTTP,
        N1.block(),
        "Block that sets a variable by the browser and version in `User-Agent` (Tengine).",
    ),
    // ngx_http_reqstat_module (Tengine)
    at_default("req_status_zone", HTTP, MORE2, "Name, key and size of a zone of request statistics (Tengine).", &[])
        .repeatable(),
    at_default("req_status", HTTP | SERVER | LOCATION, MORE1, "Zones in which requests are counted (Tengine).", &[]),
    at_default(
        "req_status_lazy",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Works out the key of a zone when the request is logged (Tengine).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "req_status_bypass",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a request is not counted (Tengine).",
        &[],
    )
    .repeatable(),
    refused("req_status_show", LOCATION, ANY, "Serves a page of request statistics (Tengine)."),
    at_default("req_status_show_field", LOCATION, MORE1, "Fields on the page of request statistics (Tengine).", &[])
        .repeatable(),
    at_default(
        "req_status_zone_add_indicator",
        HTTP,
        MORE2,
        "Variables that a zone sums up besides its own fields (Tengine).",
        &[],
    )
    .repeatable(),
    at_default("req_status_zone_key_length", HTTP, N2, "Longest key of a zone, in bytes (Tengine).", &[]).repeatable(),
    at_default(
        "req_status_zone_recycle",
        HTTP,
        N3,
        "How rarely used an entry must be to give way in a full zone (Tengine).",
        &[],
    )
    .repeatable(),
    // ngx_http_concat_module (Tengine)
    at_default(
        "concat",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Joins the files listed after `??` into one response (Tengine).",
        &["off"],
    ),
    at_default("concat_max_files", HTTP | SERVER | LOCATION, N1, "Most files joined into one response (Tengine).", &[]),
    at_default("concat_unique", HTTP | SERVER | LOCATION, FLAG, "Joins only files of one MIME type (Tengine).", &[])
        .forms(&[Flag]),
    at_default(
        "concat_types",
        HTTP | SERVER | LOCATION,
        MORE1,
        "MIME types of files that may be joined (Tengine).",
        &[],
    )
    .repeatable(),
    at_default("concat_delimiter", HTTP | SERVER | LOCATION, N1, "Text put between joined files (Tengine).", &[]),
    at_default(
        "concat_ignore_file_error",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Passes over files that are missing or forbidden (Tengine).",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_footer_filter_module (Tengine)
    refused("footer", HTTP | SERVER | LOCATION, N1, "Text appended to responses (Tengine)."),
    at_default(
        "footer_types",
        HTTP | SERVER | LOCATION,
        MORE1,
        "MIME types to which the footer is appended (Tengine).",
        &[],
    )
    .repeatable(),
    // ngx_http_trim_filter_module (Tengine)
    at_default(
        "trim",
        HTTP | SERVER | LOCATION,
        N1,
        "Removes needless white space and comments from HTML (Tengine).",
        &["off"],
    )
    .exact(),
    at_default("trim_js", HTTP | SERVER | LOCATION, N1, "Does the same within inline scripts (Tengine).", &[]),
    at_default("trim_css", HTTP | SERVER | LOCATION, N1, "Does the same within inline styles (Tengine).", &[]),
    at_default(
        "trim_types",
        HTTP | SERVER | LOCATION,
        MORE1,
        "MIME types that are trimmed besides `text/html` (Tengine).",
        &[],
    )
    .repeatable(),
    // ngx_http_append_header_module (Tengine)
    refused(
        "append_header",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        N2,
        "Appends a value to a response header field, or adds the field (Tengine).",
    ),
    at_default(
        "append_header_separator",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        N1,
        "Text between the old and the appended value (Tengine).",
        &[],
    ),
];
