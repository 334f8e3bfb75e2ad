//! The provider catalog.

use super::answer::{Answer, Refusal};
use super::asker::Asker;
use super::shared::Shared;
use crate::api::ProviderDocument;
use crate::registry::Catalog;
use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/providers", get(list)).route("/providers/{provider}", get(show))
}

async fn list(_: Asker) -> Json<Vec<ProviderDocument>> {
    Json(Catalog::list().iter().map(ProviderDocument::of).collect())
}

async fn show(
    _: Asker,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Answer<ProviderDocument> {
    let Path(name) = path.map_err(|_| Refusal::bad("the path is not as it should be"))?;
    Ok(Json(ProviderDocument::of(Catalog::find(&name)?)))
}
