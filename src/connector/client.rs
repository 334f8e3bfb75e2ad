//! A client for the caller's own requests: adds a connection's token, to its application's hosts alone, and gets a new
//! one when the API refuses it.

use super::{Connector, Error};
use crate::http::{HttpClient, HttpError};
use crate::model::{Application, ConnectionName, Endpoint, Timestamp, later};
use crate::refresh::{RefreshError, Token};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::{Body, Response};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use url::Url;

/// Redirects that are followed for one request, as many as reqwest follows.
const MOST_REDIRECTS: usize = 10;

/// How long a 401 brings no further refresh after one that did not help, in seconds.
const PATIENCE: u64 = 60;
/// Connections with such a 401 that are remembered before those of long ago are forgotten.
const MOST_REMEMBERED: usize = 1000;

/// What all clients of a connector share.
#[derive(Default)]
pub(super) struct Callers {
    http: OnceLock<reqwest::Client>,
    /// Generations that were refused although they were new, and until when they bring no refresh.
    refused: Mutex<HashMap<ConnectionName, (u64, Timestamp)>>,
}

/// Sends requests to an API with the token of a connection. Made by [`Connector::client`]; cheap to clone.
///
/// - **Where the token goes**: to the hosts that the application names (its endpoints' own and `hosts`), by https, or by http
///   on this machine. Anything else is refused before a token is fetched or a byte sent.
/// - **How it travels**: as `Authorization: SCHEME TOKEN`, the scheme being the provider's own where its entry says one
///   (`authorization_scheme`); bare in another header with [`Client::token_in`]. A request that brings this header itself, or
///   `Host`, is refused: two answers to the question whose request it is would be one too many. All other headers are kept.
/// - **When the API answers 401**: the token is reported as rejected, the connection refreshed once (callers at the same
///   time share that), and the request sent once more with the new token. A request whose body is a stream cannot be sent
///   again: its 401 is returned, and the next request has the new token. A second 401 is returned as it came, and so is
///   the first where the connection has nothing to renew its token with; a refresh that fails is an error. An API that refuses a
///   token that was only just fetched means something else than its age: such a connection is not refreshed for another 401 within a
///   minute.
/// - **Redirects** of `GET` and `HEAD` are followed up to ten times, to the application's hosts, never from https to http.
///   Every other one is returned as it came (its status is 3xx): follow it with a client of your own, which has no token to lose.
/// - **Timeouts**, the proxy and further certificate authorities are those of the `[http]` settings;
///   [`RequestBuilder::timeout`] sets another time for one request. Nothing of these requests is recorded on a tape.
///
/// ```no_run
/// # async fn example(connector: grantkeeper::Connector) -> Result<(), Box<dyn std::error::Error>> {
/// let drive = connector.client(&"google-drive/reports".parse()?);
/// let reply = drive.get("https://www.googleapis.com/drive/v3/files").query(&[("pageSize", "10")]).send().await?;
/// let files: serde_json::Value = reply.error_for_status()?.json().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    connector: Connector,
    connection: ConnectionName,
    place: Option<HeaderName>,
}

/// A request that may go, and what it goes with.
pub(crate) struct Ready {
    request: reqwest::Request,
    application: Application,
    token: Token,
}

/// A request on its way to be sent, as reqwest's. What is wrong with it is told by [`send`](RequestBuilder::send).
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    client: Client,
    request: Result<reqwest::Request, Error>,
}

impl Connector {
    /// A client that adds a connection's token to requests and refreshes it when the API refuses it, see [`Client`].
    /// Whether there is such a connection is told by the first request.
    #[must_use]
    pub fn client(&self, connection: &ConnectionName) -> Client {
        Client { connector: self.clone(), connection: connection.clone(), place: None }
    }

    /// The HTTP client under every [`Client`], made when it is first needed.
    fn http_of_callers(&self) -> Result<&reqwest::Client, Error> {
        if self.callers.http.get().is_none() {
            // Of two that are made at once one is kept.
            let _ = self.callers.http.set(HttpClient::for_callers(&self.settings.http)?);
        }
        self.callers.http.get().ok_or(Error::Stopped("making the HTTP client"))
    }
}

impl Client {
    /// The same client, which sends the bare token in another header than `Authorization` (Shopify's
    /// `X-Shopify-Access-Token`).
    #[must_use]
    pub fn token_in(self, header: HeaderName) -> Self {
        Self { place: Some(header), ..self }
    }

    /// The connection whose token is sent.
    #[must_use]
    pub fn connection(&self) -> &ConnectionName {
        &self.connection
    }

    /// A `GET` request.
    pub fn get(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A `POST` request.
    pub fn post(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// A `PUT` request.
    pub fn put(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// A `PATCH` request.
    pub fn patch(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// A `DELETE` request.
    pub fn delete(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// A `HEAD` request.
    pub fn head(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> RequestBuilder {
        let url = Url::parse(url.as_ref()).map_err(|_| self.wrong("its URL is none; write it whole"));
        RequestBuilder { client: self.clone(), request: url.map(|url| reqwest::Request::new(method, url)) }
    }

    /// Sends a request that was made with reqwest, and returns the API's reply whatever its status.
    ///
    /// # Errors
    /// When the request may not carry the token, no token can be had, or no reply came.
    pub async fn execute(&self, request: reqwest::Request) -> Result<Response, Error> {
        let ready = self.ready(request).await?;
        self.send(ready).await
    }

    /// A request that may go, with the token that it goes with. Nothing is sent yet.
    ///
    /// # Errors
    /// When the request may not carry the token, or no token can be had.
    pub(crate) async fn ready(&self, mut request: reqwest::Request) -> Result<Ready, Error> {
        for own in [Some(&AUTHORIZATION), Some(&HOST), self.place.as_ref()].into_iter().flatten() {
            if request.headers().contains_key(own) {
                return Err(self.wrong(&format!("it brings a header `{own}` of its own; leave it out")));
            }
        }
        // It is never sent.
        request.url_mut().set_fragment(None);
        let application = self.application().await?;
        may_go(&application, request.url())?;
        let token = self.connector.token(&self.connection).await?;
        Ok(Ready { request, application, token })
    }

    /// Sends a request that is ready.
    ///
    /// # Errors
    /// When no newer token can be had in place of a refused one, or no reply came.
    pub(crate) async fn send(&self, Ready { request, application, token }: Ready) -> Result<Response, Error> {
        let again = request.try_clone();
        let reply = self.follow(request, &token, &application).await?;
        if reply.status() != StatusCode::UNAUTHORIZED || self.was_refused_when_new(&token) {
            return Ok(reply);
        }
        let newer = self.connector.token_rejected(&self.connection, &token).await;
        match (newer, again) {
            (Ok(newer), Some(again)) => {
                // Its connection is free for the next.
                drop(reply);
                let reply = self.follow(again, &newer, &application).await?;
                if reply.status() == StatusCode::UNAUTHORIZED {
                    self.remember_refused(&newer);
                }
                Ok(reply)
            }
            // A body that is a stream is gone. Whether the new token fares better is not known: it is given a minute.
            (Ok(newer), None) => {
                self.remember_refused(&newer);
                Ok(reply)
            }
            (Err(_), None) | (Err(Error::Refresh(RefreshError::Expiring { .. })), _) => Ok(reply),
            (Err(error), Some(_)) => Err(error),
        }
    }

    fn was_refused_when_new(&self, token: &Token) -> bool {
        let refused = self.connector.callers.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let found = refused.get(&self.connection);
        found
            .is_some_and(|(generation, until)| *generation == token.generation() && *until > self.connector.clock.now())
    }

    fn remember_refused(&self, token: &Token) {
        let now = self.connector.clock.now();
        let mut refused = self.connector.callers.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= MOST_REMEMBERED {
            refused.retain(|_, (_, until)| *until > now);
        }
        refused.insert(self.connection.clone(), (token.generation(), later(now, PATIENCE)));
    }

    /// Sends a request with a token, and follows where it is redirected to.
    async fn follow(
        &self,
        mut request: reqwest::Request,
        token: &Token,
        application: &Application,
    ) -> Result<Response, Error> {
        let http = self.connector.http_of_callers()?;
        let (name, value) = self.header(token)?;
        for _ in 0..MOST_REDIRECTS {
            let next = matches!(*request.method(), Method::GET | Method::HEAD).then(|| request.try_clone()).flatten();
            let from = request.url().clone();
            request.headers_mut().insert(name.clone(), value.clone());
            let reply = sent(http, request).await?;
            let (Some(mut next), Some(to)) = (next, redirected(&reply, &from, application)) else {
                return Ok(reply);
            };
            if to.origin() != from.origin() {
                next.headers_mut().remove(COOKIE);
            }
            *next.url_mut() = to;
            request = next;
        }
        request.headers_mut().insert(name, value);
        sent(http, request).await
    }

    /// The header that carries the token. Being sensitive, it prints nowhere.
    fn header(&self, token: &Token) -> Result<(HeaderName, HeaderValue), Error> {
        let (name, text) = match &self.place {
            Some(place) => (place.clone(), token.secret().clone()),
            None => (AUTHORIZATION, token.authorization()),
        };
        // RFC 6750 appendix A.12 through RFC 6749 appendix A.12: visible ASCII and the space.
        let plain = text.expose().bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        let value = plain.then(|| HeaderValue::from_str(text.expose()).ok()).flatten();
        let mut value = value.ok_or_else(|| Error::OddToken(self.connection.clone()))?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    /// The connection's application, with the endpoints that it has for this connection.
    async fn application(&self) -> Result<Application, Error> {
        let connection = self.connector.stored(&self.connection).await?.value;
        let application = self.connector.vault.application_by_id(connection.application).await?;
        let application = application.ok_or_else(|| Error::NoApplication(connection.name.application().to_string()))?;
        if application.value.name != *connection.name.application() {
            return Err(Error::OtherApplication(connection.name));
        }
        Ok(application.value.of_connection(&connection.fields, &connection.labels))
    }

    fn wrong(&self, reason: &str) -> Error {
        Error::BadRequest { connection: self.connection.clone(), reason: reason.to_owned() }
    }
}

impl RequestBuilder {
    /// Adds a header.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        let (name, value) = (name.try_into().ok(), value.try_into().ok());
        self.change(|client, request| {
            let (Some(name), Some(value)) = (name, value) else {
                return Err(client.wrong("one of its headers cannot be sent"));
            };
            request.headers_mut().append(name, value);
            Ok(())
        })
    }

    /// Sets headers, each in place of those of its name.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.change(|_, request| {
            let mut last = None;
            for (name, value) in headers {
                // A further value of one name comes without it.
                match (name, &last) {
                    (Some(name), _) => {
                        request.headers_mut().insert(name.clone(), value);
                        last = Some(name);
                    }
                    (None, Some(last)) => drop(request.headers_mut().append(last.clone(), value)),
                    (None, None) => {}
                }
            }
            Ok(())
        })
    }

    /// Adds parameters to the URL's query.
    pub fn query(self, parameters: &(impl Serialize + ?Sized)) -> Self {
        self.change(|client, request| {
            let text = serde_urlencoded::to_string(parameters)
                .map_err(|_| client.wrong("its query cannot be written as one"))?;
            let query = match request.url().query().filter(|query| !query.is_empty()) {
                Some(query) if !text.is_empty() => format!("{query}&{text}"),
                Some(query) => query.to_owned(),
                None => text,
            };
            request.url_mut().set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
            Ok(())
        })
    }

    /// Sets the body to JSON.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        self.encoded("application/json", || serde_json::to_vec(value).ok())
    }

    /// Sets the body to a form.
    pub fn form(self, parameters: &(impl Serialize + ?Sized)) -> Self {
        let form = || serde_urlencoded::to_string(parameters).ok().map(String::into_bytes);
        self.encoded("application/x-www-form-urlencoded", form)
    }

    /// Sets the body. Bytes and text can be sent again after a 401; a stream ([`Body::wrap`]) cannot.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.change(|_, request| {
            *request.body_mut() = Some(body.into());
            Ok(())
        })
    }

    /// The time that each try of this request may take, to the last byte of its reply; the `[http]` settings' when not
    /// given.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.change(|_, request| {
            *request.timeout_mut() = Some(timeout);
            Ok(())
        })
    }

    /// Sends it, and returns the API's reply whatever its status: see [`Client`].
    ///
    /// # Errors
    /// When the request is none or may not carry the token, no token can be had, or no reply came.
    pub async fn send(self) -> Result<Response, Error> {
        self.client.execute(self.request?).await
    }

    fn encoded(self, kind: &'static str, body: impl FnOnce() -> Option<Vec<u8>>) -> Self {
        self.change(|client, request| {
            let body =
                body().ok_or_else(|| client.wrong("its body cannot be written in the format that was chosen"))?;
            request.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
            *request.body_mut() = Some(body.into());
            Ok(())
        })
    }

    fn change(self, change: impl FnOnce(&Client, &mut reqwest::Request) -> Result<(), Error>) -> Self {
        let Self { client, request } = self;
        let request = request.and_then(|mut request| change(&client, &mut request).map(|()| request));
        Self { client, request }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Neither headers nor body: they are the caller's, and may hold secrets.
impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.request.as_ref().map(reqwest::Request::method).ok();
        f.debug_struct("RequestBuilder").field("client", &self.client).field("method", &method).finish_non_exhaustive()
    }
}

async fn sent(http: &reqwest::Client, request: reqwest::Request) -> Result<Response, Error> {
    let host = Endpoint::try_from(request.url().clone()).map(|to| to.authority()).unwrap_or_default();
    let reply = http.execute(request).await.map_err(|error| HttpError::of(error, &host))?;
    tracing::debug!(host, status = reply.status().as_u16(), "an API answered");
    Ok(reply)
}

/// Whether the application's tokens may go to a URL.
fn may_go(application: &Application, url: &Url) -> Result<(), HttpError> {
    let endpoint = Endpoint::try_from(url.clone()).map_err(|_| match url.host_str() {
        Some(host) if url.username().is_empty() && url.password().is_none() => HttpError::NotHttps(host.to_owned()),
        _ => HttpError::BadRequest,
    })?;
    if application.allows(url) { Ok(()) } else { Err(HttpError::HostNotAllowed(endpoint.authority())) }
}

/// Where a reply sends a request on to, where its token may go there.
fn redirected(reply: &Response, from: &Url, application: &Application) -> Option<Url> {
    let redirects = matches!(reply.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = reply.headers().get(LOCATION).filter(|_| redirects)?.to_str().ok()?;
    further(from, location, |to| may_lead(application, from, to))
}

/// Whether a redirect may carry the token on. Under a wide pattern each host may be somebody else's: where the caller sends it, it
/// is the caller's word, and a reply's word is not.
fn may_lead(application: &Application, from: &Url, to: &Url) -> bool {
    let exact = application.hosts.iter().filter(|pattern| !pattern.is_wide()).cloned().collect();
    to.origin() == from.origin() || may_go(&Application { hosts: exact, ..application.clone() }, to).is_ok()
}

fn further(from: &Url, location: &str, allowed: impl FnOnce(&Url) -> bool) -> Option<Url> {
    let mut to = from.join(location).ok()?;
    to.set_fragment(None);
    // http is allowed on this machine, and still a step down.
    let steps_down = from.scheme() == "https" && to.scheme() != "https";
    (!steps_down && allowed(&to)).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_never_leads_from_https_to_http() {
        let to = |from: &str, location| further(&from.parse().unwrap(), location, |_| true).map(String::from);
        assert_eq!(to("https://a.example/x/y", "z#part"), Some("https://a.example/x/z".to_owned()));
        assert_eq!(to("http://127.0.0.1:1/", "https://a.example"), Some("https://a.example/".to_owned()));
        assert_eq!(to("https://a.example/", "http://127.0.0.1:1/"), None);
        assert_eq!(to("https://a.example/", "ftp://a.example/"), None);
        assert_eq!(further(&"https://a.example/".parse().unwrap(), "/b", |_| false), None);
    }

    #[test]
    fn a_redirect_leads_to_no_other_host_of_a_wide_pattern() {
        let file = r#"
            name = "shops"
            client_id = "id"
            client_authentication = "none"
            hosts = ["*.shops.example", "api.shops.example"]
            [endpoints]
            authorization = "https://accounts.example/authorize"
            token = "https://accounts.example/token"
        "#;
        let draft = crate::registry::parse_application(file, "shops.toml", false).unwrap();
        let now = crate::model::Timestamp::UNIX_EPOCH;
        let application = draft.resolve(uuid::Uuid::nil(), now, &mut |_| Err(String::new()), None).unwrap();
        let leads =
            |to: &str| may_lead(&application, &"https://mine.shops.example/a".parse().unwrap(), &to.parse().unwrap());
        assert!(leads("https://mine.shops.example/b"));
        assert!(leads("https://api.shops.example/b"));
        assert!(leads("https://accounts.example/b"));
        assert!(!leads("https://theirs.shops.example/b"));
        assert!(!leads("https://elsewhere.example/b"));
    }
}
