//! Where providers send browsers back to: `/oauth/callback/APPLICATION`. Nobody signs in here: who has the state, and where a
//! browser began it that browser, is who was sent.

use super::answer::in_time;
use super::doors::call::by_nobody;
use super::notice::Notice;
use super::outcomes::is_used_up;
use super::pages;
use super::routes::{Params, Routes, get};
use super::shared::Shared;
use crate::connector::Error;
use crate::model::{Action, Connection, Outcome, RequestId, Secret, quoted};
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use url::Url;

/// The cookie of a browser that begins an authorization.
pub const CONSENT_COOKIE: &str = "__Host-grantkeeper-consent";

/// Bytes of a posted answer: as many as a callback may have.
const LONGEST_FORM: usize = 32 * 1024;

pub(super) fn routes() -> Routes {
    Routes::new().route("/oauth/callback/{application}", get(come_back).post(come_back).up_to(LONGEST_FORM))
}

/// A browser comes back. Providers post where they were asked to (OAuth 2.0 Form Post Response Mode).
async fn come_back(State(shared): State<Shared>, params: Params, request: Request) -> Response {
    // Whoever only looks must not use the state up.
    if request.method() == Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let application = params.get(request.uri(), "application").unwrap_or_default().into_owned();
    let browser = cookie(request.headers());
    let stranger = by_nobody(request.extensions());
    let query = match *request.method() == Method::POST {
        false => request.uri().query().unwrap_or_default().to_owned(),
        true => match in_time(Bytes::from_request(request, &())).await {
            Some(Ok(body)) => String::from_utf8_lossy(&body).trim().to_owned(),
            _ => {
                let sentence = "The answer is larger than any provider's, or did not come.".to_owned();
                return Notice::failed(StatusCode::PAYLOAD_TOO_LARGE, "Not connected", sentence).into_response();
            }
        },
    };
    let path = format!("/oauth/callback/{application}");
    let asked = with_query(shared.connector.settings().callback.base_url(), &path, &query);
    let awaited = match shared.connector.awaited(asked.expose()).await {
        Ok(awaited) => awaited,
        // A stranger's, or one that was used: it costs nothing, however many come.
        Err(error) => {
            let entry = stranger.entry(Action::Complete, None, shared.connector.clock().now());
            let _ = shared.connector.audit_soon(entry.that(Outcome::Refused, error.code())).await; // refused all the same
            return sorry(&error).into_response();
        }
    };
    // Each application has a path of its own, and the path is what tells one provider's answer from another's. Under which name
    // this daemon was reached is the redirect URL's to say: a proxy stands before it.
    let callback = match awaited.redirect_url.path().ends_with(&path) {
        true => {
            let mut url = awaited.redirect_url.clone();
            url.set_query(Some(&query));
            Secret::new(url.as_str())
        }
        false => asked,
    };
    // To its end, and written down, also when the browser hangs up; and waited for when the daemon ends.
    let work = shared.begin();
    let answer = RequestId::within(stranger.request, async move {
        let connector = shared.connector.acting(stranger);
        let completing = shared.outcomes.completing(&callback);
        let completed = connector.complete_from(callback.expose(), browser.as_ref()).await;
        completing.tell(&completed);
        let answer = told(completed, awaited.return_url);
        drop(work);
        answer
    });
    tokio::spawn(answer).await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Tells the browser. One whose state was not used up may still come right: nobody is sent anywhere with it.
fn told(completed: Result<Connection, Error>, return_url: Option<Url>) -> Response {
    let is_used = is_used_up(&completed);
    match (completed, return_url.filter(|_| is_used)) {
        (Ok(connection), Some(back)) => sent_back(back, &[("connection", connection.name.to_string())]),
        (Ok(connection), None) => welcome(&connection).into_response(),
        (Err(error), None) => sorry(&error).into_response(),
        (Err(error), Some(back)) => sent_back(back, &[("error", error.code().to_owned())]),
    }
}

/// The URL of a callback.
fn with_query(mut url: Url, path: &str, query: &str) -> Secret {
    url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
    url.set_query(Some(query));
    Secret::new(url.as_str())
}

/// What a person is told when it worked.
fn welcome(connection: &Connection) -> Notice {
    let account = connection.account.as_ref().map(|account| account.name.as_ref().unwrap_or(&account.id));
    let whose = account.map_or_else(String::new, |account| format!(", as {}", quoted(account)));
    let notice = Notice::done("Connected", format!("{} is connected{whose}.", connection.name));
    let notice = match connection.scopes.missing.is_empty() {
        true => notice,
        false => notice.and(format!(
            "Not everything that was asked for was granted: {} is missing, and calls that need it will be refused.",
            connection.scopes.missing.join(", ")
        )),
    };
    notice.and("You can close this window.")
}

/// What a person is told when it did not.
fn sorry(error: &Error) -> Notice {
    let said = pages::capital(error.to_string().trim_end_matches('.'));
    match error {
        Error::Denied { .. } => Notice::failed(StatusCode::FORBIDDEN, "Consent was not given", said)
            .and("Nothing was connected. If that was a mistake, begin again."),
        Error::UnknownState | Error::NoState | Error::Expired(_) => {
            let sentence = "This link was used already, has ended, or was never given out.".to_owned();
            Notice::failed(StatusCode::BAD_REQUEST, "This link is no longer good", sentence)
                .and("Nothing was changed. Begin again, and use the new link.")
        }
        _ => Notice::failed(StatusCode::BAD_REQUEST, "Not connected", said),
    }
}

/// Sends a person on to where whoever asked for the consent wants them.
fn sent_back(mut back: Url, with: &[(&str, String)]) -> Response {
    for (name, value) in with {
        back.query_pairs_mut().append_pair(name, value);
    }
    match HeaderValue::from_str(back.as_str()) {
        Ok(location) => {
            let headers = [
                (header::LOCATION, location),
                (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(_) => Notice::done("Done", "You can close this window.".to_owned()).into_response(),
    }
}

/// What the browser shows of itself.
fn cookie(headers: &HeaderMap) -> Option<Secret> {
    let all = headers.get_all(header::COOKIE);
    let pairs = all.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(name, _)| *name == CONSENT_COOKIE);
    found.next().map(|(_, value)| Secret::new(value))
}
