//! Connections: listing, labels, and their end.

use super::acting::For;
use super::answer::{Answer, Asked, Document, Named};
use super::shared::Shared;
use crate::api::{ConnectionDocument, LabelsRequest, ListQuery, RevocationDocument};
use axum::extract::State;
use axum::routing::{get, post, put};
use axum::{Json, Router};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/connections", get(list))
        .route("/connections/{application}/{name}", get(show).delete(remove))
        .route("/connections/{application}/{name}/labels", put(labels))
        .route("/connections/{application}/{name}/revoke", post(revoke))
}

async fn list(State(shared): State<Shared>, Asked(query): Asked<ListQuery>) -> Answer<Vec<ConnectionDocument>> {
    // A name that is not there is a mistake, not an empty list.
    if let Some(application) = &query.application {
        shared.connector.application(application).await?;
    }
    let all = shared.connector.connections(query.application.as_ref()).await?;
    Ok(Json(all.iter().map(ConnectionDocument::of).collect()))
}

async fn show(State(shared): State<Shared>, Named(name): Named) -> Answer<ConnectionDocument> {
    let outlook = shared.connector.outlook(&name).await?;
    Ok(Json(ConnectionDocument::with(&shared.connector.connection(&name).await?, outlook)))
}

async fn labels(
    For(shared): For,
    Named(name): Named,
    Document(request): Document<LabelsRequest>,
) -> Answer<ConnectionDocument> {
    shared.connector.set_labels(&name, request.labels).await?;
    Ok(Json(ConnectionDocument::of(&shared.connector.connection(&name).await?)))
}

async fn revoke(For(shared): For, Named(name): Named) -> Answer<RevocationDocument> {
    Ok(Json(RevocationDocument::of(&shared.connector.revoke(&name).await?, false)))
}

async fn remove(For(shared): For, Named(name): Named) -> Answer<RevocationDocument> {
    Ok(Json(RevocationDocument::of(&shared.connector.remove_connection(&name).await?, true)))
}
