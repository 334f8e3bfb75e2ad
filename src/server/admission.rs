//! Who somebody is: at the socket the user whose daemon it is, and nobody else; at the port who shows an API key.

use super::answer::Refusal;
use super::asker::{acting, by_nobody};
use super::door::Peer;
use super::requests::RequestId;
use super::shared::Shared;
use crate::access::{Caller, KeyRefused};
use crate::api::{Problem, exit_codes};
use crate::model::{Action, Outcome, Secret};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Refuses another user's request, whatever the modes of the socket and of its folder have become. Root is another user too: it
/// asks as the user (`sudo -u`).
pub(super) async fn same_user(State(own): State<u32>, mut request: Request, next: Next) -> Response {
    let user = match request.extensions().get::<Peer>() {
        Some(Peer::Local { user, process }) if *user == Some(own) => {
            let caller = Caller::Owner { process: *process };
            request.extensions_mut().insert(caller);
            return next.run(request).await;
        }
        Some(Peer::Local { user, .. }) => *user,
        _ => None,
    };
    tracing::warn!(user, "another user's request was refused");
    let detail = format!(
        "this daemon is the user's with the number {own}, and answers nobody else; ask as that user, e.g. with `sudo -u`"
    );
    Refusal::new(Problem::new("other_user", 403, exit_codes::OTHER, detail)).into_response()
}

/// Refuses a request that was sent to another name than ours: a page of that name, whose address was made to lead here (DNS rebinding),
/// would have this daemon's answers for its own. An address, `localhost` and the name of `public_url` are ours.
pub(super) async fn by_our_name(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let asked = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = asked.and_then(|host| url::Url::parse(&format!("http://{host}/")).ok());
    let is_ours = match host.as_ref().and_then(url::Url::host) {
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => true,
        Some(url::Host::Domain(name)) => {
            name == "localhost" || shared.connector.settings().callback.base_url().host_str() == Some(name)
        }
        None => false,
    };
    // For whoever looks after the process, by whatever name.
    if is_ours || matches!(request.uri().path(), "/health" | "/ready") {
        return next.run(request).await;
    }
    let detail = "this daemon is not known by the name that it was asked by; set `public_url` under [callback] in grantkeeper.toml to the URL that people and programs use";
    Refusal::new(Problem::new("other_name", 421, exit_codes::USAGE, detail)).into_response()
}

/// How long a browser comes by TLS alone, in seconds: a year.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Tells browsers to come by TLS alone, where there is TLS (RFC 6797). Of our own name only, and not of those beside or below it, which may be
/// others'; never of `localhost`, where every other server of the machine would be meant too.
pub(super) async fn strict_transport(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let asked = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let is_local = asked.is_none_or(|host| host == "localhost" || host.starts_with("localhost:"));
    let mut response = next.run(request).await;
    if !is_local && shared.is_by_tls() {
        let value = HeaderValue::from_static(STRICT_TRANSPORT);
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    response
}

/// Behind a proxy, finds the address that the proxy was asked from: the last one of `X-Forwarded-For`, which the proxy itself has put there. What
/// stands before it came with the request, and may be made up. Who is not the proxy is believed nothing.
pub(super) async fn forwarded(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let server = &shared.connector.settings().server;
    if shared.behind_proxy
        && let Some(Peer::Remote { from, .. }) = request.extensions().get::<Peer>()
        && is_proxy(&server.proxies, from.ip())
        && let Some(asker) = last_hop(request.headers())
    {
        request.extensions_mut().insert(Peer::Remote { from: SocketAddr::new(asker, 0), to: None });
    }
    next.run(request).await
}

/// Whether an address is that of the proxy: one that the settings name; where they name none, one of this machine. Whoever else may reach the
/// port would be believed any address.
fn is_proxy(named: &[IpAddr], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    match named.is_empty() {
        true => peer.is_loopback(),
        false => named.iter().any(|named| named.to_canonical() == peer),
    }
}

/// The last address of `X-Forwarded-For`, with a port or without.
fn last_hop(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let last = line.rsplit(',').next()?.trim();
    let address = last.parse::<SocketAddr>().map(|address| address.ip());
    address.or_else(|_| last.trim_start_matches('[').trim_end_matches(']').parse()).ok()
}

/// Makes a caller of who shows an API key. What a key that is not good comes to is decided where a caller is needed (`rights.rs`): the
/// refusal is then an answer as any other, with an id, and counted. Browsers that come back from a provider need none.
pub(super) async fn by_key(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    if let Some(key) = bearer(request.headers()) {
        match shared.connector.let_in(key.expose()).await {
            Ok(caller) => drop(request.extensions_mut().insert(caller)),
            Err(refused) => drop(request.extensions_mut().insert(refused)),
        }
    }
    next.run(request).await
}

/// Tells somebody that their key is not good, and writes it down: whose it was, where it was one of ours.
pub(super) async fn turned_away(
    shared: &Shared,
    (id, peer): (Option<RequestId>, Option<Peer>),
    refused: &KeyRefused,
) -> Response {
    if let KeyRefused::Unread(_) = refused {
        let problem = Problem::new("keys_unread", 503, exit_codes::PASSING, refused.to_string());
        return Refusal::new(Problem { retryable: true, ..problem }).into_response();
    }
    let acting = match refused.key() {
        Some(key) => acting(&Caller::Key(Arc::clone(key)), id.as_ref(), peer.as_ref()),
        None => by_nobody(id.as_ref(), peer.as_ref()),
    };
    let entry = acting.entry(Action::AccessRefused, None, shared.connector.clock().now());
    let entry = entry.that(Outcome::Refused, refused.code());
    if let Err(error) = shared.connector.audit_soon(entry).await {
        tracing::warn!(%error, "a refusal could not be written into the audit log");
    }
    let mut response =
        Refusal::new(Problem::new(refused.code(), 401, exit_codes::OTHER, refused.to_string())).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// The key in `Authorization: Bearer` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(key.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::door::Door;
    use crate::server::places::Places;
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};

    /// Asks a door that belongs to a user.
    async fn ask(path: &Path, owner: u32) -> String {
        let listener = UnixListener::bind(path).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let app = Router::new().route("/", get(async || "come in")).layer(from_fn_with_state(owner, same_user));
        let serving = tokio::spawn(crate::server::answering::answer(
            Door::Home(listener),
            app,
            Places::for_doors(1),
            std::future::pending(),
        ));
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        serving.abort();
        answer
    }

    #[test]
    fn the_last_hop_is_the_one_that_counts() {
        let of = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            last_hop(&headers).map(|address| address.to_string())
        };
        for (lines, last) in [
            (&["192.0.2.7"][..], Some("192.0.2.7")),
            (&["10.0.0.1, 192.0.2.7"], Some("192.0.2.7")),
            (&["192.0.2.1", "10.0.0.1,192.0.2.7:4711 "], Some("192.0.2.7")),
            (&["[2001:db8::7]:4711"], Some("2001:db8::7")),
            (&["[2001:db8::7]"], Some("2001:db8::7")),
            (&["2001:db8::7"], Some("2001:db8::7")),
            (&["192.0.2.7, unknown"], None),
            (&["192.0.2.7", ""], None),
            (&[], None),
        ] {
            assert_eq!(of(lines).as_deref(), last, "{lines:?}");
        }
    }

    #[test]
    fn only_the_proxy_is_believed() {
        let of = |named: &[&str], peer: &str| {
            let named: Vec<IpAddr> = named.iter().map(|address| address.parse().unwrap()).collect();
            is_proxy(&named, peer.parse().unwrap())
        };
        for near in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(of(&[], near), "{near}");
        }
        // A container's port that is published is reached by anybody, from an address of a private network.
        for far in ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7", "10.1.2.3", "172.17.0.1", "fd00::1"] {
            assert!(!of(&[], far), "{far}");
        }
        assert!(
            of(&["192.0.2.7"], "::ffff:192.0.2.7") && !of(&["192.0.2.7"], "127.0.0.1"),
            "who is named, and nobody else"
        );
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
