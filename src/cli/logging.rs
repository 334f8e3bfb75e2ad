//! Logs, to standard error and only when asked for.

use crate::model::RequestId;
use crate::server::TRACES;
use std::fmt;
use std::io::IsTerminal as _;
use tracing::field::Field;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{self, FormatEvent, Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// A JSON object a line, for programs.
    Json,
}

/// What logging holds until the process ends.
#[derive(Default)]
pub(super) struct Logging {
    #[cfg(feature = "otel")]
    _export: Option<super::telemetry::Export>,
}

/// Starts logging: more with each `-v`, or what `RUST_LOG` says. When nothing is said, only what no error tells: that the store
/// mended itself, that something was left behind, or that nobody said whose account a grant is for. The daemon's spans are exported where
/// the environment says so.
pub(super) fn start(verbose: u8, daemon: Option<Format>) -> Logging {
    let wish = match verbose {
        // A daemon's log is read later, by somebody who was not there.
        0 if daemon.is_some() => "warn,grantkeeper=info",
        0 => "error,grantkeeper::store=warn,grantkeeper::cli=warn,grantkeeper::exchange::identity=warn",
        1 => "warn,grantkeeper=info",
        2 => "info,grantkeeper=debug",
        _ => "info,grantkeeper=trace",
    };
    let filter = match (verbose, EnvFilter::try_from_default_env()) {
        (0, Ok(filter)) => filter,
        _ => EnvFilter::new(wish),
    };
    let format = daemon.unwrap_or_default();
    #[cfg(feature = "otel")]
    {
        let (spans, export, problem) = match daemon.map(|_| super::telemetry::layer()) {
            Some(Ok(Some((spans, export)))) => (Some(spans), Some(export), None),
            Some(Err(problem)) => (None, None, Some(problem)),
            Some(Ok(None)) | None => (None, None, None),
        };
        // Fails only when there is a subscriber already, and nothing before this sets one.
        let _ = match spans {
            Some(spans) => tracing_subscriber::registry().with(spans).with(lines(format, filter)).try_init(),
            // Not with a layer of nothing: each line that is not wanted would be asked about each time.
            None => tracing_subscriber::registry().with(lines(format, filter)).try_init(),
        };
        if let Some(problem) = problem {
            tracing::warn!("traces are not exported: {problem}; see OTEL_EXPORTER_OTLP_ENDPOINT");
        }
        Logging { _export: export }
    }
    #[cfg(not(feature = "otel"))]
    {
        let _ = tracing_subscriber::registry().with(lines(format, filter)).try_init();
        Logging::default()
    }
}

/// What writes lines to standard error.
fn lines<S>(format: Format, filter: EnvFilter) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        Format::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            lines.map_event_format(|format| OfRequest { format, written: Format::Json }).boxed()
        }
        Format::Text => {
            let colour = std::io::stderr().is_terminal() && super::output::wants_colour();
            let lines = lines.with_ansi(colour).fmt_fields(debug_fn(field).delimited(" "));
            let of_request =
                |format: format::Format| OfRequest { format: format.with_ansi(colour), written: Format::Text };
            lines.map_event_format(of_request).boxed()
        }
    };
    // What no line of is wanted is known without asking: a request has lines of its own that are mostly not.
    let most = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let fit = filter_fn(move |metadata| *metadata.level() <= most && is_fit(metadata));
    lines.with_filter(filter).with_filter(fit.with_max_level_hint(most))
}

/// Lines with the id of the request on whose behalf they are. It is read where a line is written, and costs a request of which none is written
/// nothing; a span that has it would be made for each.
struct OfRequest<F> {
    format: F,
    written: Format,
}

impl<S, N, F> FormatEvent<S, N> for OfRequest<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(RequestId(id)) = RequestId::current() else { return self.format.format_event(context, writer, event) };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match (self.written, line.strip_suffix('}')) {
            (Format::Json, Some(object)) => writeln!(writer, r#"{object},"request":"{id}"}}"#),
            _ => writeln!(writer, "{line} request={id}"),
        }
    }
}

/// A field of a line for people: what only OpenTelemetry reads of a span is left out.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        name if name.starts_with("otel.") => Ok(()),
        "message" => write!(writer, "{value:?}"),
        name => write!(writer, "{name}={value:?}"),
    }
}

/// What may be logged at all, whatever `-vvv` and `RUST_LOG` ask for. Below `info`, HTTP and TLS libraries (hyper, h2, reqwest,
/// rustls) write headers and bodies of requests, and with them `Authorization`, codes and tokens. We cannot read
/// all the code that others will write, so every crate but our own is capped.
fn is_fit(metadata: &Metadata<'_>) -> bool {
    // Lines of a request have its id without its span, which is for traces.
    metadata.target() != TRACES && (is_ours(metadata.target()) || *metadata.level() <= Level::INFO)
}

pub(super) fn is_ours(target: &str) -> bool {
    target == "grantkeeper" || target.starts_with("grantkeeper::")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn other_crates_cannot_log_below_info_even_when_everything_is_asked_for() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry()
            .with(filter_fn(is_fit))
            .with(EnvFilter::new("trace,hyper=trace,grantkeeper_x=trace"))
            .with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "hyper::proto", "hidden1");
            tracing::debug!(target: "h2", "hidden2");
            tracing::debug!(target: "grantkeeper_x", "hidden3");
            tracing::info!(target: "hyper", "shown1");
            tracing::trace!(target: "grantkeeper::http", "shown2");
        });
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("hidden"), "{text}");
        assert!(text.contains("shown1") && text.contains("shown2"), "{text}");
    }
}
