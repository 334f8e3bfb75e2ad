//! One recorded reply through a script, without a provider and without a store.

use crate::model::{
    Application, Expiry, Failure, Fields, GrantType, Habits, Profile, ProfileName, RECEIVED_ACCESS_TOKEN_SECONDS,
    Timestamp,
};
use crate::oauth::{self, Params, RawReply, TokenReply};
use crate::script::{Context, Reading, Script, ScriptError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What came of a reply.
#[derive(Debug)]
pub struct Trial {
    /// The parameters before the script's hooks.
    pub before: Params,
    /// The parameters after them.
    pub after: Params,
    /// The hooks that ran, in order, and whether each is the script's own.
    pub hooks: Vec<(&'static str, bool)>,
    /// Steps of the interpreter.
    pub operations: u64,
    /// Fields that the script put on the connection.
    pub kept: Fields,
    /// The end.
    pub outcome: Outcome,
}

/// How a reply ended.
#[derive(Debug)]
pub enum Outcome {
    /// A token, and when it ends.
    Token(Box<TokenReply>, Expiry),
    /// A failure, as Grantkeeper treats it.
    Failed(Failure),
    /// The script broke.
    Broke(Box<ScriptError>),
}

/// Plays a reply through a script, as if it had just come for a grant of an application, or of one without habits.
///
/// # Errors
/// When the script cannot be run at all.
pub async fn try_reply(
    script: &Script,
    application: Option<&Application>,
    grant: GrantType,
    reply: &RawReply,
    now: Timestamp,
) -> Result<Trial, ScriptError> {
    let watched = script.watched_reply(&context(application, grant, now), reply).await?;
    let separator = application.map_or(" ", |application| application.scope_separator.as_str());
    let (outcome, kept) = match watched.reading {
        Err(error) => (Outcome::Broke(error.into()), Fields::new()),
        Ok(read) => (outcome(read.value, reply, application, separator, now), read.fields),
    };
    Ok(Trial {
        before: watched.before,
        after: watched.after,
        hooks: watched.hooks,
        operations: watched.operations,
        kept,
        outcome,
    })
}

fn outcome(
    reading: Reading,
    reply: &RawReply,
    application: Option<&Application>,
    separator: &str,
    now: Timestamp,
) -> Outcome {
    let params = match reading {
        Reading::Token(params) => params,
        Reading::Failed(failure) => return Outcome::Failed(failure.with_status(reply.status)),
    };
    let usual = Habits::default();
    let habits = application.map_or(&usual, |application| &application.habits);
    if params.is_empty()
        && let Err(unreadable) = oauth::read_reply_by(reply, &habits.reply)
    {
        return Outcome::Failed(unreadable.failure(reply.status));
    }
    match oauth::token_reply(params, now, habits, separator) {
        Ok(tokens) => {
            let setting = application.and_then(|application| application.lifespans.access_token);
            let expires = Expiry::of_received(now, tokens.expires_in, setting, RECEIVED_ACCESS_TOKEN_SECONDS);
            Outcome::Token(tokens.into(), expires)
        }
        Err(failure) => Outcome::Failed(failure.with_status(reply.status)),
    }
}

fn context(application: Option<&Application>, grant: GrantType, now: Timestamp) -> Context {
    let name = application.map_or_else(|| "trial".parse().ok(), |application| Some(application.name.clone()));
    #[expect(clippy::expect_used, reason = "a word of small letters is a name")]
    let name = name.expect("a name");
    #[expect(clippy::expect_used, reason = "an application's name, a slash and a word")]
    let connection = format!("{name}/trial").parse().expect("a name");
    let profile_name = ProfileName::default();
    let profile = application.and_then(|application| application.profile(&profile_name)).cloned();
    Context {
        client_id: application.map_or_else(|| "cid".to_owned(), |application| application.client_id.clone()),
        profile: profile.unwrap_or_else(Profile::default),
        profile_name,
        application: name,
        grant,
        connection,
        labels: BTreeMap::new(),
        fields: Fields::new(),
        secrets: Arc::new(BTreeMap::new()),
        reply: Arc::new(application.map(|application| application.habits.reply.clone()).unwrap_or_default()),
        // Nothing is sent from here.
        allowed: Arc::new(|_| false),
        now,
        calls: None,
    }
}
