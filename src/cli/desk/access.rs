//! API keys, the administrator's password, and the audit log.

use super::Desk;
use crate::access::{AuditFilter, AuditList, Head, Verified};
use crate::api::{
    ApiKeyDocument, AuditQuery, CreateKeyRequest, CreatedKeyDocument, NewestDocument, PasswordRequest, VerifyQuery,
};
use crate::cli::error::Error;
use crate::connector::NewKey;
use crate::model::{KeyName, RecordedAudit, Secret};
use reqwest::Method;
use serde_json::json;

impl Desk {
    pub(in crate::cli) async fn create_key(&self, new: NewKey) -> Result<CreatedKeyDocument, Error> {
        match self {
            Self::Here(connector) => Ok(CreatedKeyDocument::of(&connector.create_key(new).await?)),
            Self::There(client) => client.send(Method::POST, "/api-keys", &CreateKeyRequest::of(new)).await,
        }
    }

    pub(in crate::cli) async fn api_keys(&self) -> Result<Vec<ApiKeyDocument>, Error> {
        match self {
            Self::Here(connector) => {
                let now = connector.clock().now();
                Ok(connector.api_keys().await?.iter().map(|key| ApiKeyDocument::of(key, now)).collect())
            }
            Self::There(client) => client.get("/api-keys").await,
        }
    }

    pub(in crate::cli) async fn revoke_key(&self, name: &KeyName) -> Result<ApiKeyDocument, Error> {
        match self {
            Self::Here(connector) => {
                Ok(ApiKeyDocument::of(&connector.revoke_key(name).await?, connector.clock().now()))
            }
            Self::There(client) => client.send(Method::DELETE, &format!("/api-keys/{name}"), &json!({})).await,
        }
    }

    pub(in crate::cli) async fn set_administrator_password(&self, password: &Secret) -> Result<(), Error> {
        match self {
            Self::Here(connector) => Ok(connector.set_administrator_password(password).await?),
            Self::There(client) => {
                let request = PasswordRequest { password: password.clone() };
                client.tell(Method::PUT, "/administrator/password", &request).await
            }
        }
    }

    /// The newest entries that are wanted, before a sequence where one is named; up to 500.
    pub(in crate::cli) async fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<AuditList, Error> {
        match self {
            Self::Here(connector) => Ok(connector.audit(filter, before, limit).await?),
            Self::There(client) => {
                client.query("/audit", &AuditQuery { before, limit: Some(limit), ..AuditQuery::of(filter) }).await
            }
        }
    }

    /// Up to `limit` entries after a sequence, 500 at the most.
    pub(in crate::cli) async fn audit_after(&self, after: u64, limit: usize) -> Result<Vec<RecordedAudit>, Error> {
        match self {
            Self::Here(connector) => Ok(connector.audit_after(after, limit).await?),
            Self::There(client) => {
                let query = AuditQuery { after: Some(after), limit: Some(limit), ..AuditQuery::default() };
                let list: AuditList = client.query("/audit", &query).await?;
                Ok(list.entries)
            }
        }
    }

    pub(in crate::cli) async fn last_audit(&self) -> Result<u64, Error> {
        match self {
            Self::Here(connector) => Ok(connector.last_audit().await?),
            Self::There(client) => {
                let newest: NewestDocument = client.get("/audit/newest").await?;
                Ok(newest.sequence)
            }
        }
    }

    pub(in crate::cli) async fn verify_audit(&self, head: Option<Head>) -> Result<Verified, Error> {
        match self {
            Self::Here(connector) => Ok(connector.verify_audit(head).await?),
            Self::There(client) => client.query("/audit/verify", &VerifyQuery { head }).await,
        }
    }
}
