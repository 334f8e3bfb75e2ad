//! The routes of the `/v1` API.

use super::answer::Refusal;
use super::metrics::{measured, metrics};
use super::openapi::openapi;
use super::requests::{RequestId, numbered, within};
use super::rights::allowed;
use super::shared::Shared;
use super::{
    access, applications, callback, connections, consent, credentials, events, health, moving, providers, proxy,
    scripts, sign_in, tokens, upkeep, webhooks,
};
use crate::api::{API, API_HEADER, Problem, VERSION, VERSION_HEADER, exit_codes};
use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tracing::Instrument as _;

/// Bytes of the largest body of a request, but for those that say another size: names, labels, a callback, a token.
const LARGEST_BODY: usize = 128 * 1024;

/// The routes of a connector. A request must carry the [`Caller`](crate::access::Caller) that it comes from, which the door in front decides; what
/// they may do is decided here.
pub(super) fn router(shared: Shared) -> Router {
    let v1 = Router::new()
        .merge(health::routes())
        .merge(applications::routes())
        .merge(connections::routes())
        .merge(consent::routes())
        .merge(tokens::routes())
        .merge(credentials::routes())
        .merge(events::routes())
        .merge(access::routes())
        .merge(webhooks::routes())
        .merge(upkeep::routes())
        .merge(providers::routes())
        .merge(scripts::routes())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        // With limits of their own: many grants are one body, and an API's are the API's affair.
        .merge(moving::routes())
        .merge(proxy::routes())
        .merge(sign_in::routes())
        .fallback(nothing_here);
    Router::new()
        .nest("/v1", v1)
        .route("/metrics", get(metrics))
        .route_layer(from_fn_with_state(shared.clone(), allowed))
        // What is below asks nobody who they are.
        .merge(callback::routes())
        .merge(health::for_everybody())
        .route("/openapi.json", get(openapi))
        .route_layer(from_fn_with_state(shared.clone(), measured))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_so)
        .layer(from_fn_with_state(shared.clone(), to_its_end))
        .layer(from_fn(of_one_version))
        .layer(from_fn(numbered))
        .with_state(shared)
}

async fn nothing_here(OriginalUri(uri): OriginalUri) -> Refusal {
    let path = uri.path();
    if path.starts_with("/v1/proxy/") {
        return Refusal::bad(crate::server::proxy::HOW);
    }
    let detail = format!("there is nothing at {path}; docs/daemon.md and /openapi.json say what there is");
    Refusal::new(Problem::new("no_route", 404, exit_codes::USAGE, detail))
}

pub(super) async fn not_so(request: Request) -> Refusal {
    let path = request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().path(), |uri| uri.path());
    let detail = format!("{path} cannot be asked with {}; see docs/daemon.md", request.method());
    Refusal::new(Problem::new("no_method", 405, exit_codes::USAGE, detail))
}

/// A request that changes something is done to its end when its caller hangs up, and is waited for when the daemon ends: what
/// the provider did must not be cut off from what the store knows of it.
pub(super) async fn to_its_end(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let work = shared.begin();
    let id = request.extensions().get::<RequestId>().copied();
    let call = async move {
        let response = within(id, next.run(request)).await;
        drop(work);
        response
    };
    let call = tokio::spawn(call.in_current_span());
    call.await.unwrap_or_else(|_| {
        let detail = "the request stopped half-way; look at what it was about, and try again";
        Refusal::new(Problem { retryable: true, ..Problem::new("stopped", 500, exit_codes::PASSING, detail) })
            .into_response()
    })
}

/// Says which API is spoken here, and refuses who speaks another. What it answers is for one reader and not to be kept.
async fn of_one_version(request: Request, next: Next) -> Response {
    let spoken = request.headers().get(API_HEADER).map(|value| value.as_bytes().to_owned());
    let mut response = match spoken {
        Some(spoken) if spoken != API.as_bytes() => {
            let detail = format!(
                "this daemon (Grantkeeper {VERSION}) speaks the API {API}, and the request another one: use one version of Grantkeeper on both sides, and restart the daemon after an upgrade"
            );
            Refusal::new(Problem::new("other_api", 400, exit_codes::OTHER, detail)).into_response()
        }
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(API_HEADER), HeaderValue::from_static(API));
    headers.insert(HeaderName::from_static(VERSION_HEADER), HeaderValue::from_static(VERSION));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
