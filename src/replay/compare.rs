//! Requests and tokens against what a fixture says of them.

use super::fixture::{Authorization, Client, Pairs, Request};
use super::masks::{Masks, is_secret_name};
use super::report::{Line, Section};
use super::server::Seen;
use crate::model::ClientAuthentication;
use crate::oauth::Params;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use std::collections::BTreeSet;
use url::Url;

/// A section while it is made.
pub(super) struct Comparison<'a> {
    masks: &'a Masks,
    section: Section,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(masks: &'a Masks, title: impl Into<String>) -> Self {
        Self { masks, section: Section { title: title.into(), lines: Vec::new() } }
    }

    pub(super) fn done(self) -> Section {
        self.section
    }

    /// Compares a value; `*` is any value that is there. What the fixture says nothing of is shown and not judged.
    pub(super) fn check(&mut self, what: &str, expected: Option<&str>, actual: Option<&str>) {
        self.line(what, expected, actual, false, false);
    }

    /// Compares a value that must be absent where the fixture does not say it.
    pub(super) fn check_all(&mut self, what: &str, expected: Option<&str>, actual: Option<&str>) {
        self.line(what, expected, actual, false, true);
    }

    /// The same for a secret.
    pub(super) fn check_secret(&mut self, what: &str, expected: Option<&str>, actual: Option<&str>) {
        self.line(what, expected, actual, true, true);
    }

    fn line(&mut self, what: &str, expected: Option<&str>, actual: Option<&str>, is_secret: bool, judged: bool) {
        let same = match (expected, actual) {
            (Some("*"), actual) => actual.is_some(),
            (Some(expected), actual) => Some(expected) == actual,
            (None, actual) => !judged || actual.is_none(),
        };
        self.push(what, expected, actual, is_secret, !same);
    }

    fn push(&mut self, what: &str, expected: Option<&str>, actual: Option<&str>, is_secret: bool, differs: bool) {
        let shown = |side: &str| if is_secret { self.masks.secret(side) } else { self.masks.plain(side) };
        let line = Line { what: what.to_owned(), expected: expected.map(shown), actual: actual.map(shown), differs };
        self.section.lines.push(line);
    }

    fn pairs(&mut self, what: &str, expected: &Pairs, actual: &Params) {
        let names: BTreeSet<&str> = expected.keys().map(String::as_str).chain(actual.names()).collect();
        for name in names {
            let value = actual.get(name).map(plain);
            let (expected, value) = (expected.get(name).map(String::as_str), value.as_deref());
            self.line(&format!("{what} {name}"), expected, value, is_secret_name(name), false);
        }
    }

    fn absent(&mut self, what: &str, names: &[String], places: &[&Params]) {
        for name in names {
            let found = places.iter().find_map(|params| params.get(name)).map(plain);
            let what = format!("{what} {name}, which must not be there");
            self.push(
                &what,
                Some("nothing"),
                found.as_deref().or(Some("nothing")),
                is_secret_name(name),
                found.is_some(),
            );
        }
    }
}

/// The authorization URL.
pub(super) fn authorization(expected: &Authorization, url: &Url, masks: &Masks) -> Section {
    let mut comparison = Comparison::new(masks, "authorization");
    let sent = Params::from_form(url.query().unwrap_or_default().as_bytes());
    let bare = without_query(url);
    comparison.check("url", expected.url.as_deref(), Some(&bare));
    comparison.check("fragment", expected.fragment.as_deref(), url.fragment());
    comparison.pairs("parameter", &expected.params, &sent);
    comparison.absent("parameter", &expected.absent, &[&sent]);
    comparison.done()
}

/// What a fixture writes for the state of the authorization request, which is another each time.
const STATE: &str = "{state}";

/// What a fixture expects of a request, with the state in its place.
pub(super) fn with_state(request: &Request, state: Option<&str>) -> Request {
    let mut request = request.clone();
    let Request { params, query, headers, .. } = &mut request;
    for value in params.values_mut().chain(query.values_mut()).chain(headers.values_mut()) {
        if let Some(state) = state.filter(|_| value == STATE) {
            state.clone_into(value);
        }
    }
    request
}

/// One request, or that it was not sent.
pub(super) fn request(
    number: usize,
    expected: Option<&Request>,
    actual: Option<&Seen>,
    client: &Client,
    masks: &Masks,
) -> Section {
    let mut comparison = Comparison::new(masks, format!("request {number}"));
    let said = |method: Option<&str>, url: Option<&str>| {
        format!("{} {}", method.unwrap_or("a request"), url.unwrap_or_default()).trim().to_owned()
    };
    let (expected, actual) = match (expected, actual) {
        (Some(expected), Some(actual)) => (expected, actual),
        (Some(expected), None) => {
            let said = said(expected.method.as_deref(), expected.url.as_deref());
            comparison.check_all("the request", Some(&said), None);
            return comparison.done();
        }
        (None, actual) => {
            let said = actual.map(|actual| said(Some(&actual.method), Some(&actual.url)));
            comparison.check_all("the request", None, said.as_deref());
            return comparison.done();
        }
    };
    comparison.check("method", expected.method.as_deref(), Some(&actual.method));
    comparison.check("url", expected.url.as_deref(), Some(&actual.url));
    let kind = actual.header("content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim().to_owned());
    comparison.check("content type", expected.content_type.as_deref(), kind.as_deref());
    if let Some(auth) = &expected.auth {
        let ways = ways_to_authenticate(actual, client);
        let actual = if ways.contains(auth) { auth } else { &ways[0] };
        comparison.check("client authentication", Some(auth), Some(actual));
    }
    for (name, value) in &expected.headers {
        let actual = actual.header(name);
        comparison.line(&format!("header {name}"), Some(value), actual.as_deref(), is_secret_name(name), false);
    }
    let nothing = Pairs::new();
    let (in_query, in_body) = match actual.method.as_str() {
        "GET" => (&expected.params, &nothing),
        _ => (&expected.query, &expected.params),
    };
    comparison.pairs("parameter", in_body, &actual.body);
    comparison.pairs(if actual.method == "GET" { "parameter" } else { "query parameter" }, in_query, &actual.query);
    comparison.absent("parameter", &expected.absent, &[&actual.body, &actual.query]);
    if !expected.claims.is_empty() {
        let claims = actual.assertion().and_then(|token| part_of_jwt(token, 1));
        let claims = claims.and_then(|claims| claims.as_object().cloned()).unwrap_or_default();
        comparison.pairs("claim", &expected.claims, &Params::from_object(claims));
    }
    comparison.done()
}

impl Seen {
    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    /// The JWT that the request shows: of the grant, else of the client.
    fn assertion(&self) -> Option<&str> {
        ["assertion", "client_assertion"]
            .into_iter()
            .find_map(|name| self.body.text(name).or_else(|| self.query.text(name)))
    }

    fn holds(&self, params: &Params, value: &str) -> bool {
        params.iter().any(|(_, held)| held.as_str() == Some(value))
    }
}

/// Every word that fits how a request authenticates; never empty. Where id and secret need no encoding, both kinds of Basic
/// do.
fn ways_to_authenticate(seen: &Seen, client: &Client) -> Vec<String> {
    let mut ways = Vec::new();
    let mut add = |way: &str| ways.push(way.to_owned());
    let header = seen.header("authorization").unwrap_or_default();
    if let Some(token) = header.strip_prefix("Bearer ") {
        add(if token == client.secret { "bearer" } else { "bearer of another token" });
    } else if header.starts_with("Basic ") {
        let basic = |id: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        if header == basic(&encoded(&client.id), &encoded(&client.secret)) {
            add(ClientAuthentication::Basic.as_str());
        }
        if header == basic(&client.id, &client.secret) {
            add(ClientAuthentication::BasicRaw.as_str());
        }
        if header == basic(&client.secret, "") {
            add("basic_secret");
        }
    }
    if seen.holds(&seen.body, &client.secret) {
        add("post");
    }
    if seen.holds(&seen.query, &client.secret) {
        add("query");
    }
    let assertion = seen.body.text("client_assertion").or_else(|| seen.query.text("client_assertion"));
    if let Some(algorithm) = assertion.and_then(algorithm_of) {
        add(if algorithm.starts_with("HS") { "client_secret_jwt" } else { "private_key_jwt" });
    }
    if ways.is_empty() {
        ways.push(if header.is_empty() { "none" } else { "a header that is not ours" }.to_owned());
    }
    ways
}

/// The algorithm of a JWT, where a text is one.
fn algorithm_of(token: &str) -> Option<String> {
    Some(part_of_jwt(token, 0)?.get("alg")?.as_str()?.to_owned())
}

/// The head (0) or the claims (1) of a JWT.
fn part_of_jwt(token: &str, part: usize) -> Option<Value> {
    let encoded = token.split('.').nth(part)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

pub(super) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
