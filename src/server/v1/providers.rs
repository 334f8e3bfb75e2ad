//! The provider catalog.

use crate::api::ProviderDocument;
use crate::registry::Catalog;
use crate::server::answer::{Answer, Json};
use crate::server::doors::asker::Asker;
use crate::server::routes::{Params, Routes, get};
use axum::http::Uri;

pub(in crate::server) fn routes() -> Routes {
    Routes::new().route("/v1/providers", get(list)).route("/v1/providers/{provider}", get(show))
}

async fn list(_: Asker) -> Json<Vec<ProviderDocument>> {
    Json(Catalog::list().iter().map(ProviderDocument::of).collect())
}

async fn show(_: Asker, params: Params, uri: Uri) -> Answer<ProviderDocument> {
    Ok(Json(ProviderDocument::of(Catalog::find(&params.get(&uri, "provider").unwrap_or_default())?)))
}
