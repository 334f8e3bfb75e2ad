//! What handlers take and give: documents, and problems in place of every other answer.

use super::routes::Params;
use crate::api::{PROBLEM_TYPE, Problem, exit_codes};
use crate::connector;
use crate::model::{ApplicationName, ConnectionName, KeyName, ProfileName, RequestId, ScriptName, WebhookName, quoted};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
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
        let is_not_allowed = self.0.code == NOT_ALLOWED;
        let mut response = (status, Json(self.0)).into_response();
        if is_not_allowed {
            response.extensions_mut().insert(NotAllowed);
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        response
    }
}

/// The document in a request's body. Unknown fields are refused where its type says so.
pub(super) struct Document<T>(pub(super) T);

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
    let bytes = in_time(Bytes::from_request(request, state)).await.ok_or_else(too_slow)?.map_err(|rejection| {
        let status = rejection.status().as_u16();
        let (code, detail) = match status {
            413 => ("too_large", "the body is larger than this request may have"),
            _ => ("bad_request", "the body did not come whole"),
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
    // serde: "invalid type: string "…", expected u64". Of our own refusals the rule stands behind the last colon.
    let (own, kind) = (text.split(" at line ").next().unwrap_or_default(), "expected ");
    match own.rfind(kind) {
        Some(at) if own.starts_with("invalid ") || own.starts_with("unknown variant") => {
            format!("{what} does not fit: {}, {place}", &own[at..])
        }
        _ => format!("{what} holds a value that does not fit, {place}; see /openapi.json"),
    }
}

/// The query of a request.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        let reader = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
        let read = serde_path_to_error::deserialize(reader);
        read.map(Self).map_err(|error| {
            let what = match error.path().to_string().as_str() {
                "." => "the query is not as it should be".to_owned(),
                name => format!("`{}` in the query does not fit", quoted(name)),
            };
            Refusal::bad(format!("{what}: {}", error.inner()))
        })
    }
}

/// The connection of a path, `/v1/connections/APPLICATION/NAME`.
pub(super) struct Named(pub(super) ConnectionName);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        // Who asked whether its caller may have it has read it already.
        if let Some(name) = parts.extensions.get_mut::<Params>().and_then(|params| params.connection.take()) {
            return Ok(Self(name));
        }
        connection_of(params(parts)?).map(Self)
    }
}

/// The application of a path.
pub(super) struct OfApplication(pub(super) ApplicationName);

impl<S: Send + Sync> FromRequestParts<S> for OfApplication {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(parsed(&param(params(parts)?, "application"))?))
    }
}

/// The application and the profile of a path.
pub(super) struct OfProfile(pub(super) ApplicationName, pub(super) ProfileName);

impl<S: Send + Sync> FromRequestParts<S> for OfProfile {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let params = params(parts)?;
        Ok(Self(parsed(&param(params, "application"))?, parsed(&param(params, "profile"))?))
    }
}

/// The credential of a path.
pub(super) struct OfCredential(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for OfCredential {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let text = param(params(parts)?, "id");
        text.parse().map(Self).map_err(|_| Refusal::bad("a credential is named by its whole id; see /v1/credentials"))
    }
}

/// The API key of a path.
pub(super) struct OfKey(pub(super) KeyName);

impl<S: Send + Sync> FromRequestParts<S> for OfKey {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(parsed(&param(params(parts)?, "key"))?))
    }
}

/// The script of a path.
pub(super) struct OfScript(pub(super) ScriptName);

impl<S: Send + Sync> FromRequestParts<S> for OfScript {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(parsed(&param(params(parts)?, "script"))?))
    }
}

/// The webhook of a path.
pub(super) struct OfWebhook(pub(super) WebhookName);

impl<S: Send + Sync> FromRequestParts<S> for OfWebhook {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(parsed(&param(params(parts)?, "webhook"))?))
    }
}

/// What stands in the path of a request.
fn params(parts: &Parts) -> Result<&Params, Refusal> {
    parts.extensions.get().ok_or_else(|| Refusal::bad("the path is not as it should be"))
}

/// The connection that a path names.
pub(super) fn connection_of(params: &Params) -> Result<ConnectionName, Refusal> {
    let (application, name) = (param(params, "application"), param(params, "name"));
    ConnectionName::of(&application, &name).map_err(|error| Refusal::bad(error.to_string()))
}

/// One of it: nothing where the route has no such name, or what stands there is no text, which is nobody's name.
fn param<'a>(params: &'a Params, name: &str) -> Cow<'a, str> {
    params.get(name).unwrap_or_default()
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

    #[tokio::test]
    async fn what_is_wrong_with_a_body_is_told_by_its_field_and_without_its_value() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only its reading is of interest")]
        struct Wanted {
            names: Vec<ApplicationName>,
            #[serde(default)]
            count: u8,
        }
        for (body, wanted) in [
            (r#"{"names":["a","s3cret!"]}"#, "`names[1]` in the body holds a value that does not fit"),
            (r#"{"names":[],"count":"s3cret"}"#, "`count` in the body does not fit: expected u8, at line 1 column 28"),
            (r#"{"names":[],"count":70000}"#, "`count` in the body does not fit: expected u8"),
            (r#"{"names":[],"s3":1}"#, "unknown field `s3`, expected `names` or `count`"),
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

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_longer_than_a_while() {
        let (_held, body) = crate::server::lines::Lines::channel();
        let request = Request::new(axum::body::Body::from_stream(body));
        let refusal = whole(request, &(), "application/json").await.unwrap_err().into_problem();
        assert_eq!((refusal.status, refusal.code.as_str()), (408, "too_slow"));
    }
}
