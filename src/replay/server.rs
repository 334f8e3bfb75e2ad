//! The provider of a fixture: answers the requests with the recorded replies, in order, and remembers what it was sent.

use super::fixture::Reply;
use crate::http::MEANT_URL;
use crate::oauth::Params;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    /// The URL that it was meant for, without its query.
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) query: Params,
    pub(super) body: Params,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    desk: Arc<Mutex<Desk>>,
    serving: JoinHandle<()>,
}

/// What lies ready, and what came.
#[derive(Default)]
struct Desk {
    replies: VecDeque<Reply>,
    seen: Vec<Seen>,
}

impl Server {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let desk = Arc::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&desk));
        let serving = tokio::spawn(async move {
            // Ends with the task; an error would show as a refused connection.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, desk, serving })
    }

    /// Lays replies out, each for one request.
    pub(super) fn lay_out(&self, replies: impl IntoIterator<Item = Reply>) {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).replies = replies.into_iter().collect();
    }

    /// The requests since the last look, oldest first.
    pub(super) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.desk.lock().unwrap_or_else(PoisonError::into_inner).seen)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(desk): State<Arc<Mutex<Desk>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_json = headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let params = match serde_json::from_slice(&body) {
        Ok(serde_json::Value::Object(object)) if is_json => Params::from_object(object),
        _ => Params::from_form(&body),
    };
    let meant = headers.get(MEANT_URL).and_then(|url| url.to_str().ok()).and_then(|url| Url::parse(url).ok());
    let url = meant.map_or_else(
        || uri.path().to_owned(),
        |mut url| {
            url.set_query(None);
            url.to_string()
        },
    );
    let query = Params::from_form(uri.query().unwrap_or_default().as_bytes());
    let reply = {
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.seen.push(Seen { method: method.to_string(), url, headers, query, body: params });
        desk.replies.pop_front()
    };
    match reply {
        Some(reply) => response(reply),
        None => (StatusCode::INTERNAL_SERVER_ERROR, "the fixture has no reply to this request").into_response(),
    }
}

fn response(reply: Reply) -> Response {
    let body = match (reply.body, reply.body_base64, reply.generate) {
        (Some(text), _, _) => text.into_bytes(),
        (_, Some(encoded), _) => STANDARD.decode(encoded.trim()).unwrap_or_default(),
        (_, _, Some(generate)) => generate.of.bytes().cycle().take(generate.bytes).collect(),
        (None, None, None) => Vec::new(),
    };
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body).into_response();
    response.headers_mut().clear();
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
