//! What handlers take and give: documents, and problems in place of every other answer.

use super::doors::call::Call;
use super::routes::{Largest, Params, Part};
use crate::api::{PROBLEM_TYPE, Problem, exit_codes};
use crate::connector;
use crate::model::{
    ApplicationName, ConnectionName, KeyName, ProfileName, RequestId, ScriptName, Timestamp, WebhookName, quoted,
};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;

/// A request that was not done, and the problem that says why.
#[derive(Debug)]
pub struct Refusal(Box<Problem>);

/// Stands on an answer that was not given because who asked may not have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotAllowed;

/// The code of such an answer's problem.
pub(super) const NOT_ALLOWED: &str = "not_allowed";

/// Stands on an answer that may be given later: from when on.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotBefore(pub(super) Timestamp);

/// What a handler returns.
pub(super) type Answer<T> = Result<Json<T>, Refusal>;

/// A document.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

/// Bytes that most documents have room in: what grows leaves copies behind, of a token too.
const USUAL: usize = 2048;

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut text = Vec::with_capacity(USUAL);
        let ended = serde_json::to_writer(&mut text, &self.0);
        written(ended.map(|()| text))
    }
}

/// A document that is JSON already.
pub(super) fn written(text: serde_json::Result<Vec<u8>>) -> Response {
    match text {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Refusal {
    /// Of a problem.
    #[must_use]
    pub fn new(problem: Problem) -> Self {
        Self(Box::new(problem))
    }

    /// A request that is wrong in itself.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(Problem::new("bad_request", 400, exit_codes::USAGE, detail))
    }

    /// What is asked for is not there.
    pub(super) fn missing(detail: impl Into<String>) -> Self {
        Self::new(Problem::new("not_found", 404, exit_codes::MISSING, detail))
    }

    /// The problem.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        *self.0
    }
}

impl<E: Into<connector::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::new(Problem::of(&error.into()))
    }
}

impl IntoResponse for Refusal {
    fn into_response(mut self) -> Response {
        self.0.instance = RequestId::current().map(|id| format!("urn:uuid:{}", id.0));
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (is_not_allowed, next_try) = (self.0.code == NOT_ALLOWED, self.0.next_try);
        let mut response = (status, Json(self.0)).into_response();
        if is_not_allowed {
            response.extensions_mut().insert(NotAllowed);
        }
        if let Some(next) = next_try {
            response.extensions_mut().insert(NotBefore(next));
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        response
    }
}

/// The document in a request's body. Unknown fields are refused where its type says so.
pub(super) struct Document<T>(pub(super) T);

impl<T> Part for Document<T> {
    const BODY: bool = true;
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Document<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = whole(request, state, "application/json").await?;
        // An empty body is an empty document: `curl -X POST` needs no more where nothing has to be said.
        let text = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
        let mut reader = serde_json::Deserializer::from_slice(text);
        let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            Refusal::bad(told(&path, error.inner()))
        })?;
        reader.end().map_err(|error| Refusal::bad(told(".", &error)))?;
        Ok(Self(read))
    }
}

/// How long a body may take to come whole: a stranger must not hold a connection for longer.
const LONGEST_BODY: Duration = Duration::from_secs(30);

/// What comes in time; `None` where it does not.
pub(super) async fn in_time<T>(body: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(LONGEST_BODY, body).await.ok()
}

/// A body that does not come in time.
pub(super) fn too_slow() -> Refusal {
    Refusal::new(Problem::new("too_slow", 408, exit_codes::USAGE, "the body did not come within 30 seconds"))
}

/// The whole body, of a media type; one that does not name its type is taken for it when it is empty.
pub(super) async fn whole<S: Send + Sync>(request: Request, state: &S, wanted: &'static str) -> Result<Bytes, Refusal> {
    let named = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let largest = request.extensions().get::<Largest>().copied();
    let bytes = in_time(Bytes::from_request(request, state)).await.ok_or_else(too_slow)?.map_err(|rejection| {
        let status = rejection.status().as_u16();
        let (code, detail) = match (status, largest) {
            (413, Some(Largest(most))) => {
                ("too_large", format!("the body is larger than the {} KiB that it may have", most / 1024))
            }
            (413, None) => ("too_large", "the body is larger than this request may have".to_owned()),
            _ => ("bad_request", "the body did not come whole".to_owned()),
        };
        Refusal::new(Problem::new(code, status, exit_codes::USAGE, detail))
    })?;
    let essence = named.as_deref().map(|named| named.split(';').next().unwrap_or_default().trim());
    if !bytes.is_empty() && essence != Some(wanted) {
        let detail = format!("the body must be {wanted}, and its Content-Type must say so");
        return Err(Refusal::new(Problem::new("bad_request", 415, exit_codes::USAGE, detail)));
    }
    Ok(bytes)
}

/// What is wrong with a document: which field, and what would fit there. Without the values in it, which may be secrets.
fn told(path: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    if ["unknown field", "missing field", "duplicate field"].iter().any(|known| text.starts_with(known)) {
        return format!("the body is not as it should be: {text}");
    }
    let place = format!("at line {} column {}", error.line(), error.column());
    if !error.is_data() {
        return format!("the body is not JSON, {place}");
    }
    let what = if path == "." { "the body".to_owned() } else { format!("`{}` in the body", quoted(path)) };
    // Its own place stands at the end; the value may hold such words too.
    let own = text.rsplit_once(" at line ").map_or(text.as_str(), |(own, _)| own);
    match rule_of(own) {
        Some(rule) => format!("{what} does not fit: {rule}, {place}"),
        None => format!("{what} holds a value that does not fit, {place}; see /openapi.json"),
    }
}

/// What would fit, in plain words, of what the reader of a value says; nothing of the value itself.
fn rule_of(text: &str) -> Option<Cow<'_, str>> {
    // Of our own names, as [`NameError`](crate::model::NameError) says it: the value stands first, in quotes, and the rule behind it.
    if let Some(rule) = behind_the_value(text).and_then(|rest| rest.strip_prefix(" is not ")) {
        return Some(format!("it is not {rule}").into());
    }
    // serde: "invalid type: string "…", expected u64".
    if let Some(at) =
        text.rfind("expected ").filter(|_| text.starts_with("invalid ") || text.starts_with("unknown variant"))
    {
        return Some(match &text[at..] {
            "expected u8" | "expected u16" | "expected u32" | "expected u64" | "expected usize" => WHOLE_NUMBER.into(),
            wanted if wanted.starts_with("expected struct ") => "expected an object".into(),
            wanted if wanted.starts_with("expected internally tagged enum") => "expected an object".into(),
            wanted => wanted.into(),
        });
    }
    match text {
        "invalid digit found in string" | "cannot parse integer from empty string" => Some(WHOLE_NUMBER.into()),
        "number too large to fit in target type" => Some("the number is too large".into()),
        "provided string was not `true` or `false`" => Some("expected `true` or `false`".into()),
        // jiff, which reads times.
        _ if text.starts_with("failed to ") => Some("expected a time, e.g. 2026-12-31T23:59:59Z".into()),
        _ => None,
    }
}

const WHOLE_NUMBER: &str = "expected a whole number, not below 0";

/// What stands behind the quoted value that a text begins with.
fn behind_the_value(text: &str) -> Option<&str> {
    let mut is_escaped = false;
    let end = text.strip_prefix('"')?.find(|character| {
        let is_end = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_end
    })?;
    text.get(end + 2..)
}

/// The query of a request.
pub(super) struct Asked<T>(pub(super) T);

impl<T> Part for Asked<T> {
    const QUERY: bool = true;
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        let reader = || serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
        // Mostly there is none, and nothing whose place would have to be told.
        if query.is_empty()
            && let Ok(read) = T::deserialize(reader())
        {
            return Ok(Self(read));
        }
        let read = serde_path_to_error::deserialize(reader());
        read.map(Self).map_err(|error| {
            let text = error.inner().to_string();
            let path = error.path().to_string();
            Refusal::bad(match (path.as_str(), rule_of(&text)) {
                (".", _) => format!("the query is not as it should be: {text}"),
                (_, None) if text.starts_with("unknown field") => format!("the query is not as it should be: {text}"),
                (name, Some(rule)) => format!("`{}` in the query does not fit: {rule}", quoted(name)),
                (name, None) => format!("`{}` in the query does not fit: {text}", quoted(name)),
            })
        })
    }
}

/// The connection of a path, `/v1/connections/APPLICATION/NAME`.
pub(super) struct Named(pub(super) ConnectionName);

impl Part for Named {}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        // Who asked whether its caller may have it has read it already.
        let params = params(parts)?;
        params.connection.clone().map_or_else(|| connection_of(params, &parts.uri), Ok).map(Self)
    }
}

/// The application of a path.
pub(super) struct OfApplication(pub(super) ApplicationName);

impl Part for OfApplication {}

impl<S: Send + Sync> FromRequestParts<S> for OfApplication {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(parsed(&param(parts, "application")?)?))
    }
}

/// The application and the profile of a path.
pub(super) struct OfProfile(pub(super) ApplicationName, pub(super) ProfileName);

impl Part for OfProfile {}

impl<S: Send + Sync> FromRequestParts<S> for OfProfile {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(parsed(&param(parts, "application")?)?, parsed(&param(parts, "profile")?)?))
    }
}

/// The credential of a path.
pub(super) struct OfCredential(pub(super) Uuid);

impl Part for OfCredential {}

impl<S: Send + Sync> FromRequestParts<S> for OfCredential {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let text = param(parts, "id")?;
        text.parse().map(Self).map_err(|_| Refusal::bad("a credential is named by its whole id; see /v1/credentials"))
    }
}

/// The API key of a path.
pub(super) struct OfKey(pub(super) KeyName);

impl Part for OfKey {}

impl<S: Send + Sync> FromRequestParts<S> for OfKey {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(parsed(&param(parts, "key")?)?))
    }
}

/// The script of a path.
pub(super) struct OfScript(pub(super) ScriptName);

impl Part for OfScript {}

impl<S: Send + Sync> FromRequestParts<S> for OfScript {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(parsed(&param(parts, "script")?)?))
    }
}

/// The webhook of a path.
pub(super) struct OfWebhook(pub(super) WebhookName);

impl Part for OfWebhook {}

impl<S: Send + Sync> FromRequestParts<S> for OfWebhook {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(parsed(&param(parts, "webhook")?)?))
    }
}

/// What stands in the path of a request.
fn params(parts: &Parts) -> Result<&Params, Refusal> {
    let known = parts.extensions.get::<Call>().and_then(|call| call.params.as_ref());
    known.ok_or_else(|| Refusal::bad("the path is not as it should be"))
}

/// The connection that a path names.
pub(super) fn connection_of(params: &Params, uri: &Uri) -> Result<ConnectionName, Refusal> {
    let of = |name| params.get(uri, name).unwrap_or_default();
    let (application, name) = (of("application"), of("name"));
    ConnectionName::of(&application, &name).map_err(|error| Refusal::bad(error.to_string()))
}

/// One of it: nothing where the route has no such name, or what stands there is no text, which is nobody's name.
fn param<'a>(parts: &'a Parts, name: &str) -> Result<Cow<'a, str>, Refusal> {
    Ok(params(parts)?.get(&parts.uri, name).unwrap_or_default())
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        params(parts).cloned()
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error: T::Err| Refusal::bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Allowance, Timestamp, TokenKind};

    #[tokio::test]
    async fn what_is_wrong_with_a_body_is_told_by_its_field_and_without_its_value() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only its reading is of interest")]
        struct Wanted {
            names: Vec<ApplicationName>,
            #[serde(default)]
            count: u8,
            #[serde(default)]
            may: Vec<Allowance>,
            #[serde(default)]
            expires: Option<Timestamp>,
        }
        for (body, wanted) in [
            (
                r#"{"names":["a","s3cret!"]}"#,
                "`names[1]` in the body does not fit: it is not an application name: use 1 to 63",
            ),
            (
                r#"{"names":["\" is not \\\" s3cret: s3cret"]}"#,
                "`names[0]` in the body does not fit: it is not an application name: use",
            ),
            (
                r#"{"names":[],"count":"s3cret"}"#,
                "`count` in the body does not fit: expected a whole number, not below 0, at line 1 column 28",
            ),
            (r#"{"names":[],"count":70000}"#, "`count` in the body does not fit: expected a whole number"),
            (
                r#"{"names":[],"may":["token:s3cret"]}"#,
                "`may[0]` in the body does not fit: it is not what a key may do: write",
            ),
            (r#"{"names":[],"may":"s3cret"}"#, "`may` in the body does not fit: expected a sequence"),
            (r#"{"names":[],"expires":"s3cret"}"#, "`expires` in the body does not fit: expected a time, e.g. 2026"),
            (
                r#"{"names":[],"count":"expected s3cret at line 1"}"#,
                "`count` in the body does not fit: expected a whole number",
            ),
            (r#"{"names":[],"expires":"2026-12-31"}"#, "`expires` in the body does not fit: expected a time"),
            (r#"{"names":[],"expires":"2026-12-31T00:00:00"}"#, "`expires` in the body does not fit: expected a time"),
            (r#"{"names":[],"expires":"2026-12-32T00:00:00Z"}"#, "`expires` in the body does not fit: expected a time"),
            (r#"{"names":[],"expires":"2026-12-31T00:00:00Z s3cret"}"#, "`expires` in the body"),
            (r#"{"names":[],"s3":1}"#, "unknown field `s3`, expected one of `names`, `count`"),
            (r#"{}"#, "missing field `names`"),
            (r#"{"names":["#, "the body is not JSON, at line 1 column 10"),
            (r#"{"names":[]} s3cret"#, "the body is not JSON"),
            (r#"["s3cret"]"#, "does not fit: expected"),
        ] {
            let request = Request::builder().header("content-type", "application/json").body(body.into()).unwrap();
            let refusal = Document::<Wanted>::from_request(request, &()).await.err().unwrap().into_problem();
            assert!(refusal.detail.contains(wanted), "{body}: {}", refusal.detail);
            assert!(!refusal.detail.contains("s3cret"), "{}", refusal.detail);
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_query_is_told_in_plain_words() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only its reading is of interest")]
        struct Wanted {
            limit: Option<usize>,
            again: Option<bool>,
            since: Option<Timestamp>,
            kind: Option<TokenKind>,
            name: Option<ApplicationName>,
        }
        for (query, wanted) in [
            ("limit=x", "`limit` in the query does not fit: expected a whole number, not below 0"),
            ("limit=-1", "`limit` in the query does not fit: expected a whole number, not below 0"),
            ("limit=", "`limit` in the query does not fit: expected a whole number, not below 0"),
            ("limit=99999999999999999999999", "`limit` in the query does not fit: the number is too large"),
            ("again=yes", "`again` in the query does not fit: expected `true` or `false`"),
            ("since=yesterday", "`since` in the query does not fit: expected a time, e.g. 2026-12-31T23:59:59Z"),
            ("kind=x", "`kind` in the query does not fit: expected `access_token` or `refresh_token`"),
            ("name=A", "`name` in the query does not fit: it is not an application name: use 1 to 63 of a-z"),
            ("nam=a", "the query is not as it should be: unknown field `nam`, expected one of"),
        ] {
            let (mut parts, ()) = Request::builder().uri(format!("/?{query}")).body(()).unwrap().into_parts();
            let refusal = Asked::<Wanted>::from_request_parts(&mut parts, &()).await.err().unwrap().into_problem();
            assert!(refusal.detail.contains(wanted), "{query}: {}", refusal.detail);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_longer_than_a_while() {
        let (_held, body) = crate::server::lines::Lines::channel();
        let request = Request::new(axum::body::Body::from_stream(body));
        let refusal = whole(request, &(), "application/json").await.unwrap_err().into_problem();
        assert_eq!((refusal.status, refusal.code.as_str()), (408, "too_slow"));
    }
}
