//! Who may ask at the socket: the user whose daemon it is, and nobody else.

use super::answer::Refusal;
use crate::access::{self, Acting};
use crate::api::{Problem, exit_codes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use std::sync::Arc;
use tokio::net::UnixListener;

/// Who is at the other end of a connection: the kernel says it (`SO_PEERCRED`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    uid: Option<u32>,
    process: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let peer = stream.io().peer_cred().ok();
        let process = peer.as_ref().and_then(tokio::net::unix::UCred::pid).and_then(|pid| u32::try_from(pid).ok());
        Self { uid: peer.map(|peer| peer.uid()), process }
    }
}

/// Refuses another user's request, whatever the modes of the socket and of its folder have become. Root is another user too: it
/// asks as the user (`sudo -u`).
pub(super) async fn same_user(
    State(own): State<u32>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    mut request: Request,
    next: Next,
) -> Response {
    if caller.uid == Some(own) {
        let owner = access::Caller::Owner { process: caller.process };
        request.extensions_mut().insert(Arc::new(Acting::of(&owner)));
        return next.run(request).await;
    }
    tracing::warn!(uid = caller.uid, "another user's request was refused");
    let detail = format!(
        "this daemon is the user's with the number {own}, and answers nobody else; ask as that user, e.g. with `sudo -u`"
    );
    Refusal::new(Problem::new("other_user", 403, exit_codes::OTHER, detail)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;

    /// Asks a door that belongs to a user.
    async fn ask(path: &Path, owner: u32) -> String {
        let listener = UnixListener::bind(path).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let app = Router::new().route("/", get(async || "come in")).layer(from_fn_with_state(owner, same_user));
        let serving =
            tokio::spawn(async { axum::serve(listener, app.into_make_service_with_connect_info::<Caller>()).await });
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        serving.abort();
        answer
    }

    #[tokio::test]
    async fn another_users_request_is_refused_whatever_the_modes_are() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().metadata().unwrap().uid();
        let answer = ask(&folder.path().join("own"), own).await;
        assert!(answer.contains("200 OK") && answer.contains("come in"), "{answer}");
        let answer = ask(&folder.path().join("other"), own + 1).await;
        assert!(answer.contains("403 Forbidden") && answer.contains("other_user"), "{answer}");
        assert!(!answer.contains("come in"), "{answer}");
    }
}
