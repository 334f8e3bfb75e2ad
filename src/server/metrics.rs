//! Figures for Prometheus, at `/metrics`: how requests are answered, what happens to connections, and how many there are in which
//! state. Names of applications are in them, names of connections never: there are too many, and they may be people's.

use super::requests::known;
use super::shared::Shared;
use crate::connector::Error;
use crate::model::{ConnectionName, RecordedEvent, Timestamp, WebhookName, later};
use crate::webhooks::Tried;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How old the count of connections may be, in seconds: counting reads each of them.
const COUNT_AGE: u64 = 60;

/// Connections that are read at once.
const PAGE: usize = 500;

/// Upper bounds of the times that answers take, in seconds.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Told {
    kind: String,
    application: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct InState {
    state: String,
    application: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Hook {
    webhook: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookTried {
    webhook: String,
    outcome: String,
}

/// The figures of a daemon.
pub(super) struct Metrics {
    registry: Registry,
    answered: Family<Answered, Counter>,
    took: Family<Route, Histogram>,
    told: Family<Told, Counter>,
    connections: Family<InState, Gauge>,
    tried: Family<HookTried, Counter>,
    waiting: Family<Hook, Gauge>,
    counted: Mutex<Option<Timestamp>>,
}

/// The figures of one route, once they were looked up: that costs more than counting does.
#[derive(Default)]
pub(super) struct OfRoute {
    took: OnceLock<Histogram>,
    /// Of GET that was answered.
    usual: OnceLock<Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("grantkeeper");
        let answered = Family::<Answered, Counter>::default();
        let took = Family::<Route, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let (told, connections) = (Family::<Told, Counter>::default(), Family::<InState, Gauge>::default());
        registry.register("http_requests", "Requests answered", answered.clone());
        registry.register("http_request_seconds", "How long answers took", took.clone());
        registry.register("events", "What happened to connections", told.clone());
        let (tried, waiting) = (Family::<HookTried, Counter>::default(), Family::<Hook, Gauge>::default());
        registry.register("webhook_deliveries", "Tries of webhooks' messages by outcome", tried.clone());
        registry.register("webhook_waiting", "Messages and events that wait for a webhook", waiting.clone());
        registry.register("connections", "Connections by state, counted once a minute", connections.clone());
        Self { registry, answered, took, told, connections, tried, waiting, counted: Mutex::new(None) }
    }
}

impl Metrics {
    /// Counts a request, by its route and not by its path. Methods that strangers make up are one.
    pub(super) fn answered(
        &self,
        of: &OfRoute,
        method: &Method,
        route: &'static str,
        status: StatusCode,
        took: Duration,
    ) {
        let of_route = || self.took.get_or_create(&Route { route }).clone();
        of.took.get_or_init(of_route).observe(took.as_secs_f64());
        let answered = || {
            let method = known(method).unwrap_or("other");
            self.answered.get_or_create(&Answered { method, route, status: status.as_u16() }).clone()
        };
        match *method == Method::GET && status == StatusCode::OK {
            true => of.usual.get_or_init(answered).inc(),
            false => answered().inc(),
        };
    }

    /// Counts an event.
    pub(super) fn tell(&self, recorded: &RecordedEvent) {
        let event = &recorded.event;
        let told = Told { kind: event.kind.as_str().to_owned(), application: event.application.to_string() };
        self.told.get_or_create(&told).inc();
    }

    /// Counts a try of a webhook's message.
    pub(super) fn tried(&self, webhook: &WebhookName, tried: Tried) {
        let label = HookTried { webhook: webhook.to_string(), outcome: tried.as_str().to_owned() };
        self.tried.get_or_create(&label).inc();
    }

    /// Counts what waits for webhooks: they are few.
    async fn count_waiting(&self, shared: &Shared) -> Result<(), Error> {
        let webhooks = shared.connector.webhooks().await?;
        self.waiting.clear();
        for standing in webhooks {
            let waits = standing.progress.waiting.len() as u64 + standing.behind;
            let label = Hook { webhook: standing.webhook.name.to_string() };
            self.waiting.get_or_create(&label).set(i64::try_from(waits).unwrap_or(i64::MAX));
        }
        Ok(())
    }

    /// Counts the connections, where that was not done for a while.
    async fn count(&self, shared: &Shared) -> Result<(), Error> {
        let now = shared.connector.clock().now();
        {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            if counted.is_some_and(|at| at <= now && now < later(at, COUNT_AGE)) {
                return Ok(());
            }
            *counted = Some(now);
        }
        let (mut counts, mut after) = (std::collections::BTreeMap::<InState, i64>::new(), None::<ConnectionName>);
        loop {
            let page = shared.connector.states_after(after.as_ref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|(name, _)| name.clone());
            for (name, state) in page {
                let key = InState { state, application: name.application().to_string() };
                *counts.entry(key).or_default() += 1;
            }
            if is_last {
                break;
            }
        }
        self.connections.clear();
        for (key, count) in counts {
            self.connections.get_or_create(&key).set(count);
        }
        Ok(())
    }
}

/// The figures, as Prometheus reads them.
pub(super) async fn metrics(State(shared): State<Shared>) -> Response {
    if let Err(error) = shared.metrics.count(&shared).await {
        tracing::warn!(%error, "the connections could not be counted");
    }
    if let Err(error) = shared.metrics.count_waiting(&shared).await {
        tracing::warn!(%error, "what waits for webhooks could not be counted");
    }
    let mut text = String::new();
    // Writing into a text does not fail.
    let _ = encode(&mut text, &shared.metrics.registry);
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// Counts what happens, until the daemon ends.
pub(super) async fn follow(shared: Shared) {
    let Ok(after) = shared.connector.last_event().await else { return };
    let mut events = shared.connector.follow_events(after);
    loop {
        let next = tokio::select! {
            () = shared.stopped() => return,
            next = events.next() => next,
        };
        match next {
            Ok(recorded) => shared.metrics.tell(&recorded),
            Err(error) => return tracing::warn!(%error, "events are no longer counted"),
        }
    }
}
