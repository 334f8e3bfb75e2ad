//! Tokens, refreshes and Manage Tokens.

use super::Desk;
use crate::api::{
    CredentialDocument, CredentialsQuery, ExpiryEdit, NO_INTROSPECTION, RefreshedDocument, RejectedRequest,
    RevocationDocument, TokenDocument, TokenQuery,
};
use crate::cli::error::Error;
use crate::connector::{CredentialView, Revocation};
use crate::model::{ApplicationName, ConnectionName, Timestamp};
use crate::oauth::Introspection;
use crate::refresh::{Rejected, Round, Token, Want};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

impl Desk {
    /// A token that is good for a while, the default time when none is named.
    pub(in crate::cli) async fn token(&self, name: &ConnectionName, min_ttl: Option<Duration>) -> Result<Token, Error> {
        match self {
            Self::Here(connector) => {
                Ok(connector.token_that(name, min_ttl.map_or(Want::Working, Want::GoodFor)).await?)
            }
            Self::There(client) => {
                let query = TokenQuery { min_ttl: min_ttl.map(|wish| wish.as_secs()) };
                let document: TokenDocument = client.query(&format!("/connections/{name}/token"), &query).await?;
                Ok(document.into_token())
            }
        }
    }

    /// A newer token than one that an API rejected.
    pub(in crate::cli) async fn token_rejected(
        &self,
        name: &ConnectionName,
        rejected: Rejected,
    ) -> Result<Token, Error> {
        match self {
            Self::Here(connector) => Ok(connector.token_rejected(name, rejected).await?),
            Self::There(client) => {
                let path = format!("/connections/{name}/token-rejected");
                let document: TokenDocument = client.send(Method::POST, &path, &RejectedRequest::of(rejected)).await?;
                Ok(document.into_token())
            }
        }
    }

    /// Refreshes a connection now; `ask_again` gives up a reply that is kept because it could not be read.
    pub(in crate::cli) async fn refresh(
        &self,
        name: &ConnectionName,
        ask_again: bool,
    ) -> Result<RefreshedDocument, Error> {
        match self {
            Self::Here(connector) => Ok(RefreshedDocument::of(&match ask_again {
                true => connector.ask_again(name).await?,
                false => connector.refresh(name).await?,
            })),
            Self::There(client) => {
                let path = format!("/connections/{name}/refresh?ask_again={ask_again}");
                client.send(Method::POST, &path, &json!({})).await
            }
        }
    }

    pub(in crate::cli) async fn refresh_due(&self) -> Result<Round, Error> {
        match self {
            Self::Here(connector) => Ok(connector.refresh_due().await?),
            Self::There(client) => client.send(Method::POST, "/refresh-due", &json!({})).await,
        }
    }

    /// The credentials of all connections, of one application or of one connection; an application or connection that is not there
    /// is an error.
    pub(in crate::cli) async fn credentials(
        &self,
        application: Option<&ApplicationName>,
        connection: Option<&ConnectionName>,
    ) -> Result<Vec<CredentialView>, Error> {
        match self {
            Self::Here(connector) => {
                if let Some(application) = application {
                    connector.application(application).await?;
                }
                Ok(connector.credentials(application, connection).await?)
            }
            Self::There(client) => {
                let query = CredentialsQuery {
                    application: application.cloned(),
                    connection: connection.cloned(),
                    ..CredentialsQuery::default()
                };
                let all: Vec<CredentialDocument> = client.query("/credentials", &query).await?;
                Ok(all.into_iter().map(CredentialDocument::into_view).collect())
            }
        }
    }

    pub(in crate::cli) async fn credential(&self, id: Uuid) -> Result<CredentialView, Error> {
        match self {
            Self::Here(connector) => Ok(connector.credential(id).await?),
            Self::There(client) => {
                let document: CredentialDocument = client.get(&format!("/credentials/{id}")).await?;
                Ok(document.into_view())
            }
        }
    }

    pub(in crate::cli) async fn set_expires(&self, id: Uuid, at: Timestamp) -> Result<CredentialView, Error> {
        match self {
            Self::Here(connector) => Ok(connector.set_expires(id, at).await?),
            Self::There(client) => {
                let edit = ExpiryEdit { expires: at };
                let document: CredentialDocument =
                    client.send(Method::PATCH, &format!("/credentials/{id}"), &edit).await?;
                Ok(document.into_view())
            }
        }
    }

    pub(in crate::cli) async fn revoke_credential(&self, id: Uuid) -> Result<Revocation, Error> {
        match self {
            Self::Here(connector) => Ok(connector.revoke_credential(id).await?),
            Self::There(client) => {
                let path = format!("/credentials/{id}/revoke");
                let document: RevocationDocument = client.send(Method::POST, &path, &json!({})).await?;
                Ok(document.into_revocation())
            }
        }
    }

    /// What the provider knows of a credential; one that cannot be asked is an error.
    pub(in crate::cli) async fn introspect(&self, id: Uuid) -> Result<Introspection, Error> {
        match self {
            Self::Here(connector) => {
                connector.introspect(id).await?.ok_or_else(|| Error::Missing(NO_INTROSPECTION.to_owned()))
            }
            Self::There(client) => {
                client.send(Method::POST, &format!("/credentials/{id}/introspect"), &json!({})).await
            }
        }
    }
}
