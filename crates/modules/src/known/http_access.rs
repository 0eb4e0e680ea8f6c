//! Rows of the modules that decide who gets in: addresses, passwords, subrequests, limits, real client addresses.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_access_module.c
    at_default("allow", HTTP | SERVER | LOCATION | LIMIT_EXCEPT, N1, "Lets an address, network or `all` in.", &["all"])
        .exact()
        .repeatable(),
    refused("deny", HTTP | SERVER | LOCATION | LIMIT_EXCEPT, N1, "Turns an address, network or `all` away with 403."),
    // ngx_http_auth_basic_module.c
    at_default(
        "auth_basic",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        N1,
        "Asks for a user name and password; the argument is the realm.",
        &["off"],
    )
    .exact(),
    at_default(
        "auth_basic_user_file",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        N1,
        "File of user names and password hashes for `auth_basic`.",
        &[],
    ),
    // ngx_http_auth_request_module.c
    at_default(
        "auth_request",
        HTTP | SERVER | LOCATION,
        N1,
        "Lets a request pass only if a subrequest to the given URI returns 2xx.",
        &["off"],
    )
    .exact(),
    at_default(
        "auth_request_set",
        HTTP | SERVER | LOCATION,
        N2,
        "Sets a variable once the authorization subrequest is done.",
        &[],
    )
    .repeatable(),
    // ngx_http_limit_conn_module.c
    at_default("limit_conn_zone", HTTP, N2, "Key and shared zone for counting connections.", &[]).repeatable(),
    refused("limit_conn", HTTP | SERVER | LOCATION, N2, "Most simultaneous connections for one key of a zone."),
    no_effect(
        "limit_conn_log_level",
        HTTP | SERVER | LOCATION,
        N1,
        "Severity of the log entries about refused connections.",
        &[Word(&["info", "notice", "warn", "error"])],
    ),
    at_default(
        "limit_conn_status",
        HTTP | SERVER | LOCATION,
        N1,
        "Response code for requests over the connection limit.",
        &[],
    ),
    at_default(
        "limit_conn_dry_run",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Counts connections over the limit without refusing them.",
        &[],
    )
    .forms(&[Flag]),
    // ngx_http_limit_req_module.c
    at_default(
        "limit_req_zone",
        HTTP,
        MORE2,
        "Key, shared zone and rate for counting requests; Tengine takes several keys and a variable rate.",
        &[],
    )
    .repeatable(),
    at_default(
        "limit_req",
        HTTP | SERVER | LOCATION,
        N1234,
        "Zone, burst and delay of a request rate limit; Tengine adds `forbid_action` and `off`.",
        &["off"],
    )
    .exact()
    .repeatable(),
    no_effect(
        "limit_req_log_level",
        HTTP | SERVER | LOCATION,
        N1,
        "Severity of the log entries about delayed and refused requests.",
        &[Word(&["info", "notice", "warn", "error"])],
    ),
    at_default(
        "limit_req_status",
        HTTP | SERVER | LOCATION,
        N1,
        "Response code for requests over the rate limit.",
        &[],
    ),
    at_default(
        "limit_req_dry_run",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Counts requests over the rate limit without delaying or refusing them.",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "limit_req_whitelist",
        HTTP | SERVER | LOCATION,
        N2,
        "Exempts requests from rate limits by the value of a `geo` variable (Tengine).",
        &[],
    )
    .repeatable(),
    // ngx_http_realip_module.c
    refused(
        "set_real_ip_from",
        HTTP | SERVER | LOCATION,
        N1,
        "Address or network that is trusted to name the real client address.",
    ),
    at_default(
        "real_ip_header",
        HTTP | SERVER | LOCATION,
        N1,
        "Header field or `proxy_protocol` from which the client address is taken.",
        &[],
    ),
    at_default(
        "real_ip_recursive",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Skips trusted addresses from the right when looking for the client address.",
        &[],
    )
    .forms(&[Flag]),
    // NGINX Plus
    at_default(
        "auth_jwt",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        N12,
        "Asks for a valid JSON Web Token; the argument is the realm (NGINX Plus).",
        &["off"],
    )
    .exact(),
    at_default("auth_jwt_claim_set", HTTP, MORE2, "Sets a variable from a claim of the token (NGINX Plus).", &[])
        .repeatable(),
    at_default(
        "auth_jwt_header_set",
        HTTP,
        MORE2,
        "Sets a variable from a header parameter of the token (NGINX Plus).",
        &[],
    )
    .repeatable(),
    at_default(
        "auth_jwt_key_cache",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        N1,
        "Time for which token keys are remembered (NGINX Plus).",
        &[],
    ),
    at_default(
        "auth_jwt_key_file",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        N1,
        "File of keys for checking tokens (NGINX Plus).",
        &[],
    )
    .repeatable(),
    at_default(
        "auth_jwt_key_request",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        N1,
        "URI whose response holds the keys for checking tokens (NGINX Plus).",
        &[],
    )
    .repeatable(),
    at_default(
        "auth_jwt_leeway",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        N1,
        "Clock difference that is forgiven when token times are checked (NGINX Plus).",
        &[],
    ),
    refused(
        "auth_jwt_require",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        MORE1,
        "Further conditions a token has to meet (NGINX Plus).",
    ),
    at_default(
        "auth_jwt_type",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        N1,
        "Kind of token that is expected: signed, encrypted or nested (NGINX Plus).",
        &[],
    ),
    at_default(
        "auth_oidc",
        HTTP | SERVER | LOCATION,
        N1,
        "OpenID Connect provider at which users have to log in (NGINX Plus).",
        &["off"],
    )
    .exact(),
    refused(
        "auth_require",
        HTTP | SERVER | LOCATION | LIMIT_EXCEPT,
        MORE1,
        "Variables that must be neither empty nor `0` for a request to pass (NGINX Plus).",
    ),
    refused("oidc_provider", HTTP, N1.block(), "Block that describes an OpenID Connect provider (NGINX Plus)."),
    at_default(
        "app_protect_enable",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Switches the App Protect firewall on (NGINX Plus).",
        &["off"],
    ),
    at_default(
        "app_protect_policy_file",
        HTTP | SERVER | LOCATION,
        N1,
        "Policy of the App Protect firewall (NGINX Plus).",
        &[],
    ),
    at_default(
        "app_protect_security_log_enable",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Switches the security log of the App Protect firewall on (NGINX Plus).",
        &["off"],
    ),
    at_default(
        "app_protect_security_log",
        HTTP | SERVER | LOCATION,
        N2,
        "Format and target of the App Protect security log (NGINX Plus).",
        &[],
    )
    .repeatable(),
    // ModSecurity-nginx (third party)
    at_default(
        "modsecurity",
        HTTP | SERVER | LOCATION,
        FLAG,
        "Switches the ModSecurity firewall on (third party).",
        &["off"],
    ),
    at_default(
        "modsecurity_rules",
        HTTP | SERVER | LOCATION,
        N1,
        "ModSecurity rules written into the configuration (third party).",
        &[],
    )
    .repeatable(),
    at_default("modsecurity_rules_file", HTTP | SERVER | LOCATION, N1, "File of ModSecurity rules (third party).", &[])
        .repeatable(),
    at_default(
        "modsecurity_rules_remote",
        HTTP | SERVER | LOCATION,
        N2,
        "Key and address for fetching ModSecurity rules (third party).",
        &[],
    )
    .repeatable(),
    at_default(
        "modsecurity_transaction_id",
        HTTP | SERVER | LOCATION,
        MORE1,
        "Identifier that ModSecurity gives to a request (third party).",
        &[],
    )
    .repeatable(),
];
