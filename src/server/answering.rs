//! Answering at a door: connections, each with limits on what a stranger can hold up, and their end.

use super::admission::Admission;
use super::door::{Door, Peer};
use super::impatient::Impatient;
use super::places::Places;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// How long a request's head may take to come, and how long a connection may stay without one.
const LONGEST_HEAD: Duration = Duration::from_secs(20);

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
    http.timer(TokioTimer::new()).header_read_timeout(LONGEST_HEAD).max_buf_size(LARGEST_HEAD);
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
            let service = WithPeer { app, peer };
            let connection = http.serve_connection(TokioIo::new(Impatient::new(stream)), service);
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
}

impl hyper::service::Service<Request<Incoming>> for WithPeer {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (app, peer) = (self.app.clone(), self.peer);
        let request = Box::new(request.map(Body::new));
        Box::pin(async move { Ok(app.answer(peer, request).await) })
    }
}
