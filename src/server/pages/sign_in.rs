//! Signing in and out.

use super::Pages;
use super::guard::{LARGEST_OUTSIDE, cookie, form_of};
use super::layout::{self, Html};
use super::trouble::{Trouble, capital};
use crate::access::Acting;
use crate::model::{Action, Secret};
use crate::server::doors::call::peer_of;
use crate::server::doors::door::Peer;
use crate::server::doors::session::{self, LINK_SECONDS, LONGEST_SECONDS, SignInError, SignedIn};
use axum::extract::{ConnectInfo, RawQuery, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use maud::html;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Holds the session's key. The prefix makes browsers refuse it from another host, path or an open connection (RFC 6265bis).
const COOKIE: &str = "__Host-grantkeeper";
/// Holds what the sign-in form must carry: nobody can send the form from elsewhere, or with a cookie of their own.
const FORM_COOKIE: &str = "__Host-grantkeeper-form";

/// What the session's cookie is called. A browser has one jar for all ports of a host: at an address that is shared with other servers
/// the port is in the name, so that no two daemons of a machine sign each other's people out.
pub(super) fn cookie_name(port: Option<u16>) -> String {
    port.map_or_else(|| COOKIE.to_owned(), |port| format!("{COOKIE}-{port}"))
}

/// The sign-in page.
pub(super) async fn page(pages: Pages, RawQuery(query): RawQuery, request: Request) -> Result<Response, Trouble> {
    let to = asked(query.as_deref(), "to").filter(|to| is_local(to)).unwrap_or_else(|| "/".to_owned());
    if pages.signed_in(request.headers(), peer_of(request.extensions()), true).await?.is_some() {
        return Ok(Redirect::to(&to).into_response());
    }
    form(&pages, &to, None)
}

/// Signs in with the password.
pub(super) async fn with_password(pages: Pages, request: Request) -> Result<Response, Trouble> {
    let peer = peer_of(request.extensions()).copied();
    let from: Option<IpAddr> = match peer {
        Some(Peer::Remote { from, .. }) => Some(from.ip()),
        _ => request.extensions().get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip()),
    };
    let held = cookie(request.headers(), FORM_COOKIE).map(Secret::new);
    let (fields, _) = form_of(request, LARGEST_OUTSIDE).await?;
    let to = fields.get("to").filter(|to| is_local(to)).unwrap_or("/").to_owned();
    let password = fields.secret("password").unwrap_or_default();
    if held.is_none_or(|held| held.is_empty() || fields.secret("form") != Some(held)) {
        let sentence = "the form was open for too long, or the browser keeps no cookie for this page";
        return form(&pages, &to, Some((StatusCode::FORBIDDEN, sentence)));
    }
    let now = pages.connector.clock().now();
    match pages.sessions.with_password(password, from, now).await {
        Ok(key) => welcome(pages, &key, peer, &to).await,
        Err(error) => {
            tracing::warn!(?from, %error, "a sign-in was refused");
            pages.write_down(Action::SignInRefused, Some("password")).await?;
            let status = match error {
                SignInError::TooMany => StatusCode::TOO_MANY_REQUESTS,
                SignInError::NoRandomness => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::FORBIDDEN,
            };
            form(&pages, &to, Some((status, &error.to_string())))
        }
    }
}

/// The page of a sign-in link. It only asks: a program that looks at a link before the person does, as mail and chat do, must not
/// use it up.
pub(super) async fn link_page(pages: Pages, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    let now = pages.connector.clock().now();
    let key = asked(query.as_deref(), "key").unwrap_or_default();
    if !pages.sessions.is_good(&key, now) {
        return Err(spent());
    }
    let body = html! {
        h1 { "Sign in" }
        p.soft { "This link signs one browser in, once." }
        form.stack method="post" action="/sign-in/link" {
            input type="hidden" name="key" value=(key);
            button.primary autofocus { "Sign in here" }
        }
    };
    Ok(layout::outside("Sign in", &body).into_response())
}

/// Uses a link up.
pub(super) async fn with_link(pages: Pages, request: Request) -> Result<Response, Trouble> {
    let peer = peer_of(request.extensions()).copied();
    let (fields, _) = form_of(request, LARGEST_OUTSIDE).await?;
    let now = pages.connector.clock().now();
    match pages.sessions.with_link(fields.text("key"), now) {
        Ok(key) => welcome(pages, &key, peer, "/").await,
        Err(SignInError::Link) => {
            pages.write_down(Action::SignInRefused, Some("link")).await?;
            Err(spent())
        }
        Err(other) => Err(Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "Nobody was signed in", &other.to_string())),
    }
}

/// Signs out.
pub(super) async fn out(pages: Pages, me: SignedIn) -> Result<Response, Trouble> {
    pages.sessions.end(me.key);
    pages.write_down(Action::SignOut, None).await?;
    Ok((set(&pages.cookie, "", 0), [("clear-site-data", "\"cache\"")], Redirect::to("/sign-in")).into_response())
}

fn form(pages: &Pages, to: &str, wrong: Option<(StatusCode, &str)>) -> Result<Response, Trouble> {
    let key = session::random()
        .map_err(|error| Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "Nobody was signed in", &error.to_string()))?;
    let minutes = LINK_SECONDS / 60;
    let body = html! {
        h1 { "Sign in" }
        @if let Some((_, sentence)) = wrong {
            div.note.is-bad role="alert" { p { (capital(sentence)) } }
        }
        @if pages.sessions.has_password() {
            form.stack method="post" action="/sign-in" {
                input type="hidden" name="form" value=(key.expose());
                input type="hidden" name="to" value=(to);
                div.field {
                    label for="password" { "Administrator password" }
                    input #password type="password" name="password" autocomplete="current-password" required autofocus;
                }
                button.primary { "Sign in" }
            }
            p.soft.small { "Or run " code { "grantkeeper sign-in" } " where the daemon runs: it makes a link that is good once, for " (minutes) " minutes." }
        } @else {
            p { "Run " code { "grantkeeper sign-in" } " where the daemon runs: it makes a link that is good once, for " (minutes) " minutes." }
            p.soft.small { "No administrator password is set." }
        }
    };
    let status = wrong.map_or(StatusCode::OK, |(status, _)| status);
    let page: Html = layout::outside("Sign in", &body);
    Ok((status, set(FORM_COOKIE, key.expose(), 3600), page).into_response())
}

/// Gives the browser the session that has begun, and writes down whose it is.
async fn welcome(pages: Pages, key: &Secret, peer: Option<Peer>, to: &str) -> Result<Response, Trouble> {
    let begun = pages.sessions.find(key.expose(), pages.connector.clock().now(), true);
    let me = begun.ok_or_else(spent)?;
    if !pages.lets_in(me.api_key).await? {
        pages.sessions.end(me.key);
        // The link was made with an API key that is good no more.
        pages.write_down(Action::SignInRefused, Some("link")).await?;
        return Err(spent());
    }
    pages.sessions.is_of(me.key, pages.shared.neighbour(peer.as_ref()).await);
    let acting = me.act(&pages.acting.clone().unwrap_or_else(Acting::nobody));
    let name = Arc::clone(&pages.cookie);
    pages.acting(acting).write_down(Action::SignIn, None).await?;
    let longest = i64::try_from(LONGEST_SECONDS).unwrap_or_default();
    Ok((set(&name, key.expose(), longest), Redirect::to(to)).into_response())
}

/// A cookie of ours. `Secure` holds on loopback too: browsers take it there without TLS (docs/pages.md).
fn set(name: &str, value: &str, seconds: i64) -> AppendHeaders<Option<(header::HeaderName, HeaderValue)>> {
    let line = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    // Fails for no value of ours: they are base64url.
    AppendHeaders(HeaderValue::from_str(&line).ok().map(|line| (header::SET_COOKIE, line)))
}

fn spent() -> Trouble {
    Trouble::new(StatusCode::FORBIDDEN, "This link signs nobody in", &SignInError::Link.to_string())
}

fn asked(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// Whether a person may be sent there after signing in: to a page of ours and nowhere else.
fn is_local(to: &str) -> bool {
    to.starts_with('/')
        && !to.starts_with("//")
        && to.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        && to.len() < 2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_signs_in_is_sent_to_our_own_pages_alone() {
        for good in ["/", "/tokens?q=a&page=2", "/connections/drive/ann@example.org"] {
            assert!(is_local(good), "{good}");
        }
        for bad in
            ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\t/evil.example", "", "/a\r\nb"]
        {
            assert!(!is_local(bad), "{bad:?}");
        }
    }
}
