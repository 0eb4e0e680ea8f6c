//! One `session_sticky` directive, ready for use.

use crate::seal::Seal;

/// How the session travels in cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A cookie of our own, added to responses.
    Insert,
    /// The backend's own cookie, its value prefixed with `SID~`.
    Prefix,
    /// The backend's own cookie, its value replaced by the SID.
    Rewrite,
}

/// The bounds of a session's age, in seconds. They are checked in insert mode only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time since the last request.
    pub maxidle: i64,
    /// Longest time since the first request.
    pub maxlife: i64,
}

/// When a cookie is for encrypted connections only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secure {
    /// Never.
    #[default]
    Off,
    /// Always.
    On,
    /// Where the client's own connection is one.
    Auto,
    /// The same, or where a proxy in front has said so (`X-Forwarded-Proto: https`).
    Forwarded,
}

/// Whether a browser sends a cookie with requests that other sites have it make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the user follows a link.
    Lax,
    /// Always; browsers want `Secure` with it.
    None,
}

/// What today's browsers want to know of a cookie, and when it is sent: additions to the reference, off by default. They are
/// for the cookie that is written here (insert mode).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// `Secure`
    pub secure: Secure,
    /// `HttpOnly`
    pub http_only: bool,
    /// `SameSite=`
    pub same_site: Option<SameSite>,
    /// `Partitioned`
    pub partitioned: bool,
    /// Also on responses from 400 on.
    pub always: bool,
    /// With every response, so that its time begins again.
    pub refresh: bool,
    /// Caches that many share don't keep the response.
    pub nocache: bool,
}

impl Attributes {
    /// As they are sent, with `Secure` or without.
    fn text(&self, is_secure: bool) -> Box<[u8]> {
        let parts: [(bool, &[u8]); 6] = [
            (is_secure, b"; Secure"),
            (self.http_only, b"; HttpOnly"),
            (self.same_site == Some(SameSite::Strict), b"; SameSite=Strict"),
            (self.same_site == Some(SameSite::Lax), b"; SameSite=Lax"),
            (self.same_site == Some(SameSite::None), b"; SameSite=None"),
            (self.partitioned, b"; Partitioned"),
        ];
        parts.into_iter().filter(|(is_said, _)| *is_said).flat_map(|(_, text)| text).copied().collect()
    }
}

/// The directive's arguments with their defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySettings {
    /// The cookie's name.
    pub cookie: Vec<u8>,
    /// Sent as `Domain=`.
    pub domain: Option<Vec<u8>>,
    /// Sent as `Path=`.
    pub path: Vec<u8>,
    /// Decimal seconds as the file spells them: they are sent that way.
    pub maxage: Option<Vec<u8>>,
    /// `None`: sessions don't age.
    pub limits: Option<Limits>,
    /// Who writes the cookie.
    pub mode: Mode,
    /// `option=indirect`
    pub indirect: bool,
    /// Another server may be asked where the session's own can't be.
    pub fallback: bool,
    /// Whether a server's id contains `|`, so that no timestamps can be told from it (compatibility: C4.9).
    pub id_with_bar: bool,
    /// What browsers are told beside.
    pub attributes: Attributes,
}

impl Default for PolicySettings {
    fn default() -> Self {
        PolicySettings {
            cookie: b"route".to_vec(),
            domain: None,
            path: b"/".to_vec(),
            maxage: None,
            limits: None,
            mode: Mode::Insert,
            indirect: false,
            fallback: true,
            id_with_bar: false,
            attributes: Attributes::default(),
        }
    }
}

/// What the other modules work with: the settings, and the cookie's fixed parts rendered once.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) cookie: Box<[u8]>,
    /// `; Domain=…; Path=…`
    pub(crate) attributes: Box<[u8]>,
    /// What stands at the end, over encrypted connections and over others.
    pub(crate) secure_end: Box<[u8]>,
    pub(crate) plain_end: Box<[u8]>,
    said: Attributes,
    /// The text for `Max-Age=` and its value for `Expires=`.
    pub(crate) maxage: Option<(Box<[u8]>, i64)>,
    /// Set in insert mode only.
    pub(crate) limits: Option<Limits>,
    pub(crate) id_with_bar: bool,
    /// What the cookie is signed with; in insert mode only.
    pub(crate) seal: Option<Seal>,
    mode: Mode,
    indirect: bool,
    fallback: bool,
}

impl Policy {
    /// The policy of these settings.
    pub fn new(settings: &PolicySettings) -> Self {
        let mut attributes = Vec::new();
        for (name, value) in [(&b"; Domain="[..], settings.domain.as_ref()), (b"; Path=", Some(&settings.path))] {
            if let Some(value) = value {
                attributes.extend_from_slice(name);
                attributes.extend_from_slice(value);
            }
        }
        let limits = settings.limits.filter(|_| settings.mode == Mode::Insert);
        let maxage = settings.maxage.as_deref().filter(|_| limits.is_none());
        Policy {
            cookie: settings.cookie.as_slice().into(),
            attributes: attributes.into(),
            secure_end: settings.attributes.text(settings.attributes.secure != Secure::Off),
            plain_end: settings.attributes.text(settings.attributes.secure == Secure::On),
            said: settings.attributes,
            maxage: maxage.map(|text| (text.into(), crate::stamp::parse(text).unwrap_or(i64::MAX))),
            limits,
            id_with_bar: settings.id_with_bar,
            seal: None,
            mode: settings.mode,
            indirect: settings.indirect,
            fallback: settings.fallback,
        }
    }

    /// The same with its cookies signed.
    pub fn sealed(self, seal: Option<Seal>) -> Self {
        Policy { seal: seal.filter(|_| self.mode == Mode::Insert), ..self }
    }

    /// The cookie's name.
    pub fn cookie(&self) -> &[u8] {
        &self.cookie
    }

    /// Who writes the cookie.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the session's cookie is kept from the backend: insert with `option=indirect`, and prefix.
    pub fn hides(&self) -> bool {
        self.needs_hide_cookie() && self.mode != Mode::Rewrite
    }

    /// Whether no cookie is set where `session_sticky_hide_cookie` is missing: prefix, and `option=indirect` in every
    /// mode. (In rewrite mode that is all that the option does; compatibility: C5.3.)
    pub fn needs_hide_cookie(&self) -> bool {
        self.indirect || self.mode == Mode::Prefix
    }

    /// Whether a client whose server can't be used gets another one.
    pub fn falls_back(&self) -> bool {
        self.fallback
    }

    /// Whether a proxy in front is believed when it says that the client's connection is encrypted.
    pub fn heeds_forwarded_proto(&self) -> bool {
        self.said.secure == Secure::Forwarded
    }

    /// Whether the cookie is sent whatever the status.
    pub fn is_for_any_status(&self) -> bool {
        self.said.always && self.mode == Mode::Insert
    }

    /// Whether the cookie is sent with every response.
    pub fn is_sent_always(&self) -> bool {
        self.is_stamped() || self.said.refresh
    }

    /// Whether responses with the cookie are kept from caches that many share.
    pub fn is_private(&self) -> bool {
        self.said.nocache
    }

    /// Whether the cookie carries timestamps, and so is sent with every response.
    pub fn is_stamped(&self) -> bool {
        self.limits.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_says_what_its_settings_say() {
        for (name, fallback) in [(&b"route"[..], true), (b"uid", false)] {
            let policy = Policy::new(&PolicySettings { cookie: name.into(), fallback, ..PolicySettings::default() });
            assert_eq!((policy.cookie(), policy.falls_back()), (name, fallback));
        }
    }
}
