//! The provider of a fixture: answers every request with the recorded reply, and remembers what it was sent.

use super::fixture::Reply;
use crate::oauth::Params;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) headers: HeaderMap,
    /// Those of the body, and of the query where there is no body.
    pub(super) params: Params,
}

pub(super) struct Server {
    pub(super) base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(reply: &Reply) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().fallback(answer).with_state((Arc::clone(&seen), reply.clone()));
        let serving = tokio::spawn(async move {
            // Ends with the task; an error would show as a refused connection.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { base, seen, serving })
    }

    /// The requests so far, oldest first.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Shared = (Arc<Mutex<Vec<Seen>>>, Reply);

async fn answer(
    State((seen, reply)): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_json = headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let params = match serde_json::from_slice(&body) {
        Ok(serde_json::Value::Object(object)) if is_json => Params::from_object(object),
        _ if body.is_empty() => Params::from_form(uri.query().unwrap_or_default().as_bytes()),
        _ => Params::from_form(&body),
    };
    let method = method.to_string();
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(Seen { method, headers, params });
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, reply.body).into_response();
    response.headers_mut().clear();
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<axum::http::HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
