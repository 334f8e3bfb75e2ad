//! The API: what is done for each call, in one place and in its order.

use super::answer::Refusal;
use super::doors::admission::shows_a_key;
use super::doors::call::Call;
use super::doors::rights::allowed;
use super::metrics::metrics;
use super::requests::numbered;
use super::routes::{Found, Routes, Table, get};
use super::shared::Shared;
use super::v1::openapi::openapi;
use super::{callback, v1};
use crate::api::{API, API_HEADER, Problem, VERSION, VERSION_HEADER, exit_codes};
use crate::model::RequestId;
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tower_service::Service as _;
use tracing::Instrument as _;

/// The API of a connector, and what answers elsewhere. A request must carry the [`Caller`](crate::access::Caller) that it comes from, which the
/// door in front decides; what they may do is decided here. Clones share everything.
#[derive(Clone)]
pub(super) struct Api(Arc<Parts>);

struct Parts {
    shared: Shared,
    table: Table,
    /// What answers where the API has nothing: the pages.
    elsewhere: Option<Router>,
}

impl Api {
    /// Of what the handlers share.
    pub(super) fn new(shared: Shared, elsewhere: Option<Router>) -> Self {
        Self(Arc::new(Parts { shared, table: Table::of(routes()), elsewhere }))
    }

    /// Answers a request.
    pub(super) async fn answer(self, mut request: Box<Request>) -> Response {
        if let Some(Found { endpoint, path, params }) = self.0.table.find(request.uri()) {
            Call::of(request.extensions_mut()).params = Some(params);
            // On the heap by itself: what is handed from hand to hand stays small enough to be had quickly.
            return numbered(request, path, |request| Box::pin(self.called(endpoint, request))).await;
        }
        let path = request.uri().path();
        match &self.0.elsewhere {
            // Nobody shows an API key to a page; what stands in front of the pages may show something else.
            Some(elsewhere) if path != "/v1" && !path.starts_with("/v1/") && !shows_a_key(request.headers()) => {
                let Ok(response) = elsewhere.clone().call(*request).await;
                response
            }
            _ => {
                let refuse = async |request: Box<Request>| {
                    dressed(other_version(&request).unwrap_or_else(|| nothing_at(&request)).into_response())
                };
                numbered(request, "none", refuse).await
            }
        }
    }

    /// Answers a call of the API, for those who speak it as it is spoken here.
    async fn called(self, endpoint: usize, request: Box<Request>) -> Response {
        let is_head = *request.method() == Method::HEAD;
        let shared = self.0.shared.clone();
        let response = match other_version(&request) {
            Some(refusal) => refusal.into_response(),
            None => to_its_end(shared, request, |request| self.measured(endpoint, request)).await,
        };
        dressed(if is_head { without_body(response) } else { response })
    }

    /// Answers a request of who may ask for it, and counts it by its route.
    async fn measured(self, endpoint: usize, request: Box<Request>) -> Response {
        let Parts { shared, table, .. } = &*self.0;
        let route = table.route(endpoint, request.method());
        let method = request.method().clone();
        let began = request.extensions().get::<Call>().and_then(|call| call.began);
        let answer = |request: Box<Request>| match table.call(endpoint, *request, shared.clone()) {
            Ok(answer) => answer,
            Err(request) => {
                let response = other_method(request.method(), request.uri().path(), &table.methods(endpoint));
                Box::pin(async { response })
            }
        };
        let response = allowed(shared, route, request, answer).await;
        if let (Some(figures), Some(began)) = (table.figures(endpoint), began) {
            shared.metrics.answered(figures, &method, route.path(), response.status(), began.elapsed());
        }
        response
    }
}

fn routes() -> Routes {
    Routes::new()
        .merge(v1::routes())
        .route("/metrics", get(metrics))
        // What is below asks nobody who they are (`doors/rights.rs`).
        .merge(callback::routes())
        .merge(v1::for_everybody())
        .route("/openapi.json", get(openapi))
}

const API_NAME: HeaderName = HeaderName::from_static(API_HEADER);
const VERSION_NAME: HeaderName = HeaderName::from_static(VERSION_HEADER);

/// Says which API is spoken, and that the answer is for one reader and not to be kept.
fn dressed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(API_NAME, HeaderValue::from_static(API));
    headers.insert(VERSION_NAME, HeaderValue::from_static(VERSION));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer to HEAD: that of GET, and only how long its body would be.
fn without_body(response: Response) -> Response {
    let length = response.body().size_hint().exact();
    let mut response = response.map(|_| Body::empty());
    if let Some(length) = length {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    response
}

fn nothing_at(request: &Request) -> Refusal {
    let path = request.uri().path();
    if path.starts_with("/v1/proxy/") {
        return Refusal::bad(crate::server::v1::proxy::HOW);
    }
    let detail = format!("there is nothing at {path}; docs/daemon.md and /openapi.json say what there is");
    Refusal::new(Problem::new("no_route", 404, exit_codes::USAGE, detail))
}

/// A path is there, and not for this method, but for others.
pub(super) fn other_method(method: &Method, path: &str, methods: &[&str]) -> Response {
    let allowed = methods.join(", ");
    let detail = format!("{path} cannot be asked with {method}, but with {allowed}; see docs/daemon.md");
    let mut response = Refusal::new(Problem::new("no_method", 405, exit_codes::USAGE, detail)).into_response();
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// The refusal of who speaks another API than is spoken here.
fn other_version(request: &Request) -> Option<Refusal> {
    let spoken = request.headers().get(API_NAME)?;
    (spoken.as_bytes() != API.as_bytes()).then(|| {
        let detail = format!(
            "this daemon (Grantkeeper {VERSION}) speaks the API {API}, and the request another one: use one version of Grantkeeper on both sides, and restart the daemon after an upgrade"
        );
        Refusal::new(Problem::new("other_api", 400, exit_codes::OTHER, detail))
    })
}

/// A request that changes something is done to its end when its caller hangs up, and is waited for when the daemon ends: what
/// the provider did must not be cut off from what the store knows of it.
pub(super) async fn to_its_end<F>(
    shared: Shared,
    request: Box<Request>,
    answer: impl FnOnce(Box<Request>) -> F,
) -> Response
where
    F: Future<Output = Response> + Send + 'static,
{
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer(request).await;
    }
    let id = request.extensions().get::<Call>().and_then(|call| call.id);
    spawned(&shared, id, answer(request)).await.unwrap_or_else(|_| {
        let detail = "the request stopped half-way; look at what it was about, and try again";
        Refusal::new(Problem { retryable: true, ..Problem::new("stopped", 500, exit_codes::PASSING, detail) })
            .into_response()
    })
}

/// Begins a task of its own. Not within a future, which would have room for the task's beside its own.
fn spawned<F>(shared: &Shared, id: Option<RequestId>, answer: F) -> JoinHandle<Response>
where
    F: Future<Output = Response> + Send + 'static,
{
    let work = shared.begin();
    let call = async move {
        let response = RequestId::within(id, answer).await;
        drop(work);
        response
    };
    tokio::spawn(call.in_current_span())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Connector;
    use crate::model::Timestamp;
    use crate::seal::Keyring;
    use crate::server::doors::admission::Admission;
    use crate::server::doors::door::Peer;
    use crate::server::doors::rights::{ROUTES, Rights, Route};
    use crate::store::MemoryStore;
    use std::collections::BTreeSet;

    /// What answers and what the table of rights says are the same: nothing answers that it does not know, and nothing is promised that does not.
    #[test]
    fn the_routes_are_those_of_the_table_of_rights() {
        let table = Table::of(routes());
        let guarded =
            table.all().filter(|(path, _)| !matches!(Route::of(&Method::GET, &Rights::of(path)), Route::Open(_)));
        let answered: BTreeSet<(&str, String)> = guarded
            .flat_map(|(path, method)| match method {
                Some(method) => vec![(path, method.to_string())],
                // The proxy: what the table has of it.
                None => ROUTES.iter().filter(|row| row.1 == path).map(|row| (path, row.0.to_string())).collect(),
            })
            .collect();
        let promised: BTreeSet<(&str, String)> = ROUTES.iter().map(|row| (row.1, row.0.to_string())).collect();
        assert_eq!(answered, promised);
    }

    /// A future is copied when it is handed on, and an allocator takes several times as long for what is larger than this: the first of them, and each
    /// that is on the heap by itself.
    #[tokio::test]
    async fn what_a_request_is_answered_with_stays_small() {
        const SMALL: usize = 1024;
        let keyring = Keyring::generate(Timestamp::UNIX_EPOCH).unwrap();
        let connector = Connector::builder(Arc::new(MemoryStore::default()), keyring).build().unwrap();
        let (_, stopping) = tokio::sync::watch::channel(false);
        let shared = Shared::new(connector, stopping);
        let api = Api::new(shared.clone(), None);
        let mut request = Request::builder().uri("/v1/connections/drive/reports/token").body(Body::empty()).unwrap();
        let Found { endpoint, params, .. } = api.0.table.find(request.uri()).unwrap();
        Call::of(request.extensions_mut()).params = Some(params);
        let other = || Box::new(Request::new(Body::empty()));
        let port = Admission::at_port(api.clone(), shared.clone());
        let local = Peer::Local { user: None, process: None };
        let handler = api.0.table.call(endpoint, request, shared).ok().unwrap();
        for (what, size) in [
            ("the door's", size_of_val(&port.answer(local, other()))),
            ("a route's", size_of_val(&api.clone().called(endpoint, other()))),
            ("a token's", size_of_val(&*handler)),
        ] {
            assert!(size <= SMALL, "{what} takes {size} bytes");
        }
    }
}
