//! A fixture as it is written.

use crate::model::{FailureKind, GrantType, Labels, Timestamp};
use crate::registry::wrong_in;
use crate::script::FIXTURES;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Names and values; `*` as a value is any.
pub type Pairs = BTreeMap<String, String>;

/// One recorded conversation: what we are and hold, what we send, what comes back, and what must be made of it.
/// `docs/fixtures.md` explains each key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// `PROVIDER/NAME`, from where it lies.
    #[serde(skip)]
    pub name: String,
    /// The scripts that lie beside it, by name: they go before those of a home and the shipped ones.
    #[serde(skip)]
    pub scripts: BTreeMap<String, String>,
    /// What it shows, in a sentence.
    pub about: String,
    /// The page that the facts come from.
    pub source: Option<String>,
    /// The grant that is asked with.
    pub grant: GrantType,
    /// The time of the conversation.
    #[serde(default = "usual_time")]
    pub now: Timestamp,
    /// Our client id and secret.
    #[serde(default)]
    pub client: Client,
    /// Keys of an application, as in its file.
    #[serde(default)]
    pub application: toml::Table,
    /// What the connection holds before.
    #[serde(default)]
    pub stored: Held,
    /// Further parameters of the callback; `code` overrides the usual one.
    #[serde(default)]
    pub callback: Pairs,
    /// What is done with the connection afterwards, in order; tokens are compared after the refreshes.
    #[serde(default)]
    pub then: Vec<Then>,
    /// The requests in order, and how each is answered.
    #[serde(default, rename = "exchange")]
    pub exchanges: Vec<Exchange>,
    /// What must come of it.
    pub expect: Expect,
}

/// Our client id and secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Client {
    /// The id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

/// Something that is done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It is refreshed.
    Refresh,
    /// Its further tokens are refreshed, each by itself, in the order of their names.
    RefreshTokens,
    /// The provider is asked about its access token (RFC 7662).
    Introspect,
    /// It is revoked (RFC 7009).
    Revoke,
}

impl Then {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::RefreshTokens => "refresh_tokens",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
        }
    }
}

/// What the connection holds before the conversation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Held {
    /// Its access token.
    pub access_token: String,
    /// Its refresh token.
    pub refresh_token: String,
    /// The provider's fields.
    pub fields: toml::Table,
    /// Its labels; a first consent has them too.
    pub labels: Labels,
    /// How long ago it got them, in seconds.
    pub age: u64,
    /// Its further tokens, by name.
    pub tokens: BTreeMap<String, HeldToken>,
}

/// A further token that the connection holds before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldToken {
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    pub refresh_token: Option<String>,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// What the request must be like.
    #[serde(default)]
    pub request: Request,
    /// What the provider answers.
    pub reply: Reply,
}

/// What must come of a conversation: tokens or an error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The authorization URL.
    #[serde(default)]
    pub authorization: Authorization,
    /// The token that must be handed out afterwards.
    pub token: Option<Token>,
    /// The further tokens of the same grant, by name.
    #[serde(default)]
    pub tokens: BTreeMap<String, Token>,
    /// The failure that must be told.
    pub error: Option<Failed>,
}

/// What the authorization URL must be like; what is not said is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// The URL without its query.
    pub url: Option<String>,
    /// Parameters of the query.
    pub params: Pairs,
    /// Parameters that must not be there.
    pub absent: Vec<String>,
    /// What stands behind `#`.
    pub fragment: Option<String>,
}

/// What a request must be like; what is not said is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// `POST` or `GET`.
    pub method: Option<String>,
    /// The URL that it was meant for, without its query.
    pub url: Option<String>,
    /// The content type, without its parameters.
    pub content_type: Option<String>,
    /// How the client authenticates: a word of `client_authentication`, or `query`.
    pub auth: Option<String>,
    /// Headers.
    pub headers: Pairs,
    /// Parameters of the body, or of the query of a `GET`.
    pub params: Pairs,
    /// Parameters of the URL of a `POST`.
    pub query: Pairs,
    /// Parameters that must be in neither.
    pub absent: Vec<String>,
    /// Claims of the JWT that is the assertion, or the client's assertion.
    pub claims: Pairs,
}

/// What the provider answers, to the letter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    #[serde(default)]
    pub headers: Pairs,
    /// The body, where it is text.
    pub body: Option<String>,
    /// The body, where it is not.
    pub body_base64: Option<String>,
    /// A body too large to write down.
    pub generate: Option<Generate>,
}

/// A body of one text over and over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// How many bytes.
    pub bytes: usize,
    /// Of what.
    pub of: String,
}

/// A token that must be held afterwards. What is not said must not be there: a lifetime that is not said must not be
/// stated by the reply, a refresh token that is not said must not be held.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The access token.
    pub access_token: String,
    /// The refresh token that the next refresh sends.
    pub refresh_token: Option<String>,
    /// The stated lifetime in seconds.
    pub expires_in: Option<u64>,
    /// The stated lifetime of the refresh token in seconds.
    pub refresh_expires_in: Option<u64>,
    /// How long the access token is held for good, in seconds, whoever says so.
    pub lifespan: Option<u64>,
    /// The same of the refresh token.
    pub refresh_lifespan: Option<u64>,
    /// For how many seconds, at least, the background job leaves the connection alone.
    pub due_after: Option<u64>,
    /// In how many seconds, at most, it looks at the connection.
    pub due_within: Option<u64>,
    /// The scopes granted.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What stands before the token in the `Authorization` header of a call.
    #[serde(default = "bearer")]
    pub token_type: String,
    /// Fields that must be kept, by dotted path.
    #[serde(default)]
    pub fields: BTreeMap<String, toml::Value>,
    /// Whose account it is.
    pub account: Option<Account>,
}

/// Whose account a grant is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The provider's id, which does not change.
    pub id: Option<String>,
    /// The name for people.
    pub name: Option<String>,
}

/// The failure that must be told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Its kind: that of a failure at the provider, or `bad_callback` for a callback that is not taken.
    pub kind: String,
    /// The provider's code.
    pub code: Option<String>,
    /// The provider's words.
    pub words: Option<String>,
    /// How long the provider asks to wait, in seconds.
    pub retry_after: Option<u64>,
}

/// A fixture that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the fixture {name} is not as it should be: {reason}")]
pub struct FixtureError {
    /// Which.
    pub name: String,
    /// Line, column and what is wrong.
    pub reason: String,
}

impl Fixture {
    /// A fixture of a grant with nothing in it yet.
    #[must_use]
    pub fn blank(grant: GrantType) -> Self {
        Self {
            name: String::new(),
            scripts: BTreeMap::new(),
            about: String::new(),
            source: None,
            grant,
            now: usual_time(),
            client: Client::default(),
            application: toml::Table::new(),
            stored: Held::default(),
            callback: Pairs::new(),
            then: Vec::new(),
            exchanges: Vec::new(),
            expect: Expect {
                authorization: Authorization::default(),
                token: None,
                tokens: BTreeMap::new(),
                error: None,
            },
        }
    }

    /// Reads a fixture's TOML.
    pub fn read(name: &str, text: &str) -> Result<Self, FixtureError> {
        let wrong = |reason: String| FixtureError { name: name.to_owned(), reason };
        let fixture: Self = toml::from_str(text).map_err(|error| wrong(wrong_in(text, &error, "key")))?;
        if fixture.expect.token.is_some() == fixture.expect.error.is_some() {
            return Err(wrong("write either [expect.token] or [expect.error]".to_owned()));
        }
        if let Some(Failed { kind, .. }) = &fixture.expect.error
            && FailureKind::from_script(kind).is_none()
            && kind != BAD_CALLBACK
        {
            return Err(wrong(format!(
                "expect.error.kind = {kind:?} is no kind of failure; docs/fixtures.md lists them"
            )));
        }
        for (number, exchange) in (1..).zip(&fixture.exchanges) {
            let Reply { body, body_base64, generate, .. } = &exchange.reply;
            if usize::from(body.is_some()) + usize::from(body_base64.is_some()) + usize::from(generate.is_some()) > 1 {
                let keys = "write one of body, body_base64 and generate";
                return Err(wrong(format!("exchange {number} has a reply with two bodies; {keys}")));
            }
        }
        Ok(Self { name: name.to_owned(), ..fixture })
    }

    /// Reads a fixture's file, and the scripts beside it.
    pub fn open(path: &Path) -> Result<Self, FixtureError> {
        let name = path.display().to_string();
        let failed = |error: std::io::Error| FixtureError {
            name: name.clone(),
            reason: format!("it cannot be read together with the scripts beside it: {error}"),
        };
        if !path.exists() {
            return Err(FixtureError { name: name.clone(), reason: "there is no such file or folder".to_owned() });
        }
        let mut fixture = Self::read(&name, &std::fs::read_to_string(path).map_err(failed)?)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for entry in folder.read_dir().map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if let Some(script) = script_name(&path) {
                fixture.scripts.insert(script, std::fs::read_to_string(&path).map_err(failed)?);
            }
        }
        Ok(fixture)
    }
}

/// The fixtures that are built in.
#[must_use]
pub fn shipped() -> Vec<Result<Fixture, FixtureError>> {
    let mut all = Vec::new();
    for folder in FIXTURES.dirs() {
        let text = |file: &include_dir::File<'_>| file.contents_utf8().unwrap_or_default().to_owned();
        let scripts: BTreeMap<String, String> =
            folder.files().filter_map(|file| Some((script_name(file.path())?, text(file)))).collect();
        for file in folder.files().filter(|file| file.path().extension().is_some_and(|end| end == "toml")) {
            let name = file.path().with_extension("").display().to_string();
            all.push(Fixture::read(&name, &text(file)).map(|fixture| Fixture { scripts: scripts.clone(), ..fixture }));
        }
    }
    all
}

impl Default for Client {
    fn default() -> Self {
        Self { id: "cid".to_owned(), secret: "csecret".to_owned() }
    }
}

impl Default for Held {
    fn default() -> Self {
        Self {
            access_token: "at-old".to_owned(),
            refresh_token: "rt-old".to_owned(),
            fields: toml::Table::new(),
            labels: Labels::new(),
            age: 0,
            tokens: BTreeMap::new(),
        }
    }
}

fn script_name(path: &Path) -> Option<String> {
    path.extension().filter(|end| *end == "rhai")?;
    Some(path.file_stem()?.to_str()?.to_owned())
}

/// What [`crate::connector::Error::code`] says of a callback that is not taken.
const BAD_CALLBACK: &str = "bad_callback";

pub(super) fn bearer() -> String {
    "Bearer".to_owned()
}

/// 14 November 2023, 22:13:20 UTC: 1,700,000,000 in epoch seconds.
pub(super) fn usual_time() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap_or(Timestamp::UNIX_EPOCH)
}
