//! Tokens, and refreshing them.

use super::acting::{Asks, For};
use super::answer::{Answer, Asked, Document, Named, Refusal};
use super::shared::Shared;
use crate::api::{RefreshQuery, RefreshedDocument, RejectedRequest, TokenDocument, TokenQuery};
use crate::refresh::{Round, Want};
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use std::time::Duration;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/connections/{application}/{name}/token", get(token))
        .route("/connections/{application}/{name}/token-rejected", post(token_rejected))
        .route("/connections/{application}/{name}/refresh", post(refresh))
        .route("/refresh-due", post(refresh_due))
}

async fn token(
    State(shared): State<Shared>,
    Asks(acting): Asks,
    Named(name): Named,
    Asked(query): Asked<TokenQuery>,
) -> Answer<TokenDocument> {
    let want = query.min_ttl.map_or(Want::Working, |seconds| Want::GoodFor(Duration::from_secs(seconds)));
    let token = shared.connector.token_for(&acting, &name, want).await?;
    Ok(Json(TokenDocument::of(&token, shared.connector.clock().now())))
}

async fn token_rejected(
    For(shared): For,
    Named(name): Named,
    Document(request): Document<RejectedRequest>,
) -> Answer<TokenDocument> {
    let rejected =
        request.into_rejected().ok_or_else(|| Refusal::bad("give a generation or an access_token, and not both"))?;
    let token = shared.connector.token_rejected(&name, rejected).await?;
    Ok(Json(TokenDocument::of(&token, shared.connector.clock().now())))
}

async fn refresh(For(shared): For, Named(name): Named, Asked(query): Asked<RefreshQuery>) -> Answer<RefreshedDocument> {
    let token = match query.ask_again {
        true => shared.connector.ask_again(&name).await?,
        false => shared.connector.refresh(&name).await?,
    };
    Ok(Json(RefreshedDocument::of(&token)))
}

async fn refresh_due(For(shared): For) -> Answer<Round> {
    Ok(Json(shared.connector.refresh_due().await?))
}
