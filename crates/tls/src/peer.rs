//! What is known of a connection: nginx's `$ssl_*`.

use std::fmt::Write;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::hash::MessageDigest;
use openssl::ssl::{NameType, SslRef};
use openssl::x509::{X509, X509VerifyResult};

use crate::ffi;

/// Nothing is wrong with a certificate, or there is none.
pub const VALID: X509VerifyResult = X509VerifyResult::OK;

/// Whether all that is wrong is that nobody here knows who has signed a certificate.
pub fn is_about_authorities(result: X509VerifyResult) -> bool {
    // DEPTH_ZERO_SELF_SIGNED_CERT, SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    // UNABLE_TO_VERIFY_LEAF_SIGNATURE, CERT_UNTRUSTED
    matches!(result.as_raw(), 18 | 19 | 20 | 21 | 27)
}

/// `$ssl_protocol`
pub fn protocol(ssl: &SslRef) -> Option<String> {
    Some(ssl.version_str().to_owned())
}

/// `$ssl_cipher`
pub fn cipher(ssl: &SslRef) -> Option<String> {
    Some(ssl.current_cipher()?.name().to_owned())
}

/// `$ssl_ciphers`: those that the client knows.
pub fn ciphers(ssl: &SslRef) -> Option<String> {
    Some(ffi::client_ciphers(ssl).join(":"))
}

/// `$ssl_curve`
pub fn curve(ssl: &SslRef) -> Option<String> {
    ffi::negotiated_group(ssl)
}

/// `$ssl_curves`: those that the client knows.
pub fn curves(ssl: &SslRef) -> Option<String> {
    Some(ffi::client_groups(ssl).join(":"))
}

/// `$ssl_early_data`: `1` as long as the handshake is not over, since until then a request may be another's copy.
pub fn early_data(ssl: &SslRef) -> Option<String> {
    (!ssl.is_init_finished()).then(|| "1".to_owned())
}

/// `$ssl_session_id`
pub fn session_id(ssl: &SslRef) -> Option<String> {
    let id = ssl.session()?.id();
    (!id.is_empty()).then(|| hexadecimal(id))
}

/// `$ssl_session_reused`: `r`, or `.`.
pub fn session_reused(ssl: &SslRef) -> Option<String> {
    Some(if ssl.session_reused() { "r" } else { "." }.to_owned())
}

/// `$ssl_server_name`: the name that the client has asked for.
pub fn server_name(ssl: &SslRef) -> Option<String> {
    let asked = crate::server::asked(ssl).or_else(|| ssl.servername(NameType::HOST_NAME));
    asked.map(str::to_owned)
}

/// `$ssl_alpn_protocol`
pub fn alpn_protocol(ssl: &SslRef) -> Option<String> {
    Some(String::from_utf8_lossy(ssl.selected_alpn_protocol()?).into_owned())
}

/// `$ssl_client_raw_cert`: the client's certificate in PEM.
pub fn raw_certificate(ssl: &SslRef) -> Option<String> {
    let pem = ssl.peer_certificate()?.to_pem().ok()?;
    Some(String::from_utf8_lossy(&pem).into_owned())
}

/// `$ssl_client_cert`: the same, with a tab before each line but the first.
pub fn certificate(ssl: &SslRef) -> Option<String> {
    Some(raw_certificate(ssl)?.trim_end().replace('\n', "\n\t"))
}

/// `$ssl_client_escaped_cert`: the same, as a URI has it.
pub fn escaped_certificate(ssl: &SslRef) -> Option<String> {
    let pem = ssl.peer_certificate()?.to_pem().ok()?;
    let mut escaped = String::with_capacity(pem.len() * 2);
    for byte in pem {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    Some(escaped)
}

/// `$ssl_client_s_dn`: whose certificate it is (RFC 2253).
pub fn subject(ssl: &SslRef) -> Option<String> {
    ffi::rfc2253(ssl.peer_certificate()?.subject_name())
}

/// `$ssl_client_i_dn`: who has signed it (RFC 2253).
pub fn issuer(ssl: &SslRef) -> Option<String> {
    ffi::rfc2253(ssl.peer_certificate()?.issuer_name())
}

/// `$ssl_client_s_dn_legacy`
pub fn subject_legacy(ssl: &SslRef) -> Option<String> {
    ffi::oneline(ssl.peer_certificate()?.subject_name())
}

/// `$ssl_client_i_dn_legacy`
pub fn issuer_legacy(ssl: &SslRef) -> Option<String> {
    ffi::oneline(ssl.peer_certificate()?.issuer_name())
}

/// `$ssl_client_serial`
pub fn serial(ssl: &SslRef) -> Option<String> {
    let number = ssl.peer_certificate()?.serial_number().to_bn().ok()?;
    let text = number.to_hex_str().ok()?.to_string();
    Some(if text == "0" { "00".to_owned() } else { text })
}

/// `$ssl_client_fingerprint`: SHA-1.
pub fn fingerprint(ssl: &SslRef) -> Option<String> {
    Some(hexadecimal(&ssl.peer_certificate()?.digest(MessageDigest::sha1()).ok()?))
}

/// `$ssl_client_verify`: `SUCCESS`, `FAILED:` and why, or `NONE`.
pub fn verified(ssl: &SslRef) -> Option<String> {
    Some(match (ssl.peer_certificate(), ssl.verify_result()) {
        (None, _) => "NONE".to_owned(),
        (Some(_), X509VerifyResult::OK) => "SUCCESS".to_owned(),
        (Some(_), wrong) => format!("FAILED:{}", wrong.error_string()),
    })
}

/// `$ssl_client_v_start`: since when it is valid.
pub fn valid_from(ssl: &SslRef) -> Option<String> {
    Some(ssl.peer_certificate()?.not_before().to_string())
}

/// `$ssl_client_v_end`: until when it is valid.
pub fn valid_until(ssl: &SslRef) -> Option<String> {
    Some(ssl.peer_certificate()?.not_after().to_string())
}

/// `$ssl_client_v_remain`: for how many days yet.
pub fn days_left(ssl: &SslRef) -> Option<String> {
    let certificate: X509 = ssl.peer_certificate()?;
    let days = |until: &Asn1TimeRef| {
        let left = Asn1Time::days_from_now(0).ok()?.diff(until).ok()?;
        Some(left.days.max(0))
    };
    Some(days(certificate.not_after())?.to_string())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_rfc_2253_has_them() {
        let mut name = openssl::x509::X509NameBuilder::new().unwrap();
        name.append_entry_by_text("C", "DE").unwrap();
        name.append_entry_by_text("O", "A, Müller").unwrap();
        name.append_entry_by_text("CN", "#x\ty ").unwrap();
        let name = name.build();
        assert_eq!(ffi::rfc2253(&name).unwrap(), "CN=\\#x\\09y\\ ,O=A\\, M\\C3\\BCller,C=DE");
        assert_eq!(ffi::oneline(&name).unwrap(), "/C=DE/O=A, M\\xC3\\xBCller/CN=#x\\x09y ");
    }
}
