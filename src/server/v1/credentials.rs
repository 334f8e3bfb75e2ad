//! Manage Tokens.

use super::pages_of::{paged, read};
use crate::api::{
    CredentialDocument, CredentialsQuery, ExpiryEdit, NO_INTROSPECTION, Problem, RevocationDocument, exit_codes,
};
use crate::model::later;
use crate::oauth::Introspection;
use crate::server::answer::{Answer, Asked, Document, Json, OfCredential, Refusal};
use crate::server::doors::asker::Asker;
use crate::server::doors::rights::not_yours;
use crate::server::routes::{Routes, get, post};
use axum::response::Response;

pub(in crate::server) fn routes() -> Routes {
    Routes::new()
        .route("/v1/credentials", get(list))
        .route("/v1/credentials/{id}", get(show).patch(edit))
        .route("/v1/credentials/{id}/revoke", post(revoke))
        .route("/v1/credentials/{id}/introspect", post(introspect))
}

async fn list(asker: Asker, Asked(query): Asked<CredentialsQuery>) -> Result<Response, Refusal> {
    let now = asker.clock().now();
    let ends = query.expires_within.map(|seconds| later(now, seconds));
    let (connections, next) = match &query.connection {
        Some(name) if !asker.manages(name) => return Err(not_yours()),
        Some(name) => (vec![asker.connection(name).await?], None),
        None => {
            let page = read(&asker, query.application.as_ref(), (query.limit, query.after.clone()), |_| true).await?;
            (page.connections, page.next)
        }
    };
    let mut documents = Vec::new();
    for connection in &connections {
        let all = asker.credentials_of(connection).await?;
        let wanted = all.iter().filter(|credential| {
            query.kind.is_none_or(|kind| credential.kind == kind)
                && ends.is_none_or(|ends| credential.expires.at <= ends)
        });
        documents.extend(wanted.map(|credential| CredentialDocument::of(credential, now)));
    }
    let next = next.map(|after| CredentialsQuery { after: Some(after), ..query.clone() });
    Ok(paged("/v1/credentials", &documents, next))
}

async fn show(asker: Asker, OfCredential(id): OfCredential) -> Answer<CredentialDocument> {
    let credential = asker.credential(id).await?;
    Ok(Json(CredentialDocument::of(&credential, asker.clock().now())))
}

async fn edit(
    asker: Asker,
    OfCredential(id): OfCredential,
    Document(edit): Document<ExpiryEdit>,
) -> Answer<CredentialDocument> {
    let credential = asker.set_expires(id, edit.expires).await?;
    Ok(Json(CredentialDocument::of(&credential, asker.clock().now())))
}

async fn revoke(asker: Asker, OfCredential(id): OfCredential) -> Answer<RevocationDocument> {
    Ok(Json(RevocationDocument::of(&asker.revoke_credential(id).await?, false)))
}

async fn introspect(asker: Asker, OfCredential(id): OfCredential) -> Answer<Introspection> {
    let said = asker.introspect(id).await?;
    said.map(Json).ok_or_else(|| Refusal::new(Problem::new("missing", 404, exit_codes::MISSING, NO_INTROSPECTION)))
}
