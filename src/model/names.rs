//! Names, checked where they enter. Each type is proof that its text has the right form.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a name of the wanted kind; the message says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {rule}")]
pub struct NameError {
    /// What was given, cut to 80 characters.
    pub text: String,
    /// What was wanted, with its article: "an application name".
    pub what: &'static str,
    /// The form that the name must have.
    pub rule: &'static str,
}

impl NameError {
    pub(super) fn new(text: &str, what: &'static str, rule: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), what, rule }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $pattern:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "server", schemars(extend("pattern" = $pattern)))]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(NameError::new(text, $what, $rule)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of an application (a client registration), e.g. `google-drive`: 1 to 63 of `a-z 0-9 - _ .`, starting
    /// with a letter or digit. It stands in URLs and file names, hence the narrow alphabet.
    ApplicationName,
    "an application name",
    "use 1 to 63 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit",
    "^[a-z0-9][a-z0-9._-]{0,62}$",
    |text| is_plain(text, 63)
);

name!(
    /// The name of a profile within its application, e.g. `default`: same form as an application's name.
    ProfileName,
    "a profile name",
    "use 1 to 63 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit",
    "^[a-z0-9][a-z0-9._-]{0,62}$",
    |text| is_plain(text, 63)
);

name!(
    /// The name of an API key, e.g. `reporting`: same form as an application's name. It stands in URLs.
    KeyName,
    "the name of an API key",
    "use 1 to 63 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit",
    "^[a-z0-9][a-z0-9._-]{0,62}$",
    |text| is_plain(text, 63)
);

name!(
    /// The name of a webhook, e.g. `ops`: same form as an application's name. It stands in URLs.
    WebhookName,
    "the name of a webhook",
    "use 1 to 63 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit",
    "^[a-z0-9][a-z0-9._-]{0,62}$",
    |text| is_plain(text, 63)
);

name!(
    /// The name of an OAuth API script: `OAuth` and then 1 to 59 of `A-Z a-z 0-9 _`. The prefix is ServiceNow's rule
    /// for script includes that its OAuth entities may call; nothing else is ever loaded or run.
    ScriptName,
    "an OAuth API script name",
    "it must start with `OAuth`, then 1 to 59 letters, digits or '_' (no path, no .rhai)",
    "^OAuth[A-Za-z0-9_]{1,59}$",
    |text| {
        text.strip_prefix("OAuth").is_some_and(|rest| {
            (1..=59).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    }
);

impl Default for ProfileName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// The name of a connection, `APPLICATION/NAME`, e.g. `google-drive/reports`. The part after the slash names the
/// requestor (a person, a tenant, a system): 1 to 128 of `A-Z a-z 0-9 . _ @ + : -`, not starting with `-` or `.`. A further
/// token of a connection (Slack gives a bot's and a person's) is named after it and a tilde: `slack/team~user`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "server",
    schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}/[A-Za-z0-9_@+:][A-Za-z0-9._@+:-]{0,127}(~[a-z0-9_-]{1,40})?$"))
)]
pub struct ConnectionName {
    application: ApplicationName,
    requestor: String,
    token: Option<String>,
}

impl ConnectionName {
    /// Of an application's name and what stands behind the slash.
    ///
    /// # Errors
    /// When one of them has not the form that it must have.
    pub fn of(application: &str, name: &str) -> Result<Self, NameError> {
        let wrong = || Self::wrong(&format!("{application}/{name}"));
        let application = application.parse().map_err(|_| wrong())?;
        let (requestor, token) = match name.split_once('~') {
            Some((requestor, token)) if is_token(token) => (requestor, Some(token.to_owned())),
            Some(_) => return Err(wrong()),
            None => (name, None),
        };
        let fits = (1..=128).contains(&requestor.len())
            && !requestor.starts_with(['-', '.'])
            && requestor.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+:-".contains(&b));
        if fits { Ok(Self { application, requestor: requestor.to_owned(), token }) } else { Err(wrong()) }
    }

    fn wrong(text: &str) -> NameError {
        NameError::new(
            text,
            "a connection name",
            "write APPLICATION/NAME, e.g. google-drive/reports; NAME is 1 to 128 letters, digits or . _ @ + : -",
        )
    }

    /// The application that the connection belongs to.
    #[must_use]
    pub fn application(&self) -> &ApplicationName {
        &self.application
    }

    /// The part after the slash, without a further token's name.
    #[must_use]
    pub fn requestor(&self) -> &str {
        &self.requestor
    }

    /// The further token that is meant; none for the connection itself.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The connection that a further token belongs to; itself for a connection.
    #[must_use]
    pub fn main(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// A further token of this connection.
    ///
    /// # Errors
    /// When that is no token's name: 1 to 40 of `a-z 0-9 _ -`.
    pub fn with_token(&self, token: &str) -> Result<Self, NameError> {
        if is_token(token) {
            Ok(Self { token: Some(token.to_owned()), ..self.clone() })
        } else {
            Err(NameError::new(token, "the name of a token", "use 1 to 40 of a-z, 0-9, '-' and '_'"))
        }
    }
}

impl FromStr for ConnectionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (application, name) = text.split_once('/').ok_or_else(|| Self::wrong(text))?;
        Self::of(application, name)
    }
}

impl TryFrom<String> for ConnectionName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ConnectionName> for String {
    fn from(name: ConnectionName) -> Self {
        name.to_string()
    }
}

/// As it is displayed. Without a text of its own: records and the audit log are full of them.
impl Serialize for ConnectionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.application, self.requestor)?;
        self.token.iter().try_for_each(|token| write!(f, "~{token}"))
    }
}

fn is_token(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn is_plain(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
        && !text.starts_with(['-', '_', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_name_starts_with_oauth_and_is_no_path() {
        for good in ["OAuthUtil", "OAuthGoogleDrive", "OAuth_2"] {
            assert!(good.parse::<ScriptName>().is_ok(), "{good}");
        }
        for bad in ["OAuth", "oauthUtil", "Util", "OAuth/../x", "OAuthUtil.rhai", "OAuth x", "XOAuthUtil", ""] {
            assert!(bad.parse::<ScriptName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_connection_name_has_one_slash_and_no_tricks() {
        let name: ConnectionName = "google-drive/ann@example.org".parse().unwrap();
        assert_eq!(name.application().as_str(), "google-drive");
        assert_eq!(name.requestor(), "ann@example.org");
        for bad in ["google-drive", "google-drive/", "/x", "a/b/c", "A/b", "a/../b", "a/-x", "a/b c", "a/\u{e9}"] {
            assert!(bad.parse::<ConnectionName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_further_token_is_named_after_its_connection() {
        let name: ConnectionName = "slack/team~user".parse().unwrap();
        assert_eq!(
            (name.token(), name.requestor(), name.to_string().as_str()),
            (Some("user"), "team", "slack/team~user")
        );
        assert_eq!(name.main().to_string(), "slack/team");
        assert_eq!(name.main().with_token("user").unwrap(), name);
        for bad in ["slack/team~", "slack/~user", "slack/team~a~b", "slack/team~User", "slack/team~a/b"] {
            assert!(bad.parse::<ConnectionName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_read_from_data_are_checked_too() {
        assert!(serde_json::from_str::<ScriptName>("\"Evil\"").is_err());
        assert!(serde_json::from_str::<ConnectionName>("\"a/b/c\"").is_err());
    }
}
