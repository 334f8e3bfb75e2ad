//! Names, checked where they enter. Each type is proof that its text has the right form. Clones share the text: names stand in everything that is told,
//! and are handed on much more often than they are read.

use serde::{Deserialize, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

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

/// What every name is as its text.
macro_rules! text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
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
                name.as_str().to_owned()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }
    };
}

/// What most names have: an order by their text.
macro_rules! ordered {
    ($name:ident) => {
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.as_str().cmp(other.as_str())
            }
        }
    };
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $pattern:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Deserialize)]
        #[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "server", schemars(extend("pattern" = $pattern)))]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

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
                if check(text) { Ok(Self(text.into())) } else { Err(NameError::new(text, $what, $rule)) }
            }
        }

        text!($name);
        ordered!($name);
    };
}

/// The name of an application (a client registration), e.g. `google-drive`: 1 to 63 of `a-z 0-9 - _ .`, starting
/// with a letter or digit. It stands in URLs and file names, hence the narrow alphabet.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "server", schemars(with = "String", extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}$")))]
pub struct ApplicationName {
    /// The name, or that of a connection, which begins with it.
    text: Arc<str>,
    length: u8,
}

impl ApplicationName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl FromStr for ApplicationName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match u8::try_from(text.len()) {
            Ok(length) if is_plain(text, 63) => Ok(Self { text: text.into(), length }),
            _ => Err(NameError::new(
                text,
                "an application name",
                "use 1 to 63 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit",
            )),
        }
    }
}

text!(ApplicationName);
ordered!(ApplicationName);

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
        Self("default".into())
    }
}

/// The name of a connection, `APPLICATION/NAME`, e.g. `google-drive/reports`. The part after the slash names the
/// requestor (a person, a tenant, a system): 1 to 128 of `A-Z a-z 0-9 . _ @ + : -`, not starting with `-` or `.`. A further
/// token of a connection (Slack gives a bot's and a person's) is named after it and a tilde: `slack/team~user`.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "server",
    schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,62}/[A-Za-z0-9_@+:][A-Za-z0-9._@+:-]{0,127}(~[a-z0-9_-]{1,40})?$"))
)]
pub struct ConnectionName {
    /// Its text is the whole name, and its own name the beginning of that.
    application: ApplicationName,
}

/// Bytes of the longest name of a connection: an application's 63, a slash, 128, a tilde, 40.
const LONGEST: usize = 63 + 1 + 128 + 1 + 40;

impl ConnectionName {
    /// Of an application's name and what stands behind the slash.
    ///
    /// # Errors
    /// When one of them has not the form that it must have.
    pub fn of(application: &str, name: &str) -> Result<Self, NameError> {
        // As long as any may be: put together here, and made a text of its own once.
        let mut whole = [0; LONGEST];
        Self::made(application, name, || {
            let mut end = 0;
            for part in [application, "/", name] {
                whole[end..end + part.len()].copy_from_slice(part.as_bytes());
                end += part.len();
            }
            std::str::from_utf8(&whole[..end]).unwrap_or_default().into()
        })
    }

    fn made(application: &str, name: &str, text: impl FnOnce() -> Arc<str>) -> Result<Self, NameError> {
        let (requestor, token) = split(name);
        let fits = is_plain(application, 63)
            && (1..=128).contains(&requestor.len())
            && !requestor.starts_with(['-', '.'])
            && requestor.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+:-".contains(&b))
            && token.is_none_or(is_token);
        match u8::try_from(application.len()) {
            Ok(length) if fits => Ok(Self { application: ApplicationName { text: text(), length } }),
            _ => Err(Self::wrong(&format!("{application}/{name}"))),
        }
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
        self.parts().0
    }

    /// The further token that is meant; none for the connection itself.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.parts().1
    }

    /// The whole name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.application.text
    }

    fn parts(&self) -> (&str, Option<&str>) {
        split(self.as_str().get(usize::from(self.application.length) + 1..).unwrap_or_default())
    }

    fn with_text(&self, text: &str) -> Self {
        Self { application: ApplicationName { text: text.into(), length: self.application.length } }
    }

    /// The connection that a further token belongs to; itself for a connection.
    #[must_use]
    pub fn main(&self) -> Self {
        match self.as_str().split_once('~') {
            Some((text, _)) => self.with_text(text),
            None => self.clone(),
        }
    }

    /// A further token of this connection.
    ///
    /// # Errors
    /// When that is no token's name: 1 to 40 of `a-z 0-9 _ -`.
    pub fn with_token(&self, token: &str) -> Result<Self, NameError> {
        if is_token(token) {
            Ok(self.with_text(&[self.main().as_str(), "~", token].concat()))
        } else {
            Err(NameError::new(token, "the name of a token", "use 1 to 40 of a-z, 0-9, '-' and '_'"))
        }
    }
}

impl FromStr for ConnectionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (application, name) = text.split_once('/').ok_or_else(|| Self::wrong(text))?;
        Self::made(application, name, || text.into())
    }
}

text!(ConnectionName);

/// By the application, then by what stands behind the slash, then by the further token: `a/x` comes before `a-b/x`, although `-` comes before `/`.
impl Ord for ConnectionName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.application.cmp(&other.application).then_with(|| self.parts().cmp(&other.parts()))
    }
}

/// What stands behind the slash: the requestor and the further token.
fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('~') {
        Some((requestor, token)) => (requestor, Some(token)),
        None => (name, None),
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
    fn names_sort_by_their_parts_and_are_the_same_however_they_were_made() {
        let sorted = ["a/x", "a/x~user", "a/x.y", "a-b/x", "a.b/x", "b/a"];
        let names: Vec<ConnectionName> = sorted.iter().map(|text| text.parse().unwrap()).collect();
        assert!(names.is_sorted(), "{names:?}");
        let made = ConnectionName::of("a", "x").unwrap().with_token("user").unwrap();
        assert_eq!((&made, made.main().with_token("bot").unwrap().as_str()), (&names[1], "a/x~bot"));
        assert_eq!(made.with_token("bot").unwrap().to_string(), "a/x~bot");
        assert_eq!(serde_json::to_string(&made).unwrap(), "\"a/x~user\"");
    }

    #[test]
    fn names_read_from_data_are_checked_too() {
        assert!(serde_json::from_str::<ScriptName>("\"Evil\"").is_err());
        assert!(serde_json::from_str::<ConnectionName>("\"a/b/c\"").is_err());
    }
}
