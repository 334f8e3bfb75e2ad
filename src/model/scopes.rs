//! Scopes: what was asked for, what was granted, and what is missing.

use serde::{Deserialize, Serialize};

/// The scopes of a grant, asked for and given. They differ when a person unticks one, an administrator forbids one, or
/// the provider has its own mind (RFC 6749 section 3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Scopes {
    /// What the last consent asked for.
    pub requested: Vec<String>,
    /// What the provider granted: as it says, or as asked for where it says nothing (RFC 6749 section 5.1).
    pub granted: Vec<String>,
    /// What was asked for and not granted.
    pub missing: Vec<String>,
}

impl Scopes {
    /// Compares. Some scopes show in what comes and not in the list of granted ones: `openid` in an id token,
    /// `offline_access` in a refresh token (Microsoft's list leaves it out); `came` says which of these came.
    #[must_use]
    pub fn compared(requested: Vec<String>, granted: Vec<String>, came: &[&str]) -> Self {
        let is_there = |scope: &&String| {
            came.contains(&scope.as_str()) || granted.iter().any(|granted| is_same_scope(scope, granted))
        };
        let missing = requested.iter().filter(|scope| !is_there(scope)).cloned().collect();
        Self { requested, granted, missing }
    }
}

/// Whether a granted scope is one that was asked for, in another writing. Providers answer `User.Read` to `user.read`
/// and `https://graph.microsoft.com/User.Read` to either (Microsoft, "Scopes and permissions in the Microsoft identity
/// platform"), and `https://www.googleapis.com/auth/userinfo.email` to `email` (Google, "OpenID Connect").
fn is_same_scope(asked: &str, granted: &str) -> bool {
    let ends_with = |long: &str, short: &str| {
        // In bytes: a boundary within a character is no boundary that an ASCII text fits.
        let at = long.len().checked_sub(short.len() + 1);
        at.is_some_and(|at| {
            let (url, rest) = long.as_bytes().split_at(at);
            url.windows(3).any(|part| part == b"://")
                && rest[0] == b'/'
                && rest[1..].eq_ignore_ascii_case(short.as_bytes())
        })
    };
    asked.eq_ignore_ascii_case(granted)
        || ends_with(granted, asked)
        || ends_with(asked, granted)
        || (matches!(asked, "email" | "profile") && ends_with(granted, &format!("auth/userinfo.{asked}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(requested: &[&str], granted: &[&str], came: &[&str]) -> Vec<String> {
        let owned = |list: &[&str]| list.iter().map(|scope| (*scope).to_owned()).collect();
        Scopes::compared(owned(requested), owned(granted), came).missing
    }

    #[test]
    fn what_was_asked_for_and_not_granted_is_missing() {
        assert_eq!(missing(&["a", "b", "c"], &["b", "d"], &[]), ["a", "c"]);
        assert!(missing(&["a"], &["a", "more"], &[]).is_empty());
        assert_eq!(missing(&["drive"], &["https://a.example/auth/drive.readonly"], &[]), ["drive"]);
        assert_eq!(
            missing(&["drive.readonly"], &["https://a.example/auth/notdrive.readonly"], &[]),
            ["drive.readonly"]
        );
        assert_eq!(missing(&["read", "b"], &["orders/read", "é"], &[]), ["read", "b"]);
    }

    #[test]
    fn another_writing_of_a_scope_is_the_same_scope() {
        for (asked, granted) in [
            ("user.read", "User.Read"),
            ("User.Read", "https://graph.microsoft.com/User.Read"),
            ("https://graph.microsoft.com/mail.read", "Mail.Read"),
            ("email", "https://www.googleapis.com/auth/userinfo.email"),
            ("profile", "https://www.googleapis.com/auth/userinfo.profile"),
        ] {
            assert!(missing(&[asked], &[granted], &[]).is_empty(), "{asked} and {granted}");
        }
        let graph = "https://graph.microsoft.com/User.Read";
        assert_eq!(missing(&["https://other.example/User.Read"], &[graph], &[]).len(), 1);
    }

    #[test]
    fn scopes_that_show_in_what_comes_are_not_missed() {
        assert!(missing(&["openid", "offline_access"], &["a"], &["openid", "offline_access"]).is_empty());
        assert_eq!(missing(&["openid", "offline_access"], &["a"], &["openid"]), ["offline_access"]);
    }
}
