//! Rows of the `mail` modules (IMAP, POP3, SMTP); the block itself is refused.

use limpet_kernel::directive::prelude::*;

use crate::reading::Directive;

pub(crate) const ROWS: &[Directive] = &[
    // ngx_mail.c
    refused("mail", MAIN, N0.block(), "Block for proxying mail protocols."),
    // ngx_mail_core_module.c
    refused("server", MAIL, N0.block(), "Block of one mail server."),
    refused("listen", MAIL_SERVER, MORE1, "Address and port on which a mail server listens."),
    refused("protocol", MAIL_SERVER, N1, "Mail protocol of a server: `imap`, `pop3` or `smtp`."),
    refused("server_name", MAIL | MAIL_SERVER, N1, "Name under which a mail server greets and answers."),
    refused("timeout", MAIL | MAIL_SERVER, N1, "Longest silence of a client before its session is proxied."),
    refused("error_log", MAIL | MAIL_SERVER, MORE1, "File and severity of the error log."),
    refused("resolver", MAIL | MAIL_SERVER, MORE1, "DNS servers that find the host names of SMTP clients."),
    refused("resolver_timeout", MAIL | MAIL_SERVER, N1, "Longest time spent on one DNS lookup."),
    refused("max_errors", MAIL | MAIL_SERVER, N1, "Protocol errors after which a connection is closed."),
    // ngx_mail_auth_http_module.c
    refused("auth_http", MAIL | MAIL_SERVER, N1, "URL of the server that checks logins and names the backend."),
    refused("auth_http_header", MAIL | MAIL_SERVER, N2, "Header field added to requests to the login server."),
    refused(
        "auth_http_pass_client_cert",
        MAIL | MAIL_SERVER,
        FLAG,
        "Sends the client certificate to the login server.",
    ),
    refused("auth_http_timeout", MAIL | MAIL_SERVER, N1, "Longest wait for the login server."),
    // ngx_mail_proxy_module.c
    refused("proxy", MAIL | MAIL_SERVER, FLAG, "Switches mail proxying on or off."),
    no_effect(
        "proxy_buffer",
        MAIL | MAIL_SERVER,
        N1,
        "Buffer for each direction of a mail session, in bytes.",
        &[Size],
    ),
    refused("proxy_timeout", MAIL | MAIL_SERVER, N1, "Longest silence between two reads or writes on either side."),
    refused(
        "proxy_pass_error_message",
        MAIL | MAIL_SERVER,
        FLAG,
        "Shows a client the backend's reason for a failed login.",
    ),
    refused("proxy_protocol", MAIL | MAIL_SERVER, FLAG, "Sends a PROXY protocol header to backends."),
    refused(
        "proxy_smtp_auth",
        MAIL | MAIL_SERVER,
        FLAG,
        "Logs in at SMTP backends with the client's name and password.",
    ),
    refused("xclient", MAIL | MAIL_SERVER, FLAG, "Tells SMTP backends about the client with XCLIENT."),
    // ngx_mail_realip_module.c
    refused(
        "set_real_ip_from",
        MAIL | MAIL_SERVER,
        N1,
        "Address or network whose PROXY protocol header names the real client address.",
    ),
    // ngx_mail_imap_module.c
    refused("imap_auth", MAIL | MAIL_SERVER, MORE1, "Login methods offered to IMAP clients."),
    refused("imap_capabilities", MAIL | MAIL_SERVER, MORE1, "Extensions named to IMAP clients."),
    refused(
        "imap_client_buffer",
        MAIL | MAIL_SERVER,
        N1,
        "Buffer for IMAP commands, in bytes; longer ones are errors.",
    ),
    // ngx_mail_pop3_module.c
    refused("pop3_auth", MAIL | MAIL_SERVER, MORE1, "Login methods offered to POP3 clients."),
    refused("pop3_capabilities", MAIL | MAIL_SERVER, MORE1, "Extensions named to POP3 clients."),
    // ngx_mail_smtp_module.c
    refused("smtp_auth", MAIL | MAIL_SERVER, MORE1, "Login methods offered to SMTP clients."),
    refused("smtp_capabilities", MAIL | MAIL_SERVER, MORE1, "Extensions named to SMTP clients."),
    refused(
        "smtp_client_buffer",
        MAIL | MAIL_SERVER,
        N1,
        "Buffer for SMTP commands, in bytes; longer ones are errors.",
    ),
    refused(
        "smtp_greeting_delay",
        MAIL | MAIL_SERVER,
        N1,
        "Pause before the greeting, during which a client must stay silent.",
    ),
    // ngx_mail_ssl_module.c
    refused("starttls", MAIL | MAIL_SERVER, N1, "Whether STARTTLS is off, offered or demanded."),
    refused("ssl_certificate", MAIL | MAIL_SERVER, N1, "Certificate chain of a server, in PEM."),
    refused("ssl_certificate_key", MAIL | MAIL_SERVER, N1, "Private key of a server, in PEM."),
    refused(
        "ssl_certificate_compression",
        MAIL | MAIL_SERVER,
        FLAG,
        "Sends compressed certificates to TLS 1.3 clients.",
    ),
    refused("ssl_password_file", MAIL | MAIL_SERVER, N1, "File of passphrases for private keys."),
    refused("ssl_dhparam", MAIL | MAIL_SERVER, N1, "Parameters for DHE ciphers."),
    refused("ssl_ecdh_curve", MAIL | MAIL_SERVER, N1, "Curves for ECDHE ciphers."),
    refused("ssl_protocols", MAIL | MAIL_SERVER, MORE1, "TLS versions offered to clients."),
    refused("ssl_ciphers", MAIL | MAIL_SERVER, N1, "Ciphers offered to clients, as an OpenSSL list."),
    refused(
        "ssl_prefer_server_ciphers",
        MAIL | MAIL_SERVER,
        FLAG,
        "Ranks ciphers by the server's list rather than by the client's.",
    ),
    refused("ssl_conf_command", MAIL | MAIL_SERVER, N2, "Sets an OpenSSL option by name."),
    refused("ssl_session_cache", MAIL | MAIL_SERVER, N12, "Kind and size of the cache of TLS sessions."),
    refused("ssl_session_tickets", MAIL | MAIL_SERVER, FLAG, "Resumes TLS sessions by tickets."),
    refused("ssl_session_ticket_key", MAIL | MAIL_SERVER, N1, "File of keys that seal session tickets."),
    refused("ssl_session_timeout", MAIL | MAIL_SERVER, N1, "Time within which a TLS session may be resumed."),
    refused("ssl_verify_client", MAIL | MAIL_SERVER, N1, "Whether clients have to show a certificate."),
    refused("ssl_verify_depth", MAIL | MAIL_SERVER, N1, "Longest certificate chain accepted from a client."),
    refused(
        "ssl_client_certificate",
        MAIL | MAIL_SERVER,
        N1,
        "Certificate authorities for client certificates, named to clients.",
    ),
    refused(
        "ssl_trusted_certificate",
        MAIL | MAIL_SERVER,
        N1,
        "Certificate authorities for client certificates, not named to clients.",
    ),
    refused("ssl_crl", MAIL | MAIL_SERVER, N1, "Revoked client certificates, in PEM."),
];
