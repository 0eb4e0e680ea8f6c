//! Rows of `ngx_http_ssl_module`, Tengine's NTLS additions to it, and automatic certificates.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_ssl_module.c
    refused("ssl_certificate", HTTP | SERVER, N1, "Certificate chain of a server, in PEM."),
    refused("ssl_certificate_key", HTTP | SERVER, N1, "Private key of a server, in PEM."),
    at_default(
        "ssl_certificate_cache",
        HTTP | SERVER,
        N123,
        "Cache of certificates and keys whose names hold variables.",
        &[],
    ),
    at_default(
        "ssl_certificate_compression",
        HTTP | SERVER,
        FLAG,
        "Sends compressed certificates to TLS 1.3 clients.",
        &[],
    )
    .forms(&[Flag]),
    at_default("ssl_password_file", HTTP | SERVER, N1, "File of passphrases for private keys.", &[]),
    at_default("ssl_dhparam", HTTP | SERVER, N1, "Parameters for DHE ciphers.", &[]),
    at_default("ssl_ecdh_curve", HTTP | SERVER, N1, "Curves for ECDHE ciphers.", &[]),
    at_default("ssl_protocols", HTTP | SERVER, MORE1, "TLS versions offered to clients.", &[])
        .forms(&[Word(TLS_VERSIONS)])
        .repeatable(),
    at_default("ssl_ciphers", HTTP | SERVER, N1, "Ciphers offered to clients, as an OpenSSL list.", &[]),
    at_default(
        "ssl_prefer_server_ciphers",
        HTTP | SERVER,
        FLAG,
        "Ranks ciphers by the server's list rather than by the client's.",
        &[],
    )
    .forms(&[Flag]),
    at_default("ssl_conf_command", HTTP | SERVER, N2, "Sets an OpenSSL option by name.", &[]).repeatable(),
    at_default("ssl_buffer_size", HTTP | SERVER, N1, "Size of the records in which data is encrypted, in bytes.", &[]),
    at_default("ssl_session_cache", HTTP | SERVER, N12, "Kind and size of the cache of TLS sessions.", &[])
        .repeatable(),
    at_default("ssl_session_tickets", HTTP | SERVER, FLAG, "Resumes TLS sessions by tickets.", &[]).forms(&[Flag]),
    at_default("ssl_session_ticket_key", HTTP | SERVER, N1, "File of keys that seal session tickets.", &[])
        .repeatable(),
    at_default("ssl_session_timeout", HTTP | SERVER, N1, "Time within which a TLS session may be resumed.", &[]),
    at_default("ssl_early_data", HTTP | SERVER, FLAG, "Accepts TLS 1.3 early data.", &[]).forms(&[Flag]),
    at_default("ssl_reject_handshake", HTTP | SERVER, FLAG, "Refuses every TLS handshake in the server.", &["off"]),
    at_default("ssl_ech_file", HTTP | SERVER, N1, "Key file for Encrypted ClientHello.", &[]).repeatable(),
    at_default("ssl_verify_client", HTTP | SERVER, N1, "Whether clients have to show a certificate.", &["off"]),
    at_default("ssl_verify_depth", HTTP | SERVER, N1, "Longest certificate chain accepted from a client.", &[]),
    at_default(
        "ssl_client_certificate",
        HTTP | SERVER,
        N1,
        "Certificate authorities for client certificates, named to clients.",
        &[],
    ),
    at_default(
        "ssl_trusted_certificate",
        HTTP | SERVER,
        N1,
        "Certificate authorities for client certificates and OCSP, not named to clients.",
        &[],
    ),
    at_default("ssl_crl", HTTP | SERVER, N1, "Revoked client certificates, in PEM.", &[]),
    at_default("ssl_ocsp", HTTP | SERVER, N1, "Checks client certificates by OCSP.", &[]),
    at_default(
        "ssl_ocsp_responder",
        HTTP | SERVER,
        N1,
        "Overrides the address of the OCSP responder for client certificates.",
        &[],
    ),
    at_default("ssl_ocsp_cache", HTTP | SERVER, N1, "Shared cache of OCSP answers about client certificates.", &[]),
    at_default("ssl_stapling", HTTP | SERVER, FLAG, "Staples an OCSP answer to the handshake.", &[]).forms(&[Flag]),
    at_default("ssl_stapling_file", HTTP | SERVER, N1, "Takes the stapled OCSP answer from a file.", &[]),
    at_default(
        "ssl_stapling_responder",
        HTTP | SERVER,
        N1,
        "Overrides the address of the OCSP responder for stapling.",
        &[],
    ),
    at_default("ssl_stapling_verify", HTTP | SERVER, FLAG, "Checks OCSP answers before they are stapled.", &[])
        .forms(&[Flag]),
    at_default(
        "ssl_key_log",
        HTTP | SERVER,
        N1,
        "File that receives the session keys of TLS connections (NGINX Plus).",
        &[],
    ),
    // ngx_http_ssl_module.c, Tengine's additions
    at_default(
        "ssl_async",
        HTTP | SERVER,
        FLAG,
        "Runs TLS work through OpenSSL's asynchronous engines (Tengine).",
        &[],
    )
    .forms(&[Flag]),
    at_default(
        "ssl_verify_client_exception",
        LOCATION,
        N1,
        "Exempts a location from the demand for a client certificate (Tengine).",
        &[],
    ),
    at_default(
        "enable_ntls",
        HTTP | SERVER,
        FLAG,
        "Accepts NTLS, the handshake of GB/T 38636 with two certificates (Tengine).",
        &[],
    )
    .forms(&[Flag]),
    refused("ssl_enc_certificate", HTTP | SERVER, N1, "Encryption certificate of an NTLS server (Tengine)."),
    refused("ssl_enc_certificate_key", HTTP | SERVER, N1, "Private key of the NTLS encryption certificate (Tengine)."),
    refused("ssl_sign_certificate", HTTP | SERVER, N1, "Signing certificate of an NTLS server (Tengine)."),
    refused("ssl_sign_certificate_key", HTTP | SERVER, N1, "Private key of the NTLS signing certificate (Tengine)."),
    // nginx-acme
    refused("acme_issuer", HTTP, N1.block(), "Block that describes an ACME certificate authority (nginx-acme)."),
    at_default("acme_shared_zone", HTTP, N1, "Shared zone for ACME certificates and orders (nginx-acme).", &[])
        .repeatable(),
    refused("acme_certificate", SERVER, MORE1, "Obtains the server's certificate from an ACME authority (nginx-acme)."),
];
