//! What a person sees who follows a link: who wants what, before anything happens, and the way to their provider.

use super::Pages;
use super::guard::{LARGEST_OUTSIDE, cookie, form_of};
use super::invites::Invite;
use super::layout;
use super::parts::{mark, title};
use super::trouble::Trouble;
use crate::connector::AuthorizeOptions;
use crate::model::{Account, Application, Secret, quoted};
use crate::registry::Catalog;
use crate::server::CONSENT_COOKIE;
use crate::server::doors::session;
use axum::extract::{RawQuery, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use maud::{Markup, html};

/// How long the cookie of a browser that begins an authorization is kept, in seconds: longer than a person may take to consent.
const CONSENT_SECONDS: u32 = 3600;
/// Characters of a cookie of ours.
const KEY_LENGTH: usize = 43;

/// Says what the link is for. Looking does not use it up.
pub(super) async fn page(pages: Pages, RawQuery(query): RawQuery) -> Result<Response, Trouble> {
    let query = query.unwrap_or_default();
    let key = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "key");
    let key = key.map(|(_, key)| key.into_owned()).unwrap_or_default();
    let connector = &pages.connector;
    let invite = pages.invites.find(&key, connector.clock().now()).ok_or_else(spent)?;
    if !pages.lets_in(invite.api_key).await? {
        return Err(spent());
    }
    let application = connector.application(invite.connection.application()).await.map_err(|_| spent())?;
    // Whose it has been, where it is there: they should sign in as the same.
    let account = connector.connection(&invite.connection).await.ok().and_then(|connection| connection.account);
    let body = offer(&invite, &application, account.as_ref().filter(|_| !invite.other_account), &key);
    Ok(layout::outside(&format!("Connect {}", title(&application)), &body).into_response())
}

/// Uses the link up, and sends the person on.
pub(super) async fn go_on(pages: Pages, request: Request) -> Result<Response, Trouble> {
    let held = cookie(request.headers(), CONSENT_COOKIE).filter(|held| held.len() == KEY_LENGTH).map(Secret::new);
    let (fields, _) = form_of(request, LARGEST_OUTSIDE).await?;
    let connector = &pages.connector;
    let key = fields.text("key");
    let invite = pages.invites.take(key, connector.clock().now()).ok_or_else(spent)?;
    if !pages.lets_in(invite.api_key).await? {
        return Err(spent());
    }
    pages.invites.supersede(&invite, connector.connection(&invite.connection).await.ok().as_ref());
    // One that is there already is kept: another consent may be under way in the same browser.
    let browser = match held {
        Some(held) => held,
        None => session::random().map_err(|error| {
            Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "That did not work", &error.to_string())
        })?,
    };
    let options = AuthorizeOptions {
        profile: Some(invite.profile.clone()),
        labels: invite.labels.clone(),
        other_account: invite.other_account,
        browser: Some(browser.clone()),
        ..Default::default()
    };
    let authorization = match connector.authorize(&invite.connection, options).await {
        Ok(authorization) => authorization,
        Err(error) => {
            pages.invites.give_back(key);
            return Err(error.into());
        }
    };
    let url = authorization.url;
    let host = url.host_str().unwrap_or_default().to_owned();
    // A provider that posts its answer does so from its own site, where a Lax cookie stays at home.
    let posted = url.query_pairs().any(|(name, value)| name == "response_mode" && value.contains("form_post"));
    let site = if posted { "None" } else { "Lax" };
    let line = format!(
        "{CONSENT_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite={site}; Max-Age={CONSENT_SECONDS}",
        browser.expose()
    );
    let cookie = HeaderValue::from_str(&line).ok().map(|line| (header::SET_COOKIE, line));
    // The policy lets no form lead elsewhere; a page may.
    let page = layout::leading_to(
        &url,
        &format!("To {host}"),
        &html! {
            h1 { "To " (host) }
            p { "You are sent there now. Sign in there, and come back here when you have consented." }
            p.actions { a.button.primary href=(url) rel="noreferrer" { "Go on to " (host) } }
        },
    );
    Ok((AppendHeaders(cookie), page).into_response())
}

fn offer(invite: &Invite, application: &Application, account: Option<&Account>, key: &str) -> Markup {
    let provider = title(application);
    let entry = application.provider.as_deref().and_then(|name| Catalog::find(name).ok());
    let profile = application.profile(&invite.profile);
    let scopes = profile.map(|profile| profile.scopes.as_slice()).unwrap_or_default();
    let about = |scope: &str| entry.and_then(|entry| entry.scopes.get(scope));
    html! {
        div.with-mark { (mark(application.name.as_str(), &provider, true)) div { h1 { "Connect " (provider) } span.soft { "as " code { (invite.connection) } } } }
        @if !invite.whom.is_empty() { p { "This link is for " strong { (invite.whom) } ". If that is not you, close this page." } }
        @if let Some(account) = account {
            p { "It has been the account " strong { (quoted(account.name.as_deref().unwrap_or(&account.id))) } ": sign in as the same one." }
        }
        @if !scopes.is_empty() {
            div.stack {
                h2 { "It asks for" }
                ul.asked { @for scope in scopes { li { @match about(scope) { Some(about) => { (about) span.under { code { (quoted(scope)) } } } None => { code { (quoted(scope)) } } } } } }
            }
        }
        p.soft.small { "Grantkeeper keeps what you grant sealed, and uses it until you or whoever runs it ends it." }
        form method="post" action="/invite" { input type="hidden" name="key" value=(key); button.primary autofocus { "Go on to " (provider) } }
    }
}

fn spent() -> Trouble {
    let what = "this link was used already, was taken back, or has ended; ask whoever sent it for a new one";
    Trouble::new(StatusCode::FORBIDDEN, "This link is no longer good", what)
}
