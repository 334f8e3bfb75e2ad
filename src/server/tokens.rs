//! Tokens, and refreshing them.

use super::answer::{Answer, Asked, Document, Json, Named, Refusal, written};
use super::asker::{Asker, InNameOf};
use super::routes::{Routes, get, post};
use super::shared::Shared;
use crate::api::{RefreshQuery, RefreshedDocument, RejectedRequest, TokenDocument, TokenQuery};
use crate::refresh::{Round, Want};
use axum::extract::State;
use axum::response::Response;
use std::time::Duration;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v1/connections/{application}/{name}/token", get(token))
        .route("/v1/connections/{application}/{name}/token-rejected", post(token_rejected))
        .route("/v1/connections/{application}/{name}/refresh", post(refresh))
        .route("/v1/refresh-due", post(refresh_due))
}

async fn token(
    State(shared): State<Shared>,
    InNameOf(acting): InNameOf,
    Named(name): Named,
    Asked(query): Asked<TokenQuery>,
) -> Result<Response, Refusal> {
    let want = query.min_ttl.map_or(Want::Working, |seconds| Want::GoodFor(Duration::from_secs(seconds)));
    let token = shared.connector.token_for(acting, &name, want).await?;
    let text = TokenDocument::json_of(&token, shared.connector.clock().now());
    Ok(written(text))
}

async fn token_rejected(
    asker: Asker,
    Named(name): Named,
    Document(request): Document<RejectedRequest>,
) -> Answer<TokenDocument> {
    let rejected =
        request.into_rejected().ok_or_else(|| Refusal::bad("give a generation or an access_token, and not both"))?;
    let token = asker.token_rejected(&name, rejected).await?;
    Ok(Json(TokenDocument::of(&token, asker.clock().now())))
}

async fn refresh(asker: Asker, Named(name): Named, Asked(query): Asked<RefreshQuery>) -> Answer<RefreshedDocument> {
    let token = match query.ask_again {
        true => asker.ask_again(&name).await?,
        false => asker.refresh(&name).await?,
    };
    Ok(Json(RefreshedDocument::of(&token)))
}

async fn refresh_due(asker: Asker) -> Answer<Round> {
    Ok(Json(asker.refresh_due().await?))
}
