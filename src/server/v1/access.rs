//! API keys, the administrator's password, and the audit log. Nothing here is for who may not administer.

use crate::access::{AuditList, FollowAudit, Verified};
use crate::api::{
    ApiKeyDocument, AuditQuery, CreateKeyRequest, CreatedKeyDocument, NewestDocument, PasswordRequest, VerifyQuery,
};
use crate::model::RecordedAudit;
use crate::server::answer::{Answer, Asked, Document, Json, OfKey, Refusal};
use crate::server::doors::asker::Asker;
use crate::server::following::{Followed, Following, Telling, followed};
use crate::server::routes::{Routes, delete, get, put};
use crate::server::shared::Shared;
use crate::vault::VaultError;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

/// Entries that are given at once, at the most.
const MOST: usize = 500;

pub(in crate::server) fn routes() -> Routes {
    Routes::new()
        .route("/v1/api-keys", get(keys).post(create_key))
        .route("/v1/api-keys/{key}", delete(revoke_key))
        .route("/v1/administrator/password", put(set_password))
        .route("/v1/audit", get(audit))
        .route("/v1/audit/newest", get(newest))
        .route("/v1/audit/stream", get(stream))
        .route("/v1/audit/verify", get(verify))
}

async fn keys(State(shared): State<Shared>) -> Answer<Vec<ApiKeyDocument>> {
    let now = shared.connector.clock().now();
    Ok(Json(shared.connector.api_keys().await?.iter().map(|key| ApiKeyDocument::of(key, now)).collect()))
}

async fn create_key(
    asker: Asker,
    Document(request): Document<CreateKeyRequest>,
) -> Result<(StatusCode, Json<CreatedKeyDocument>), Refusal> {
    let created = asker.create_key(request.into_new()).await?;
    Ok((StatusCode::CREATED, Json(CreatedKeyDocument::of(&created))))
}

async fn revoke_key(asker: Asker, OfKey(name): OfKey) -> Answer<ApiKeyDocument> {
    let revoked = asker.revoke_key(&name).await?;
    Ok(Json(ApiKeyDocument::of(&revoked, asker.clock().now())))
}

async fn set_password(
    State(shared): State<Shared>,
    asker: Asker,
    Document(request): Document<PasswordRequest>,
) -> Result<StatusCode, Refusal> {
    asker.set_administrator_password(&request.password).await?;
    shared.sessions.end_all();
    Ok(StatusCode::NO_CONTENT)
}

async fn audit(State(shared): State<Shared>, Asked(query): Asked<AuditQuery>) -> Answer<AuditList> {
    let limit = query.limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        return Err(Refusal::bad(format!("limit must be 1 to {MOST}; ask on with `next` for more")));
    }
    let filter = query.filter();
    let Some(mut after) = query.after else {
        return Ok(Json(shared.connector.audit(&filter, query.before, limit).await?));
    };
    if query.before.is_some() {
        return Err(Refusal::bad("after and before lead two ways; give one of them"));
    }
    let (mut entries, mut next) = (Vec::new(), None);
    while entries.len() < limit {
        let page = shared.connector.audit_after(after, MOST).await?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        entries.extend(page.into_iter().filter(|recorded| filter.wants(&recorded.entry)));
        next = Some(after);
    }
    if entries.len() > limit {
        entries.truncate(limit);
        next = entries.last().map(|last| last.sequence);
    }
    Ok(Json(AuditList { entries, next, unread: Vec::new() }))
}

async fn newest(State(shared): State<Shared>) -> Answer<NewestDocument> {
    Ok(Json(NewestDocument { sequence: shared.connector.last_audit().await? }))
}

async fn verify(State(shared): State<Shared>, Asked(query): Asked<VerifyQuery>) -> Answer<Verified> {
    Ok(Json(shared.connector.verify_audit(query.head).await?))
}

/// Entries after a sequence and then new ones, as lines of JSON or server-sent events, until the reader hangs up or the daemon ends. Without `after`,
/// only what is new.
async fn stream(
    State(shared): State<Shared>,
    asker: Asker,
    telling: Telling,
    Asked(query): Asked<AuditQuery>,
) -> Result<Response, Refusal> {
    if query.limit.is_some() || query.before.is_some() {
        return Err(Refusal::bad("limit and before mean nothing to a stream; begin after the sequence that you have"));
    }
    let filter = query.filter();
    let after = telling.after(query.after, shared.connector.last_audit().await?);
    let follow = shared.connector.follow_audit(after);
    Ok(followed(shared, asker, telling, follow, move |_, recorded| filter.wants(&recorded.entry)))
}

impl Following for FollowAudit {
    type Item = RecordedAudit;

    async fn next(&mut self) -> Result<RecordedAudit, VaultError> {
        Self::next(self).await
    }
}

impl Followed for RecordedAudit {
    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn kind(&self) -> &'static str {
        self.entry.action.as_str()
    }
}
