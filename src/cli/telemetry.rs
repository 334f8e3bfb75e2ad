//! Traces for OpenTelemetry: what the daemon did for a request, and how long each part took. Sent to where the environment says
//! (`OTEL_EXPORTER_OTLP_ENDPOINT` and its like), and nowhere where it says nothing. A span has names, ids and words of ours, as a line of
//! the log has, and never a token, a code or a secret.

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;

/// What says where to.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// Ends the export, and sends what is left, when it is dropped.
pub(super) struct Export(SdkTracerProvider);

impl Drop for Export {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// The layer that exports spans, where the environment says where to; why it does not, where it says so and it cannot be done.
pub(super) fn layer<S>() -> Result<Option<(impl Layer<S>, Export)>, String>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let is_off = std::env::var_os("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"));
    if is_off || ENDPOINTS.iter().all(|name| std::env::var_os(name).is_none_or(|value| value.is_empty())) {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().build().map_err(|error| error.to_string())?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let mut resource = Resource::builder().with_attribute(version);
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("grantkeeper");
    }
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("grantkeeper"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        // Those of libraries, the exporter's own among them, are not ours to send.
        .with_filter(filter_fn(|metadata| super::logging::is_ours(metadata.target())))
        .with_filter(LevelFilter::INFO);
    crate::server::export_traces();
    Ok(Some((spans, Export(provider))))
}
