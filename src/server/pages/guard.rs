//! Who sees a page, and whose forms are taken.

use super::Pages;
use super::trouble::Trouble;
use crate::model::Secret;
use crate::server::answer::in_time;
use crate::server::doors::call::peer_of;
use crate::server::doors::session::SignedIn;
use crate::server::requests::numbered;
use crate::server::router::to_its_end;
use crate::server::shared::Shared;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of the largest form: a pasted reply, or an application's file.
const LARGEST_FORM: usize = 2 * 1024 * 1024;
/// Bytes of the largest form of who is not signed in.
pub(super) const LARGEST_OUTSIDE: usize = 16 * 1024;

/// What every page may load and where its forms may go: nothing from elsewhere, and nothing that stands in the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The form that came with a request, taken only from our own pages.
#[derive(Clone)]
pub(super) struct Form(Arc<Vec<(String, Zeroizing<String>)>>);

impl Form {
    /// The text of a field, without the space around it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim())
    }

    /// The text of a field, empty when it did not come.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// All fields but those of secrets, for a form that is shown again.
    pub(super) fn plain(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_plain = |name: &str| !name.contains("secret") && !matches!(name, "password" | "form");
        self.0.iter().filter(move |(name, _)| is_plain(name)).map(|(name, value)| (name.as_str(), value.trim()))
    }

    /// A secret, as it was typed.
    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        let (_, value) = self.0.iter().find(|(field, _)| field == name)?;
        Some(Secret::new(value.as_str())).filter(|value| !value.is_empty())
    }
}

/// Answers for every page, with what keeps a browser strict on each response.
pub(super) async fn dress(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let answer = |request| to_its_end(shared, request, |request| next.run(*request));
    let mut response = numbered(Box::new(request), route, answer).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // The address of a page names a person's account, and a sign-in link is an address.
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets nobody in without a session, and takes no form that another page sent.
pub(super) async fn inside(State(pages): State<Pages>, mut request: Request, next: Next) -> Response {
    let live = request.headers().contains_key("x-live") || request.uri().path().starts_with("/live");
    let me = match pages.signed_in(request.headers(), peer_of(request.extensions()), !live).await {
        Ok(Some(me)) => me,
        Ok(None) => return outside(&request, live),
        Err(trouble) => return trouble.into_response(),
    };
    let path = request.uri().path().to_owned();
    if !is_safe(request.method()) {
        let (form, rest) = match form_of(request, LARGEST_FORM).await {
            Ok(taken) => taken,
            Err(trouble) => return trouble.shown(Some(&me), &path),
        };
        let carried = form.secret("form").is_some_and(|carried| carried == me.form);
        if !carried {
            let what = "the form is of an earlier session, or of another page; nothing was done. Go back, reload the page and send it again";
            return Trouble::new(StatusCode::FORBIDDEN, "This form is not taken", what).shown(Some(&me), &path);
        }
        request = rest;
        request.extensions_mut().insert(form);
    }
    request.extensions_mut().insert(me.clone());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Trouble>() {
        // Told within the page's frame, so that one can go on from there.
        Some(trouble) => trouble.shown(Some(&me), &path),
        None => response,
    }
}

/// The form of a request, when one of our own pages sent it.
pub(super) async fn form_of(request: Request, largest: usize) -> Result<(Form, Request), Trouble> {
    let (parts, body) = request.into_parts();
    if !is_own(&parts.headers, &parts.uri) {
        let what = "the request came from another site, or from no page at all; nothing was done. Use the form on the page itself";
        return Err(Trouble::new(StatusCode::FORBIDDEN, "This request is not taken", what));
    }
    let form_type = "application/x-www-form-urlencoded";
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != form_type {
        let what = format!("a form is sent as {form_type}; nothing was done");
        return Err(Trouble::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This request is not taken", &what));
    }
    let bytes = in_time(to_bytes(body, largest)).await.ok_or_else(|| {
        let what = "what was sent did not come within 30 seconds; nothing was done";
        Trouble::new(StatusCode::REQUEST_TIMEOUT, "This request is not taken", what)
    })?;
    let bytes = bytes.map_err(|_| {
        let what = "what was sent is larger than this form is, or did not come whole; nothing was done";
        Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "This request is not taken", what)
    })?;
    let fields = url::form_urlencoded::parse(&bytes);
    let fields = fields.map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned()))).collect();
    Ok((Form(Arc::new(fields)), Request::from_parts(parts, Body::empty())))
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';')).find_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

/// Whether a browser sent this from one of our own pages. `Sec-Fetch-Site` is the browser's own word and no page can set it; a
/// browser without it says at least from where (`Origin`), which our own Referrer-Policy turns into `null` where it has the other.
/// What says neither is no browser's form.
fn is_own(headers: &HeaderMap, uri: &Uri) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).filter(|origin| *origin != "null");
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or(uri.authority().map(axum::http::uri::Authority::as_str));
    let same = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && authority.map(str::to_ascii_lowercase) == host.map(str::to_ascii_lowercase)
    };
    match (site, origin) {
        (Some(site), origin) => site == b"same-origin" && origin.is_none_or(same),
        (None, Some(origin)) => same(origin),
        (None, None) => false,
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// What somebody gets who is not signed in: the way in, and back to here afterwards.
fn outside(request: &Request, live: bool) -> Response {
    if !is_safe(request.method()) || live {
        let what = "you are not signed in, or your session has ended; nothing was done";
        return Trouble::new(StatusCode::UNAUTHORIZED, "Sign in first", what).shown(None, "/");
    }
    let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
    let to: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    Redirect::to(&if wanted == "/" { "/sign-in".to_owned() } else { format!("/sign-in?to={to}") }).into_response()
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        // Missing only where a route stands outside of the guard.
        parts.extensions.get::<Self>().cloned().ok_or(StatusCode::UNAUTHORIZED)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Form {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Trouble> {
        // Missing only where a route takes a form from who asks for a page.
        let what = "no form came with the request; nothing was done";
        let trouble = || Trouble::new(StatusCode::BAD_REQUEST, "This request is not taken", what);
        parts.extensions.get::<Self>().cloned().ok_or_else(trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(pairs: &[(&'static str, &str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        is_own(&headers.collect(), &Uri::from_static("/tokens"))
    }

    #[test]
    fn a_form_is_taken_from_our_own_pages_alone() {
        let host = ("host", "127.0.0.1:8765");
        for (good, pairs) in [
            (true, vec![host, ("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8765")]),
            (true, vec![host, ("sec-fetch-site", "same-origin"), ("origin", "null")]),
            (true, vec![host, ("sec-fetch-site", "same-origin")]),
            (true, vec![host, ("origin", "http://127.0.0.1:8765")]),
            (true, vec![("host", "Keys.example"), ("origin", "https://keys.example")]),
            (false, vec![host, ("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:8765")]),
            (false, vec![host, ("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:8765")]),
            (false, vec![host, ("sec-fetch-site", "none")]),
            (false, vec![host, ("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")]),
            (false, vec![host, ("origin", "https://evil.example")]),
            (false, vec![host, ("origin", "http://127.0.0.1:8766")]),
            (false, vec![host, ("origin", "http://127.0.0.1:8765.evil.example")]),
            (false, vec![host, ("origin", "null")]),
            (false, vec![host]),
            (false, vec![("origin", "127.0.0.1")]),
        ] {
            assert_eq!(own(&pairs), good, "{pairs:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; x__Host-grantkeeper=no".parse().unwrap());
        headers.append(header::COOKIE, "__Host-grantkeeper=yes; b=2".parse().unwrap());
        assert_eq!(cookie(&headers, "__Host-grantkeeper"), Some("yes"));
        assert_eq!(cookie(&headers, "grantkeeper"), None);
    }
}
