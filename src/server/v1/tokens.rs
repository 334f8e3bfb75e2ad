//! Tokens, and refreshing them.

use crate::api::{RefreshQuery, RefreshedDocument, RejectedRequest, TokenDocument, TokenQuery};
use crate::refresh::{Round, Want};
use crate::server::answer::{Answer, Asked, Document, Json, Named, Refusal, written};
use crate::server::doors::asker::{Asker, InNameOf};
use crate::server::routes::{Part, Routes, get, post};
use crate::server::shared::Shared;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use std::convert::Infallible;
use std::time::Duration;

pub(in crate::server) fn routes() -> Routes {
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
    Held(held): Held,
) -> Result<Response, Refusal> {
    let want = query.min_ttl.map_or(Want::Working, |seconds| Want::GoodFor(Duration::from_secs(seconds)));
    let (token, now) = shared.connector.token_now_for(acting, &name, want).await?;
    let tag = token.tag();
    let mut response = match held.is_some_and(|held| names(&held, tag)) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => written(TokenDocument::json_of(&token, now)),
    };
    response.headers_mut().insert(header::ETAG, tag.clone());
    Ok(response)
}

/// What the caller holds already (`If-None-Match`, RFC 9110 section 13.1.2). In a box: mostly there is none, and the request's future stays small.
struct Held(Option<Box<HeaderValue>>);

impl Part for Held {}

impl<S: Send + Sync> FromRequestParts<S> for Held {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.get(header::IF_NONE_MATCH).cloned().map(Box::new)))
    }
}

/// Whether a list of entity tags has this one, compared weakly.
fn names(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let wanted = opaque(tag.as_bytes());
    let mut tags = list.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|tag| tag == b"*" || opaque(tag) == wanted)
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
