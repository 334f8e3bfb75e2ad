//! Whether a provider takes an application's client, found out without anybody's consent.

use super::{Connector, Error};
use crate::exchange::Ask;
use crate::model::{ApplicationName, Connection, Failure, FailureKind, GrantType, ProfileName, Secret};
use crate::oauth;
use std::sync::Arc;

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

impl Connector {
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
