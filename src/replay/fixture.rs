//! A fixture as it is written.

use crate::model::{FailureKind, GrantType, Timestamp};
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::collections::BTreeMap;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures");

/// One recorded exchange: what we are, what we send, what comes back, and what must be made of it. `docs/fixtures.md`
/// explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// `PROVIDER/NAME`, from where it lies.
    #[serde(skip)]
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// The page that the facts come from.
    pub source: Option<String>,
    /// The grant that is asked with.
    pub grant: GrantType,
    /// The time of the exchange.
    #[serde(default = "usual_time")]
    pub now: Timestamp,
    /// Keys of an application, as in its file; name, client, and endpoints are the runner's.
    #[serde(default)]
    pub application: toml::Table,
    /// Further parameters of the callback.
    #[serde(default)]
    pub callback: BTreeMap<String, String>,
    /// What must be sent, and what must come of the reply.
    pub expect: Expect,
    /// What the provider answers.
    pub reply: Reply,
}

/// What must be sent, and what must come of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Parameters of the authorization URL; `*` is any value.
    #[serde(default)]
    pub authorization: BTreeMap<String, String>,
    /// The token request.
    #[serde(default)]
    pub request: Request,
    /// The tokens that must be held afterwards.
    pub token: Option<Token>,
    /// The failure that must be told.
    pub error: Option<Failed>,
}

/// What the token request must be like; what is not said is not looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// `POST` or `GET`.
    pub method: Option<String>,
    /// The content type, without its parameters.
    pub content_type: Option<String>,
    /// How the client authenticates: `basic`, `post` or `none`.
    pub auth: Option<String>,
    /// Parameters of the body or query; `*` is any value.
    pub params: BTreeMap<String, String>,
    /// Parameters that must not be there.
    pub absent: Vec<String>,
    /// Headers; `*` is any value.
    pub headers: BTreeMap<String, String>,
}

/// What the provider answers, to the letter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: String,
}

/// The tokens that must be held afterwards. What is not said must not be there: a lifetime that is not said must not
/// be stated by the reply, a refresh token that is not said must not be held.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The access token.
    pub access_token: String,
    /// The refresh token that the next refresh sends.
    pub refresh_token: Option<String>,
    /// The stated lifetime in seconds.
    pub expires_in: Option<u64>,
    /// The scopes granted.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The type of the token.
    #[serde(default = "bearer")]
    pub token_type: String,
    /// Fields that must be kept, by dotted path.
    #[serde(default)]
    pub fields: BTreeMap<String, toml::Value>,
}

/// The failure that must be told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Its kind.
    pub kind: FailureKind,
    /// The provider's code.
    pub code: Option<String>,
}

/// A fixture that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the fixture {name} is not as it should be:\n{reason}")]
pub struct FixtureError {
    /// Which.
    pub name: String,
    /// Line, column and what is wrong.
    pub reason: String,
}

impl Fixture {
    /// Reads a fixture's TOML.
    pub fn read(name: &str, text: &str) -> Result<Self, FixtureError> {
        let wrong = |reason: String| FixtureError { name: name.to_owned(), reason };
        let fixture: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if fixture.expect.token.is_some() == fixture.expect.error.is_some() {
            return Err(wrong("write either [expect.token] or [expect.error]".to_owned()));
        }
        Ok(Self { name: name.to_owned(), ..fixture })
    }
}

/// The fixtures that are built in.
#[must_use]
pub fn shipped() -> Vec<Result<Fixture, FixtureError>> {
    let folders = SHIPPED.dirs();
    let files = folders.flat_map(Dir::files).filter(|file| file.path().extension().is_some_and(|end| end == "toml"));
    files
        .map(|file| {
            let name = file.path().with_extension("").display().to_string();
            Fixture::read(&name, file.contents_utf8().unwrap_or_default())
        })
        .collect()
}

fn bearer() -> String {
    "Bearer".to_owned()
}

/// 14 November 2023, 22:13:20 UTC: 1,700,000,000 in epoch seconds.
fn usual_time() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap_or(Timestamp::UNIX_EPOCH)
}
