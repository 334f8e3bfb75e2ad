//! A request that was sent, as a fixture may ask for it.

use super::masks::Masks;
use crate::http::Sent;
use crate::model::{Application, ClientAuthentication};
use crate::oauth::Value;
use crate::replay::{Pairs, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The request with every secret replaced; what is another each time is any value.
pub(super) fn masked(sent: &Sent, application: &Application, masks: &mut Masks) -> Request {
    let mut bare = sent.url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    let header = |name: &str| sent.headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = header("content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim().to_owned());
    let pairs = |all: Vec<(String, String)>, masks: &mut Masks| -> Pairs {
        all.into_iter().map(|(name, value)| (masks.name(&name), param(&name, &value, masks))).collect()
    };
    let auth = auth(sent, application);
    let in_url: Vec<(String, String)> = sent.url.query_pairs().into_owned().collect();
    let (params, query) = match sent.method.as_str() {
        "GET" => (in_url, Vec::new()),
        _ => (body(sent), in_url),
    };
    let mut headers = Pairs::new();
    for (name, value) in &sent.headers {
        let name = name.as_str();
        if !NOT_TOLD.contains(&name)
            && let Ok(value) = value.to_str()
        {
            headers.insert(masks.name(name), param(name, value, masks));
        }
    }
    if auth.is_none()
        && let Some(value) = header("authorization")
    {
        let known = value.split_once(' ').and_then(|(scheme, rest)| Some(format!("{scheme} {}", masks.exact(rest)?)));
        let value = known.unwrap_or_else(|| "*".to_owned());
        headers.insert("authorization".to_owned(), value);
    }
    Request {
        method: Some(sent.method.to_string()),
        url: Some(masks.url(&bare)),
        content_type: content_type.filter(|_| sent.method != http::Method::GET),
        auth,
        headers,
        params: pairs(params, masks),
        query: pairs(query, masks),
        absent: Vec::new(),
        claims: Pairs::new(),
    }
}

/// The parameters of a request, of its body and its URL.
pub(super) fn params(sent: &Sent) -> Vec<(String, String)> {
    let mut all = body(sent);
    all.extend(sent.url.query_pairs().into_owned());
    all
}

/// A parameter as a fixture asks for it: a stand-in, a plain word, or any value.
pub(super) fn param(name: &str, value: &str, masks: &mut Masks) -> String {
    if is_fresh(name) {
        return "*".to_owned();
    }
    if let Some(known) = masks.exact(value) {
        return known;
    }
    let made = masks.setting(&[name.to_owned()], value);
    // A stand-in that nothing else has would not be what a replay sends.
    if made == value { made } else { "*".to_owned() }
}

/// Whether a parameter is another each time that a request is made.
pub(super) fn is_fresh(name: &str) -> bool {
    FRESH.contains(&name.to_ascii_lowercase().as_str())
}

fn body(sent: &Sent) -> Vec<(String, String)> {
    if sent.body.is_empty() {
        return Vec::new();
    }
    if let Ok(Value::Object(members)) = serde_json::from_slice(&sent.body) {
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return members.into_iter().map(|(name, value)| (name, text(value))).collect();
    }
    url::form_urlencoded::parse(&sent.body).into_owned().collect()
}

/// How the client authenticated, as `client_authentication` calls it.
fn auth(sent: &Sent, application: &Application) -> Option<String> {
    let header = sent.headers.get("authorization").and_then(|value| value.to_str().ok());
    let params = params(sent);
    let has = |name: &str| params.iter().any(|(known, _)| known == name);
    let own = application.client_authentication;
    let secret = application.client_secret.as_ref().map_or("", |secret| secret.expose());
    if let Some(credentials) = header.and_then(|value| value.strip_prefix("Basic ")) {
        let plain = STANDARD.decode(credentials).unwrap_or_default();
        let raw = plain == format!("{}:{secret}", application.client_id).into_bytes();
        return Some(match own {
            ClientAuthentication::Basic | ClientAuthentication::BasicRaw => own.as_str().to_owned(),
            _ if raw => ClientAuthentication::BasicRaw.as_str().to_owned(),
            _ => ClientAuthentication::Basic.as_str().to_owned(),
        });
    }
    if header.is_some() {
        return None;
    }
    let by_assertion = matches!(own, ClientAuthentication::PrivateKeyJwt | ClientAuthentication::ClientSecretJwt)
        && has("client_assertion");
    if by_assertion {
        return Some(own.as_str().to_owned());
    }
    if body(sent).iter().any(|(name, _)| name == "client_secret") {
        return Some(ClientAuthentication::Post.as_str().to_owned());
    }
    (own == ClientAuthentication::None).then(|| own.as_str().to_owned())
}

/// Parameters that hold something drawn by lot, a time, or an address of this machine.
const FRESH: [&str; 14] = [
    "state",
    "nonce",
    "code_verifier",
    "code_challenge",
    "client_assertion",
    "assertion",
    "jti",
    "redirect_uri",
    "redirect_url",
    "timestamp",
    "sign",
    "signature",
    "request",
    "dpop",
];
/// Headers that every request has, that are told otherwise, or that hold a secret.
const NOT_TOLD: [&str; 8] = [
    "authorization",
    "content-type",
    "content-length",
    "host",
    "user-agent",
    "accept-encoding",
    "connection",
    "cookie",
];
