//! Connections: listing, labels, and their end.

use super::pages_of::{paged, read};
use crate::api::{ConnectionDocument, LabelsEdit, LabelsRequest, ListQuery, RevocationDocument, StateWord};
use crate::model::Connection;
use crate::server::answer::{Answer, Asked, Document, Json, Named, Refusal};
use crate::server::doors::asker::Asker;
use crate::server::routes::{Routes, get, post, put};
use axum::response::Response;

pub(in crate::server) fn routes() -> Routes {
    Routes::new()
        .route("/v1/connections", get(list))
        .route("/v1/connections/{application}/{name}", get(show).delete(remove))
        .route("/v1/connections/{application}/{name}/labels", put(labels).patch(edit_labels))
        .route("/v1/connections/{application}/{name}/revoke", post(revoke))
}

async fn list(asker: Asker, Asked(query): Asked<ListQuery>) -> Result<Response, Refusal> {
    let label =
        query.label.as_deref().map(|label| label.split_once([':', '=']).map_or((label, None), |(k, v)| (k, Some(v))));
    let search = query.search.as_deref().map(str::to_lowercase);
    let wanted = |connection: &Connection| {
        let has = |(name, value): (&str, Option<&str>)| {
            connection.labels.get(name).is_some_and(|found| value.is_none_or(|value| value == found))
        };
        query.state.is_none_or(|state| StateWord::of(connection.state) == state)
            && label.is_none_or(has)
            && search.as_ref().is_none_or(|part| connection.name.to_string().to_lowercase().contains(part))
    };
    let page = read(&asker, query.application.as_ref(), (query.limit, query.after.clone()), wanted).await?;
    let documents: Vec<_> = page.connections.iter().map(ConnectionDocument::of).collect();
    let next = page.next.map(|after| ListQuery { after: Some(after), ..query.clone() });
    Ok(paged("/v1/connections", &documents, next))
}

async fn show(asker: Asker, Named(name): Named) -> Answer<ConnectionDocument> {
    let outlook = asker.outlook(&name).await?;
    Ok(Json(ConnectionDocument::with(&asker.connection(&name).await?, outlook)))
}

async fn labels(
    asker: Asker,
    Named(name): Named,
    Document(request): Document<LabelsRequest>,
) -> Answer<ConnectionDocument> {
    asker.set_labels(&name, request.labels).await?;
    Ok(Json(ConnectionDocument::of(&asker.connection(&name).await?)))
}

async fn edit_labels(
    asker: Asker,
    Named(name): Named,
    Document(edit): Document<LabelsEdit>,
) -> Answer<ConnectionDocument> {
    asker.edit_labels(&name, edit.labels).await?;
    Ok(Json(ConnectionDocument::of(&asker.connection(&name).await?)))
}

async fn revoke(asker: Asker, Named(name): Named) -> Answer<RevocationDocument> {
    Ok(Json(RevocationDocument::of(&asker.revoke(&name).await?, false)))
}

async fn remove(asker: Asker, Named(name): Named) -> Answer<RevocationDocument> {
    Ok(Json(RevocationDocument::of(&asker.remove_connection(&name).await?, true)))
}
