//! Rows of the modules that make or change contents.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_try_files_module.c
    refused(
        "try_files",
        SERVER | LOCATION,
        MORE2,
        "Serves the first path that exists, or else goes to the last argument.",
    ),
    // ngx_http_copy_filter_module.c
    no_effect(
        "output_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for reading a response from a file.",
        &[Positive, PositiveSize],
    ),
    // ngx_http_autoindex_module.c
    at_default("autoindex", HTTP | SERVER | LOCATION, FLAG, "Lists a folder that has no index file.", &["off"]),
    at_default(
        "autoindex_format",
        HTTP | SERVER | LOCATION,
        N1,
        "Format of folder listings: HTML, XML, JSON or JSONP.",
        &[],
    ),
    at_default(
        "autoindex_localtime",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Shows local times rather than UTC in folder listings.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "autoindex_exact_size",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Shows sizes in bytes rather than rounded in folder listings.",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_random_index_module.c
    at_default("random_index", LOCATION, FLAG, "Serves a random file of a folder as its index.", &["off"]),
    // ngx_http_empty_gif_module.c
    refused("empty_gif", LOCATION, N0, "Answers with a transparent GIF of one pixel."),
    // ngx_http_dav_module.c
    at_default("dav_methods", HTTP | SERVER | LOCATION, MORE1, "WebDAV methods that are allowed.", &["off"])
        .repeatable(),
    at_default("dav_access", HTTP | SERVER | LOCATION, N123, "Permissions of files and folders made by WebDAV.", &[]),
    at_default(
        "create_full_put_path",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lets PUT make missing folders on its way.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "min_delete_depth",
        HTTP | SERVER | LOCATION,
        N1,
        "Number of path elements below which DELETE is refused.",
        &[],
    ),
    // ngx_http_flv_module.c
    refused("flv", LOCATION, N0, "Serves FLV files from the offset given as `start`."),
    // ngx_http_mp4_module.c
    refused("mp4", LOCATION, N0, "Serves MP4 files between the times given as `start` and `end`."),
    no_effect(
        "mp4_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "First buffer for reading the metadata of an MP4 file, in bytes.",
        &[Size],
    ),
    at_default(
        "mp4_max_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Largest metadata of an MP4 file, in bytes; 500 above that.",
        &[],
    ),
    at_default(
        "mp4_start_key_frame",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Lets an excerpt of an MP4 file begin with a key frame.",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_stub_status_module.c
    refused("stub_status", SERVER | LOCATION, N0.or(N1), "Serves a page of connection and request counts."),
    // ngx_http_headers_filter_module.c
    at_default(
        "expires",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        N12,
        "Sets `Expires` and `Cache-Control` of responses.",
        &["off"],
    )
    .exact(),
    refused(
        "add_trailer",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        N23,
        "Adds a trailer field after the body of a response.",
    ),
    at_default(
        "add_header_inherit",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        N1,
        "How `add_header` lines combine with those of outer levels.",
        &["on"],
    ),
    at_default(
        "add_trailer_inherit",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        N1,
        "How `add_trailer` lines combine with those of outer levels.",
        &[],
    ),
    // ngx_http_gzip_filter_module.c
    at_default("gzip", HTTP | SERVER | LOCATION | LOCATION_IF, FLAG, "Compresses responses with gzip.", &["off"]),
    at_default(
        "gzip_types",
        HTTP | SERVER | LOCATION,
        MORE1,
        "MIME types that are compressed besides `text/html`.",
        &[],
    )
    .repeatable(),
    at_default("gzip_comp_level", HTTP | SERVER | LOCATION, N1, "Compression level of gzip, 1 to 9.", &[])
        .forms(&[Number]),
    at_default("gzip_min_length", HTTP | SERVER | LOCATION, N1, "Shortest response that is compressed, in bytes.", &[])
        .forms(&[Size]),
    no_effect(
        "gzip_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for compressing a response.",
        &[Positive, PositiveSize],
    ),
    no_effect(
        "gzip_window",
        HTTP | SERVER | LOCATION,
        N1,
        "Window of the gzip compressor, in bytes.",
        &[SizeAmong(&["512", "1k", "2k", "4k", "8k", "16k", "32k"])],
    ),
    no_effect(
        "gzip_hash",
        HTTP | SERVER | LOCATION,
        N1,
        "Memory for the hash of the gzip compressor, in bytes.",
        &[SizeAmong(&["512", "1k", "2k", "4k", "8k", "16k", "32k", "64k", "128k"])],
    ),
    no_effect(
        "postpone_gzipping",
        HTTP | SERVER | LOCATION,
        N1,
        "Amount of a response gathered before compression begins, in bytes.",
        &[Size],
    ),
    no_effect(
        "gzip_no_buffer",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Sends compressed data without filling a buffer first.",
        &[Flag],
    ),
    at_default(
        "gzip_clear_etag",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Drops the `ETag` of compressed responses (Tengine).",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_gunzip_filter_module.c
    at_default(
        "gunzip",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Unpacks gzip responses for clients that do not take gzip.",
        &["off"],
    ),
    no_effect(
        "gunzip_buffers",
        HTTP | SERVER | LOCATION,
        N2,
        "Number and size of the buffers for unpacking a response.",
        &[Positive, PositiveSize],
    ),
    // ngx_http_gzip_static_module.c
    at_default("gzip_static", HTTP | SERVER | LOCATION, N1, "Serves the `.gz` file that lies beside a file.", &["off"]),
    // ngx_http_ssi_filter_module.c
    at_default(
        "ssi",
        HTTP | SERVER | LOCATION | LOCATION_IF,
        FLAG,
        "Carries out server-side includes in responses.",
        &["off"],
    ),
    at_default(
        "ssi_types",
        HTTP | SERVER | LOCATION,
        MORE1,
        "MIME types in which server-side includes are carried out.",
        &[],
    )
    .repeatable(),
    at_default(
        "ssi_silent_errors",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Leaves out the error text of a failed server-side include.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "ssi_value_length",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest parameter value of a server-side include, in bytes.",
        &[],
    ),
    at_default(
        "ssi_last_modified",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Keeps `Last-Modified` on responses with server-side includes.",
        &[],
    )
    .forms(&[Flag]),
    no_effect(
        "ssi_min_file_chunk",
        HTTP | SERVER | LOCATION,
        N1,
        "Shortest piece of a response that is sent from its file, in bytes.",
        &[Size],
    ),
    no_effect(
        "ssi_ignore_recycled_buffers",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Treats recycled buffers like any others during server-side includes.",
        &[Flag],
    ),
    // ngx_http_sub_filter_module.c
    refused("sub_filter", HTTP | SERVER | LOCATION, N2, "Replaces one string of a response by another."),
    at_default("sub_filter_types", HTTP | SERVER | LOCATION, MORE1, "MIME types in which strings are replaced.", &[])
        .repeatable(),
    at_default(
        "sub_filter_once",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Replaces only the first occurrence of each string.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "sub_filter_last_modified",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Keeps `Last-Modified` on responses with replaced strings.",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_addition_filter_module.c
    refused("add_before_body", HTTP | SERVER | LOCATION, N1, "Puts the answer to a subrequest before a response."),
    refused("add_after_body", HTTP | SERVER | LOCATION, N1, "Puts the answer to a subrequest after a response."),
    at_default("addition_types", HTTP | SERVER | LOCATION, MORE1, "MIME types to which text is added.", &[])
        .repeatable(),
    // ngx_http_xslt_filter_module.c
    at_default("xml_entities", HTTP | SERVER | LOCATION, N1, "DTD file that declares character entities.", &[]),
    at_default(
        "xml_external_entities",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Allows external entities in XML responses.",
        &[],
    )
    .forms(&[Flag]),
    refused("xslt_stylesheet", LOCATION, MORE1, "Stylesheet that transforms XML responses, and its parameters."),
    at_default("xslt_param", HTTP | SERVER | LOCATION, N2, "Parameter of stylesheets, as an XPath expression.", &[])
        .repeatable(),
    at_default("xslt_string_param", HTTP | SERVER | LOCATION, N2, "Parameter of stylesheets, as a plain string.", &[])
        .repeatable(),
    at_default("xslt_types", HTTP | SERVER | LOCATION, MORE1, "MIME types that stylesheets transform.", &[])
        .repeatable(),
    at_default(
        "xslt_last_modified",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Keeps `Last-Modified` on transformed responses.",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_image_filter_module.c
    at_default("image_filter", LOCATION, N123, "Resizes, crops, rotates or checks images in responses.", &["off"])
        .exact()
        .repeatable(),
    at_default(
        "image_filter_buffer",
        HTTP | SERVER | LOCATION,
        N1,
        "Largest image that is taken in, in bytes; 415 above that.",
        &[],
    ),
    at_default(
        "image_filter_jpeg_quality",
        HTTP | SERVER | LOCATION,
        N1,
        "Quality of JPEG images made here, 1 to 100.",
        &[],
    )
    .repeatable(),
    at_default(
        "image_filter_webp_quality",
        HTTP | SERVER | LOCATION,
        N1,
        "Quality of WebP images made here, 1 to 100.",
        &[],
    )
    .repeatable(),
    at_default("image_filter_sharpen", HTTP | SERVER | LOCATION, N1, "Sharpness added to images, in percent.", &[])
        .repeatable(),
    at_default(
        "image_filter_transparency",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Keeps the transparency of GIF and paletted PNG images.",
        &[],
    )
    .forms(&[Flag]),
    at_default("image_filter_interlace", HTTP | SERVER | LOCATION, FLAG, "Makes interlaced images.", &[])
        .forms(&[Flag]),
    at_default(
        "image_filter_crop_offset",
        HTTP | SERVER | LOCATION,
        N2,
        "Where an image is cropped: start, centre or end.",
        &[],
    )
    .repeatable(),
    // ngx_http_slice_filter_module.c, ngx_http_slice_module.c (Tengine)
    at_default(
        "slice",
        HTTP | SERVER,
        N1,
        "Size of the pieces in which a large response is fetched from a backend, in bytes.",
        &["0", "0k", "0m"],
    ),
    at_default(
        "slice",
        LOCATION,
        N0.or(N1),
        "nginx: size of the pieces of a large response; Tengine, bare: serves a slice of a file.",
        &["0", "0k", "0m"],
    ),
    at_default(
        "slice_arg_begin",
        HTTP | SERVER | LOCATION,
        N1,
        "Query argument that holds the start of a slice (Tengine).",
        &[],
    ),
    at_default(
        "slice_arg_end",
        HTTP | SERVER | LOCATION,
        N1,
        "Query argument that holds the end of a slice (Tengine).",
        &[],
    ),
    at_default("slice_header", HTTP | SERVER | LOCATION, N1, "Text put before a slice (Tengine).", &[]),
    at_default("slice_footer", HTTP | SERVER | LOCATION, N1, "Text put after a slice (Tengine).", &[]),
    at_default(
        "slice_header_first",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Puts the header before the first slice only (Tengine).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "slice_footer_last",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Puts the footer after the last slice only (Tengine).",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_userid_filter_module.c
    at_default(
        "userid",
        HTTP | SERVER | LOCATION,
        N1,
        "Gives clients an identifying cookie, or logs the one they have.",
        &["off"],
    ),
    at_default("userid_service", HTTP | SERVER | LOCATION, N1, "Number of the service that gives out the cookie.", &[]),
    at_default("userid_name", HTTP | SERVER | LOCATION, N1, "Name of the identifying cookie.", &[]),
    at_default("userid_domain", HTTP | SERVER | LOCATION, N1, "Domain of the identifying cookie.", &[]),
    at_default("userid_path", HTTP | SERVER | LOCATION, N1, "Path of the identifying cookie.", &[]),
    at_default("userid_expires", HTTP | SERVER | LOCATION, N1, "Lifetime of the identifying cookie.", &[]),
    at_default(
        "userid_flags",
        HTTP | SERVER | LOCATION,
        N123,
        "`Secure`, `HttpOnly` and `SameSite` of the identifying cookie.",
        &[],
    )
    .repeatable(),
    at_default("userid_p3p", HTTP | SERVER | LOCATION, N1, "`P3P` header sent with the identifying cookie.", &[]),
    at_default(
        "userid_mark",
        HTTP | SERVER | LOCATION,
        N1,
        "Mark in the identifying cookie; without it the cookie is sent anew.",
        &[],
    ),
    // ngx_http_mirror_module.c
    at_default("mirror", HTTP | SERVER | LOCATION, N1, "Location that gets a copy of each request.", &["off"]).exact(),
    at_default(
        "mirror_request_body",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Sends the request body along with the copy.",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_browser_module.c
    refused("modern_browser", HTTP | SERVER | LOCATION, N12, "Browser, and its lowest version, that counts as modern."),
    refused(
        "ancient_browser",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Strings in `User-Agent` that make a browser count as ancient.",
    ),
    at_default("modern_browser_value", HTTP | SERVER | LOCATION, N1, "Value of `$modern_browser`.", &[]).repeatable(),
    at_default("ancient_browser_value", HTTP | SERVER | LOCATION, N1, "Value of `$ancient_browser`.", &[]).repeatable(),
    // ngx_http_geo_module.c
    refused("geo", HTTP, N12.block(), "Block that sets a variable by the client's address."),
    // ngx_http_geoip_module.c
    refused("geoip_country", HTTP, N12, "GeoIP database of countries."),
    refused("geoip_region", HTTP, N12, "GeoIP database of regions."),
    refused("geoip_org", HTTP, N12, "GeoIP database of organizations."),
    refused("geoip_city", HTTP, N12, "GeoIP database of cities."),
    at_default("geoip_proxy", HTTP, N1, "Proxies whose `X-Forwarded-For` is used for the lookup.", &[]).repeatable(),
    at_default(
        "geoip_proxy_recursive",
        HTTP,
        FLAG,
        "Skips trusted proxies in `X-Forwarded-For` during the lookup.",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_map_module.c
    refused("map", HTTP, N2.block(), "Block that sets a variable by the value of another."),
    no_effect("map_hash_max_size", HTTP, N1, "Largest size of the hash tables of `map`.", &[Number]),
    no_effect("map_hash_bucket_size", HTTP, N1, "Bucket size of the hash tables of `map`, in bytes.", &[Number]),
    // ngx_http_split_clients_module.c
    refused("split_clients", HTTP, N2.block(), "Block that sets a variable by shares of a hash."),
    // ngx_http_secure_link_module.c
    refused("secure_link", HTTP | SERVER | LOCATION, N1, "Checksum and lifetime of a protected link."),
    at_default("secure_link_md5", HTTP | SERVER | LOCATION, N1, "Expression whose MD5 the link has to carry.", &[]),
    refused("secure_link_secret", HTTP | SERVER | LOCATION, N1, "Secret word of links in the older form."),
    // ngx_http_referer_module.c
    refused("valid_referers", SERVER | LOCATION, MORE1, "`Referer` values for which `$invalid_referer` stays empty."),
    no_effect("referer_hash_max_size", SERVER | LOCATION, N1, "Largest size of the hash table of referers.", &[Number]),
    no_effect(
        "referer_hash_bucket_size",
        SERVER | LOCATION,
        N1,
        "Bucket size of the hash table of referers, in bytes.",
        &[Number],
    ),
    // ngx_http_memcached_module.c
    refused("memcached_pass", LOCATION | LOCATION_IF, N1, "Answers requests with values from a memcached server."),
    at_default(
        "memcached_bind",
        HTTP | SERVER | LOCATION,
        N12,
        "Local address for connections to a memcached server.",
        &[],
    ),
    no_effect(
        "memcached_socket_keepalive",
        HTTP | SERVER | LOCATION,
        FLAG,
        "TCP keepalive probes on connections to a memcached server.",
        &[Flag],
    ),
    at_default(
        "memcached_connect_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait for a connection to a memcached server.",
        &[],
    ),
    at_default(
        "memcached_send_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two writes to a memcached server.",
        &[],
    ),
    no_effect(
        "memcached_buffer_size",
        HTTP | SERVER | LOCATION,
        N1,
        "Buffer for a response from a memcached server, in bytes.",
        &[Size],
    ),
    at_default(
        "memcached_read_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Longest wait between two reads from a memcached server.",
        &[],
    ),
    at_default(
        "memcached_next_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Failures of a memcached server after which the next one is tried.",
        &[],
    )
    .forms(&[Word(NEXT)])
    .repeatable(),
    at_default(
        "memcached_next_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Most memcached servers tried for one request.",
        &[],
    ),
    at_default(
        "memcached_next_upstream_timeout",
        HTTP | SERVER | LOCATION,
        N1,
        "Time within which the next memcached server may be tried.",
        &[],
    ),
    at_default(
        "memcached_gzip_flag",
        HTTP | SERVER | LOCATION,
        N1,
        "Flag bit of a memcached value that marks it as compressed.",
        &[],
    ),
    at_default(
        "memcached_upstream_tries",
        HTTP | SERVER | LOCATION,
        N1,
        "Most memcached servers tried for one request (Tengine).",
        &[],
    ),
    at_default(
        "memcached_allow_upstream",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Conditions under which a memcached server may be contacted (NGINX Plus).",
        &[],
    )
    .repeatable(),
    at_default(
        "memcached_bind_dynamic",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Works out `memcached_bind` anew for each attempt (NGINX Plus).",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_degradation_module.c
    at_default(
        "degradation",
        HTTP,
        N1,
        "Heap size at which locations with `degrade` start to turn requests away.",
        &[],
    )
    .repeatable(),
    refused("degrade", HTTP | SERVER | LOCATION, N1, "Answer of a location, 204 or 444, while memory is short."),
];
