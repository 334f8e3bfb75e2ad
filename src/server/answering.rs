//! Answering at a door: connections, each with limits on what a stranger can hold up, and their end.

use super::doors::admission::Admission;
use super::doors::door::{Door, Peer};
use super::doors::impatient::{Impatient, Requests};
use super::doors::places::Places;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// How long a handshake may take.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(10);

/// Bytes of a request's head at the most.
const LARGEST_HEAD: usize = 64 * 1024;

/// How long nobody is let in after the system refused to (no free descriptors).
const REST: Duration = Duration::from_millis(100);

/// Answers whoever comes to a door, until `stop` ends; then those who are being answered are answered to the end.
pub(super) async fn answer(door: Door, app: Admission, places: Places, stop: impl Future<Output = ()>) {
    let leaving = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    // How long a head may take is told by `impatient.rs`.
    http.max_buf_size(LARGEST_HEAD);
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let room = places.room().await;
            (door.accept().await, room)
        };
        let (accepted, room) = tokio::select! {
            biased;
            () = &mut stop => break,
            next = next => next,
        };
        let (peer, opening) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "nobody could be let in");
                #[expect(clippy::disallowed_methods, reason = "the system's own trouble, which no moved clock ends")]
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        // Hung up on at once.
        let Some(place) = room.and_then(|room| places.take(room, peer.address())) else {
            tracing::warn!(?peer, "an address has too many connections");
            continue;
        };
        let (http, app, watcher) = (http.clone(), app.clone(), leaving.watcher());
        tokio::spawn(async move {
            let _place = place;
            let stream = match tokio::time::timeout(LONGEST_HANDSHAKE, opening).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%error, ?peer, "a connection was not opened"),
                Err(_) => return tracing::debug!(?peer, "a handshake took too long"),
            };
            let requests = Requests::default();
            let stream = Impatient::new(stream, requests.clone());
            let connection = http.serve_connection(TokioIo::new(stream), WithPeer { app, peer, requests });
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, ?peer, "a connection ended");
            }
        });
    }
    drop(door);
    leaving.shutdown().await;
}

/// What answers one connection.
struct WithPeer {
    app: Admission,
    peer: Peer,
    requests: Requests,
}

impl hyper::service::Service<Request<Incoming>> for WithPeer {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (app, peer, answering) = (self.app.clone(), self.peer, self.requests.begin());
        // One without a body needs none on the heap.
        let request = Box::new(request.map(|body| match http_body::Body::is_end_stream(&body) {
            true => Body::empty(),
            false => Body::new(body),
        }));
        Box::pin(async move { Ok(answering.with(app.answer(peer, request).await)) })
    }
}
