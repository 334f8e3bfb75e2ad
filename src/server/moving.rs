//! Grants that move in. None moves out by the API: it gives no refresh token to anybody.

use super::acting::For;
use super::answer::Document;
use super::lines::{Teller, lines};
use super::shared::Shared;
use crate::api::ImportRequest;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::routing::post;

/// Bytes of the largest body: several times what the command line hands over at once.
const LARGEST_BODY: usize = 64 << 20;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/grants", post(import)).layer(DefaultBodyLimit::max(LARGEST_BODY))
}

/// Takes grants over; with a proof of each it may take long.
async fn import(For(shared): For, Document(request): Document<ImportRequest>) -> Response {
    let connector = shared.connector.clone();
    lines(&shared, |_: Teller<()>| async move { Ok(connector.import(request.grants, &request.options).await?) })
}
