//! Manage Tokens.

use super::acting::For;
use super::answer::{Answer, Asked, Document, OfCredential, Refusal};
use super::shared::Shared;
use crate::api::{
    CredentialDocument, CredentialsQuery, ExpiryEdit, NO_INTROSPECTION, Problem, RevocationDocument, exit_codes,
};
use crate::oauth::Introspection;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/credentials", get(list))
        .route("/credentials/{id}", get(show).patch(edit))
        .route("/credentials/{id}/revoke", post(revoke))
        .route("/credentials/{id}/introspect", post(introspect))
}

async fn list(State(shared): State<Shared>, Asked(query): Asked<CredentialsQuery>) -> Answer<Vec<CredentialDocument>> {
    let CredentialsQuery { application, connection } = query;
    // A name that is not there is a mistake, not an empty list.
    if let Some(application) = &application {
        shared.connector.application(application).await?;
    }
    let all = shared.connector.credentials(application.as_ref(), connection.as_ref()).await?;
    let now = shared.connector.clock().now();
    Ok(Json(all.iter().map(|credential| CredentialDocument::of(credential, now)).collect()))
}

async fn show(State(shared): State<Shared>, OfCredential(id): OfCredential) -> Answer<CredentialDocument> {
    let credential = shared.connector.credential(id).await?;
    Ok(Json(CredentialDocument::of(&credential, shared.connector.clock().now())))
}

async fn edit(
    For(shared): For,
    OfCredential(id): OfCredential,
    Document(edit): Document<ExpiryEdit>,
) -> Answer<CredentialDocument> {
    let credential = shared.connector.set_expires(id, edit.expires).await?;
    Ok(Json(CredentialDocument::of(&credential, shared.connector.clock().now())))
}

async fn revoke(For(shared): For, OfCredential(id): OfCredential) -> Answer<RevocationDocument> {
    Ok(Json(RevocationDocument::of(&shared.connector.revoke_credential(id).await?, false)))
}

async fn introspect(For(shared): For, OfCredential(id): OfCredential) -> Answer<Introspection> {
    let said = shared.connector.introspect(id).await?;
    said.map(Json).ok_or_else(|| Refusal::new(Problem::new("missing", 404, exit_codes::MISSING, NO_INTROSPECTION)))
}
