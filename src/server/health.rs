//! How the daemon is.

use super::answer::Answer;
use super::shared::Shared;
use crate::api::{API, HealthDocument, VERSION};
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/health", get(health))
}

async fn health(State(shared): State<Shared>) -> Answer<HealthDocument> {
    Ok(Json(HealthDocument {
        status: if shared.is_stopping() { "stopping" } else { "ok" }.to_owned(),
        version: VERSION.to_owned(),
        api: API.to_owned(),
        process: std::process::id(),
        started: shared.started,
        next_due: shared.connector.next_due().await?,
    }))
}
