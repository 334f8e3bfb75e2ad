//! The trace that a request belongs to.

use axum::extract::Request;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::Span;

/// What spans are made under that are for traces alone: the log, which needs none of them to know the request, leaves them out, so that they cost
/// nothing where nothing is exported.
pub const TRACES: &str = "grantkeeper::traces";

/// Whether anything takes the spans of requests.
static EXPORTED: AtomicBool = AtomicBool::new(false);

/// Says that something takes the spans of requests from now on.
pub fn export_traces() {
    EXPORTED.store(true, Ordering::Relaxed);
}

/// Whether something does.
pub(super) fn are_exported() -> bool {
    EXPORTED.load(Ordering::Relaxed)
}

/// Goes on with the trace of who asks (W3C Trace Context), where they say which and the door knows them: a stranger's word would decide
/// what is sampled.
#[cfg(feature = "otel")]
pub(super) fn join(span: &Span, request: &Request) {
    use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    struct Headers<'a>(&'a axum::http::HeaderMap);

    impl Extractor for Headers<'_> {
        fn get(&self, name: &str) -> Option<&str> {
            self.0.get(name)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(axum::http::HeaderName::as_str).collect()
        }
    }

    let is_known = request.extensions().get::<super::doors::call::Call>().is_some_and(|call| call.caller().is_some());
    if is_known && request.headers().contains_key("traceparent") {
        // Fails only where nothing is exported.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(request.headers())));
    }
}

/// Nothing is exported.
#[cfg(not(feature = "otel"))]
pub(super) fn join(_: &Span, _: &Request) {}
