//! Rows of modules by third parties that everyday files use.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_brotli (third party)
    at_default(
        "brotli",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        FLAG,
        "Compresses responses with Brotli (third party).",
        &["off"],
    ),
    at_default(
        "brotli_types",
        HTTP | SERVER | LOCATION,
        MORE1,
        "MIME types that Brotli compresses (third party).",
        &[],
    )
    .repeatable(),
    at_default(
        "brotli_comp_level",
        HTTP | SERVER | LOCATION,
        N1,
        "Compression level of Brotli, 0 to 11 (third party).",
        &[],
    ),
    at_default(
        "brotli_min_length",
        HTTP | SERVER | LOCATION,
        N1,
        "Shortest response that Brotli compresses, in bytes (third party).",
        &[],
    ),
    no_effect(
        "brotli_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for Brotli (third party).",
        &[Positive, PositiveSize],
    ),
    no_effect(
        "brotli_window",
        HTTP | SERVER | LOCATION,
        N1,
        "Window of the Brotli compressor, in bytes (third party).",
        &[SizeAmong(&[
            "1k", "2k", "4k", "8k", "16k", "32k", "64k", "128k", "256k", "512k", "1m", "2m", "4m", "8m", "16m",
        ])],
    ),
    at_default(
        "brotli_static",
        HTTP | SERVER | LOCATION,
        N1,
        "Serves the `.br` file that lies beside a file (third party).",
        &["off"],
    ),
    // ngx_http_geoip2_module (third party)
    refused("geoip2", HTTP, N1.block(), "MaxMind database and the variables set from it (third party)."),
    at_default("geoip2_proxy", HTTP, N1, "Proxies whose `X-Forwarded-For` is used for the lookup (third party).", &[])
        .repeatable(),
    at_default(
        "geoip2_proxy_recursive",
        HTTP,
        FLAG,
        "Skips trusted proxies in `X-Forwarded-For` during the lookup (third party).",
        &[],
    )
    .forms(&[Flag]),
    // headers-more-nginx-module (third party)
    refused(
        "more_set_headers",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        MORE1,
        "Sets response header fields (third party).",
    ),
    refused(
        "more_clear_headers",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        MORE1,
        "Removes response header fields (third party).",
    ),
    refused(
        "more_set_input_headers",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        MORE1,
        "Sets request header fields (third party).",
    ),
    refused(
        "more_clear_input_headers",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        MORE1,
        "Removes request header fields (third party).",
    ),
    // echo-nginx-module (third party)
    refused("echo", LOCATION | LOCATION_IF, ANY, "Answers with its arguments (third party)."),
    refused(
        "echo_duplicate",
        LOCATION | LOCATION_IF,
        MORE2,
        "Answers with a string repeated many times (third party).",
    ),
    refused("echo_flush", LOCATION | LOCATION_IF, N0, "Sends what has been produced so far (third party)."),
    refused("echo_sleep", LOCATION | LOCATION_IF, N1, "Waits before going on, in seconds (third party)."),
    refused(
        "echo_blocking_sleep",
        LOCATION | LOCATION_IF,
        N1,
        "Stops the whole worker process for a while, in seconds (third party).",
    ),
    refused("echo_reset_timer", LOCATION | LOCATION_IF, N0, "Starts `$echo_timer_elapsed` anew (third party)."),
    refused(
        "echo_read_request_body",
        LOCATION | LOCATION_IF,
        N0,
        "Reads the request body before going on (third party).",
    ),
    refused("echo_request_body", LOCATION | LOCATION_IF, N0, "Answers with the request body (third party)."),
    refused(
        "echo_location",
        LOCATION | LOCATION_IF,
        N12,
        "Inserts the answer to a GET subrequest, one after another (third party).",
    ),
    refused(
        "echo_location_async",
        LOCATION | LOCATION_IF,
        N12,
        "Inserts the answer to a GET subrequest, side by side (third party).",
    ),
    refused(
        "echo_subrequest",
        LOCATION | LOCATION_IF,
        MORE2,
        "Inserts the answer to any subrequest, one after another (third party).",
    ),
    refused(
        "echo_subrequest_async",
        LOCATION | LOCATION_IF,
        MORE2,
        "Inserts the answer to any subrequest, side by side (third party).",
    ),
    refused(
        "echo_foreach_split",
        LOCATION | LOCATION_IF,
        MORE2,
        "Starts a loop over the parts of a string (third party).",
    ),
    refused("echo_end", LOCATION | LOCATION_IF, N0, "Ends a loop of `echo_foreach_split` (third party)."),
    refused(
        "echo_abort_parent",
        LOCATION | LOCATION_IF,
        N0,
        "Ends the request that started this subrequest (third party).",
    ),
    refused("echo_exec", LOCATION | LOCATION_IF, N12, "Moves on to another location (third party)."),
    refused("echo_status", LOCATION | LOCATION_IF, N1, "Status code of the answer (third party)."),
    refused("echo_before_body", LOCATION | LOCATION_IF, ANY, "Puts its arguments before a response (third party)."),
    refused("echo_after_body", LOCATION | LOCATION_IF, ANY, "Puts its arguments after a response (third party)."),
    // ngx_http_substitutions_filter_module (third party)
    refused(
        "subs_filter",
        HTTP | SERVER | LOCATION,
        MORE2,
        "Replaces a string or regular expression in responses (third party).",
    ),
    at_default(
        "subs_filter_bypass",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which nothing is replaced (third party).",
        &[],
    )
    .repeatable(),
    at_default(
        "subs_filter_types",
        HTTP | SERVER | LOCATION,
        MORE1,
        "MIME types in which text is replaced (third party).",
        &[],
    )
    .repeatable(),
    no_effect(
        "subs_line_buffer_size",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for lines under replacement (third party).",
        &[Size, Text],
    ),
    no_effect(
        "subs_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the output buffers for replaced text (third party).",
        &[Positive, PositiveSize],
    ),
    // ngx-fancyindex (third party)
    at_default(
        "fancyindex",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lists a folder as a styled page (third party).",
        &["off"],
    ),
    at_default(
        "fancyindex_default_sort",
        HTTP | SERVER | LOCATION,
        N1,
        "Order of a styled listing (third party).",
        &[],
    ),
    at_default(
        "fancyindex_case_sensitive",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Heeds upper and lower case when a styled listing is sorted (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fancyindex_directories_first",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Puts folders first in a styled listing (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fancyindex_localtime",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Shows local times in a styled listing (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fancyindex_exact_size",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Shows sizes in bytes in a styled listing (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default("fancyindex_header", HTTP | SERVER | LOCATION, N12, "Text before a styled listing (third party).", &[]),
    at_default("fancyindex_footer", HTTP | SERVER | LOCATION, N12, "Text after a styled listing (third party).", &[]),
    at_default(
        "fancyindex_css_href",
        HTTP | SERVER | LOCATION,
        N1,
        "Stylesheet of a styled listing (third party).",
        &[],
    ),
    at_default(
        "fancyindex_ignore",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Names left out of a styled listing (third party).",
        &[],
    )
    .repeatable(),
    at_default(
        "fancyindex_hide_symlinks",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Leaves symbolic links out of a styled listing (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fancyindex_show_path",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Shows the path above a styled listing (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fancyindex_show_dotfiles",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Shows hidden files in a styled listing (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fancyindex_hide_parent_dir",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Leaves the parent folder out of a styled listing (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "fancyindex_time_format",
        HTTP | SERVER | LOCATION,
        N1,
        "Format of times in a styled listing (third party).",
        &[],
    ),
    // nginx-dav-ext-module (third party)
    at_default(
        "dav_ext_methods",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Further WebDAV methods that are allowed (third party).",
        &["off"],
    )
    .repeatable(),
    at_default("dav_ext_lock_zone", HTTP, N12, "Shared zone for WebDAV locks (third party).", &[]).repeatable(),
    at_default(
        "dav_ext_lock",
        HTTP | SERVER | LOCATION,
        N1,
        "Zone in which WebDAV locks of a location are kept (third party).",
        &[],
    ),
    // nginx-module-vts (third party)
    at_default(
        "vhost_traffic_status",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Counts the traffic of virtual hosts (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default("vhost_traffic_status_zone", HTTP, N0.or(N1), "Shared zone for traffic statistics (third party).", &[]),
    refused(
        "vhost_traffic_status_display",
        SERVER | LOCATION,
        N0.or(N1),
        "Serves a page of traffic statistics (third party).",
    ),
    at_default(
        "vhost_traffic_status_display_format",
        SERVER | LOCATION,
        N1,
        "Format of the statistics page (third party).",
        &[],
    ),
    at_default(
        "vhost_traffic_status_display_jsonp",
        SERVER | LOCATION,
        N1,
        "Callback name of the statistics page in JSONP (third party).",
        &[],
    ),
    at_default(
        "vhost_traffic_status_display_sum_key",
        SERVER | LOCATION,
        N1,
        "Name of the entry that sums up all hosts (third party).",
        &[],
    ),
    at_default(
        "vhost_traffic_status_dump",
        HTTP,
        N12,
        "File to which statistics are saved, and how often (third party).",
        &[],
    ),
    at_default(
        "vhost_traffic_status_measure_status_codes",
        HTTP,
        N0.or(MORE1),
        "Response codes that are counted one by one (third party).",
        &[],
    )
    .repeatable(),
    at_default(
        "vhost_traffic_status_filter",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Counts traffic by keys of one's own (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "vhost_traffic_status_filter_by_host",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Counts traffic by the `Host` of requests (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "vhost_traffic_status_filter_by_set_key",
        HTTP | SERVER | LOCATION,
        N12,
        "Key, and group, by which traffic is counted (third party).",
        &[],
    )
    .repeatable(),
    at_default(
        "vhost_traffic_status_filter_check_duplicate",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Drops repeated keys (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default("vhost_traffic_status_filter_max_node", HTTP, MORE1, "Most keys kept in a group (third party).", &[])
        .repeatable(),
    at_default(
        "vhost_traffic_status_limit",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Turns requests away beyond traffic limits (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "vhost_traffic_status_limit_check_duplicate",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Drops repeated traffic limits (third party).",
        &[],
    )
    .forms(&[Flag]),
    refused(
        "vhost_traffic_status_limit_traffic",
        HTTP | SERVER | LOCATION,
        N12,
        "Traffic limit of a host, and the response code beyond it (third party).",
    ),
    refused(
        "vhost_traffic_status_limit_traffic_by_set_key",
        HTTP | SERVER | LOCATION,
        N23,
        "Traffic limit of a key, and the response code beyond it (third party).",
    ),
    refused(
        "vhost_traffic_status_set_by_filter",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        N2,
        "Sets a variable from a statistic (third party).",
    ),
    at_default(
        "vhost_traffic_status_average_method",
        HTTP | SERVER | LOCATION,
        N12,
        "How averages are worked out, and over what time (third party).",
        &[],
    ),
    at_default(
        "vhost_traffic_status_histogram_buckets",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Limits of the histogram of request times, in seconds (third party).",
        &[],
    )
    .repeatable(),
    at_default(
        "vhost_traffic_status_bypass_limit",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Exempts a place from traffic limits (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "vhost_traffic_status_bypass_stats",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Leaves a place out of the statistics (third party).",
        &[],
    )
    .forms(&[Flag]),
    at_default("vhost_traffic_status_stats_by_upstream", HTTP, FLAG, "Counts traffic by backend (third party).", &[])
        .forms(&[Flag]),
    at_default(
        "vhost_traffic_status_ignore_status",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Response codes left out of the statistics (third party).",
        &[],
    )
    .repeatable(),
];
