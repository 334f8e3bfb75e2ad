//! The provider catalog.

use super::answer::{Answer, Json};
use super::asker::Asker;
use super::routes::{Params, Routes, get};
use crate::api::ProviderDocument;
use crate::registry::Catalog;

pub(super) fn routes() -> Routes {
    Routes::new().route("/v1/providers", get(list)).route("/v1/providers/{provider}", get(show))
}

async fn list(_: Asker) -> Json<Vec<ProviderDocument>> {
    Json(Catalog::list().iter().map(ProviderDocument::of).collect())
}

async fn show(_: Asker, params: Params) -> Answer<ProviderDocument> {
    Ok(Json(ProviderDocument::of(Catalog::find(&params.get("provider").unwrap_or_default())?)))
}
