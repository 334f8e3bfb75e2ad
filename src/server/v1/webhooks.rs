//! Webhooks: keeping them, and sending what they tell. Nothing here is for who may not administer.

use crate::api::{
    CreateWebhookRequest, EnableRequest, RotateSecretRequest, WebhookDocument, WebhookEditRequest,
    WebhookSecretDocument,
};
use crate::model::WebhookAnswer;
use crate::server::answer::{Answer, Document, Json, OfWebhook, Refusal};
use crate::server::doors::asker::Asker;
use crate::server::routes::{Routes, get, post};
use crate::server::shared::Shared;
use axum::http::StatusCode;
use std::sync::Arc;

pub(in crate::server) fn routes() -> Routes {
    Routes::new()
        .route("/v1/webhooks", get(list).post(create))
        .route("/v1/webhooks/{webhook}", get(show).patch(edit).delete(remove))
        .route("/v1/webhooks/{webhook}/rotate-secret", post(rotate_secret))
        .route("/v1/webhooks/{webhook}/enable", post(enable))
        .route("/v1/webhooks/{webhook}/disable", post(disable))
        .route("/v1/webhooks/{webhook}/test", post(test))
}

async fn list(asker: Asker) -> Answer<Vec<WebhookDocument>> {
    Ok(Json(asker.webhooks().await?.into_iter().map(WebhookDocument::of).collect()))
}

async fn create(
    asker: Asker,
    Document(request): Document<CreateWebhookRequest>,
) -> Result<(StatusCode, Json<WebhookSecretDocument>), Refusal> {
    let made = asker.create_webhook(request.into_new()).await?;
    Ok((StatusCode::CREATED, Json(WebhookSecretDocument::of(made))))
}

async fn show(asker: Asker, OfWebhook(name): OfWebhook) -> Answer<WebhookDocument> {
    Ok(Json(WebhookDocument::of(asker.webhook(&name).await?)))
}

async fn edit(
    asker: Asker,
    OfWebhook(name): OfWebhook,
    Document(request): Document<WebhookEditRequest>,
) -> Answer<WebhookDocument> {
    Ok(Json(WebhookDocument::of(asker.edit_webhook(&name, request.into_edit()).await?)))
}

async fn remove(asker: Asker, OfWebhook(name): OfWebhook) -> Result<StatusCode, Refusal> {
    asker.remove_webhook(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rotate_secret(
    asker: Asker,
    OfWebhook(name): OfWebhook,
    Document(request): Document<RotateSecretRequest>,
) -> Answer<WebhookSecretDocument> {
    Ok(Json(WebhookSecretDocument::of(asker.rotate_webhook_secret(&name, request.at_once).await?)))
}

async fn enable(
    asker: Asker,
    OfWebhook(name): OfWebhook,
    Document(request): Document<EnableRequest>,
) -> Answer<WebhookDocument> {
    Ok(Json(WebhookDocument::of(asker.enable_webhook(&name, request.from_now).await?)))
}

async fn disable(asker: Asker, OfWebhook(name): OfWebhook) -> Answer<WebhookDocument> {
    Ok(Json(WebhookDocument::of(asker.disable_webhook(&name).await?)))
}

async fn test(asker: Asker, OfWebhook(name): OfWebhook) -> Answer<WebhookAnswer> {
    Ok(Json(asker.test_webhook(&name).await?))
}

/// Sends what webhooks tell, until the daemon ends. A setting that cannot be used stops them and not the daemon.
pub(in crate::server) async fn deliver(shared: Shared) {
    let metrics = Arc::clone(&shared.metrics);
    let watching = Arc::new(move |name: &_, tried| metrics.tried(name, tried));
    let connector = shared.connector.clone();
    if let Err(error) = connector.deliver_webhooks(shared.stopped(), watching).await {
        tracing::error!("webhooks send nothing: {error}");
    }
}
