//! Ending a grant. Here first and durably, then at the provider: whatever the provider answers, the token is not used
//! here any more.

use super::{Connector, Error};
use crate::events::Telling;
use crate::exchange::{Ask, Exchange, ExchangeError};
use crate::model::{
    Action, Connection, ConnectionName, ConnectionState, Credential, Failure, Secret, Target, TokenKind,
};
use crate::oauth::Revocation as Answer;
use crate::store::{Change, Expect, Key};
use crate::vault::Stored;
use uuid::Uuid;

/// How often a revocation is tried again when the connection changed meanwhile.
const MOST_TRIES: usize = 10;

/// What a revocation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The connection.
    pub connection: ConnectionName,
    /// Whether the whole grant ended, or an access token only.
    pub grant_ended: bool,
    /// What the provider said of each token, in the order asked.
    pub said: Vec<(TokenKind, ProviderSaid)>,
}

/// What the provider said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderSaid {
    /// It revoked the token, or did not know it any more (RFC 7009 section 2.2 tells no difference).
    Revoked,
    /// It has no revocation endpoint: the grant can only be ended in the person's account there.
    NoEndpoint,
    /// It refused or could not be asked.
    Failed(Failure),
    /// The request could not be made.
    NotAsked(String),
}

impl Connector {
    /// Ends a connection: its grant is revoked at the provider, and its tokens are not used here any more.
    pub async fn revoke(&self, name: &ConnectionName) -> Result<Revocation, Error> {
        let (this, name) = (self.clone(), name.clone());
        self.to_its_end(async move {
            let revoked = Box::pin(this.revoke_whole(&name));
            this.audited_as(Action::Revoke, revoked, |revoked| (Target::of(&name), said(revoked))).await
        })
        .await
    }

    pub(super) async fn revoke_whole(&self, name: &ConnectionName) -> Result<Revocation, Error> {
        let (this, name) = (self.clone(), name.clone());
        self.to_its_end(async move {
            // Its further tokens first: where they cannot be ended, the connection itself still can.
            let mut said = Vec::new();
            for further in this.stored(&name).await?.value.further() {
                match this.revoke_now(&further).await {
                    Ok(revocation) => said.extend(revocation.said),
                    Err(Error::NoConnection(_)) => {}
                    Err(other) => return Err(other),
                }
            }
            let mut revocation = this.revoke_now(&name).await?;
            said.append(&mut revocation.said);
            // A refresh that landed meanwhile may have brought another; now none can land any more.
            if let Some(stored) = this.vault.connection(&name).await? {
                for further in stored.value.further() {
                    match this.vault.connection(&further).await? {
                        Some(further) if further.value.state != ConnectionState::Revoked => {
                            said.extend(this.revoke_now(&further.value.name).await?.said);
                        }
                        _ => {}
                    }
                }
            }
            Ok(Revocation { said, ..revocation })
        })
        .await
    }

    async fn revoke_now(&self, name: &ConnectionName) -> Result<Revocation, Error> {
        for _ in 0..MOST_TRIES {
            let stored = self.stored(name).await?;
            let credentials = self.vault.credentials(stored.value.id).await?;
            let mut next = stored.value.clone();
            next.state = ConnectionState::Revoked;
            next.due = None;
            next.failure = None;
            next.failures = 0;
            next.password = None;
            next.revocations = next.revocations.saturating_add(1);
            let mut changes = vec![self.vault.put_connection(&next, Some(stored.version))?];
            // Where there is a grant that ends, and once: whoever follows events is told of nothing that was not.
            if stored.value.generation > 0 && stored.value.state != ConnectionState::Revoked {
                changes.extend(Telling::of(&self.vault, &stored.value, &next, self.clock.now()).revoked()?);
            }
            let mut ended = Vec::new();
            for credential in credentials {
                let mut value = credential.value;
                value.revoked = value.revoked.or(Some(self.clock.now()));
                changes.push(self.vault.put_credential(&value, Some(credential.version))?);
                ended.push(Stored { value, version: credential.version + 1 });
            }
            // Durable before the provider is asked; a refresh under way cannot land any more.
            if !self.committed(changes).await? {
                continue;
            }
            self.refresher.forget(name);
            tracing::info!(connection = %name, "revoked");
            // The refresh token first: with it most providers end the access token too.
            ended.sort_by_key(|credential| std::cmp::Reverse(credential.value.kind));
            return self.tell_provider(&next, ended, true).await;
        }
        Err(Error::Changed(format!("the connection {name}")))
    }

    /// Revokes one credential: an access token is dropped, a refresh token ends its connection.
    pub async fn revoke_credential(&self, id: Uuid) -> Result<Revocation, Error> {
        let this = self.clone();
        let target = |revoked: &Result<Revocation, Error>| Target::of(&revoked.as_ref().ok()?.connection);
        let said = move |revoked: &Result<Revocation, Error>| match said(revoked) {
            Some(said) => format!("credential {id}, {said}"),
            None => format!("credential {id}"),
        };
        self.to_its_end(async move {
            let revoked = Box::pin(this.revoke_credential_now(id));
            this.audited_as(Action::Revoke, revoked, |revoked| (target(revoked), Some(said(revoked)))).await
        })
        .await
    }

    async fn revoke_credential_now(&self, id: Uuid) -> Result<Revocation, Error> {
        let (connection, stored) = self.credential_of(id).await?;
        if stored.value.kind == TokenKind::RefreshToken || !connection.value.state.is_usable() {
            return self.revoke_whole(&connection.value.name).await;
        }
        let mut next = connection.value.clone();
        let mut revoked = stored.value;
        revoked.revoked = Some(self.clock.now());
        next.due = Some(self.clock.now());
        let changes = vec![
            self.vault.put_credential(&revoked, Some(stored.version))?,
            self.vault.put_connection(&next, Some(connection.version))?,
        ];
        if !self.committed(changes).await? {
            return Err(Error::Changed(format!("the credential {id}")));
        }
        self.refresher.forget(&next.name);
        let ended = vec![Stored { value: revoked, version: stored.version + 1 }];
        self.tell_provider(&next, ended, false).await
    }

    /// Asks the provider to revoke the tokens. A token that it has revoked, or cannot revoke, is wiped from the store;
    /// one that it could not be told of stays sealed, so that revoking again tells it again.
    async fn tell_provider(
        &self,
        connection: &Connection,
        ended: Vec<Stored<Credential>>,
        grant_ended: bool,
    ) -> Result<Revocation, Error> {
        let exchange = self.exchange(connection).await.map(|(_, _, exchange)| exchange);
        let mut said = Vec::new();
        for mut credential in ended {
            let kind = credential.value.kind;
            if credential.value.token.is_empty() {
                continue;
            }
            let answer = match &exchange {
                Ok(exchange) => ask(exchange, kind, &credential.value.token).await,
                Err(error) => ProviderSaid::NotAsked(error.to_string()),
            };
            if matches!(answer, ProviderSaid::Revoked | ProviderSaid::NoEndpoint) {
                credential.value.token = Secret::default();
                let change = self.vault.put_credential(&credential.value, Some(credential.version))?;
                // Lost to a removal or a new consent: then the row is gone already.
                self.committed(vec![change]).await?;
            }
            said.push((kind, answer));
        }
        if grant_ended {
            said.extend(self.end_kept_reply(connection, &exchange).await?);
        }
        Ok(Revocation { connection: connection.name.clone(), grant_ended, said })
    }
}

impl Connector {
    /// A reply that waits to be read may hold the only refresh token that is alive at the provider: it is ended too.
    async fn end_kept_reply(
        &self,
        connection: &Connection,
        exchange: &Result<Exchange, Error>,
    ) -> Result<Vec<(TokenKind, ProviderSaid)>, Error> {
        // A person may have consented again meanwhile: what a refresh of that brought is another grant's.
        let flight = self.vault.flight(connection.id).await?;
        let Some(flight) = flight.filter(|flight| flight.generation <= connection.generation) else {
            return Ok(Vec::new());
        };
        let Some(kept) = &flight.reply else { return Ok(Vec::new()) };
        let mut said = Vec::new();
        let read = match exchange {
            Ok(exchange) => exchange.read(&Ask::Refresh(Secret::default()), &kept.reply).await.map(|it| (exchange, it)),
            Err(error) => Err(ExchangeError::Setup(error.to_string())),
        };
        match read {
            Ok((exchange, answer)) => {
                for (kind, token) in answer.tokens() {
                    said.push((kind, ask(exchange, kind, token).await));
                }
            }
            Err(error) => {
                let reason = format!("the last reply could not be read, and a token in it may be alive: {error}");
                said.push((TokenKind::RefreshToken, ProviderSaid::NotAsked(reason)));
            }
        }
        // Kept when it could not be ended, so that revoking again tries again. A flight that is alive finds its entry
        // gone and revokes what it holds.
        if said.iter().all(|(_, said)| matches!(said, ProviderSaid::Revoked | ProviderSaid::NoEndpoint)) {
            let remove = Change::remove(Key::Flight(connection.id), Expect::Version(flight.version));
            self.committed(vec![remove]).await?;
        }
        Ok(said)
    }
}

/// What the provider said of a revocation, for the audit log.
pub(super) fn said(revoked: &Result<Revocation, Error>) -> Option<String> {
    let said = &revoked.as_ref().ok()?.said;
    let word = |said: &ProviderSaid| match said {
        ProviderSaid::Revoked => "revoked",
        ProviderSaid::NoEndpoint => "no endpoint",
        ProviderSaid::Failed(_) => "refused",
        ProviderSaid::NotAsked(_) => "not asked",
    };
    let words: Vec<String> =
        said.iter().map(|(kind, said)| format!("{kind} at the provider: {}", word(said))).collect();
    Some(words.join(", ")).filter(|words| !words.is_empty())
}

async fn ask(exchange: &Exchange, kind: TokenKind, token: &Secret) -> ProviderSaid {
    match exchange.revoke_token(kind, token).await {
        Ok(Some(Answer::Revoked | Answer::Unknown(_))) => ProviderSaid::Revoked,
        Ok(Some(Answer::Unsupported(failure) | Answer::NotNow(failure) | Answer::Refused(failure))) => {
            ProviderSaid::Failed(failure)
        }
        Ok(None) => ProviderSaid::NoEndpoint,
        Err(ExchangeError::Failed(failure)) => ProviderSaid::Failed(failure),
        Err(other) => ProviderSaid::NotAsked(other.to_string()),
    }
}
