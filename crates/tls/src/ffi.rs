//! What the crate `openssl` has no words for.
#![allow(unsafe_code, reason = "calls of C")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use std::ptr;

use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::ssl::{SslContextBuilder, SslRef};
use openssl::x509::{X509, X509NameRef};
use openssl_sys as ssl;

const CTRL_CHAIN_CERT: c_int = 89;
const CTRL_GET_GROUPS: c_int = 90;
const CTRL_GET_RAW_CIPHERLIST: c_int = 110;
const CTRL_GET_NEGOTIATED_GROUP: c_int = 134;
const CONF_FLAGS: c_uint = 0x2 | 0x4 | 0x8 | 0x10 | 0x20;
/// `XN_FLAG_RFC2253`
const RFC_2253: c_ulong = 0x111_0317;
/// A group that OpenSSL has no number for.
const GROUP_IS_RAW: c_int = 0x0100_0000;

#[repr(C)]
struct ConfCtx {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn SSL_CONF_CTX_new() -> *mut ConfCtx;
    fn SSL_CONF_CTX_free(context: *mut ConfCtx);
    fn SSL_CONF_CTX_set_flags(context: *mut ConfCtx, flags: c_uint) -> c_uint;
    fn SSL_CONF_CTX_set_ssl_ctx(context: *mut ConfCtx, of: *mut ssl::SSL_CTX);
    fn SSL_CONF_cmd(context: *mut ConfCtx, name: *const c_char, value: *const c_char) -> c_int;
    fn SSL_CONF_CTX_finish(context: *mut ConfCtx) -> c_int;
    fn X509_NAME_print_ex(to: *mut ssl::BIO, name: *const ssl::X509_NAME, indent: c_int, flags: c_ulong) -> c_int;
    fn X509_NAME_oneline(name: *const ssl::X509_NAME, to: *mut c_char, size: c_int) -> *mut c_char;
    fn SSL_CTX_set_timeout(context: *mut ssl::SSL_CTX, seconds: c_long) -> c_long;
    fn X509_check_host(
        of: *mut ssl::X509,
        name: *const c_char,
        length: usize,
        flags: c_uint,
        found: *mut *mut c_char,
    ) -> c_int;
    fn X509_check_ip_asc(of: *mut ssl::X509, address: *const c_char, flags: c_uint) -> c_int;
    fn SSL_client_hello_get0_ext(
        of: *mut ssl::SSL,
        number: c_uint,
        found: *mut *const c_uchar,
        length: *mut usize,
    ) -> c_int;
    fn SSL_set_options(of: *mut ssl::SSL, options: u64) -> u64;
    fn SSL_get_options(of: *const ssl::SSL) -> u64;
    fn SSL_clear_options(of: *mut ssl::SSL, options: u64) -> u64;
    fn SSL_CIPHER_find(of: *mut ssl::SSL, id: *const c_uchar) -> *const ssl::SSL_CIPHER;
}

/// The command that was wrong, if it was one, and OpenSSL's errors.
type NotConfigured = (Option<(String, String)>, ErrorStack);

/// Commands of OpenSSL's own configuration.
pub(crate) fn configure(context: &mut SslContextBuilder, commands: &[(String, String)]) -> Result<(), NotConfigured> {
    // SAFETY: the context of commands lives from `new` to `free`, and the texts longer than the calls that take them.
    unsafe {
        let conf = SSL_CONF_CTX_new();
        if conf.is_null() {
            return Err((None, ErrorStack::get()));
        }
        SSL_CONF_CTX_set_flags(conf, CONF_FLAGS);
        SSL_CONF_CTX_set_ssl_ctx(conf, context.as_ptr());
        let mut result = Ok(());
        for (name, value) in commands {
            // A file has no NUL in a word.
            let (Ok(name_text), Ok(value_text)) = (CString::new(name.as_str()), CString::new(value.as_str())) else {
                continue;
            };
            if SSL_CONF_cmd(conf, name_text.as_ptr(), value_text.as_ptr()) <= 0 {
                result = Err((Some((name.clone(), value.clone())), ErrorStack::get()));
                break;
            }
        }
        if result.is_ok() && SSL_CONF_CTX_finish(conf) != 1 {
            result = Err((None, ErrorStack::get()));
        }
        SSL_CONF_CTX_free(conf);
        result
    }
}

/// Adds to the chain of the certificate that was set last.
pub(crate) fn add_chain_certificate(context: &mut SslContextBuilder, certificate: &X509) -> Result<(), ErrorStack> {
    use foreign_types_shared::ForeignType;
    // SAFETY: OpenSSL counts another reference to the certificate.
    let added =
        unsafe { ssl::SSL_CTX_ctrl(context.as_ptr(), CTRL_CHAIN_CERT, 1, certificate.as_ptr().cast::<c_void>()) };
    if added > 0 { Ok(()) } else { Err(ErrorStack::get()) }
}

fn ask(of: &SslRef, what: c_int, place: *mut c_void) -> c_long {
    use foreign_types_shared::ForeignTypeRef;
    // SAFETY: what is asked for fits the place, as each caller sees to.
    unsafe { ssl::SSL_ctrl(of.as_ptr(), what, 0, place) }
}

/// The name of a group, as nginx shows it.
fn group_name(group: c_int) -> String {
    if group & GROUP_IS_RAW != 0 {
        return format!("0x{:04x}", group & 0xffff);
    }
    Nid::from_raw(group).short_name().map_or_else(|_| format!("0x{group:04x}"), str::to_owned)
}

/// The group that keys were exchanged in.
pub(crate) fn negotiated_group(of: &SslRef) -> Option<String> {
    let group = c_int::try_from(ask(of, CTRL_GET_NEGOTIATED_GROUP, ptr::null_mut())).ok()?;
    (group != 0).then(|| group_name(group))
}

/// The groups that the client knows.
pub(crate) fn client_groups(of: &SslRef) -> Vec<String> {
    let count = usize::try_from(ask(of, CTRL_GET_GROUPS, ptr::null_mut())).unwrap_or_default();
    let mut groups: Vec<c_int> = vec![0; count];
    if count > 0 {
        ask(of, CTRL_GET_GROUPS, groups.as_mut_ptr().cast());
    }
    groups.into_iter().map(group_name).collect()
}

/// The ciphers that the client knows, by OpenSSL's names, or by their numbers.
pub(crate) fn client_ciphers(of: &SslRef) -> Vec<String> {
    use foreign_types_shared::ForeignTypeRef;
    let width = usize::try_from(ask(of, CTRL_GET_RAW_CIPHERLIST, ptr::null_mut())).unwrap_or_default();
    let mut list: *const c_uchar = ptr::null();
    let length = usize::try_from(ask(of, CTRL_GET_RAW_CIPHERLIST, (&raw mut list).cast())).unwrap_or_default();
    if list.is_null() || width == 0 {
        return Vec::new();
    }
    // SAFETY: the list has that many bytes, and lives as long as the connection.
    let list = unsafe { std::slice::from_raw_parts(list, length) };
    let name = |id: &[u8]| {
        // SAFETY: an id has two bytes or more; what is found lives for ever.
        let found = unsafe { SSL_CIPHER_find(of.as_ptr(), id.as_ptr()) };
        if found.is_null() {
            return format!("0x{}", id.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        }
        // SAFETY: it was found, and its name ends with NUL.
        let name = unsafe { CStr::from_ptr(ssl::SSL_CIPHER_get_name(found)) };
        name.to_string_lossy().into_owned()
    };
    list.chunks_exact(width.max(2)).map(name).collect()
}

/// How long a session may be resumed.
pub(crate) fn set_session_timeout(context: &mut SslContextBuilder, lifetime: std::time::Duration) {
    // SAFETY: the context is there for the call.
    unsafe {
        SSL_CTX_set_timeout(context.as_ptr(), c_long::try_from(lifetime.as_secs()).unwrap_or(c_long::MAX));
    }
}

/// Has a connection resume a session.
pub(crate) fn set_session(of: &mut openssl::ssl::Ssl, session: &openssl::ssl::SslSession) {
    // SAFETY: the session is of this context, or of one that takes no harm: OpenSSL then begins anew.
    let _ = unsafe { of.set_session(session) };
}

/// Whether a certificate is for a name, or for an address.
pub(crate) fn certificate_names(certificate: &X509, name: &str) -> bool {
    use foreign_types_shared::ForeignType;
    let Ok(text) = CString::new(name) else { return false };
    // SAFETY: the certificate and the text live longer than the calls.
    unsafe {
        let (certificate, length) = (certificate.as_ptr(), name.len());
        X509_check_host(certificate, text.as_ptr(), length, 0, ptr::null_mut()) == 1
            || X509_check_ip_asc(certificate, text.as_ptr(), 0) == 1
    }
}

/// An extension of a client's greeting, while that is looked at.
pub(crate) fn hello_extension(of: &SslRef, number: u32) -> Option<&[u8]> {
    use foreign_types_shared::ForeignTypeRef;
    let (mut found, mut length) = (ptr::null(), 0);
    // SAFETY: OpenSSL writes where it stands and how long it is; it stands there while the callback runs.
    unsafe {
        let is_there = SSL_client_hello_get0_ext(of.as_ptr(), number, &raw mut found, &raw mut length) == 1;
        (is_there && !found.is_null()).then(|| std::slice::from_raw_parts(found, length))
    }
}

/// Gives a connection these options, in the place of those that it has.
pub(crate) fn set_options(of: &SslRef, options: openssl::ssl::SslOptions) {
    use foreign_types_shared::ForeignTypeRef;
    // SAFETY: numbers, of a connection that is there.
    unsafe {
        SSL_clear_options(of.as_ptr(), !0);
        SSL_set_options(of.as_ptr(), options.bits());
    }
}

/// Whether a connection's sessions may be in tickets.
pub(crate) fn has_tickets(of: &SslRef) -> bool {
    use foreign_types_shared::ForeignTypeRef;
    // SAFETY: a number, of a connection that is there.
    let options = unsafe { SSL_get_options(of.as_ptr()) };
    options & openssl::ssl::SslOptions::NO_TICKET.bits() == 0
}

/// A name as RFC 2253 writes it.
pub(crate) fn rfc2253(name: &X509NameRef) -> Option<String> {
    use foreign_types_shared::ForeignTypeRef;
    // SAFETY: the memory lives until it is freed, and is copied before.
    unsafe {
        let memory = ssl::BIO_new(ssl::BIO_s_mem());
        if memory.is_null() {
            return None;
        }
        let printed = X509_NAME_print_ex(memory, name.as_ptr(), 0, RFC_2253) >= 0;
        let mut bytes: *mut c_char = ptr::null_mut();
        let length = usize::try_from(ssl::BIO_get_mem_data(memory, &raw mut bytes)).unwrap_or_default();
        let text = (printed && !bytes.is_null())
            .then(|| String::from_utf8_lossy(std::slice::from_raw_parts(bytes.cast::<u8>(), length)).into_owned());
        ssl::BIO_free_all(memory);
        text
    }
}

/// A name with slashes, as OpenSSL wrote it once.
pub(crate) fn oneline(name: &X509NameRef) -> Option<String> {
    use foreign_types_shared::ForeignTypeRef;
    let mut space: [c_char; 4096] = [0; 4096];
    // SAFETY: OpenSSL writes no more than there is room, and a NUL at the end.
    unsafe {
        let size = c_int::try_from(space.len()).unwrap_or_default();
        let text = X509_NAME_oneline(name.as_ptr(), space.as_mut_ptr(), size);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

/// Whether two are the same certificate in memory.
pub(crate) fn is_same(one: &openssl::x509::X509Ref, other: &openssl::x509::X509Ref) -> bool {
    use foreign_types_shared::ForeignTypeRef;
    one.as_ptr() == other.as_ptr()
}

/// A time of one kind as one of any kind.
pub(crate) fn time(of: &openssl::asn1::Asn1GeneralizedTimeRef) -> &openssl::asn1::Asn1TimeRef {
    use foreign_types_shared::ForeignTypeRef;
    // SAFETY: to OpenSSL they are one structure, which says itself of what kind it is.
    unsafe { openssl::asn1::Asn1TimeRef::from_ptr(of.as_ptr().cast()) }
}
