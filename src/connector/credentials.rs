//! Manage Tokens: a row a credential.

use super::{Connector, Error};
use crate::model::{
    Action, ApplicationName, Connection, ConnectionName, Credential, Direction, Expiry, ExpirySource, LATEST, Target,
    Timestamp, TokenKind,
};
use crate::oauth::Introspection;
use crate::refresh::{Held, newest};
use crate::vault::Stored;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A credential as people see it: everything but the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialView {
    /// What the calls below take.
    pub id: Uuid,
    /// Access or refresh token.
    pub kind: TokenKind,
    /// Received, or issued by us.
    pub direction: Direction,
    /// The application.
    pub application: ApplicationName,
    /// The connection.
    pub connection: ConnectionName,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// The token's type, nearly always `Bearer`.
    pub token_type: String,
    /// When it was received or issued.
    pub issued: Timestamp,
    /// When it ends, and who said so.
    pub expires: Expiry,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// The generation that brought it.
    pub generation: u64,
    /// Whether it works.
    pub state: CredentialState,
}

/// A connection and its credentials.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The connection.
    pub connection: Connection,
    /// Its credentials, by age.
    pub credentials: Vec<CredentialView>,
}

/// Whether a credential works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum CredentialState {
    /// It is handed out, or used to refresh.
    Good,
    /// Its time has passed.
    Expired,
    /// Ended here, on purpose.
    Revoked,
    /// Its connection is not usable: the provider refused it.
    Dead,
}

impl CredentialState {
    /// The word for tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Dead => "dead",
        }
    }
}

impl Connector {
    /// The credentials of all connections, of one application or of one connection, by connection and age.
    pub async fn credentials(
        &self,
        application: Option<&ApplicationName>,
        connection: Option<&ConnectionName>,
    ) -> Result<Vec<CredentialView>, Error> {
        let holdings = self.holdings(application, connection).await?;
        Ok(holdings.into_iter().flat_map(|holding| holding.credentials).collect())
    }

    /// The same, each connection with its own.
    pub async fn holdings(
        &self,
        application: Option<&ApplicationName>,
        connection: Option<&ConnectionName>,
    ) -> Result<Vec<Holding>, Error> {
        let connections = match connection {
            Some(name) => vec![self.connection(name).await?],
            None => self.connections(application).await?,
        };
        let now = self.clock.now();
        let mut all = Vec::new();
        for connection in connections {
            let credentials = self.vault.credentials(connection.id).await?;
            let credentials = credentials.into_iter().map(|stored| view(&connection, stored.value, now)).collect();
            all.push(Holding { connection, credentials });
        }
        Ok(all)
    }

    /// The credentials of connections that were read before.
    pub async fn credentials_of(&self, connection: &Connection) -> Result<Vec<CredentialView>, Error> {
        let now = self.clock.now();
        let stored = self.vault.credentials(connection.id).await?;
        Ok(stored.into_iter().map(|stored| view(connection, stored.value, now)).collect())
    }

    /// One credential.
    pub async fn credential(&self, id: Uuid) -> Result<CredentialView, Error> {
        let (connection, stored) = self.credential_of(id).await?;
        Ok(view(&connection.value, stored.value, self.clock.now()))
    }

    /// The sealed bytes of a credential as they lie in the store, to look at.
    pub async fn sealed_credential(&self, id: Uuid) -> Result<Vec<u8>, Error> {
        self.vault.sealed_credential(id).await?.ok_or(Error::NoCredential(id))
    }

    /// Edits when a credential ends, to any time up to the year 9999. The edit lasts until the next refresh; an access
    /// token that ends by it is not handed out from now on.
    pub async fn set_expires(&self, id: Uuid, at: Timestamp) -> Result<CredentialView, Error> {
        let this = self.clone();
        self.to_its_end(async move {
            let edited = this.set_expires_now(id, at);
            let target = |edited: &Result<CredentialView, Error>| Target::of(&edited.as_ref().ok()?.connection);
            let said = |edited: &Result<CredentialView, Error>| match edited {
                Ok(view) => format!("{} {id} to {}", view.kind, view.expires.at),
                Err(_) => format!("credential {id} to {at}"),
            };
            this.audited_as(Action::ExpiresEdit, edited, |edited| (target(edited), Some(said(edited)))).await
        })
        .await
    }

    async fn set_expires_now(&self, id: Uuid, at: Timestamp) -> Result<CredentialView, Error> {
        let (connection, mut stored) = self.credential_of(id).await?;
        if stored.value.revoked.is_some() {
            return Err(Error::RevokedCredential(id));
        }
        stored.value.expires = Expiry { at: at.min(LATEST), source: ExpirySource::Edited };
        let mut changes = vec![self.vault.put_credential(&stored.value, Some(stored.version))?];
        let mut next = connection.value.clone();
        if next.state.is_usable() && next.failures == 0 && !next.waits {
            let all = self.vault.credentials(next.id).await?;
            let edited = |kind| {
                let held = newest(&all, kind).map(|held| &held.value);
                if stored.value.kind == kind { Some(&stored.value) } else { held }
            };
            if let Some(access) = edited(TokenKind::AccessToken) {
                let application = self.vault.application_by_id(next.application).await?;
                let habits = application.map(|application| application.value.habits.refresh).unwrap_or_default();
                let refresh = edited(TokenKind::RefreshToken);
                let held = Held { access, refresh, renewable: true, habits };
                next.due = Some(self.refresher.settings().due(&next, &held, self.clock.now()));
                changes.push(self.vault.put_connection(&next, Some(connection.version))?);
            }
        }
        if !self.committed(changes).await? {
            return Err(Error::Changed(format!("the credential {id}")));
        }
        self.refresher.forget(&next.name);
        Ok(view(&next, stored.value, self.clock.now()))
    }

    /// Asks the provider what it knows of a credential (RFC 7662). `None` when it cannot be asked.
    pub async fn introspect(&self, id: Uuid) -> Result<Option<Introspection>, Error> {
        let (connection, stored) = self.credential_of(id).await?;
        let asked = async {
            let (_, _, exchange) = self.exchange(&connection.value).await?;
            Ok(exchange.introspect(stored.value.kind, &stored.value.token).await?)
        };
        let said = format!("{} {id}", stored.value.kind);
        let target = Target::of(&connection.value.name);
        self.audited_as(Action::Introspect, Box::pin(asked), |_| (target, Some(said))).await
    }

    pub(super) async fn credential_of(&self, id: Uuid) -> Result<(Stored<Connection>, Stored<Credential>), Error> {
        let stored = self.vault.credential(id).await?.ok_or(Error::NoCredential(id))?;
        let connection = self.vault.connection_by_id(stored.value.connection).await?;
        Ok((connection.ok_or(Error::NoCredential(id))?, stored))
    }
}

fn view(connection: &Connection, credential: Credential, now: Timestamp) -> CredentialView {
    let state = match &credential {
        Credential { revoked: Some(_), .. } => CredentialState::Revoked,
        _ if !connection.state.is_usable() => CredentialState::Dead,
        _ if !credential.expires.is_good(now, 0) => CredentialState::Expired,
        _ => CredentialState::Good,
    };
    CredentialView {
        id: credential.id,
        kind: credential.kind,
        direction: credential.direction,
        application: connection.name.application().clone(),
        connection: connection.name.clone(),
        scopes: credential.scopes,
        token_type: credential.token_type,
        issued: credential.issued,
        expires: credential.expires,
        revoked: credential.revoked,
        generation: credential.generation,
        state,
    }
}
