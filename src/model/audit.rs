//! The audit log: who did what, and what came of it. It never holds a token, a key or a secret.

use super::{
    ApplicationName, ConnectionName, KeyName, ProfileName, RequestId, ScriptName, Timestamp, WebhookName, quoted,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::net::IpAddr;
use uuid::Uuid;

/// Something that somebody did, or was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// To what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What came of it.
    pub outcome: Outcome,
    /// The code of the problem, where it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What else there is to say, in a few words: cleaned and cut ([`quoted`](super::quoted)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "request_of")]
    pub request: Option<RequestId>,
    /// The address that the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<IpAddr>,
    /// How often, where the same was done many times within one moment, or strangers were refused for the same reason; the time and the
    /// request are those of the first of them.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
}

/// An entry with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedAudit {
    /// Its place: one more than that of the entry before it, but for a jump where a backup was restored.
    pub sequence: u64,
    /// The entry.
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// Entries that were written together, as they are sealed. Each page has the hash of the one before it: one that was changed, taken
/// out or put in by somebody who has the keys breaks the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditPage {
    /// The sequence of its first entry; the others follow it.
    pub first: u64,
    /// The sequence of the last entry of the page before it, 0 for the first page of all.
    pub before: u64,
    /// The hash of the page before it; zeros for the first of all.
    pub previous: PageHash,
    /// The entries, one at least.
    pub entries: Vec<AuditEntry>,
}

/// The SHA-256 of a page as it was sealed: of everything in it, the hash of the page before it too.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PageHash(pub [u8; 32]);

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Actor {
    /// A user of this machine, at the command line or the unix socket.
    Local {
        /// Their number, where the system says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<u32>,
        /// Their process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<u32>,
    },
    /// Who held an API key.
    Key {
        /// The key's id.
        id: Uuid,
        /// What it was called then.
        name: KeyName,
    },
    /// Who was signed in at the pages.
    Session {
        /// As whom: the administrator, or an API key by its name.
        who: String,
        /// The id of the API key that the session was begun with, where it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Uuid>,
    },
    /// Grantkeeper itself: what is done by age.
    System,
    /// Who could not say who they are.
    Nobody,
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A connection.
    Connection(ConnectionName),
    /// An application.
    Application(ApplicationName),
    /// A profile of an application.
    Profile {
        /// The application.
        application: ApplicationName,
        /// The profile.
        profile: ProfileName,
    },
    /// An API key.
    Key(KeyName),
    /// A script.
    Script(ScriptName),
    /// A webhook.
    Webhook(WebhookName),
    /// The audit log up to an entry, which was removed as too old.
    Log {
        /// The sequence of the last entry that was removed.
        up_to: u64,
        /// The hash of the page that it ended.
        hash: PageHash,
    },
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not allowed.
    Refused,
    /// It was tried, and did not come about.
    Failed,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$each])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for tables and JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

words!(
    /// What somebody did.
    Action {
        /// Was handed an access token.
        TokenRead = "token.read",
        /// Reported an access token as rejected by an API, and was handed a newer one.
        TokenRejected = "token.rejected",
        /// Had a connection refreshed.
        Refresh = "refresh",
        /// Ended a grant, or one of its tokens.
        Revoke = "revoke",
        /// Edited when a credential ends.
        ExpiresEdit = "expires.edit",
        /// Asked the provider what it knows of a token.
        Introspect = "introspect",
        /// Began a consent.
        Authorize = "authorize",
        /// Gave a consent up that had begun.
        Abandon = "abandon",
        /// Made a connection without a browser.
        Connect = "connect",
        /// Made a link by which a person can connect an account.
        InviteCreate = "invite.create",
        /// Took such a link back.
        InviteWithdraw = "invite.withdraw",
        /// Completed a consent.
        Complete = "complete",
        /// Edited a connection's labels.
        LabelsEdit = "labels.edit",
        /// Removed a connection with all its records.
        ConnectionRemove = "connection.remove",
        /// Made or edited an application.
        ApplicationEdit = "application.edit",
        /// Removed an application.
        ApplicationRemove = "application.remove",
        /// Made or edited a profile.
        ProfileEdit = "profile.edit",
        /// Removed a profile.
        ProfileRemove = "profile.remove",
        /// Made an API key.
        KeyCreate = "key.create",
        /// Ended an API key.
        KeyRevoke = "key.revoke",
        /// Made a webhook.
        WebhookCreate = "webhook.create",
        /// Edited a webhook.
        WebhookEdit = "webhook.edit",
        /// Gave a webhook another secret.
        WebhookRotate = "webhook.rotate-secret",
        /// Had a webhook send again.
        WebhookEnable = "webhook.enable",
        /// Stopped a webhook.
        WebhookDisable = "webhook.disable",
        /// Had a webhook send a message that tells of nothing.
        WebhookTest = "webhook.test",
        /// Removed a webhook.
        WebhookRemove = "webhook.remove",
        /// Set the administrator's password.
        PasswordSet = "password.set",
        /// Signed in at the pages.
        SignIn = "sign-in",
        /// Was not let in.
        SignInRefused = "sign-in.refused",
        /// Signed out.
        SignOut = "sign-out",
        /// Sent a request with a token through the proxy.
        Proxy = "proxy",
        /// Took grants over from elsewhere.
        Import = "import",
        /// Took grants along.
        Export = "export",
        /// Tried a script.
        ScriptTry = "script.try",
        /// Asked for what they may not have.
        AccessRefused = "access.refused",
        /// Rotated the keys that the store is sealed with.
        KeysRotate = "keys.rotate",
        /// Copied the store.
        StoreBackup = "store.backup",
        /// Put a store from a backup in the present one's place.
        StoreRestore = "store.restore",
        /// Removed entries of this log that were too old.
        AuditPurge = "audit.purge",
    }
);

impl AuditEntry {
    /// The same, of something that came to another end, with the code of the problem.
    #[must_use]
    pub fn that(self, outcome: Outcome, code: &str) -> Self {
        Self { outcome, code: Some(code.to_owned()), ..self }
    }

    /// The same with a few words more. No secret may be in them.
    #[must_use]
    pub fn with_detail(self, detail: &str) -> Self {
        Self { detail: Some(quoted(detail)), ..self }
    }
}

impl Action {
    /// The action that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == word)
    }
}

impl Actor {
    /// The name of the API key with which it was done, directly or in a session that it began.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Key { name, .. } => Some(name.as_str()),
            Self::Session { who, key: Some(_) } => Some(who),
            _ => None,
        }
    }
}

impl Target {
    /// A connection.
    #[must_use]
    pub fn of(name: &ConnectionName) -> Option<Self> {
        Some(Self::Connection(name.clone()))
    }

    /// The connection, where it is one.
    #[must_use]
    pub fn connection(&self) -> Option<&ConnectionName> {
        match self {
            Self::Connection(name) => Some(name),
            _ => None,
        }
    }

    /// The application that it is, or that it belongs to.
    #[must_use]
    pub fn application(&self) -> Option<&ApplicationName> {
        match self {
            Self::Connection(name) => Some(name.application()),
            Self::Application(name) | Self::Profile { application: name, .. } => Some(name),
            Self::Key(_) | Self::Script(_) | Self::Webhook(_) | Self::Log { .. } => None,
        }
    }
}

impl Outcome {
    /// The word for tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { user, process } => {
                f.write_str("local")?;
                user.iter().try_for_each(|user| write!(f, " user {user}"))?;
                process.iter().try_for_each(|process| write!(f, " (process {process})"))
            }
            Self::Key { name, .. } => write!(f, "key {name}"),
            Self::Session { who, key: None } => write!(f, "session {who}"),
            Self::Session { who, key: Some(_) } => write!(f, "session of key {who}"),
            Self::System => f.write_str("grantkeeper"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(name) => write!(f, "{name}"),
            Self::Application(name) => write!(f, "application {name}"),
            Self::Profile { application, profile } => write!(f, "profile {application}/{profile}"),
            Self::Key(name) => write!(f, "key {name}"),
            Self::Script(name) => write!(f, "script {name}"),
            Self::Webhook(name) => write!(f, "webhook {name}"),
            Self::Log { up_to, .. } => write!(f, "entries up to {up_to}"),
        }
    }
}

impl fmt::Display for PageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for PageHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NotAHash);
        }
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| NotAHash)?;
        }
        Ok(Self(hash))
    }
}

impl TryFrom<String> for PageHash {
    type Error = NotAHash;

    fn try_from(text: String) -> Result<Self, NotAHash> {
        text.parse()
    }
}

impl From<PageHash> for String {
    fn from(hash: PageHash) -> Self {
        hash.to_string()
    }
}

/// A text that is no hash of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no hash of the audit log: it has 64 of 0-9 and a-f")]
pub struct NotAHash;

/// Pages of before may have any text there. One that is no id finds no request, and must not close the page.
fn request_of<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<RequestId>, D::Error> {
    let text = Option::<String>::deserialize(reader)?;
    Ok(text.and_then(|text| text.parse().ok()).map(RequestId))
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_once(times: &u32) -> bool {
    *times == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_an_action_is_the_one_of_its_json() {
        for action in Action::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
            assert_eq!(Action::from_word(action.as_str()), Some(*action));
        }
        assert_eq!(Action::from_word("other"), None);
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let entry = AuditEntry {
            at: Timestamp::UNIX_EPOCH,
            actor: Actor::Key { id: Uuid::nil(), name: "reporting".parse().unwrap() },
            action: Action::TokenRead,
            target: Some(Target::Connection("drive/reports".parse().unwrap())),
            outcome: Outcome::Refused,
            code: Some("forbidden".to_owned()),
            detail: None,
            request: Some(RequestId(Uuid::from_u128(1))),
            remote: Some("::1".parse().unwrap()),
            times: 1,
        };
        let text = serde_json::to_string(&entry).unwrap();
        assert!(!text.contains("times") && !text.contains("detail"), "{text}");
        assert!(
            text.contains(r#""actor":{"key":{"id":"00000000-0000-0000-0000-000000000000","name":"reporting"}}"#),
            "{text}"
        );
        assert!(text.contains(r#""target":{"connection":"drive/reports"}"#), "{text}");
        assert_eq!(serde_json::from_str::<AuditEntry>(&text).unwrap(), entry);
        let other = text.replace("00000000-0000-0000-0000-000000000001", "r-1");
        assert_eq!(serde_json::from_str::<AuditEntry>(&other).unwrap(), AuditEntry { request: None, ..entry });
    }

    #[test]
    fn a_hash_is_read_as_it_is_printed_and_nothing_else_is() {
        let hash = PageHash(std::array::from_fn(|at| u8::try_from(at * 8).unwrap()));
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for bad in ["", "00", &"0".repeat(63), &"A".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<PageHash>(), Err(NotAHash), "{bad}");
        }
    }
}
