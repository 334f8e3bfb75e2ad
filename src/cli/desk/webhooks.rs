//! Webhooks.

use super::Desk;
use crate::api::{
    CreateWebhookRequest, EnableRequest, RotateSecretRequest, WebhookDocument, WebhookEditRequest,
    WebhookSecretDocument,
};
use crate::cli::error::Error;
use crate::connector::{NewWebhook, WebhookEdit};
use crate::model::{WebhookAnswer, WebhookName};
use reqwest::Method;
use serde_json::json;

impl Desk {
    pub(in crate::cli) async fn create_webhook(&self, new: NewWebhook) -> Result<WebhookSecretDocument, Error> {
        match self {
            Self::Here(connector) => Ok(WebhookSecretDocument::of(connector.create_webhook(new).await?)),
            Self::There(client) => client.send(Method::POST, "/webhooks", &CreateWebhookRequest::of(new)).await,
        }
    }

    pub(in crate::cli) async fn webhooks(&self) -> Result<Vec<WebhookDocument>, Error> {
        match self {
            Self::Here(connector) => Ok(connector.webhooks().await?.into_iter().map(WebhookDocument::of).collect()),
            Self::There(client) => client.get("/webhooks").await,
        }
    }

    pub(in crate::cli) async fn webhook(&self, name: &WebhookName) -> Result<WebhookDocument, Error> {
        match self {
            Self::Here(connector) => Ok(WebhookDocument::of(connector.webhook(name).await?)),
            Self::There(client) => client.get(&format!("/webhooks/{name}")).await,
        }
    }

    pub(in crate::cli) async fn edit_webhook(
        &self,
        name: &WebhookName,
        edit: WebhookEdit,
    ) -> Result<WebhookDocument, Error> {
        match self {
            Self::Here(connector) => Ok(WebhookDocument::of(connector.edit_webhook(name, edit).await?)),
            Self::There(client) => {
                client.send(Method::PATCH, &format!("/webhooks/{name}"), &WebhookEditRequest::of(edit)).await
            }
        }
    }

    pub(in crate::cli) async fn rotate_webhook_secret(
        &self,
        name: &WebhookName,
        at_once: bool,
    ) -> Result<WebhookSecretDocument, Error> {
        match self {
            Self::Here(connector) => {
                Ok(WebhookSecretDocument::of(connector.rotate_webhook_secret(name, at_once).await?))
            }
            Self::There(client) => {
                let path = format!("/webhooks/{name}/rotate-secret");
                client.send(Method::POST, &path, &RotateSecretRequest { at_once }).await
            }
        }
    }

    pub(in crate::cli) async fn enable_webhook(
        &self,
        name: &WebhookName,
        from_now: bool,
    ) -> Result<WebhookDocument, Error> {
        match self {
            Self::Here(connector) => Ok(WebhookDocument::of(connector.enable_webhook(name, from_now).await?)),
            Self::There(client) => {
                client.send(Method::POST, &format!("/webhooks/{name}/enable"), &EnableRequest { from_now }).await
            }
        }
    }

    pub(in crate::cli) async fn disable_webhook(&self, name: &WebhookName) -> Result<WebhookDocument, Error> {
        match self {
            Self::Here(connector) => Ok(WebhookDocument::of(connector.disable_webhook(name).await?)),
            Self::There(client) => client.send(Method::POST, &format!("/webhooks/{name}/disable"), &json!({})).await,
        }
    }

    pub(in crate::cli) async fn test_webhook(&self, name: &WebhookName) -> Result<WebhookAnswer, Error> {
        match self {
            Self::Here(connector) => Ok(connector.test_webhook(name).await?),
            Self::There(client) => client.send(Method::POST, &format!("/webhooks/{name}/test"), &json!({})).await,
        }
    }

    pub(in crate::cli) async fn remove_webhook(&self, name: &WebhookName) -> Result<(), Error> {
        match self {
            Self::Here(connector) => Ok(connector.remove_webhook(name).await?),
            Self::There(client) => client.tell(Method::DELETE, &format!("/webhooks/{name}"), &json!({})).await,
        }
    }
}
