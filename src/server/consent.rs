//! The ways in.

use super::acting::For;
use super::answer::{Answer, Document, Named, Refusal};
use super::shared::Shared;
use crate::api::{
    AbandonRequest, AuthorizationDocument, AuthorizeRequest, CompleteRequest, ConnectRequest, ConnectionDocument,
    DeviceDocument, DeviceRequest, PollDocument, PollRequest,
};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/connections/{application}/{name}/authorize", post(authorize))
        .route("/connections/{application}/{name}/abandon", post(abandon))
        .route("/connections/{application}/{name}/device", post(device))
        .route("/connections/{application}/{name}/device/poll", post(poll))
        .route("/connections/{application}/{name}/connect", post(connect))
        .route("/complete", post(complete))
}

async fn authorize(
    For(shared): For,
    Named(name): Named,
    Document(request): Document<AuthorizeRequest>,
) -> Answer<AuthorizationDocument> {
    let authorization = shared.connector.authorize(&name, request.into_options()).await?;
    Ok(Json(AuthorizationDocument::of(authorization)))
}

async fn complete(For(shared): For, Document(request): Document<CompleteRequest>) -> Answer<ConnectionDocument> {
    Ok(Json(ConnectionDocument::of(&shared.connector.complete(request.callback.expose()).await?)))
}

async fn abandon(
    For(shared): For,
    Named(name): Named,
    Document(request): Document<AbandonRequest>,
) -> Result<StatusCode, Refusal> {
    shared.connector.abandon_state(&name, &request.state).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn device(
    For(shared): For,
    Named(name): Named,
    Document(request): Document<DeviceRequest>,
) -> Answer<DeviceDocument> {
    let DeviceRequest { profile, labels, other_account } = request;
    let start = shared.connector.start_device(&name, profile.as_ref(), labels, other_account).await?;
    Ok(Json(DeviceDocument::of(start)))
}

async fn poll(For(shared): For, Named(name): Named, Document(request): Document<PollRequest>) -> Answer<PollDocument> {
    let mut start = request.into_start(name, shared.connector.clock().now());
    let poll = shared.connector.poll_device(&mut start).await?;
    Ok(Json(PollDocument::of(&poll, start.interval)))
}

async fn connect(
    For(shared): For,
    Named(name): Named,
    Document(request): Document<ConnectRequest>,
) -> Answer<ConnectionDocument> {
    let options =
        request.into_options().ok_or_else(|| Refusal::bad("give a password or a refresh_token, and not both"))?;
    Ok(Json(ConnectionDocument::of(&shared.connector.connect(&name, options).await?)))
}
