//! From a reply to what it gives: the application's script or its habits read it, and what they do not find is told by what the reply looks like.

use super::{Answer, Exchange, ExchangeError, Sent, unread};
use crate::model::{Failure, FailureKind, GrantType, ReplyHabits, Secret};
use crate::oauth::{self, RawReply};
use crate::script::{Reading, ScriptError};

impl Exchange {
    pub(super) async fn read_reply(
        &self,
        grant: GrantType,
        reply: &RawReply,
        secrets: &[&Secret],
    ) -> Result<Answer, ExchangeError> {
        let read = match self.script.reads_at_once(reply) {
            true => self.script.read_at_once(reply, self.reply_habits(), self.clock.now()),
            false => self.script.reply(&self.context(grant), reply).await,
        };
        // What its reader panicked over is not read once more: that would panic here.
        let has_panicked = matches!(read, Err(ScriptError::Crashed { .. }));
        // A script that stumbles over an error page must not hide that it is one.
        if read.is_err()
            && !has_panicked
            && !(200..300).contains(&reply.status)
            && let Some(failure) = self.classify(reply)
        {
            return Err(self.failed(failure, secrets));
        }
        let sent = || if has_panicked { Sent::Replied(reply.status) } else { sent(reply) };
        let read = read.map_err(|error| ExchangeError::script(sent(), error).scrubbed(secrets))?;
        let params = match read.value {
            // Nothing was found in it, by the script or without one: what it looks like says more than what it lacks.
            Reading::Token(params) if params.is_empty() => match oauth::read_reply_by(reply, self.reply_habits()) {
                Ok(_) => params,
                Err(unreadable) => return Err(self.failed(unreadable.failure(reply.status), secrets)),
            },
            Reading::Token(params) => params,
            Reading::Failed(failure) => return Err(self.without_token(failure, reply, secrets)),
        };
        let mut params = self.with_current(params, grant);
        let mut habits = std::borrow::Cow::Borrowed(&*self.application.habits);
        if let Some(token) = self.of.connection.token() {
            // A further token's own refresh brings that token and no other.
            if let Some(places) = habits.tokens.get(token) {
                oauth::promote(&mut params, places, self.clock.now());
            }
            habits.to_mut().tokens.clear();
            params.remove("tokens");
        }
        let habits = &*habits;
        match oauth::token_reply(params, self.clock.now(), habits, &self.application.scope_separator) {
            Ok(tokens) => Ok(Answer { reply: tokens, kept: read.fields }),
            Err(failure) => Err(self.without_token(failure, reply, secrets)),
        }
    }

    /// Why a reply gave no token: it has none, or it was read wrongly.
    fn without_token(&self, failure: Failure, reply: &RawReply, secrets: &[&Secret]) -> ExchangeError {
        let failure = self.scrubbed(failure.with_status(reply.status), secrets);
        let own_script = self.application.script.is_some();
        match failure.kind == FailureKind::BadResponse && unread::seems_to_hold_a_token(reply, own_script) {
            true => ExchangeError::Unread(failure),
            false => ExchangeError::Failed(failure),
        }
    }

    fn reply_habits(&self) -> &ReplyHabits {
        &self.application.habits.reply
    }

    fn classify(&self, reply: &RawReply) -> Option<Failure> {
        let now = self.clock.now();
        let mut params = oauth::read_reply_by(reply, self.reply_habits()).ok();
        if let Some(params) = &mut params {
            oauth::map_reply(params, self.reply_habits(), now);
        }
        oauth::classify_by(reply, params.as_ref(), self.reply_habits(), now)
    }

    /// A refresh without a token, where the provider only lets the old one live longer, is a refresh to the old one.
    fn with_current(&self, mut params: oauth::Params, grant: GrantType) -> oauth::Params {
        if self.reply_habits().access_token_stays == Some(true)
            && grant == GrantType::RefreshToken
            && params.text("access_token").is_none()
            && let Some(current) = &self.current
        {
            params.put("access_token", current.expose());
        }
        params
    }

    pub(super) fn failed(&self, failure: Failure, secrets: &[&Secret]) -> ExchangeError {
        ExchangeError::Failed(self.scrubbed(failure, secrets))
    }

    /// A failure whose words no longer hold a secret of the request or of the application.
    pub(super) fn scrubbed(&self, failure: Failure, secrets: &[&Secret]) -> Failure {
        let known = self.application.client_secret.iter().chain(self.application.secrets.values());
        let all: Vec<&Secret> = secrets.iter().copied().chain(known).collect();
        oauth::scrub_failure(failure, &all)
    }
}

/// What a reply says of a request, for a script that could not read it.
fn sent(reply: &RawReply) -> Sent {
    match oauth::read_reply(reply) {
        Err(unreadable) if unreadable.is_no_reply() => Sent::Page(reply.status),
        _ => Sent::Replied(reply.status),
    }
}
