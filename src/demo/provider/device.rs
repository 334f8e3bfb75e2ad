//! The device grant's two other sides (RFC 8628): the device that asks, the person who answers on a page.

use super::authorize::granted;
use super::clients::Client;
use super::ledger::{Device, Ledger, random};
use super::reply::{Refusal, escaped, json_body, page, refusal};
use super::token::form;
use super::{Provider, USERS};
use crate::model::{Timestamp, later};
use crate::oauth::Params;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::Arc;

/// How long a person has to answer, in seconds.
const DEVICE_SECONDS: u64 = 600;
/// What `slow_down` adds to the interval, in seconds (RFC 8628 section 3.5).
const SLOW_DOWN_SECONDS: u64 = 5;

/// RFC 8628 section 3.1.
pub(super) async fn authorization(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    provider
        .device_authorization(&headers, &body)
        .map_or_else(IntoResponse::into_response, |reply| json_body(&reply).into_response())
}

impl Provider {
    fn device_authorization(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
        let params = form(headers, body)?;
        let mut inside = self.inside();
        let client = self.client(&mut inside, headers, &params)?;
        let device_code = random("demo-device-");
        let user_code = user_code();
        let interval = inside.habits.device_interval_seconds;
        let device = Device {
            client_id: client.id,
            user_code: user_code.clone(),
            scopes: granted(params.text("scope"), &inside.habits.withheld_scopes),
            expires: later(self.clock.now(), DEVICE_SECONDS),
            interval,
            last_poll: None,
            answer: None,
        };
        inside.ledger.devices.insert(device_code.clone(), device);
        let page = self.at("/device");
        let mut complete = page.clone();
        complete.query_pairs_mut().append_pair("user_code", &user_code);
        Ok(json!({
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page.as_str(),
            "verification_uri_complete": complete.as_str(),
            "expires_in": DEVICE_SECONDS,
            "interval": interval,
        }))
    }
}

/// Eight letters that are hard to mistake, as RFC 8628 section 6.1 suggests.
fn user_code() -> String {
    const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
    let random = *uuid::Uuid::new_v4().as_bytes();
    let letters: String = random[8..].iter().map(|byte| char::from(LETTERS[usize::from(byte % 20)])).collect();
    format!("{}-{}", &letters[..4], &letters[4..])
}

impl Ledger {
    /// Who granted what to a device, once the person has answered; until then the errors of RFC 8628 section 3.5.
    pub(super) fn poll(
        &mut self,
        code: &str,
        client: &Client,
        now: Timestamp,
    ) -> Result<(String, Vec<String>), Refusal> {
        let Some(device) = self.devices.get_mut(code).filter(|device| device.client_id == client.id) else {
            return Err(refusal("invalid_grant", "there is no such device code"));
        };
        if device.expires <= now {
            return Err(refusal("expired_token", "the device code has expired"));
        }
        let last_poll = device.last_poll.replace(now);
        match device.answer.clone() {
            None if last_poll.is_some_and(|at| now < later(at, device.interval)) => {
                device.interval += SLOW_DOWN_SECONDS;
                Err(refusal("slow_down", "poll less often"))
            }
            None => Err(refusal("authorization_pending", "the person has not answered yet")),
            Some(Err(())) => Err(refusal("access_denied", "the person said no")),
            Some(Ok(user)) => {
                let scopes = device.scopes.clone();
                self.devices.remove(code);
                Ok((user, scopes))
            }
        }
    }
}

pub(super) fn page_routes() -> Router<Arc<Provider>> {
    Router::new().route("/device", get(ask).post(answer))
}

async fn ask(RawQuery(query): RawQuery) -> Response {
    let params = Params::from_form(query.unwrap_or_default().as_bytes());
    let users: String = USERS.iter().map(|user| format!("<option>{user}</option>")).collect();
    let body = format!(
        "<form method=\"post\" action=\"/device\">\n\
         <label>Code <input name=\"user_code\" value=\"{}\"></label>\n\
         <label>as <select name=\"user\">{users}</select></label>\n\
         <button name=\"decision\" value=\"approve\">Allow</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button>\n</form>",
        escaped(params.text("user_code").unwrap_or_default()),
    );
    page(StatusCode::OK, "Demo provider: device", &body)
}

async fn answer(State(provider): State<Arc<Provider>>, body: String) -> Response {
    let form = Params::from_form(body.as_bytes());
    let now = provider.clock.now();
    let mut inside = provider.inside();
    let waiting = inside.ledger.devices.values_mut().find(|device| {
        device.answer.is_none() && device.expires > now && form.text("user_code") == Some(&device.user_code)
    });
    let Some(device) = waiting else {
        return page(StatusCode::BAD_REQUEST, "Wrong code", "<p>No device is waiting with this code.</p>");
    };
    let user = form.text("user").filter(|user| USERS.contains(user));
    device.answer = Some(match (form.text("decision"), user) {
        (Some("approve"), Some(user)) => Ok(user.to_owned()),
        _ => Err(()),
    });
    page(StatusCode::OK, "Done", "<p>You can go back to the device.</p>")
}
