//! Who may do what: the rights of an API key, and how far they reach.

use super::{ApplicationName, ConnectionName, KeyName, NameError, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Be handed the access token of a connection, report it rejected, and send requests with it (the proxy).
    Token,
    /// See a connection, authorize, refresh and revoke it, edit its labels and when its credentials end. Its tokens are not shown.
    Manage,
    /// Everything, API keys and the audit log too.
    Administer,
}

impl Right {
    /// The word that an allowance begins with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Manage => "manage",
            Self::Administer => "administer",
        }
    }
}

/// How far a right reaches: `*`, `drive/*` or `drive/reports`. A further token (`slack/team~user`) is reached by its own name or by
/// its whole application: who may have a bot's token may not have a person's for that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "server",
    schemars(with = "String", extend("pattern" = "^(\\*|[a-z0-9][a-z0-9._-]{0,62}/\\*|[a-z0-9][a-z0-9._-]{0,62}/[A-Za-z0-9_@+:][A-Za-z0-9._@+:-]{0,127}(~[a-z0-9_-]{1,40})?)$"))
)]
pub enum Reach {
    /// Every application, those that are made later too.
    All,
    /// One application and all its connections.
    Application(ApplicationName),
    /// One connection.
    Connection(ConnectionName),
}

impl Reach {
    /// The application that it is of, where it is of one.
    #[must_use]
    pub fn application(&self) -> Option<&ApplicationName> {
        match self {
            Self::All => None,
            Self::Application(name) => Some(name),
            Self::Connection(name) => Some(name.application()),
        }
    }

    /// Whether a connection is within it.
    #[must_use]
    pub fn covers(&self, connection: &ConnectionName) -> bool {
        match self {
            Self::All => true,
            Self::Application(name) => name == connection.application(),
            Self::Connection(name) => name == connection,
        }
    }

    /// Whether a whole application is within it.
    #[must_use]
    pub fn covers_application(&self, application: &ApplicationName) -> bool {
        match self {
            Self::All => true,
            Self::Application(name) => name == application,
            Self::Connection(_) => false,
        }
    }
}

impl FromStr for Reach {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "*" {
            return Ok(Self::All);
        }
        let read = match text.strip_suffix("/*") {
            Some(application) => application.parse().map(Self::Application),
            None => text.parse().map(Self::Connection),
        };
        read.map_err(|_: NameError| NameError::new(text, "a reach", REACH))
    }
}

impl TryFrom<String> for Reach {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Reach> for String {
    fn from(reach: Reach) -> Self {
        reach.to_string()
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Application(name) => write!(f, "{name}/*"),
            Self::Connection(name) => write!(f, "{name}"),
        }
    }
}

const REACH: &str = "write * (everything), APPLICATION/* or APPLICATION/NAME";

/// One thing that somebody may do: `token:drive/*`, `manage:drive/reports`, `administer`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "server",
    schemars(with = "String", extend("pattern" = "^(administer|(token|manage):(\\*|[a-z0-9][a-z0-9._-]{0,62}/\\*|[a-z0-9][a-z0-9._-]{0,62}/[A-Za-z0-9_@+:][A-Za-z0-9._@+:-]{0,127}(~[a-z0-9_-]{1,40})?))$"))
)]
pub enum Allowance {
    /// [`Right::Token`], so far.
    Token(Reach),
    /// [`Right::Manage`], so far.
    Manage(Reach),
    /// [`Right::Administer`], which has no bounds.
    Administer,
}

impl Allowance {
    /// The application that it is for, where it is for one.
    #[must_use]
    pub fn application(&self) -> Option<&ApplicationName> {
        match self {
            Self::Token(reach) | Self::Manage(reach) => reach.application(),
            Self::Administer => None,
        }
    }

    /// The right.
    #[must_use]
    pub fn right(&self) -> Right {
        match self {
            Self::Token(_) => Right::Token,
            Self::Manage(_) => Right::Manage,
            Self::Administer => Right::Administer,
        }
    }

    /// How far it reaches.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        match self {
            Self::Token(reach) | Self::Manage(reach) => reach,
            Self::Administer => &Reach::All,
        }
    }
}

impl FromStr for Allowance {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || {
            NameError::new(
                text,
                "what a key may do",
                "write token:REACH, manage:REACH or administer, where REACH is *, APPLICATION/* or APPLICATION/NAME",
            )
        };
        if text == Right::Administer.as_str() {
            return Ok(Self::Administer);
        }
        let (right, reach) = text.split_once(':').ok_or_else(wrong)?;
        let reach = reach.parse().map_err(|_| wrong())?;
        match right {
            "token" => Ok(Self::Token(reach)),
            "manage" => Ok(Self::Manage(reach)),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Allowance {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Allowance> for String {
    fn from(allowance: Allowance) -> Self {
        allowance.to_string()
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(reach) | Self::Manage(reach) => write!(f, "{}:{reach}", self.right().as_str()),
            Self::Administer => f.write_str(Right::Administer.as_str()),
        }
    }
}

/// An API key as people see it: everything but the key. What it is checked with lies beside it in its record, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Its id, which stands in the key too.
    pub id: Uuid,
    /// What people call it.
    pub name: KeyName,
    /// What it may do; nothing where there is none.
    pub allowances: Vec<Allowance>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// When it was ended.
    pub revoked: Option<Timestamp>,
    /// When it was last used, to the hour or so.
    pub last_used: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it opens a door.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> KeyState {
        match self {
            Self { revoked: Some(_), .. } => KeyState::Revoked,
            Self { expires: Some(end), .. } if *end <= now => KeyState::Expired,
            _ => KeyState::Good,
        }
    }
}

/// Whether an API key opens a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum KeyState {
    /// It does.
    Good,
    /// Its time has passed.
    Expired,
    /// It was ended.
    Revoked,
}

impl KeyState {
    /// The word for tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reaches() -> impl Strategy<Value = Reach> {
        let application = "[a-z0-9][a-z0-9._-]{0,20}";
        let connection = "[a-z0-9][a-z0-9._-]{0,20}/[A-Za-z0-9_@+:][A-Za-z0-9._@+:-]{0,20}(~[a-z0-9_-]{1,10})?";
        prop_oneof![
            Just(Reach::All),
            application.prop_map(|name| Reach::Application(name.parse().unwrap())),
            connection.prop_map(|name| Reach::Connection(name.parse().unwrap())),
        ]
    }

    fn allowances() -> impl Strategy<Value = Allowance> {
        prop_oneof![
            reaches().prop_map(Allowance::Token),
            reaches().prop_map(Allowance::Manage),
            Just(Allowance::Administer),
        ]
    }

    proptest! {
        #[test]
        fn an_allowance_is_read_as_it_is_printed(allowance in allowances()) {
            prop_assert_eq!(allowance.to_string().parse::<Allowance>(), Ok(allowance.clone()));
            let json = serde_json::to_string(&allowance).unwrap();
            prop_assert_eq!(&json, &format!("\"{allowance}\""));
            prop_assert_eq!(serde_json::from_str::<Allowance>(&json).unwrap(), allowance);
        }

        #[test]
        fn what_is_read_is_printed_as_it_was_written(text in "(token|manage|administer)?:?[a-z*/~. ]{0,12}") {
            if let Ok(allowance) = text.parse::<Allowance>() {
                prop_assert_eq!(allowance.to_string(), text);
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Allowance>();
        }
    }

    #[test]
    fn a_reach_is_everything_an_application_or_a_connection() {
        for good in ["token:*", "token:drive/*", "manage:drive/reports", "administer", "token:slack/team~user"] {
            assert_eq!(good.parse::<Allowance>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "token",
            "token:",
            "*",
            "token:drive",
            "token:*/*",
            "token:/x",
            "token:drive/rep*",
            "Token:*",
            "token:* ",
            "administer:*",
            "admin",
            "token:drive/**",
            "token: drive/*",
            "issue:*",
        ] {
            let error = bad.parse::<Allowance>().unwrap_err().to_string();
            assert!(error.contains("APPLICATION/*"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_reach_covers_what_it_names_and_nothing_beside_it() {
        let reach = |text: &str| text.parse::<Reach>().unwrap();
        let name = |text: &str| text.parse::<ConnectionName>().unwrap();
        assert!(reach("*").covers(&name("a/b")) && reach("a/*").covers(&name("a/b")));
        assert!(reach("a/b").covers(&name("a/b")) && reach("a/*").covers(&name("a/b~user")));
        for (text, other) in
            [("a/*", "ab/b"), ("a/*", "a.b/c"), ("a/b", "a/bc"), ("a/b", "a/b~user"), ("a/b~user", "a/b")]
        {
            assert!(!reach(text).covers(&name(other)), "{text} {other}");
        }
        let application = "a".parse().unwrap();
        assert!(reach("*").covers_application(&application) && reach("a/*").covers_application(&application));
        assert!(!reach("a/b").covers_application(&application) && !reach("b/*").covers_application(&application));
    }

    #[test]
    fn a_key_ends_at_its_time_or_when_it_is_revoked() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let key = ApiKey {
            id: Uuid::nil(),
            name: "reporting".parse().unwrap(),
            allowances: vec![Allowance::Administer],
            created: at(1),
            expires: Some(at(100)),
            revoked: None,
            last_used: None,
        };
        assert_eq!((key.state(at(99)), key.state(at(100))), (KeyState::Good, KeyState::Expired));
        let revoked = ApiKey { revoked: Some(at(5)), ..key.clone() };
        assert_eq!((revoked.state(at(6)), revoked.state(at(200))), (KeyState::Revoked, KeyState::Revoked));
        let endless = ApiKey { expires: None, ..key };
        assert_eq!(endless.state(Timestamp::MAX), KeyState::Good);
    }
}
