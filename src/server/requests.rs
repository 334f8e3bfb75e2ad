//! Each request has an id: in its answer, in a problem that is made of it, in the log, in the audit log.

use super::doors::call::Call;
use super::traces::{self, TRACES};
use crate::model::{Clock as _, RequestId, SystemClock};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use uuid::{Builder, Uuid};

/// The header that carries it in answers.
pub(super) const REQUEST_HEADER: HeaderName = HeaderName::from_static("grantkeeper-request");

/// The next request's id: a UUID of version 7 (RFC 9562 section 5.7) whose random part counts on from a number that chance gave this process. Ids open
/// nothing and need not be unguessable; asking the system for randomness with each request costs more than all else here.
fn next() -> RequestId {
    static BEGUN: LazyLock<(u16, u64)> = LazyLock::new(|| {
        let chance = RandomState::new();
        (chance.hash_one(0) as u16, chance.hash_one(1))
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = BEGUN.1.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
    let mut random = [0; 10];
    random[..2].copy_from_slice(&BEGUN.0.to_be_bytes());
    random[2..].copy_from_slice(&number.to_be_bytes());
    let milliseconds = u64::try_from(SystemClock.now().as_millisecond()).unwrap_or_default();
    RequestId(Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
}

/// Gives a request its id, and logs it when it is answered: by its route, for a query may carry a code, and a path that goes on to an API
/// what that API takes for a secret.
#[expect(clippy::disallowed_methods, reason = "how long it took, for the log alone")]
pub(super) async fn numbered<F>(
    mut request: Box<Request>,
    route: &str,
    answer: impl FnOnce(Box<Request>) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let (id, began) = (next(), Instant::now());
    // Methods that strangers make up are one, as OpenTelemetry's conventions have it.
    let method = known(request.method()).unwrap_or("_OTHER");
    let span = span(id, method, route);
    if !span.is_none() {
        traces::join(&span, &request);
    }
    let call = Call::of(request.extensions_mut());
    (call.id, call.began) = (Some(id), Some(began));
    // In its place from the first, and only pointed to: a future is copied, whole, each time that it is handed on.
    let answered = std::pin::pin!(async {
        let mut response = answer(request).await;
        let status = response.status().as_u16();
        if tracing::enabled!(tracing::Level::DEBUG) {
            let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(method, route, status, milliseconds, "answered");
        }
        let mut text = Uuid::encode_buffer();
        if let Ok(value) = HeaderValue::from_str(id.0.hyphenated().encode_lower(&mut text)) {
            response.headers_mut().insert(REQUEST_HEADER, value);
        }
        response
    });
    let answered = RequestId::within(Some(id), answered);
    if span.is_none() {
        return answered.await;
    }
    let response = answered.instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

/// A request's span, for traces alone: lines of the log have the request's id without it, and without traces nothing is made of it.
fn span(id: RequestId, method: &'static str, route: &str) -> Span {
    if !traces::are_exported() {
        return Span::none();
    }
    tracing::info_span!(
        target: TRACES,
        "request",
        id = %id.0,
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
    )
}

/// Methods that there are.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A method by a name that does not end with its request; nothing for one that somebody made up.
pub(super) fn known(method: &Method) -> Option<&'static str> {
    METHODS.into_iter().find(|known| *known == method.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_7_that_come_in_order_and_once() {
        let ids: Vec<Uuid> = (0..1000).map(|_| next().0).collect();
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
        let mut once = ids.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), ids.len());
        let now = u64::try_from(SystemClock.now().as_second()).unwrap();
        let (seconds, _) = ids[0].get_timestamp().unwrap().to_unix();
        assert!(now - seconds < 60, "{seconds}");
    }
}
