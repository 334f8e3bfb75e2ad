//! Each request has an id: in its answer, in a problem that is made of it, in the log, in the audit log.

use super::metrics::METHODS;
use super::traces;
use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;
use tracing::Instrument as _;
use tracing::field::Empty;
use uuid::Uuid;

/// The header that carries it in answers.
pub(super) const REQUEST_HEADER: &str = "grantkeeper-request";

/// A request's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestId(pub(super) Uuid);

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of the request that is being answered here.
pub(super) fn current() -> Option<Uuid> {
    CURRENT.try_with(|id| id.0).ok()
}

/// Does something for a request: problems and logs have its id.
pub(super) async fn within<T>(id: Option<RequestId>, work: impl Future<Output = T>) -> T {
    match id {
        Some(id) => CURRENT.scope(id, work).await,
        None => work.await,
    }
}

/// Gives a request its id, and logs it when it is answered: by its route, for a query may carry a code, and a path that goes on to an API
/// what that API takes for a secret.
#[expect(clippy::disallowed_methods, reason = "how long it took, for the log alone")]
pub(super) async fn numbered(mut request: Request, next: Next) -> Response {
    let id = RequestId(Uuid::now_v7());
    request.extensions_mut().insert(id);
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    // Methods that strangers make up are one, as OpenTelemetry's conventions have it.
    let method = if METHODS.contains(&request.method().as_str()) { request.method().as_str() } else { "_OTHER" };
    let (method, began) = (method.to_owned(), Instant::now());
    let span = tracing::info_span!(
        "request",
        id = %id.0,
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
    );
    traces::join(&span, &request);
    let mut response = within(Some(id), next.run(request)).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::debug!(status = status.as_u16(), milliseconds, "answered"));
    if let Ok(value) = HeaderValue::from_str(&id.0.to_string()) {
        response.headers_mut().insert(REQUEST_HEADER, value);
    }
    response
}
