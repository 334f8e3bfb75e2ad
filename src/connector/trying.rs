//! Trying without consequences: whether a provider takes an application's client, and what a script makes of a reply.

use super::{Connector, Error};
use crate::exchange::{Ask, Trial, try_reply};
use crate::model::{
    Action, ApplicationName, Connection, Failure, FailureKind, GrantType, ProfileName, ScriptName, Secret, Target,
};
use crate::oauth::{self, RawReply};
use crate::script::ScriptError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a provider made of an application's client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// What it comes to.
    pub verdict: Verdict,
    /// What the provider answered, where it was no token.
    pub failure: Option<Failure>,
}

/// What a try comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Id and secret are taken: the provider looked at what they showed.
    Accepted,
    /// They are refused.
    Rejected,
    /// The answer says neither.
    Unclear,
}

/// A script to be tried with a recorded reply.
#[derive(Debug, Clone)]
pub struct ScriptTry {
    /// The script's text, where it is not the one that is in use.
    pub text: Option<String>,
    /// The reply.
    pub reply: RawReply,
    /// The grant that the script is told.
    pub grant: GrantType,
    /// The application whose settings count.
    pub application: Option<ApplicationName>,
}

/// What came of trying a script.
#[derive(Debug)]
pub struct ScriptTried {
    /// What it made of the reply.
    pub trial: Trial,
    /// How long that took.
    pub took: Duration,
}

impl Connector {
    /// Plays a recorded reply through a script. Nothing is sent and nothing is kept.
    pub async fn try_script(&self, name: &ScriptName, asked: ScriptTry) -> Result<ScriptTried, Error> {
        let target = Some(Target::Script(name.clone()));
        self.audited(Action::ScriptTry, target, Box::pin(self.try_script_now(name, asked))).await
    }

    async fn try_script_now(&self, name: &ScriptName, asked: ScriptTry) -> Result<ScriptTried, Error> {
        let application = match &asked.application {
            Some(name) => Some(self.application(name).await?),
            None => None,
        };
        let script = match &asked.text {
            Some(text) => self.scripts().of_text(name, text).map_err(|problem| ScriptError::Problem(problem.into()))?,
            None => self.scripts().get(Some(name))?,
        };
        #[expect(clippy::disallowed_methods, reason = "how long it took is told to a person, and decides nothing")]
        let begun = Instant::now();
        let trial = try_reply(&script, application.as_ref(), asked.grant, &asked.reply, self.clock.now()).await?;
        Ok(ScriptTried { trial, took: begun.elapsed() })
    }

    /// Shows a provider the application's client with a code or a refresh token that nobody gave out. Refused is then what was shown
    /// (`invalid_grant`) where the client is taken, and the client (`invalid_client`) where it is not. Client credentials are asked
    /// for a token, which is given back at once. Nothing is kept.
    pub async fn try_client(&self, name: &ApplicationName) -> Result<Tried, Error> {
        let application = Arc::new(self.application(name).await?);
        let profile = application.profile(&ProfileName::default()).cloned().unwrap_or_default();
        let trial = format!("{name}/trial").parse().map_err(|_| Error::NoApplication(name.to_string()))?;
        let connection = Connection::new(&trial, application.id, self.clock.now());
        let exchange = self.exchanges.of(&application, &profile, &connection)?;
        let ask = match profile.grant {
            GrantType::AuthorizationCode => Ask::Code {
                code: oauth::random_text(),
                verifier: oauth::ProofKey::random(application.pkce).map(|_| oauth::random_text()),
                redirect_url: self.redirect_url(&application),
                state: oauth::random_text(),
            },
            GrantType::ClientCredentials => Ask::ClientCredentials,
            _ => Ask::Refresh(Secret::new(oauth::random_text().expose())),
        };
        let failure = match exchange.ask(&ask, &profile).await {
            Ok(answer) => {
                exchange.revoke_answer(&answer).await;
                return Ok(Tried { verdict: Verdict::Accepted, failure: None });
            }
            Err(error) => error.failure(),
        };
        let verdict = match failure.kind {
            FailureKind::ReauthorizationRequired => Verdict::Accepted,
            FailureKind::ClientRejected => Verdict::Rejected,
            _ => Verdict::Unclear,
        };
        Ok(Tried { verdict, failure: Some(failure) })
    }
}
