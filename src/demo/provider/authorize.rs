//! The authorization endpoint (RFC 6749 section 4.1.1) and its consent page.

use super::ledger::{Asked, Challenge, random};
use super::reply::{escaped, page};
use super::{Provider, USERS};
use crate::oauth::Params;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use url::Url;

pub(super) fn routes() -> Router<Arc<Provider>> {
    Router::new().route("/authorize", get(ask).post(answer))
}

/// Shows the consent page. Until client and redirect address are known to be good, what is wrong is said on a page: a
/// redirect to an address that nobody registered would hand the answer to whoever wrote the link (section 4.1.2.1).
async fn ask(State(provider): State<Arc<Provider>>, RawQuery(query): RawQuery) -> Response {
    let params = Params::from_form(query.unwrap_or_default().as_bytes());
    let client = {
        let inside = provider.inside();
        params.text("client_id").and_then(|id| inside.clients.iter().find(|client| client.id == id)).cloned()
    };
    let Some(client) = client else {
        return page(StatusCode::BAD_REQUEST, "invalid_client", "<p>This application is not known here.</p>");
    };
    let redirect_uri_param = params.text("redirect_uri").map(str::to_owned);
    if params.get("redirect_uri").is_some_and(|value| !value.is_string()) {
        return page(StatusCode::BAD_REQUEST, "invalid_request", "<p>redirect_uri came more than once.</p>");
    }
    let Some(redirect_uri) = client.redirect_uri(redirect_uri_param.as_deref()) else {
        let body = "<p>The redirect_uri of the request is not one that this application registered.</p>";
        return page(StatusCode::BAD_REQUEST, "redirect_uri_mismatch", body);
    };
    let state = params.text("state").map(str::to_owned);
    let refused = |code: &str, why: &str| {
        let fields = [("error", code), ("error_description", why)];
        provider.send_back(&redirect_uri, state.as_deref(), &fields)
    };
    if params.iter().any(|(name, value)| name != "resource" && !value.is_string()) {
        return refused("invalid_request", "a parameter came more than once (RFC 6749 section 3.1)");
    }
    if params.text("response_type") != Some("code") {
        return refused("unsupported_response_type", "only response_type=code is supported");
    }
    let challenge = match (params.text("code_challenge"), params.text("code_challenge_method")) {
        (None, _) if client.is_public() => return refused("invalid_request", "a public client needs code_challenge"),
        (None, None) => None,
        (Some(challenge), _) if !(43..=128).contains(&challenge.len()) => {
            return refused("invalid_request", "code_challenge has 43 to 128 characters (RFC 7636 section 4.2)");
        }
        (Some(challenge), Some("S256")) => Some(Challenge::S256(challenge.to_owned())),
        (Some(challenge), Some("plain") | None) => Some(Challenge::Plain(challenge.to_owned())),
        (_, Some(_)) => return refused("invalid_request", "code_challenge_method is S256 or plain"),
    };
    let is = |name: &str, value: &str| params.text(name) == Some(value);
    let mut inside = provider.inside();
    let scopes = granted(params.text("scope"), &inside.habits.withheld_scopes);
    let asked = Asked {
        client_id: client.id.clone(),
        redirect_uri: redirect_uri.clone(),
        redirect_uri_param,
        state: state.clone(),
        scopes,
        challenge,
        offline: is("access_type", "offline") && is("prompt", "consent"),
        nonce: params.text("nonce").map(str::to_owned),
    };
    let ticket = random("ticket-");
    let body = consent_form(&asked, &ticket);
    inside.ledger.consents.insert(ticket, asked);
    page(StatusCode::OK, "Demo provider: consent", &body)
}

fn consent_form(asked: &Asked, ticket: &str) -> String {
    let users: String = USERS.iter().map(|user| format!("<option>{user}</option>")).collect();
    let scopes: String = asked.scopes.iter().map(|scope| format!("<li>{}</li>", escaped(scope))).collect();
    format!(
        "<p><b>{}</b> asks for access{}:</p><ul>{scopes}</ul>\n\
         <form method=\"post\" action=\"/authorize\">\n\
         <input type=\"hidden\" name=\"ticket\" value=\"{ticket}\">\n\
         <label>as <select name=\"user\">{users}</select></label>\n\
         <button name=\"decision\" value=\"approve\">Allow</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button>\n</form>",
        escaped(&asked.client_id),
        if asked.offline { ", also while you are away" } else { "" },
    )
}

async fn answer(State(provider): State<Arc<Provider>>, body: String) -> Response {
    let form = Params::from_form(body.as_bytes());
    let mut inside = provider.inside();
    let Some(asked) = form.text("ticket").and_then(|ticket| inside.ledger.consents.remove(ticket)) else {
        return page(StatusCode::BAD_REQUEST, "Too late", "<p>This question has been answered already.</p>");
    };
    let (redirect_uri, state) = (asked.redirect_uri.clone(), asked.state.clone());
    let user = form.text("user").filter(|user| USERS.contains(user));
    let (name, value) = match (form.text("decision"), user) {
        (Some("approve"), Some(user)) => ("code", inside.ledger.new_code(asked, user, provider.clock.now())),
        _ => ("error", "access_denied".to_owned()),
    };
    provider.send_back(&redirect_uri, state.as_deref(), &[(name, &value)])
}

impl Provider {
    /// Sends the browser back with the answer, `state` as it came and `iss` (RFC 9207).
    fn send_back(&self, redirect_uri: &Url, state: Option<&str>, fields: &[(&str, &str)]) -> Response {
        let mut url = redirect_uri.clone();
        url.query_pairs_mut()
            .extend_pairs(fields)
            .extend_pairs(state.map(|state| ("state", state)))
            .append_pair("iss", &self.issuer);
        (StatusCode::FOUND, [(header::LOCATION, url.as_str())]).into_response()
    }
}

/// The scopes asked for, without those that the provider never grants.
pub(super) fn granted(asked: Option<&str>, withheld: &[String]) -> Vec<String> {
    let asked = asked.unwrap_or_default().split(' ').filter(|scope| !scope.is_empty());
    asked.filter(|scope| !withheld.iter().any(|known| known == scope)).map(str::to_owned).collect()
}
