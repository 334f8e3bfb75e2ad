//! How answers are written: tokens and errors in the style of the day, pages for people.

use super::habits::{ExpiresIn, Habits, ReplyStyle};
use crate::oauth::Params;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error of RFC 6749 section 5.2.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) description: String,
}

/// A refusal with status 400.
pub(super) fn refusal(code: &str, description: &str) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, code: code.to_owned(), description: description.to_owned() }
}

/// The client is not who it says (RFC 6749 section 5.2: 401, and the scheme that was tried).
pub(super) fn invalid_client(description: &str) -> Refusal {
    Refusal { status: StatusCode::UNAUTHORIZED, ..refusal("invalid_client", description) }
}

impl Refusal {
    fn params(&self) -> Params {
        [("error", self.code.as_str()), ("error_description", self.description.as_str())].into_iter().collect()
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"demo\""));
        }
        headers
    }
}

/// Endpoints other than the token endpoint answer in plain JSON whatever the style.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, self.headers(), json_body(&Value::Object(self.params().into_object()))).into_response()
    }
}

/// What a token request brought.
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) id_token: Option<String>,
    /// Those of a second grant in the same reply.
    pub(super) further: Option<Box<Tokens>>,
}

/// The token endpoint's answer, in the style of the habits.
pub(super) fn token_reply(habits: &Habits, outcome: Result<Tokens, Refusal>) -> Response {
    let (status, headers, params) = match outcome {
        Ok(tokens) => (StatusCode::OK, HeaderMap::new(), token_params(habits, tokens)),
        Err(refusal) => (refusal.status, refusal.headers(), refusal.params()),
    };
    let refused = params.contains("error");
    let flat = |params: Params| Value::Object(params.into_object());
    let with_ok = |params: Params| {
        let mut all = Params::from_iter([("ok", !refused)]);
        params.iter().for_each(|(name, value)| all.put(name, value.clone()));
        Value::Object(all.into_object())
    };
    match habits.reply_style {
        ReplyStyle::Json => (status, headers, json_body(&flat(params))).into_response(),
        ReplyStyle::JsonAsHtml => (status, headers, typed("text/html", flat(params).to_string())).into_response(),
        ReplyStyle::Form => {
            (status, headers, typed("application/x-www-form-urlencoded", params.to_form())).into_response()
        }
        ReplyStyle::Xml => (status, headers, typed("application/xml", xml(&params))).into_response(),
        ReplyStyle::Nested if !refused => {
            json_body(&json!({ "ok": true, "app_id": "A0DEMO", "authed_user": flat(params) })).into_response()
        }
        ReplyStyle::Nested | ReplyStyle::ErrorInOk => json_body(&with_ok(params)).into_response(),
        ReplyStyle::Html => page(StatusCode::OK, "Welcome", "<p>You are looking for something else.</p>"),
        ReplyStyle::Empty => StatusCode::OK.into_response(),
        ReplyStyle::Huge => {
            let mut params = params;
            params.put("padding", "x".repeat(10 << 20));
            (status, headers, json_body(&flat(params))).into_response()
        }
    }
}

fn token_params(habits: &Habits, tokens: Tokens) -> Params {
    let mut params = Params::new();
    params.put("access_token", tokens.access_token);
    params.put("token_type", "Bearer");
    let seconds = habits.access_token_seconds;
    match habits.expires_in {
        ExpiresIn::Number => params.put("expires_in", seconds),
        ExpiresIn::Text => params.put("expires_in", seconds.to_string()),
        ExpiresIn::Float => params.put("expires_in", seconds as f64),
        ExpiresIn::Absent => {}
    }
    if let Some(refresh_token) = tokens.refresh_token {
        params.put("refresh_token", refresh_token);
    }
    params.put("scope", tokens.scopes.join(" "));
    if let Some(id_token) = tokens.id_token {
        params.put("id_token", id_token);
    }
    if let Some(further) = tokens.further {
        params.put("authed_user", token_params(habits, *further).into_object());
    }
    params
}

fn xml(params: &Params) -> String {
    let fields: String = params
        .iter()
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("  <{name}>{}</{name}>\n", escaped(&text))
        })
        .collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<oauth>\n{fields}</oauth>\n")
}

/// JSON that nobody may keep (RFC 6749 section 5.1).
pub(super) fn json_body(value: &Value) -> impl IntoResponse + use<> {
    typed("application/json", value.to_string())
}

fn typed(content_type: &'static str, body: String) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")], body)
}

/// A page for a person. `body` is HTML already.
pub(super) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let title = escaped(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><h1>{title}</h1>\n{body}\n</body></html>\n"
    );
    (status, typed("text/html; charset=utf-8", html)).into_response()
}

/// Text as it stands in HTML and XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
