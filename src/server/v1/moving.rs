//! Grants that move in. None moves out by the API: it gives no refresh token to anybody.

use crate::api::ImportRequest;
use crate::server::answer::Document;
use crate::server::doors::asker::Asker;
use crate::server::lines::{Teller, lines};
use crate::server::routes::{Routes, post};
use crate::server::shared::Shared;
use axum::extract::State;
use axum::response::Response;

/// Bytes of the largest body: several times what the command line hands over at once.
const LARGEST_BODY: usize = 64 << 20;

pub(in crate::server) fn routes() -> Routes {
    Routes::new().route("/v1/grants", post(import).up_to(LARGEST_BODY))
}

/// Takes grants over; with a proof of each it may take long.
async fn import(State(shared): State<Shared>, asker: Asker, Document(request): Document<ImportRequest>) -> Response {
    let connector = asker.clone();
    lines(&shared, |_: Teller<()>| async move { Ok(connector.import(request.grants, &request.options).await?) })
}
