//! The proxy: a request to an application's API, sent on with a connection's token. `/v1/proxy/APPLICATION/NAME/HOST/PATH` goes to
//! `https://HOST/PATH`. What may be sent where, the token, a 401 and redirects are [`Client`](crate::connector::Client)'s; here
//! the two sides are put together.

use crate::api::{Problem, exit_codes};
use crate::model::{Action, Outcome, Target};
use crate::server::answer::{Named, Refusal, in_time, too_slow};
use crate::server::doors::asker::Asker;
use crate::server::doors::impatient::FromElsewhere;
use crate::server::routes::{Routes, any};
use crate::server::shared::Shared;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use url::Url;

/// A body up to this many bytes is held in memory, so that it can be sent again after a 401; a longer one is passed on as it comes.
const LARGEST_REPLAYED: usize = 1 << 20;

/// Headers that are of one connection and not of the request (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers of whoever asks that are for us alone, or would say something of them to the API.
const OURS: [HeaderName; 5] =
    [header::AUTHORIZATION, header::HOST, header::COOKIE, header::CONTENT_LENGTH, header::EXPECT];

pub(in crate::server) fn routes() -> Routes {
    Routes::new()
        .route("/v1/proxy/{application}/{name}/{host}", any(forward))
        .route("/v1/proxy/{application}/{name}/{host}/{*path}", any(forward))
}

/// How a proxied request is written.
pub(in crate::server) const HOW: &str = "write the API's host and path behind the connection's name: /v1/proxy/drive/reports/www.googleapis.com/drive/v3/files";

async fn forward(
    State(shared): State<Shared>,
    asker: Asker,
    Named(name): Named,
    request: Request,
) -> Result<Response, Refusal> {
    let url = target(request.uri().path(), request.uri().query()).ok_or_else(|| Refusal::bad(HOW))?;
    let (parts, body) = request.into_parts();
    let entry = asker.acting.entry(Action::Proxy, Target::of(&name), shared.connector.clock().now());
    let entry = entry.with_detail(&format!("{} {}{}", parts.method, url.authority(), url.path()));
    let mut headers = parts.headers;
    without_hop_by_hop(&mut headers);
    for own in &OURS {
        headers.remove(own);
    }
    let mut onward = reqwest::Request::new(parts.method, url);
    *onward.headers_mut() = headers;
    *onward.body_mut() = carried(body).await?;
    let client = shared.connector.client(&name);
    let sent = match client.ready(onward).await {
        Ok(ready) => {
            // Before the attempt: who hangs up meanwhile is in the log too. One that comes to nothing is told again, with the reason; one
            // that never left is told only so.
            shared.connector.audit_soon(entry.clone()).await?;
            client.send(ready).await
        }
        Err(error) => Err(error),
    };
    let reply = match sent {
        Ok(reply) => reply,
        Err(error) => {
            let refusal = Refusal::from(error).into_problem();
            let outcome = if refusal.status == 403 { Outcome::Refused } else { Outcome::Failed };
            let _ = shared.connector.audit_soon(entry.that(outcome, &refusal.code)).await; // it failed all the same
            return Err(Refusal::new(refusal));
        }
    };
    let reply: http::Response<reqwest::Body> = reply.into();
    let (mut parts, body) = reply.into_parts();
    without_hop_by_hop(&mut parts.headers);
    without_reach(&mut parts.headers);
    parts.extensions.insert(FromElsewhere);
    Ok(Response::from_parts(parts, Body::new(body)).into_response())
}

/// An API's reply comes from our origin: in a browser it must set nothing there, and run nothing.
fn without_reach(headers: &mut HeaderMap) {
    for name in [
        header::SET_COOKIE,
        header::STRICT_TRANSPORT_SECURITY,
        header::REFRESH,
        header::LINK,
        HeaderName::from_static("clear-site-data"),
        HeaderName::from_static("service-worker-allowed"),
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ALT_SVC,
        header::WWW_AUTHENTICATE,
        header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
        HeaderName::from_static("nel"),
        HeaderName::from_static("report-to"),
        HeaderName::from_static("reporting-endpoints"),
    ] {
        headers.remove(name);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The URL that a path behind `/v1/proxy/APPLICATION/NAME/` names. By https; by http where the host is this machine.
fn target(path: &str, query: Option<&str>) -> Option<Url> {
    let (_, rest) = path.split_once("/proxy/")?;
    let rest = rest.splitn(3, '/').nth(2)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // A port's colon may come encoded.
    let authority = authority.replace("%3A", ":").replace("%3a", ":");
    if authority.is_empty() || authority.contains(['@', '%', '\\', '?', '#']) {
        return None;
    }
    let text = |scheme: &str| {
        format!("{scheme}://{authority}/{path}{}{}", if query.is_some() { "?" } else { "" }, query.unwrap_or_default())
    };
    let url = Url::parse(&text("https")).ok()?;
    let is_here = match url.host()? {
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
        url::Host::Domain(name) => name == "localhost",
    };
    if is_here { Url::parse(&text("http")).ok() } else { Some(url) }
}

fn without_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The body: whole where it is small and its length is known, else as it comes.
async fn carried(body: Body) -> Result<Option<reqwest::Body>, Refusal> {
    let size = body.size_hint();
    match size.upper() {
        Some(0) => Ok(None),
        Some(upper) if usize::try_from(upper).is_ok_and(|upper| upper <= LARGEST_REPLAYED) => {
            let bytes = in_time(axum::body::to_bytes(body, LARGEST_REPLAYED)).await.ok_or_else(too_slow)?;
            let bytes = bytes.map_err(|_| {
                Refusal::new(Problem::new("bad_request", 400, exit_codes::USAGE, "the body did not come whole"))
            })?;
            Ok(Some(bytes.into()))
        }
        _ => Ok(Some(reqwest::Body::wrap(Passed(Mutex::new(body))))),
    }
}

/// A body that is passed on as it comes. Nobody else ever has it: the lock only says so.
struct Passed(Mutex<Body>);

impl http_body::Body for Passed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let body = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(body).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_host_and_nothing_else_does() {
        let to = |path: &str| target(path, None).map(String::from);
        assert_eq!(to("/v1/proxy/a/b/api.example.com/x/y%2Fz"), Some("https://api.example.com/x/y%2Fz".to_owned()));
        assert_eq!(to("/v1/proxy/a/b/api.example.com"), Some("https://api.example.com/".to_owned()));
        assert_eq!(to("/v1/proxy/a/b/127.0.0.1%3A80/x"), Some("http://127.0.0.1/x".to_owned()));
        assert_eq!(to("/v1/proxy/a/b/api.example.com:8443/x"), Some("https://api.example.com:8443/x".to_owned()));
        for path in [
            "/v1/proxy/a/b",
            "/v1/proxy/a/b/",
            "/v1/proxy/a/b/user@evil.example/x",
            "/v1/proxy/a/b/%40/x",
            "/v1/proxy/a/b/x%2Fy/z",
        ] {
            assert_eq!(to(path), None, "{path}");
        }
        let query = target("/v1/proxy/a/b/api.example.com/x", Some("q=1&r=%20")).map(String::from);
        assert_eq!(query, Some("https://api.example.com/x?q=1&r=%20".to_owned()));
    }

    #[test]
    fn a_reply_of_an_api_sets_and_runs_nothing_at_our_address() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("set-cookie", "__Host-grantkeeper=x"), ("link", "</x>; rel=preload"), ("etag", "\"1\"")]
        {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        without_reach(&mut headers);
        assert!(headers.contains_key("etag") && !headers.contains_key("set-cookie") && !headers.contains_key("link"));
        assert_eq!(headers["content-security-policy"], "default-src 'none'; sandbox");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }

    #[test]
    fn what_is_of_one_connection_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", "x-own, close"), ("x-own", "1"), ("te", "trailers"), ("accept", "*/*")] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        without_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
