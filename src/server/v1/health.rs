//! How the daemon is.

use crate::api::{API, HealthDocument, VERSION};
use crate::server::answer::{Answer, Json};
use crate::server::routes::{Routes, get};
use crate::server::shared::Shared;
use axum::extract::State;
use axum::http::StatusCode;

pub(in crate::server) fn routes() -> Routes {
    Routes::new().route("/v1/health", get(health))
}

/// For whoever looks after the process: whether it lives, and whether it can be asked. They tell nothing else, and ask nobody who
/// they are.
pub(in crate::server) fn for_everybody() -> Routes {
    Routes::new().route("/health", get(async || "ok\n")).route("/ready", get(ready))
}

/// Ready is who answers from the store, and is not about to end.
async fn ready(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match shared.connector.next_due().await {
        Ok(_) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready: the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
        }
    }
}

async fn health(State(shared): State<Shared>) -> Answer<HealthDocument> {
    Ok(Json(HealthDocument {
        status: if shared.is_stopping() { "stopping" } else { "ok" }.to_owned(),
        version: VERSION.to_owned(),
        api: API.to_owned(),
        process: std::process::id(),
        started: shared.started,
        callbacks: shared.callbacks_url(),
        next_due: shared.connector.next_due().await?,
    }))
}
