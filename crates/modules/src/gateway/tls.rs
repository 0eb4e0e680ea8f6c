//! TLS towards servers: `proxy_ssl_…` and `grpc_ssl_…`.

use std::sync::Arc;

use limpet_http::pass::{PassTls, TlsName, host_of};
use limpet_tls::client::ClientSettings;
use limpet_tls::{Credentials, Protocols, Trust};

use crate::site::{BuildError, Site};
use crate::ssl::{Told, given};

/// What blocks inherit of such a module.
pub type Settings = Told<values::Settings>;

mod values {
    use std::path::PathBuf;
    use std::sync::Arc;

    use limpet_text::Template;
    use limpet_tls::Protocols;

    limpet_kernel::settings! {
        certificate: String,
        certificate_key: String,
        password_file: PathBuf,
        protocols: Protocols,
        ciphers: String,
        commands: Arc<Vec<(String, String)>>,
        name: Template,
        server_name: bool,
        verify: bool,
        depth: u64,
        trusted_certificate: PathBuf,
        crl: PathBuf,
        session_reuse: bool,
    }
}

/// What the connections to servers are encrypted with.
///
/// # Errors
/// What can't be put to work, in nginx's words. `prefix`: what the names of the directives begin with.
pub(crate) fn pass(
    settings: &Settings,
    prefix: &str,
    site: &Site<'_>,
    host: &str,
    speaks_http2: bool,
) -> Result<PassTls, BuildError> {
    let Settings { values, said } = settings;
    let wrong = |directive, message: String| Err(said.error(prefix, &limpet_tls::Error { message, directive }));
    let certificate = values.certificate.clone().filter(|name| !name.is_empty());
    if let (Some(certificate), None) = (&certificate, &values.certificate_key) {
        let message = format!("no \"{prefix}certificate_key\" is defined for certificate \"{certificate}\"");
        return wrong("certificate", message);
    }
    let (verify, trusted) = (values.verify.unwrap_or(false), given(&values.trusted_certificate));
    if verify && trusted.is_none() {
        return wrong("verify", format!("no {prefix}trusted_certificate for {prefix}verify"));
    }
    let pair = certificate.zip(values.certificate_key.clone());
    let written = ClientSettings {
        common: limpet_tls::Settings {
            credentials: pair.into_iter().map(|(certificate, key)| Credentials { certificate, key }).collect(),
            password_file: given(&values.password_file),
            protocols: values.protocols.unwrap_or(Protocols::DEFAULT),
            ciphers: values.ciphers.clone().unwrap_or_else(|| "DEFAULT".to_owned()),
            commands: values.commands.as_deref().cloned().unwrap_or_default(),
            prefix: site.environment.conf_prefix.clone(),
        },
        verify,
        // As in nginx, files that are not needed are not opened.
        trust: Trust {
            named: None,
            trusted: trusted.filter(|_| verify),
            crl: given(&values.crl).filter(|_| verify),
            depth: u32::try_from(values.depth.unwrap_or(1)).unwrap_or(u32::MAX),
        },
        speaks_http2,
        reuses_sessions: values.session_reuse.unwrap_or(true),
    };
    Ok(PassTls {
        client: site.client(&written).map_err(|error| said.error(prefix, &error))?,
        name: match &values.name {
            Some(template) => TlsName::Text(site.compile(template)),
            None => TlsName::Fixed(Arc::from(host_of(host))),
        },
        tells: values.server_name.unwrap_or(false),
    })
}

/// The rows that fill [`Settings`]: what their names begin with, and where the settings of the module stand.
macro_rules! rows {
    ($prefix:literal, $settings:ident) => {{
        use limpet_kernel::directive::prelude::{FLAG, HTTP, LOCATION, MORE1, N1, N2, SERVER, works};
        use limpet_kernel::setters::{append, arg, flag, number};
        use limpet_syntax as syntax;
        use $crate::gateway::tls::Settings;
        use $crate::reading::{Blocks, Builder};
        use $crate::ssl::words;

        /// What is said here is remembered with its place.
        fn own<'b>(builder: &'b mut Builder<'_>, directive: &syntax::Directive) -> &'b mut Settings {
            let place = builder.place(directive);
            let settings = &mut builder.settings().$settings;
            settings.said.add(&directive.name.text(), place);
            settings
        }

        macro_rules! say {
            ($setting:ident, $value:path) => {
                |builder, directive| {
                    let value = $value(directive)?;
                    own(builder, directive).values.$setting = Some(value);
                    Ok(())
                }
            };
        }

        const ANY: u32 = HTTP | SERVER | LOCATION;
        &[
            works(concat!($prefix, "_certificate"), ANY, N1, "The certificate that backends are shown.", say!(certificate, words::file)),
            works(concat!($prefix, "_certificate_key"), ANY, N1, "Its key.", say!(certificate_key, words::file)),
            works(concat!($prefix, "_password_file"), ANY, N1, "Passphrases for the key, one a line.", say!(password_file, words::path)),
            works(concat!($prefix, "_protocols"), ANY, MORE1, "The versions that are spoken. Default: TLSv1.2 TLSv1.3.", |builder, directive| {
                    let before = own(builder, directive).values.protocols;
                    let protocols = words::versions(builder, directive, before)?;
                    own(builder, directive).values.protocols = Some(protocols);
                    Ok(())
                })
                .repeatable(),
            works(
                concat!($prefix, "_ciphers"),
                ANY,
                N1,
                "The ciphers of versions up to 1.2, in OpenSSL's language. Default: DEFAULT.",
                say!(ciphers, words::word),
            ),
            works(concat!($prefix, "_conf_command"), ANY, N2, "A command of OpenSSL's own configuration.", |builder, directive| {
                    let pair = words::pair(directive)?;
                    append(&mut own(builder, directive).values.commands, pair);
                    Ok(())
                }).repeatable(),
            works(
                concat!($prefix, "_name"),
                ANY,
                N1,
                "The name that a backend's certificate must be for, and that it is told. Default: the host of the upstream.",
                |builder, directive| {
                    let template = builder.template(arg(directive, 0)?)?;
                    own(builder, directive).values.name = Some(template);
                    Ok(())
                },
            ),
            works(
                concat!($prefix, "_server_name"),
                ANY,
                FLAG,
                "Whether a backend is told the name (SNI). Default: off.",
                say!(server_name, flag),
            ),
            works(
                concat!($prefix, "_verify"),
                ANY,
                FLAG,
                "Whether a backend's certificate is checked. Default: off.",
                say!(verify, flag),
            ),
            works(
                concat!($prefix, "_verify_depth"),
                ANY,
                N1,
                "The longest chain of a backend's certificate. Default: 1.",
                say!(depth, number),
            ),
            works(
                concat!($prefix, "_trusted_certificate"),
                ANY,
                N1,
                "The authorities that backends' certificates are from.",
                say!(trusted_certificate, words::path),
            ),
            works(concat!($prefix, "_crl"), ANY, N1, "Certificates that count no more.", say!(crl, words::path)),
            works(
                concat!($prefix, "_session_reuse"),
                ANY,
                FLAG,
                "Whether sessions with a backend are resumed. Default: on.",
                say!(session_reuse, flag),
            ),
        ]
    }};
}
pub(crate) use rows;
