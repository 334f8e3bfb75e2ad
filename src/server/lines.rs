//! Bodies that go on: lines of JSON, each sent as it is made.

use super::answer::Refusal;
use super::shared::Shared;
use crate::api::{LINES_TYPE, Line};
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde::Serialize;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Lines that wait for a slow reader; whoever makes more waits too.
const WAITING: usize = 64;

/// A body of lines.
pub(super) struct Lines(mpsc::Receiver<Bytes>);

impl Lines {
    pub(super) fn channel() -> (mpsc::Sender<Bytes>, Self) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (sender, Self(receiver))
    }
}

impl Stream for Lines {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|line| line.map(Ok))
    }
}

/// A document as a line.
pub(super) fn line(document: &impl Serialize) -> Option<Bytes> {
    // Fails only for maps with keys that JSON cannot have, which no document has.
    let mut line = serde_json::to_vec(document).ok()?;
    line.push(b'\n');
    Some(line.into())
}

/// Sends a line; `false` when nobody reads any more.
pub(super) async fn sent(lines: &mpsc::Sender<Bytes>, line: Option<Bytes>) -> bool {
    match line {
        Some(line) => lines.send(line).await.is_ok(),
        None => false,
    }
}

/// Tells a caller how far a long call is.
pub struct Teller<P> {
    lines: mpsc::Sender<Bytes>,
    kind: PhantomData<fn(P)>,
}

impl<P: Serialize> Teller<P> {
    /// Tells it. `false` says that nobody listens any more; what the call does about it is its own affair.
    pub async fn tell(&self, progress: P) -> bool {
        let line = line(&Line::<P, ()>::Progress(progress));
        sent(&self.lines, line).await
    }
}

impl<P> fmt::Debug for Teller<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller").finish_non_exhaustive()
    }
}

/// Answers a call that takes long with lines ([`Line`]): how far it is, as it says so, and at the end its result or its problem. The
/// call goes on when its caller hangs up, and the daemon waits for it when it ends.
pub fn lines<P, T, F>(shared: &Shared, call: impl FnOnce(Teller<P>) -> F) -> Response
where
    P: Serialize + Send + 'static,
    T: Serialize + Send + 'static,
    F: Future<Output = Result<T, Refusal>> + Send + 'static,
{
    let (lines, body) = Lines::channel();
    let call = call(Teller { lines: lines.clone(), kind: PhantomData });
    let work = shared.begin();
    tokio::spawn(async move {
        let last = match call.await {
            Ok(result) => line(&Line::<(), T>::Result(result)),
            Err(refusal) => line(&Line::<(), ()>::Problem(Box::new(refusal.into_problem()))),
        };
        // Sent before the work is over: a daemon that ends sends the last line too.
        sent(&lines, last).await;
        drop(work);
    });
    ([(header::CONTENT_TYPE, LINES_TYPE)], Body::from_stream(body)).into_response()
}
