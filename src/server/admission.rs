//! Who may ask at the socket: the user whose daemon it is, and nobody else.

use super::answer::Refusal;
use crate::api::{Problem, exit_codes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// Who is at the other end of a connection: the kernel says it (`SO_PEERCRED`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|credentials| credentials.uid()) }
    }
}

/// Refuses another user's request, whatever the modes of the socket and of its folder have become. Root is another user too: it
/// asks as the user (`sudo -u`).
pub(super) async fn same_user(
    State(own): State<u32>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    if caller.uid == Some(own) {
        return next.run(request).await;
    }
    tracing::warn!(uid = caller.uid, "another user's request was refused");
    let detail = format!(
        "this daemon is the user's with the number {own}, and answers nobody else; ask as that user, e.g. with `sudo -u`"
    );
    Refusal::new(Problem::new("other_user", 403, exit_codes::OTHER, detail)).into_response()
}
