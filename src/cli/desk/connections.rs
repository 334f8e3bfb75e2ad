//! Connections and their events.

use super::{Desk, Lost};
use crate::api::{ConnectionDocument, EventsQuery, LabelsEdit, ListQuery, NewestDocument, RevocationDocument};
use crate::cli::error::Error;
use crate::connector::Revocation;
use crate::model::{ApplicationName, Connection, ConnectionName, Labels, RecordedEvent};
use crate::refresh::Outlook;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;

impl Desk {
    /// All connections, of one application where it is named; one that is not there is an error.
    pub(in crate::cli) async fn connections(
        &self,
        application: Option<&ApplicationName>,
    ) -> Result<Vec<Connection>, Error> {
        match self {
            Self::Here(connector) => {
                if let Some(application) = application {
                    connector.application(application).await?;
                }
                Ok(connector.connections(application).await?)
            }
            Self::There(client) => {
                let query = ListQuery { application: application.cloned(), ..ListQuery::default() };
                let all: Vec<ConnectionDocument> = client.query("/connections", &query).await?;
                Ok(all.into_iter().map(ConnectionDocument::into_connection).collect())
            }
        }
    }

    pub(in crate::cli) async fn connection(&self, name: &ConnectionName) -> Result<Connection, Error> {
        match self {
            Self::Here(connector) => Ok(connector.connection(name).await?),
            Self::There(client) => {
                let document: ConnectionDocument = client.get(&format!("/connections/{name}")).await?;
                Ok(document.into_connection())
            }
        }
    }

    /// A connection, and what will happen to it next.
    pub(in crate::cli) async fn outlook(&self, name: &ConnectionName) -> Result<(Connection, Outlook), Error> {
        match self {
            Self::Here(connector) => {
                let outlook = connector.outlook(name).await?;
                Ok((connector.connection(name).await?, outlook))
            }
            Self::There(client) => {
                let mut document: ConnectionDocument = client.get(&format!("/connections/{name}")).await?;
                let outlook = document.outlook.take().ok_or_else(|| Lost::Unreadable("no outlook".to_owned()))?;
                Ok((document.into_connection(), outlook))
            }
        }
    }

    pub(in crate::cli) async fn revoke(&self, name: &ConnectionName) -> Result<Revocation, Error> {
        match self {
            Self::Here(connector) => Ok(connector.revoke(name).await?),
            Self::There(client) => {
                let path = format!("/connections/{name}/revoke");
                let document: RevocationDocument = client.send(Method::POST, &path, &json!({})).await?;
                Ok(document.into_revocation())
            }
        }
    }

    /// Edits those labels that are named; gives all that there are then.
    pub(in crate::cli) async fn edit_labels(
        &self,
        name: &ConnectionName,
        labels: BTreeMap<String, Option<String>>,
    ) -> Result<Labels, Error> {
        match self {
            Self::Here(connector) => Ok(connector.edit_labels(name, labels).await?),
            Self::There(client) => {
                let path = format!("/connections/{name}/labels");
                let document: ConnectionDocument = client.send(Method::PATCH, &path, &LabelsEdit { labels }).await?;
                Ok(document.into_connection().labels)
            }
        }
    }

    pub(in crate::cli) async fn remove_connection(&self, name: &ConnectionName) -> Result<Revocation, Error> {
        match self {
            Self::Here(connector) => Ok(connector.remove_connection(name).await?),
            Self::There(client) => {
                let path = format!("/connections/{name}");
                let document: RevocationDocument = client.send(Method::DELETE, &path, &json!({})).await?;
                Ok(document.into_revocation())
            }
        }
    }

    /// Up to `limit` events after a sequence, 500 at the most.
    pub(in crate::cli) async fn events(&self, after: u64, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        match self {
            Self::Here(connector) => Ok(connector.events(after, limit).await?),
            Self::There(client) => {
                let query = EventsQuery { after: Some(after), limit: Some(limit), ..EventsQuery::default() };
                client.query("/events", &query).await
            }
        }
    }

    pub(in crate::cli) async fn last_event(&self) -> Result<u64, Error> {
        match self {
            Self::Here(connector) => Ok(connector.last_event().await?),
            Self::There(client) => {
                let newest: NewestDocument = client.get("/events/newest").await?;
                Ok(newest.sequence)
            }
        }
    }
}
