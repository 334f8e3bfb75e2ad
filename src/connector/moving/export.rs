//! Grants move out: all that there is to them, page by page, for an export that is sealed for another home.

use super::{Grant, HeldToken, Tokens};
use crate::connector::{Connector, Error};
use crate::model::{Action, ApplicationName, Connection, ConnectionName, Target, TokenKind, counted};
use crate::refresh::{newest, renews_by_asking};
use serde::{Deserialize, Serialize};

/// Connections that are read at once.
const PAGE: usize = 200;
/// How often a connection is read again that a refresh changed in between.
const MOST_TRIES: usize = 5;

/// Some of the grants of a home, by name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportPage {
    /// The grants. They hold their tokens in clear: seal them before they come to rest.
    pub grants: Vec<Grant>,
    /// Connections that hold nothing to take along.
    pub left_out: Vec<LeftOut>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<ConnectionName>,
}

/// A connection that is not exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub name: ConnectionName,
    /// Why.
    pub reason: String,
    /// Whether it can be exported later: a refresh is under way now.
    pub later: bool,
}

/// Why a connection is left out, and whether it can be exported later.
type NotNow = (String, bool);

impl Connector {
    /// A page of grants, of one application where it is named, after the name that the last page gave. A connection that is
    /// being refreshed, or whose refresh is in doubt, is left out: its refresh token may be used up.
    pub async fn export(
        &self,
        application: Option<&ApplicationName>,
        after: Option<&ConnectionName>,
    ) -> Result<ExportPage, Error> {
        let exported = Box::pin(self.export_now(application, after));
        let target = application.cloned().map(Target::Application);
        let said = |page: &Result<ExportPage, Error>| {
            Some(counted(page.as_ref().ok()?.grants.len() as u64, "grant", "grants"))
        };
        self.audited_as(Action::Export, exported, |page| (target, said(page))).await
    }

    async fn export_now(
        &self,
        application: Option<&ApplicationName>,
        after: Option<&ConnectionName>,
    ) -> Result<ExportPage, Error> {
        let stored = self.vault.connections(application, after, PAGE).await?;
        let next = stored.last().filter(|_| stored.len() == PAGE).map(|last| last.value.name.clone());
        let mut page = ExportPage { grants: Vec::new(), left_out: Vec::new(), next };
        // A further token goes with its connection.
        for connection in stored.into_iter().map(|stored| stored.value).filter(|it| it.name.token().is_none()) {
            let name = connection.name.clone();
            match self.grant_of(connection).await? {
                Ok(grant) => page.grants.push(grant),
                Err((reason, later)) => page.left_out.push(LeftOut { name, reason, later }),
            }
        }
        Ok(page)
    }

    async fn grant_of(&self, connection: Connection) -> Result<Result<Grant, NotNow>, Error> {
        let tokens = match self.tokens_of(&connection).await? {
            Ok(tokens) => tokens,
            Err(reason) => return Ok(Err(reason)),
        };
        let application = self.vault.application_by_id(connection.application).await?;
        let Some(application) = application.filter(|it| it.value.name == *connection.name.application()) else {
            return Ok(Err(("its application is no longer there".to_owned(), false)));
        };
        let renews = application
            .value
            .profile(&connection.profile)
            .is_some_and(|profile| renews_by_asking(&application.value, profile, &connection));
        if tokens.refresh.is_none() && tokens.access.is_none() && !renews {
            return Ok(Err(("it holds no token".to_owned(), false)));
        }
        let mut grant = Grant::new(connection.name.clone(), tokens);
        for name in connection.further() {
            // One that ended by itself has nothing to take along.
            if let Some(further) = self.vault.connection(&name).await?
                && let (Ok(tokens), Some(token)) = (self.tokens_of(&further.value).await?, name.token())
                && (tokens.refresh.is_some() || tokens.access.is_some())
            {
                grant.further.insert(token.to_owned(), tokens);
            }
        }
        grant.profile = Some(connection.profile);
        grant.labels = connection.labels;
        grant.fields = connection.fields;
        grant.account = connection.account;
        grant.requested = Some(connection.scopes.requested);
        grant.authorized = connection.authorized;
        grant.password = connection.password;
        grant.generation = connection.generation;
        Ok(Ok(grant))
    }

    /// A connection's tokens as they are at one moment, or why there is nothing to take along.
    async fn tokens_of(&self, connection: &Connection) -> Result<Result<Tokens, NotNow>, Error> {
        let mut now = Some(connection.clone());
        for _ in 0..MOST_TRIES {
            let Some(before) = now else { return Ok(Err(("it was removed".to_owned(), false))) };
            if !before.state.is_usable() {
                return Ok(Err((format!("it is {}", before.state), false)));
            }
            let credentials = self.vault.credentials(before.id).await?;
            if self.vault.flight(before.id).await?.is_some() {
                return Ok(Err(("a refresh of it is under way or in doubt".to_owned(), true)));
            }
            now = self.vault.connection_by_id(before.id).await?.map(|stored| stored.value);
            if now.as_ref().is_some_and(|now| now.generation == before.generation && now.state == before.state) {
                let held = |kind| newest(&credentials, kind).map(|stored| &stored.value);
                let (refresh, access) = (held(TokenKind::RefreshToken), held(TokenKind::AccessToken));
                let taken = |credential: &crate::model::Credential| HeldToken {
                    token: credential.token.clone(),
                    expires: Some(credential.expires),
                    issued: Some(credential.issued),
                };
                return Ok(Ok(Tokens {
                    refresh: refresh.map(taken),
                    access: access.map(taken),
                    scopes: access.or(refresh).map(|credential| credential.scopes.clone()),
                    token_type: access.map(|access| access.token_type.clone()),
                }));
            }
        }
        Ok(Err(("it is refreshed over and over".to_owned(), true)))
    }
}
