//! What a hook is told and what it hands back.

use crate::model::{
    ApplicationName, ConnectionName, Failure, Fields, GrantType, Labels, Profile, ProfileName, ReplyHabits, Secret,
    Timestamp,
};
use crate::oauth::{Params, RawReply};
use crate::script::ScriptError;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use url::Url;

/// Whether an application names a URL's host: a script sends nothing to any other.
pub type Allowed = Arc<dyn Fn(&Url) -> bool + Send + Sync>;

/// Sends one extra request for a script. The error is a sentence without secrets.
pub type ExtraCalls =
    Arc<dyn Fn(http::Request<Vec<u8>>) -> Pin<Box<dyn Future<Output = Result<RawReply, String>> + Send>> + Send + Sync>;

/// What a script's `this.oauthContext` stands on.
#[derive(Clone)]
pub struct Context {
    /// The application that the request is for.
    pub application: ApplicationName,
    /// Its client id.
    pub client_id: String,
    /// The name of the profile in use.
    pub profile_name: ProfileName,
    /// The profile itself.
    pub profile: Profile,
    /// The grant of this request: `refresh_token` on a refresh, whatever the profile says.
    pub grant: GrantType,
    /// The connection.
    pub connection: ConnectionName,
    /// Its labels.
    pub labels: Labels,
    /// Its kept fields.
    pub fields: Fields,
    /// Secrets that scripts may sign with and send, by name, and never see; the client secret is `client_secret`.
    pub secrets: Arc<BTreeMap<String, Secret>>,
    /// How the provider's replies differ.
    pub reply: Arc<ReplyHabits>,
    /// The application's hosts.
    pub allowed: Allowed,
    /// The time now.
    pub now: Timestamp,
    /// Sends extra calls; without it a script makes none.
    pub calls: Option<ExtraCalls>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("connection", &self.connection)
            .field("profile", &self.profile_name)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

/// What a hook made, with the fields that it put on the connection (`getConnection().put(name, value)`).
#[derive(Debug, Clone, PartialEq)]
pub struct Kept<T> {
    /// What the hook made.
    pub value: T,
    /// Fields to keep on the connection; `null` takes one away.
    pub fields: Fields,
}

/// What a reply means.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// The parameters of a token reply (RFC 6749 section 5.1), wherever the provider had put them.
    Token(Params),
    /// An error, the script's or the provider's.
    Failed(Failure),
}

/// The reading of a reply, and what happened on the way.
#[derive(Debug)]
pub struct Watched {
    /// What came of it.
    pub reading: Result<Kept<Reading>, ScriptError>,
    /// The parameters before the hooks.
    pub before: Params,
    /// The parameters after them.
    pub after: Params,
    /// The hooks that ran, in order, and whether each is the script's own and not `OAuthUtil`'s.
    pub hooks: Vec<(&'static str, bool)>,
    /// Steps of the interpreter.
    pub operations: u64,
}
