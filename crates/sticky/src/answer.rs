//! What happens to the Set-Cookie lines of a response.

use crate::policy::{Mode, Policy};

/// What to do with a response's Set-Cookie lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieAction {
    /// Nothing.
    Pass,
    /// Add ours behind all others.
    Append,
    /// Ours takes the place of the backend's own cookie of that name, or stands behind all others where there is none.
    Replace,
    /// The backend's own cookies of our name are left out: they would overwrite the session.
    Drop,
    /// [`prefixed`](crate::write::prefixed) on every line.
    Prefix,
    /// [`rewritten`](crate::write::rewritten) on every line.
    Rewrite,
}

/// Decides for one response.
///
/// `hide_cookie`: whether the location has a `session_sticky_hide_cookie`. Without one, indirect and prefix neither hide
/// nor set a cookie (compatibility: C5.3). `assigned`: whether the client's server is new to it.
pub fn answer(policy: &Policy, hide_cookie: bool, status: u16, assigned: bool) -> CookieAction {
    if (status >= 400 && !policy.is_for_any_status()) || (policy.needs_hide_cookie() && !hide_cookie) {
        return CookieAction::Pass;
    }
    match policy.mode() {
        Mode::Prefix => CookieAction::Prefix,
        Mode::Rewrite => CookieAction::Rewrite,
        Mode::Insert => match (assigned || policy.is_sent_always(), policy.hides()) {
            (true, true) => CookieAction::Replace,
            (true, false) => CookieAction::Append,
            (false, true) => CookieAction::Drop,
            (false, false) => CookieAction::Pass,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Attributes, Limits, PolicySettings};

    fn policy(mode: Mode, indirect: bool, stamped: bool) -> Policy {
        let limits = stamped.then_some(Limits { maxidle: 1, maxlife: 1 });
        Policy::new(&PolicySettings { mode, indirect, limits, ..PolicySettings::default() })
    }

    #[test]
    fn insert_sends_its_cookie_when_the_server_is_new() {
        let policy = policy(Mode::Insert, false, false);
        assert_eq!(answer(&policy, false, 200, true), CookieAction::Append);
        assert_eq!(answer(&policy, false, 200, false), CookieAction::Pass);
    }

    #[test]
    fn with_limits_the_cookie_is_sent_every_time() {
        assert_eq!(answer(&policy(Mode::Insert, false, true), false, 200, false), CookieAction::Append);
        assert_eq!(answer(&policy(Mode::Insert, true, true), true, 200, false), CookieAction::Replace);
    }

    #[test]
    fn indirect_replaces_the_backends_cookie_and_drops_it_for_returning_clients() {
        let policy = policy(Mode::Insert, true, false);
        assert_eq!(answer(&policy, true, 200, true), CookieAction::Replace);
        assert_eq!(answer(&policy, true, 200, false), CookieAction::Drop);
    }

    #[test]
    fn indirect_and_prefix_do_nothing_without_hide_cookie() {
        for policy in
            [policy(Mode::Insert, true, true), policy(Mode::Prefix, false, false), policy(Mode::Rewrite, true, false)]
        {
            assert_eq!(answer(&policy, false, 200, true), CookieAction::Pass);
        }
        assert_eq!(answer(&policy(Mode::Rewrite, false, false), false, 200, true), CookieAction::Rewrite);
    }

    #[test]
    fn always_and_refresh_send_it_where_it_is_not_sent_otherwise() {
        let policy = |attributes| Policy::new(&PolicySettings { attributes, ..PolicySettings::default() });
        let always = policy(Attributes { always: true, ..Attributes::default() });
        assert_eq!(answer(&always, false, 503, true), CookieAction::Append);
        assert_eq!(answer(&always, false, 503, false), CookieAction::Pass);
        let refresh = policy(Attributes { refresh: true, ..Attributes::default() });
        assert_eq!(answer(&refresh, false, 200, false), CookieAction::Append);
        assert_eq!(answer(&refresh, false, 404, false), CookieAction::Pass);
    }

    #[test]
    fn no_cookie_on_400_and_above_but_on_101_204_and_304() {
        for mode in [Mode::Insert, Mode::Prefix, Mode::Rewrite] {
            let policy = policy(mode, false, false);
            for status in [101, 200, 204, 302, 304, 399] {
                assert_ne!(answer(&policy, true, status, true), CookieAction::Pass, "{mode:?} {status}");
            }
            for status in [400, 404, 499, 502, 599] {
                assert_eq!(answer(&policy, true, status, true), CookieAction::Pass, "{mode:?} {status}");
            }
        }
    }
}
