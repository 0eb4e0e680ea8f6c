//! The keys that session tickets are sealed with.
#![allow(unsafe_code, reason = "OpenSSL asks for keys by a callback in C")]

use std::ffi::{c_int, c_uchar};
use std::path::Path;
use std::ptr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use foreign_types_shared::ForeignTypeRef;
use openssl::cipher::Cipher;
use openssl::ex_data::Index;
use openssl::md::Md;
use openssl::ssl::{SslContext, SslContextBuilder, SslRef};
use openssl_sys as ssl;
use parking_lot::RwLock;

use crate::{Error, not_opened};

const CTRL_SET_TICKET_KEY_CB: c_int = 72;
const NAME: usize = 16;
const IV: usize = 16;
const LONGEST: usize = 32;

/// A key: its name, which the ticket shows, one for the seal and one for the contents.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    name: [u8; NAME],
    /// As far as they are `length` bytes long.
    seal: [u8; LONGEST],
    contents: [u8; LONGEST],
    /// 16 or 32.
    length: usize,
}

/// Where a context takes its keys from.
#[derive(Clone)]
pub(crate) enum Keys {
    /// Files; the first one seals.
    Files(Arc<Vec<Key>>),
    /// The process's own, and after how long another one takes over.
    Own(Arc<Rotating>, Duration),
}

/// Keys of the process, which change by themselves. Tickets of the one before are still opened.
#[derive(Default)]
pub struct Rotating(RwLock<Vec<(Instant, Key)>>);

impl Key {
    /// A key from a file of 48 bytes (AES-128) or 80 (AES-256).
    pub(crate) fn read(path: &Path) -> Result<Key, Error> {
        let name = path.display();
        let bytes = std::fs::read(path).map_err(|error| not_opened(path, &error))?;
        Key::of(&bytes).ok_or_else(|| Error::new(format!("\"{name}\" must be 48 or 80 bytes")))
    }

    fn of(bytes: &[u8]) -> Option<Key> {
        let (name, rest) = bytes.split_first_chunk::<NAME>()?;
        // In a short file the key for the contents stands before the one for the seal, and in a long one behind it.
        let (first, second) = match rest.len() {
            32 | 64 => rest.split_at(rest.len() / 2),
            _ => return None,
        };
        let (seal, contents) = if rest.len() == 32 { (second, first) } else { (first, second) };
        let padded = |bytes: &[u8]| {
            let mut padded = [0; LONGEST];
            padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            padded
        };
        Some(Key { name: *name, seal: padded(seal), contents: padded(contents), length: seal.len() })
    }

    fn random() -> Option<Key> {
        let mut bytes = [0; 80];
        openssl::rand::rand_bytes(&mut bytes).ok()?;
        Key::of(&bytes)
    }
}

impl Keys {
    /// The one that seals.
    fn sealing(&self) -> Option<Key> {
        match self {
            Keys::Files(keys) => keys.first().copied(),
            Keys::Own(keys, lifetime) => keys.sealing(*lifetime, Instant::now()),
        }
    }

    /// The one of a name, and whether a new ticket is to be made.
    fn named(&self, name: &[u8]) -> Option<(Key, bool)> {
        let is_named = |(_, key): &(usize, &Key)| key.name == *name;
        let found = |(place, key): (usize, &Key)| (*key, place > 0);
        match self {
            Keys::Files(keys) => keys.iter().enumerate().find(is_named).map(found),
            Keys::Own(keys, lifetime) => {
                let now = Instant::now();
                keys.sealing(*lifetime, now);
                let keys = keys.0.read();
                let fresh = keys.iter().filter(|(made, _)| now.duration_since(*made) < *lifetime * 2);
                fresh.map(|(_, key)| key).enumerate().find(is_named).map(found)
            }
        }
    }
}

impl Rotating {
    fn sealing(&self, lifetime: Duration, now: Instant) -> Option<Key> {
        let is_fresh = |(made, _): &&(Instant, Key)| now.duration_since(*made) < lifetime;
        if let Some((_, key)) = self.0.read().first().filter(is_fresh) {
            return Some(*key);
        }
        let mut keys = self.0.write();
        if keys.first().filter(is_fresh).is_none() {
            keys.insert(0, (now, Key::random()?));
            keys.truncate(2);
        }
        keys.first().map(|(_, key)| *key)
    }
}

fn index() -> Option<Index<SslContext, Keys>> {
    static INDEX: OnceLock<Option<Index<SslContext, Keys>>> = OnceLock::new();
    *INDEX.get_or_init(|| SslContext::new_ex_index().ok())
}

/// Has a context take its keys from here.
pub(crate) fn install(context: &mut SslContextBuilder, keys: Keys) {
    let Some(index) = index() else { return };
    context.set_ex_data(index, keys);
    // SAFETY: the function is of the type that this control takes, and lives for ever.
    unsafe {
        let function = std::mem::transmute::<Callback, unsafe extern "C" fn()>(with_key);
        ssl::SSL_CTX_callback_ctrl__fixed_rust(context.as_ptr(), CTRL_SET_TICKET_KEY_CB, Some(function));
    }
}

/// AES-128, AES-256 and SHA-256. To look them up costs as much as to use them.
struct Algorithms {
    short: Cipher,
    long: Cipher,
    digest: Md,
}

fn algorithms() -> Option<&'static Algorithms> {
    static FOUND: OnceLock<Option<Algorithms>> = OnceLock::new();
    let find = || {
        let cipher = |name| Cipher::fetch(None, name, None).ok();
        let (short, long) = (cipher("AES-128-CBC")?, cipher("AES-256-CBC")?);
        Some(Algorithms { short, long, digest: Md::fetch(None, "SHA2-256", None).ok()? })
    };
    FOUND.get_or_init(find).as_ref()
}

type Callback = unsafe extern "C" fn(
    *mut ssl::SSL,
    *mut c_uchar,
    *mut c_uchar,
    *mut ssl::EVP_CIPHER_CTX,
    *mut ssl::HMAC_CTX,
    c_int,
) -> c_int;

/// OpenSSL's question for a key: 0: there is none; 1: here it is; 2: and make a new ticket; negative: an error.
unsafe extern "C" fn with_key(
    connection: *mut ssl::SSL,
    name: *mut c_uchar,
    iv: *mut c_uchar,
    cipher: *mut ssl::EVP_CIPHER_CTX,
    seal: *mut ssl::HMAC_CTX,
    seals: c_int,
) -> c_int {
    // SAFETY: OpenSSL gives a connection, room for a name and a vector, and two contexts of its own.
    unsafe {
        let keys = index().and_then(|index| SslRef::from_ptr(connection).ssl_context().ex_data(index));
        let Some(keys) = keys else { return -1 };
        let name = std::slice::from_raw_parts_mut(name, NAME);
        let found = if seals == 1 { keys.sealing().map(|key| (key, false)) } else { keys.named(name) };
        let Some((key, is_old)) = found else { return if seals == 1 { -1 } else { 0 } };
        let Some(Algorithms { short, long, digest }) = algorithms() else { return -1 };
        let kind = if key.length == 16 { short.as_ptr() } else { long.as_ptr() };
        let length = c_int::try_from(key.length).unwrap_or_default();
        let sealed = ssl::HMAC_Init_ex(seal, key.seal.as_ptr().cast(), length, digest.as_ptr(), ptr::null_mut());
        if sealed != 1 {
            return -1;
        }
        let ready = if seals == 1 {
            name.copy_from_slice(&key.name);
            if openssl::rand::rand_bytes(std::slice::from_raw_parts_mut(iv, IV)).is_err() {
                return -1;
            }
            ssl::EVP_EncryptInit_ex(cipher, kind, ptr::null_mut(), key.contents.as_ptr(), iv)
        } else {
            ssl::EVP_DecryptInit_ex(cipher, kind, ptr::null_mut(), key.contents.as_ptr(), iv)
        };
        if ready != 1 {
            return -1;
        }
        // A ticket of TLS 1.3 is for one use.
        let is_once = seals != 1 && SslRef::from_ptr(connection).version2() == Some(openssl::ssl::SslVersion::TLS1_3);
        if is_old || is_once { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_48_or_80_bytes() {
        for (length, seal) in [(48, 16), (80, 32)] {
            let bytes: Vec<u8> = (0..length).collect();
            let key = Key::of(&bytes).unwrap();
            assert_eq!((key.name[0], key.length), (0, seal));
        }
        assert_eq!(Key::of(&[0; 48]).unwrap().name, [0; 16]);
        let short: Vec<u8> = (0..48).collect();
        assert_eq!((Key::of(&short).unwrap().contents[0], Key::of(&short).unwrap().seal[0]), (16, 32));
        for length in [0, 16, 47, 49, 64, 79, 81] {
            assert!(Key::of(&vec![0; length]).is_none(), "{length}");
        }
    }

    #[test]
    fn own_keys_change_and_the_one_before_still_opens() {
        let (keys, hour, start) = (Rotating::default(), Duration::from_secs(3600), Instant::now());
        let first = keys.sealing(hour, start).unwrap();
        assert_eq!(keys.sealing(hour, start + hour / 2).unwrap().name, first.name);
        let second = keys.sealing(hour, start + hour).unwrap();
        assert_ne!(second.name, first.name);
        let all = Keys::Own(Arc::new(keys), hour);
        assert_eq!(all.named(&second.name).map(|(_, is_old)| is_old), Some(false));
        assert_eq!(all.named(&first.name).map(|(_, is_old)| is_old), Some(true));
        assert!(all.named(&[9; NAME]).is_none());
    }
}
