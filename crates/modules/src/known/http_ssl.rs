//! Rows of `ngx_http_ssl_module`, Tengine's NTLS additions to it, and automatic certificates.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_http_ssl_module.c
    at_default(
        "ssl_certificate_compression",
        HTTP | SERVER,
        FLAG,
        "Sends compressed certificates to TLS 1.3 clients.",
        &[],
    )
    .forms(&[Flag]),
    at_default("ssl_ech_file", HTTP | SERVER, N1, "Key file for Encrypted ClientHello.", &[]).repeatable(),
    at_default("ssl_ocsp", HTTP | SERVER, N1, "Checks client certificates by OCSP.", &[]),
    at_default(
        "ssl_ocsp_responder",
        HTTP | SERVER,
        N1,
        "Overrides the address of the OCSP responder for client certificates.",
        &[],
    ),
    at_default("ssl_ocsp_cache", HTTP | SERVER, N1, "Shared cache of OCSP answers about client certificates.", &[]),
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
