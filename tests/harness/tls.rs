//! TLS for tests: certificates of their own, and clients that speak it.

use std::collections::HashSet;
use std::net::TcpStream;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

/// A certificate and its key.
pub struct Identity {
    pub certificate: X509,
    pub key: PKey<Private>,
}

impl Identity {
    /// One that has signed itself, for the names, with a key on P-256.
    pub fn own(names: &[&str]) -> Identity {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a curve");
        let key = PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key");
        Identity::made(names, key, None)
    }

    /// The same with an RSA key.
    pub fn rsa(names: &[&str]) -> Identity {
        let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
        Identity::made(names, key, None)
    }

    /// One that this one has signed.
    pub fn signs(&self, names: &[&str]) -> Identity {
        let key = Identity::own(&[]).key;
        Identity::made(names, key, Some(self))
    }

    fn made(names: &[&str], key: PKey<Private>, by: Option<&Identity>) -> Identity {
        let mut subject = X509NameBuilder::new().expect("a name");
        subject.append_entry_by_text("CN", names.first().unwrap_or(&"nobody")).expect("a name");
        let subject = subject.build();
        let mut builder = X509::builder().expect("a certificate");
        builder.set_version(2).expect("a version");
        let mut serial = BigNum::new().expect("a number");
        serial.rand(63, openssl::bn::MsbOption::MAYBE_ZERO, false).expect("a number");
        builder.set_serial_number(&serial.to_asn1_integer().expect("a number")).expect("a number");
        builder.set_subject_name(&subject).expect("a name");
        builder.set_issuer_name(by.map_or(&subject, |by| by.certificate.subject_name())).expect("a name");
        builder.set_pubkey(&key).expect("a key");
        builder.set_not_before(&Asn1Time::days_from_now(0).expect("a time")).expect("a time");
        builder.set_not_after(&Asn1Time::days_from_now(30).expect("a time")).expect("a time");
        if by.is_none() {
            builder
                .append_extension(BasicConstraints::new().ca().build().expect("an extension"))
                .expect("an extension");
        }
        if !names.is_empty() {
            let mut others = SubjectAlternativeName::new();
            names.iter().for_each(|name| {
                others.dns(name);
            });
            let others = others.build(&builder.x509v3_context(None, None)).expect("an extension");
            builder.append_extension(others).expect("an extension");
        }
        builder.sign(by.map_or(&key, |by| &by.key), MessageDigest::sha256()).expect("signed");
        Identity { certificate: builder.build(), key }
    }

    /// Writes both as `NAME.crt` and `NAME.key`.
    pub fn write(&self, folder: &Path, name: &str) {
        let (certificate, key) =
            (self.certificate.to_pem().expect("PEM"), self.key.private_key_to_pem_pkcs8().expect("PEM"));
        std::fs::write(folder.join(format!("{name}.crt")), certificate).expect("written");
        std::fs::write(folder.join(format!("{name}.key")), key).expect("written");
    }
}

/// A client that believes everybody.
pub fn connector() -> openssl::ssl::SslConnectorBuilder {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).expect("a client");
    connector.set_verify(SslVerifyMode::NONE);
    connector
}

/// The ports on which limpet speaks TLS in this run of tests.
static SECURE: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// Whether the test stands in `over_tls`, where every address of limpet's is for TLS.
fn is_over_tls() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("over_tls::"))
}

/// What clients of limpet speak in this test: `http`, or `https`.
pub fn scheme() -> &'static str {
    if is_over_tls() { "https" } else { "http" }
}

/// A configuration in which every address is for TLS, for a test in `over_tls`.
pub(crate) fn secured(configuration: &str, folder: &Path) -> String {
    if !is_over_tls() {
        return configuration.to_owned();
    }
    static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::own(&["localhost"]));
    IDENTITY.write(folder, "tests");
    let mut parts = configuration.split("listen 127.0.0.1:");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([';', ' ']).expect("the end of an address");
        let (port, rest) = part.split_at(end);
        if let (Ok(port), Ok(mut secure)) = (port.parse(), SECURE.lock()) {
            secure.insert(port);
        }
        text.push_str(&format!("listen 127.0.0.1:{port} ssl{rest}"));
    }
    let certificate = "ssl_certificate tests.crt; ssl_certificate_key tests.key;";
    text.replacen("http {", &format!("http {{ {certificate}"), 1)
}

/// TLS on a connection to a port, if it is for that.
pub(crate) fn secure(port: u16, stream: &TcpStream) -> Option<SslStream<TcpStream>> {
    if !SECURE.lock().is_ok_and(|secure| secure.contains(&port)) {
        return None;
    }
    static CONNECTOR: LazyLock<SslConnector> = LazyLock::new(|| connector().build());
    let stream = stream.try_clone().expect("a second handle");
    CONNECTOR.connect("localhost", stream).ok()
}
