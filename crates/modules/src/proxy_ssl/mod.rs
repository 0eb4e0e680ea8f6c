//! `proxy_ssl_…`: TLS towards backends.

use std::sync::Arc;

use limpet_http::pass::{PassTls, TlsName, host_of};
use limpet_kernel::builder::Fault;
use limpet_kernel::directive::prelude::{FLAG, HTTP, LOCATION, MORE1, N1, N2, SERVER, works};
use limpet_kernel::setters::{append, arg, flag, number};
use limpet_syntax as syntax;
use limpet_tls::client::ClientSettings;
use limpet_tls::{Credentials, Protocols, Trust};

use crate::module::Module;
use crate::reading::{Blocks, Builder, Directive};
use crate::site::{BuildError, Site};
use crate::ssl::{Told, given, words};

/// The part of nginx's `ngx_http_proxy_module` that is about TLS.
pub(crate) struct ProxySsl;

impl Module for ProxySsl {
    const TITLE: &'static str = "Proxy: TLS";
    const ROWS: &'static [Directive] = ROWS;
    type Settings = Settings;
    type Main = ();
}

/// What blocks inherit of this module.
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

/// What the connections of a `proxy_pass https://…` are encrypted with.
pub(crate) fn pass(settings: &Settings, site: &Site<'_>, host: &str) -> Result<PassTls, BuildError> {
    let Settings { values, said } = settings;
    let wrong = |directive, message: String| Err(said.error("proxy_ssl_", &limpet_tls::Error { message, directive }));
    let certificate = values.certificate.clone().filter(|name| !name.is_empty());
    if let (Some(certificate), None) = (&certificate, &values.certificate_key) {
        let message = format!("no \"proxy_ssl_certificate_key\" is defined for certificate \"{certificate}\"");
        return wrong("certificate", message);
    }
    let (verify, trusted) = (values.verify.unwrap_or(false), given(&values.trusted_certificate));
    if verify && trusted.is_none() {
        return wrong("verify", "no proxy_ssl_trusted_certificate for proxy_ssl_verify".to_owned());
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
        reuses_sessions: values.session_reuse.unwrap_or(true),
    };
    Ok(PassTls {
        client: site.client(&written).map_err(|error| said.error("proxy_ssl_", &error))?,
        name: match &values.name {
            Some(template) => TlsName::Text(site.compile(template)),
            None => TlsName::Fixed(Arc::from(host_of(host))),
        },
        tells: values.server_name.unwrap_or(false),
    })
}

/// The function of a row that does no more than to set a value, and to remember where.
macro_rules! say {
    ($setting:ident, $value:path) => {
        |builder, directive| {
            let value = $value(directive)?;
            settings(builder, directive).values.$setting = Some(value);
            Ok(())
        }
    };
}

const ANY: u32 = HTTP | SERVER | LOCATION;

const ROWS: &[Directive] = &[
    works("proxy_ssl_certificate", ANY, N1, "The certificate that backends are shown.", say!(certificate, words::file)),
    works("proxy_ssl_certificate_key", ANY, N1, "Its key.", say!(certificate_key, words::file)),
    works("proxy_ssl_password_file", ANY, N1, "Passphrases for the key, one a line.", say!(password_file, words::path)),
    works("proxy_ssl_protocols", ANY, MORE1, "The versions that are spoken. Default: TLSv1.2 TLSv1.3.", protocols)
        .repeatable(),
    works(
        "proxy_ssl_ciphers",
        ANY,
        N1,
        "The ciphers of versions up to 1.2, in OpenSSL's language. Default: DEFAULT.",
        say!(ciphers, words::word),
    ),
    works("proxy_ssl_conf_command", ANY, N2, "A command of OpenSSL's own configuration.", command).repeatable(),
    works(
        "proxy_ssl_name",
        ANY,
        N1,
        "The name that a backend's certificate must be for, and that it is told. Default: $proxy_host.",
        name,
    ),
    works(
        "proxy_ssl_server_name",
        ANY,
        FLAG,
        "Whether a backend is told the name (SNI). Default: off.",
        say!(server_name, flag),
    ),
    works(
        "proxy_ssl_verify",
        ANY,
        FLAG,
        "Whether a backend's certificate is checked. Default: off.",
        say!(verify, flag),
    ),
    works(
        "proxy_ssl_verify_depth",
        ANY,
        N1,
        "The longest chain of a backend's certificate. Default: 1.",
        say!(depth, number),
    ),
    works(
        "proxy_ssl_trusted_certificate",
        ANY,
        N1,
        "The authorities that backends' certificates are from.",
        say!(trusted_certificate, words::path),
    ),
    works("proxy_ssl_crl", ANY, N1, "Certificates that count no more.", say!(crl, words::path)),
    works(
        "proxy_ssl_session_reuse",
        ANY,
        FLAG,
        "Whether sessions with a backend are resumed. Default: on.",
        say!(session_reuse, flag),
    ),
];

fn settings<'b>(builder: &'b mut Builder<'_>, directive: &syntax::Directive) -> &'b mut Settings {
    let place = builder.place(directive);
    let settings = &mut builder.settings().proxy_ssl;
    settings.said.add(&directive.name.text(), place);
    settings
}

fn protocols(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let settings = settings(builder, directive);
    settings.values.protocols = Some(words::versions(directive, settings.values.protocols)?);
    Ok(())
}

fn command(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let pair = words::pair(directive)?;
    append(&mut settings(builder, directive).values.commands, pair);
    Ok(())
}

fn name(builder: &mut Builder<'_>, directive: &syntax::Directive) -> Result<(), Fault> {
    let template = builder.template(arg(directive, 0)?)?;
    settings(builder, directive).values.name = Some(template);
    Ok(())
}
