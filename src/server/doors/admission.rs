//! Who somebody is: at the socket the user whose daemon it is, and nobody else; at the port who shows an API key.
//!
//! [`Admission`] stands between a door and the routes, and has all that is done there in one place and in its order. It is one service and not
//! a layer for each thing: a layer costs every request a future on the heap and a copy of the routes (docs/performance.md).

use super::call::{Call, Who};
use super::door::Peer;
use crate::access::{Caller, KEY_PREFIX, KeyRefused};
use crate::api::{Problem, exit_codes};
use crate::model::{Action, Outcome};
use crate::server::answer::Refusal;
use crate::server::router::Api;
use crate::server::shared::Shared;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The routes as who comes through a door finds them. Clones share everything.
#[derive(Clone)]
pub(in crate::server) struct Admission {
    api: Api,
    way: Way,
}

#[derive(Clone)]
enum Way {
    /// The socket of a user.
    Home(u32),
    /// The port.
    Network(Shared),
}

impl Admission {
    /// At the socket of a user's home.
    pub(in crate::server) fn at_home(api: Api, owner: u32) -> Self {
        Self { api, way: Way::Home(owner) }
    }

    /// At the port.
    pub(in crate::server) fn at_port(api: Api, shared: Shared) -> Self {
        Self { api, way: Way::Network(shared) }
    }

    /// Answers a request of who is at the other end. On the heap: it goes through many hands, and each would copy it.
    pub(in crate::server) async fn answer(self, peer: Peer, mut request: Box<Request>) -> Response {
        let shared = match &self.way {
            Way::Home(own) => {
                return match same_user(*own, peer) {
                    Ok(caller) => {
                        request.extensions_mut().insert(Call::from(peer, Who::Caller(caller)));
                        self.api.answer(request).await
                    }
                    Err(refusal) => refusal.into_response(),
                };
            }
            Way::Network(shared) => shared,
        };
        let peer = forwarded(shared, peer, request.headers());
        let strict = strict_transport(shared, request.headers());
        let mut response = match by_our_name(shared, &request) {
            Ok(()) => {
                let who = by_key(shared, &mut request).await;
                request.extensions_mut().insert(Call::from(peer, who));
                self.api.answer(request).await
            }
            Err(refusal) => refusal.into_response(),
        };
        if let Some(strict) = strict {
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, strict);
        }
        response
    }
}

/// Refuses another user, whatever the modes of the socket and of its folder have become. Root is another user too: it
/// asks as the user (`sudo -u`).
fn same_user(own: u32, peer: Peer) -> Result<Caller, Refusal> {
    let user = match peer {
        Peer::Local { user, process } if user == Some(own) => return Ok(Caller::Owner { process }),
        Peer::Local { user, .. } => user,
        Peer::Remote { .. } => None,
    };
    tracing::warn!(user, "another user's request was refused");
    let detail = format!(
        "this daemon is the user's with the number {own}, and answers nobody else; ask as that user, e.g. with `sudo -u`"
    );
    Err(Refusal::new(Problem::new("other_user", 403, exit_codes::OTHER, detail)))
}

/// Refuses a request that was sent to another name than ours: a page of that name, whose address was made to lead here (DNS rebinding),
/// would have this daemon's answers for its own. An address, `localhost` and the name of `public_url` are ours.
fn by_our_name(shared: &Shared, request: &Request) -> Result<(), Refusal> {
    let asked = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    // The one that most ask by was looked at already.
    if asked.is_some() && asked == shared.usual_name.get().map(String::as_str) {
        return Ok(());
    }
    if let Some(host) = asked.filter(|host| is_ours(shared, host)) {
        let _ = shared.usual_name.set(host.to_owned()); // the first stays
        return Ok(());
    }
    // For whoever looks after the process, by whatever name.
    if matches!(request.uri().path(), "/health" | "/ready") {
        return Ok(());
    }
    let detail = "this daemon is not known by the name that it was asked by; set `public_url` under [callback] in grantkeeper.toml to the URL that people and programs use";
    Err(Refusal::new(Problem::new("other_name", 421, exit_codes::USAGE, detail)))
}

/// Whether a `Host` header is one of ours.
fn is_ours(shared: &Shared, asked: &str) -> bool {
    // What programs of this machine send needs no reader of URLs.
    if asked.parse::<SocketAddr>().is_ok() || asked.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let host = url::Url::parse(&format!("http://{asked}/")).ok();
    match host.as_ref().and_then(url::Url::host) {
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => true,
        Some(url::Host::Domain(name)) => {
            name == "localhost" || shared.connector.settings().callback.base_url().host_str() == Some(name)
        }
        None => false,
    }
}

/// How long a browser comes by TLS alone, in seconds: a year.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Tells browsers to come by TLS alone, where there is TLS (RFC 6797). Of our own name only, and not of those beside or below it, which may be
/// others'; never of `localhost`, where every other server of the machine would be meant too.
fn strict_transport(shared: &Shared, headers: &HeaderMap) -> Option<HeaderValue> {
    if !shared.is_by_tls() {
        return None;
    }
    let asked = headers.get(header::HOST)?.to_str().ok()?;
    let is_local = asked == "localhost" || asked.starts_with("localhost:");
    (!is_local).then(|| HeaderValue::from_static(STRICT_TRANSPORT))
}

/// Who is at the other end; behind a proxy, who is at the proxy's: the last address of `X-Forwarded-For`, which the proxy itself has put there. What
/// stands before it came with the request, and may be made up. Who is not the proxy is believed nothing.
fn forwarded(shared: &Shared, peer: Peer, headers: &HeaderMap) -> Peer {
    let proxies = &shared.connector.settings().server.proxies;
    match peer {
        Peer::Remote { from, .. } if shared.behind_proxy && is_proxy(proxies, from.ip()) => {
            last_hop(headers).map_or(peer, |asker| Peer::Remote { from: SocketAddr::new(asker, 0), to: None })
        }
        _ => peer,
    }
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
async fn by_key(shared: &Shared, request: &mut Request) -> Who {
    let Some(key) = bearer(request.headers()) else { return Who::Nobody };
    match shared.connector.let_in(key).await {
        Ok(caller) => Who::Caller(caller),
        Err(refused) => Who::Refused(refused),
    }
}

/// Tells somebody that their key is not good, and writes it down: whose it was, where it was one of ours.
pub(in crate::server) async fn turned_away(shared: &Shared, call: &Call, refused: &KeyRefused) -> Response {
    if let KeyRefused::Unread(_) = refused {
        let problem = Problem::new("keys_unread", 503, exit_codes::PASSING, refused.to_string());
        return Refusal::new(Problem { retryable: true, ..problem }).into_response();
    }
    let acting = match refused.key() {
        Some(key) => call.acting(&Caller::Key(Arc::clone(key))),
        None => call.by_nobody(),
    };
    let entry = acting.entry(Action::AccessRefused, None, shared.connector.clock().now());
    let entry = entry.that(Outcome::Refused, refused.code());
    let _ = shared.connector.audit_soon(entry).await; // refused all the same
    let mut response =
        Refusal::new(Problem::new(refused.code(), 401, exit_codes::OTHER, refused.to_string())).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Whether somebody shows what looks like an API key.
pub(in crate::server) fn shows_a_key(headers: &HeaderMap) -> bool {
    bearer(headers).is_some_and(|key| key.starts_with(KEY_PREFIX))
}

const BEARER: &str = "Bearer ";

/// The key in `Authorization: Bearer` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| key.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Connector;
    use crate::model::Timestamp;
    use crate::seal::Keyring;
    use crate::server::doors::door::Door;
    use crate::server::doors::places::Places;
    use crate::store::MemoryStore;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};

    /// Asks a door that belongs to a user.
    async fn ask(path: &Path, owner: u32) -> String {
        let listener = UnixListener::bind(path).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let keyring = Keyring::generate(Timestamp::UNIX_EPOCH).unwrap();
        let connector = Connector::builder(Arc::new(MemoryStore::default()), keyring).build().unwrap();
        let (_, stopping) = tokio::sync::watch::channel(false);
        let app = Admission::at_home(Api::new(Shared::new(connector, stopping), None), owner);
        let serving = tokio::spawn(crate::server::answering::answer(
            Door::Home(listener),
            app,
            Places::for_doors(1),
            std::future::pending(),
        ));
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(b"GET /v1/applications HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
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
        assert!(answer.contains("200 OK") && answer.ends_with("[]"), "{answer}");
        let answer = ask(&folder.path().join("other"), own + 1).await;
        assert!(answer.contains("403 Forbidden") && answer.contains("other_user"), "{answer}");
        assert!(!answer.contains("[]"), "{answer}");
    }
}
