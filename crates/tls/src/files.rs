//! Certificates, keys and what else comes from files, with nginx's words for what is wrong with them.

use std::io;
use std::path::Path;

use openssl::dh::Dh;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Params, Private};
use openssl::ssl::{SslContextBuilder, SslOptions};
use openssl::x509::X509;

use crate::settings::{Credentials, Settings};
use crate::{Error, In, errors, failed, ffi, not_opened, system_text};

/// What is written in the place of a file's name where the contents follow.
const DATA: &str = "data:";

/// A certificate with its chain, and the file that it is from.
pub(crate) type Chain = (String, Vec<X509>);

/// OpenSSL's words for a file without a certificate.
const NO_START: &str = "error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE";

/// Gives a context its certificates and keys, commands, versions and ciphers.
pub(crate) fn apply(context: &mut SslContextBuilder, settings: &Settings) -> Result<Vec<Chain>, Error> {
    let passwords = passphrases(settings)?;
    let mut chains = Vec::new();
    for credentials in &settings.credentials {
        chains.push(use_certificate(context, credentials, &settings.prefix, &passwords)?);
    }
    let unless = |name: &str, option| (!settings.protocols.has(name)).then_some(option);
    context.set_min_proto_version(None).map_err(|stack| failed("SSL_CTX_set_min_proto_version(0)", &stack))?;
    context.set_max_proto_version(None).map_err(|stack| failed("SSL_CTX_set_max_proto_version(0)", &stack))?;
    let options = [
        unless("SSLv3", SslOptions::NO_SSLV3),
        unless("TLSv1", SslOptions::NO_TLSV1),
        unless("TLSv1.1", SslOptions::NO_TLSV1_1),
        unless("TLSv1.2", SslOptions::NO_TLSV1_2),
        unless("TLSv1.3", SslOptions::NO_TLSV1_3),
    ];
    for option in options.into_iter().flatten() {
        context.set_options(option);
    }
    let call = || format!("SSL_CTX_set_cipher_list(\"{}\")", settings.ciphers);
    context.set_cipher_list(&settings.ciphers).map_err(|stack| failed(call(), &stack)).within("ciphers")?;
    Ok(chains)
}

/// OpenSSL's own commands, which come last: they may change what all others say.
pub(crate) fn commands(
    context: &mut SslContextBuilder,
    commands: &[(String, String)],
    prefix: &Path,
) -> Result<(), Error> {
    if commands.is_empty() {
        return Ok(());
    }
    let whole: Vec<(String, String)> =
        commands.iter().map(|(name, value)| (name.clone(), file_of(name, value, prefix))).collect();
    let configured = ffi::configure(context, &whole).map_err(|(command, stack)| match command {
        Some((name, value)) => failed(format!("SSL_CONF_cmd(\"{name}\", \"{value}\")"), &stack),
        None => failed("SSL_CONF_finish()", &stack),
    });
    configured.within("conf_command")
}

/// What a command says; the name of a file begins at the folder of the main file.
fn file_of(name: &str, value: &str, prefix: &Path) -> String {
    let files =
        ["Certificate", "PrivateKey", "DHParameters", "ServerInfoFile", "ClientCAFile", "ChainCAFile", "VerifyCAFile"];
    match files.iter().any(|file| file.eq_ignore_ascii_case(name)) {
        true => prefix.join(value).to_string_lossy().into_owned(),
        false => value.to_owned(),
    }
}

/// What reading a file comes to, as OpenSSL would say it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        let code = error.raw_os_error().unwrap_or_default();
        let text = system_text(code);
        let then = match error.kind() {
            io::ErrorKind::NotFound => "error:10000080:BIO routines::no such file",
            _ => "error:10080002:BIO routines::system lib",
        };
        let path = path.display();
        let first =
            format!("error:{:08X}:system library::{text}:calling fopen({path}, r)", 0x8000_0000_u32 | code as u32);
        format!("BIO_new_file() failed (SSL: {first} {then})")
    })
}

/// The contents of a file, or those that stand in its place, and its name in messages.
fn contents(written: &str, prefix: &Path) -> (String, Result<Vec<u8>, String>) {
    match written.strip_prefix(DATA) {
        Some(data) => (written.to_owned(), Ok(data.as_bytes().to_vec())),
        None => {
            let path = prefix.join(written);
            (path.display().to_string(), read(&path))
        }
    }
}

/// Certificates in PEM, also those with OpenSSL's own remarks about trust behind them, which don't count here.
fn certificates(pem: &[u8]) -> Result<Vec<X509>, ErrorStack> {
    const TRUSTED: &str = "-----BEGIN TRUSTED CERTIFICATE-----";
    let text = String::from_utf8_lossy(pem);
    if !text.contains(TRUSTED) {
        return X509::stack_from_pem(pem);
    }
    let mut all = Vec::new();
    for block in text.split_inclusive("-----END ") {
        if let Some((_, encoded)) = block.split_once(TRUSTED) {
            let encoded: String = encoded.chars().take_while(|c| *c != '-').filter(|c| !c.is_whitespace()).collect();
            all.push(X509::from_der(&openssl::base64::decode_block(&encoded)?)?);
        } else if let Some(at) = block.find("-----BEGIN CERTIFICATE-----") {
            let whole = format!("{}CERTIFICATE-----\n", block.get(at..).unwrap_or_default());
            all.push(X509::from_pem(whole.as_bytes())?);
        }
    }
    Ok(all)
}

/// Reads a certificate with its chain.
pub(crate) fn chain(written: &str, prefix: &Path) -> Result<Chain, Error> {
    let (name, pem) = contents(written, prefix);
    let cannot = |reason: String| Error::new(format!("cannot load certificate \"{name}\": {reason}"));
    let chain = pem.map_err(cannot).within("certificate")?;
    let chain = certificates(&chain)
        .map_err(|stack| cannot(format!("PEM_read_bio_X509_AUX() failed{}", errors(&stack))))
        .within("certificate")?;
    if chain.is_empty() {
        return Err(cannot(format!("PEM_read_bio_X509_AUX() failed (SSL: {NO_START})"))).within("certificate");
    }
    Ok((name, chain))
}

fn use_certificate(
    context: &mut SslContextBuilder,
    credentials: &Credentials,
    prefix: &Path,
    passwords: &[Vec<u8>],
) -> Result<Chain, Error> {
    let (name, chain) = chain(&credentials.certificate, prefix)?;
    let Some((leaf, rest)) = chain.split_first() else { return Ok((name, chain)) };
    context
        .set_certificate(leaf)
        .map_err(|stack| failed(format!("SSL_CTX_use_certificate(\"{name}\")"), &stack))
        .within("certificate")?;
    for certificate in rest {
        ffi::add_chain_certificate(context, certificate)
            .map_err(|stack| failed(format!("SSL_CTX_set0_chain(\"{name}\")"), &stack))
            .within("certificate")?;
    }
    let (key_name, key) = key(&credentials.key, prefix, passwords).within("certificate_key")?;
    let used = context.set_private_key(&key);
    used.map_err(|stack| failed(format!("SSL_CTX_use_PrivateKey(\"{key_name}\")"), &stack))
        .within("certificate_key")?;
    Ok((name, chain))
}

/// Reads a key, and says its name.
pub(crate) fn key(written: &str, prefix: &Path, passwords: &[Vec<u8>]) -> Result<(String, PKey<Private>), Error> {
    let (name, pem) = contents(written, prefix);
    let cannot = |reason: String| Error::new(format!("cannot load certificate key \"{name}\": {reason}"));
    if written.starts_with("engine:") || written.starts_with("store:") {
        return Err(cannot("limpet reads keys from files only".into()));
    }
    let pem = pem.map_err(cannot)?;
    let mut result = PKey::private_key_from_pem_callback(&pem, |space| {
        let first = passwords.first().map(Vec::as_slice).unwrap_or_default();
        let count = first.len().min(space.len());
        space.iter_mut().zip(first).for_each(|(to, from)| *to = *from);
        Ok(count)
    });
    for password in passwords.iter().skip(1) {
        if result.is_ok() {
            break;
        }
        result = PKey::private_key_from_pem_passphrase(&pem, password);
    }
    let key = result.map_err(|stack| {
        let is_sealed = String::from_utf8_lossy(&pem).contains("ENCRYPTED");
        let remedy = match is_sealed && passwords.is_empty() {
            true => ", it is encrypted: a file with its passphrase is named by \"…_password_file\"",
            false => "",
        };
        cannot(format!("PEM_read_bio_PrivateKey() failed{}{remedy}", errors(&stack)))
    })?;
    Ok((name, key))
}

/// The passphrases that a file names.
pub(crate) fn passphrases(settings: &Settings) -> Result<Vec<Vec<u8>>, Error> {
    match &settings.password_file {
        Some(file) => passwords(&settings.prefix.join(file)).within("password_file"),
        None => Ok(Vec::new()),
    }
}

/// The passphrases of a file, one a line.
fn passwords(path: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let text = std::fs::read(path).map_err(|error| not_opened(path, &error))?;
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec());
    Ok(lines.filter(|line| !line.is_empty()).collect())
}

/// Parameters for DHE.
pub(crate) fn dh_parameters(path: &Path) -> Result<Dh<Params>, Error> {
    let name = path.display();
    let pem = read(path)
        .map_err(|reason| Error::new(reason.replacen("BIO_new_file()", &format!("BIO_new_file(\"{name}\")"), 1)))?;
    Dh::params_from_pem(&pem).map_err(|stack| failed(format!("PEM_read_bio_DHparams(\"{name}\")"), &stack))
}

/// The certificates of a file of authorities.
pub(crate) fn authorities(path: &Path) -> Result<Vec<X509>, Error> {
    let name = path.display();
    let cannot = |reason: String| Error::new(format!("cannot load certificate \"{name}\": {reason}"));
    let pem = read(path).map_err(cannot)?;
    let found =
        certificates(&pem).map_err(|stack| cannot(format!("PEM_read_bio_X509_AUX() failed{}", errors(&stack))))?;
    if found.is_empty() {
        return Err(cannot(format!("PEM_read_bio_X509_AUX() failed (SSL: {NO_START})")));
    }
    Ok(found)
}
