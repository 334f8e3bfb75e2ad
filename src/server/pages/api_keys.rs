//! API keys: which there are, and ending one. They are made at the command line or over the API, where the key itself can be taken care of.

use super::Pages;
use super::layout::{self, Html, Place, token};
use super::parts::{Tone, note, scopes, state, when, when_or};
use super::trouble::Trouble;
use crate::model::{ApiKey, KeyName, KeyState, Timestamp};
use crate::server::doors::session::SignedIn;
use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

/// The list.
pub(super) async fn list(pages: Pages, me: SignedIn, RawQuery(query): RawQuery) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let now = connector.clock().now();
    let keys = connector.api_keys().await?;
    let body = html! {
        div.head {
            h1 { "API keys" }
            p.lead { "Programs show one to the daemon's port. A key is made with " code { "grantkeeper api-key create" } ", which prints it, once." }
        }
        @if query.as_deref() == Some("did=revoked") {
            (note(Tone::Good, &html! { p { "The key is revoked: nobody is let in with it any more." } }))
        }
        section.panel aria-label="API keys" {
            @if keys.is_empty() {
                div.empty { p { "There is none." } }
            } @else {
                table.cards.keys {
                    caption.hidden-text { "API keys, a row each" }
                    thead { tr { th scope="col" { "Key" } th scope="col" { "It may" } th scope="col" { "Last used" } th scope="col" { "Made" } th scope="col" { "Ends" } th scope="col" { "State" } th scope="col" { span.hidden-text { "Change" } } } }
                    tbody #rows data-live { @for key in &keys { (row(key, now)) } }
                }
            }
        }
    };
    Ok(layout::page_of(&me, Place::Keys, "API keys", Some("/live/audit"), &body))
}

fn row(key: &ApiKey, now: Timestamp) -> Markup {
    let (name, standing) = (&key.name, key.state(now));
    let may: Vec<String> = key.allowances.iter().map(ToString::to_string).collect();
    let (tone, word) = match standing {
        KeyState::Good => (Tone::Good, "Good"),
        KeyState::Expired => (Tone::Idle, "Expired"),
        KeyState::Revoked => (Tone::Ended, "Revoked"),
    };
    html! {
        tr id=(format!("key-{}", key.id)) data-is=(word) {
            th scope="row" { span { strong { (name) } a.under href=(format!("/audit?key={name}")) { "What it did" span.hidden-text { ": " (name) } } } }
            td data-label="It may" { (scopes(&may, 12)) }
            td.nowrap data-label="Last used" { (when_or(key.last_used, now, "never")) }
            td.nowrap data-label="Made" { (when(key.created, now)) }
            td.nowrap data-label="Ends" {
                @match key.revoked {
                    Some(revoked) => { (when(revoked, now)) }
                    None => { (when_or(key.expires, now, "never")) }
                }
            }
            td.corner data-label="State" { (state(tone, word)) }
            td data-label="Change" {
                @if standing == KeyState::Good {
                    a.small href=(format!("/api-keys/{name}/revoke")) { "Revoke" span.hidden-text { " the key " (name) } }
                }
            }
        }
    }
}

/// Asks before a key is ended.
pub(super) async fn ask_to_revoke(pages: Pages, me: SignedIn, Path(name): Path<String>) -> Result<Html, Trouble> {
    let name = named(&name)?;
    let now = pages.connector.clock().now();
    let keys = pages.connector.api_keys().await?;
    let key = keys.iter().find(|key| key.name == name).ok_or_else(|| Trouble::missing("there is no such API key"))?;
    let body = html! {
        div.crumb { a href="/api-keys" { "API keys" } " / " (name) }
        h1 { "Revoke the key " (name) "?" }
        div.panel {
            div.body {
                p { "Nobody is let in with it from then on, and sessions and links that were begun with it end. Programs that use it need another one." }
                p { @match key.last_used {
                    Some(used) => { "It was last used " strong { (when(used, now)) } "." }
                    None => { "As far as is known, it was never used." }
                } }
                @if me.api_key == Some(key.id) { p { strong { "You are signed in with this key: you are signed out with it." } } }
                p.soft { "It cannot be taken back. Its name can be given to a new key." }
                form.actions method="post" action=(format!("/api-keys/{name}/revoke")) {
                    (token(&me))
                    button.danger-fill { "Revoke the key" }
                    a.button href="/api-keys" { "Keep it" }
                }
            }
        }
    };
    Ok(layout::page(&me, Place::Keys, &format!("Revoke the key {name}"), false, &body))
}

/// Ends a key.
pub(super) async fn revoke(pages: Pages, _: SignedIn, Path(name): Path<String>) -> Result<Response, Trouble> {
    pages.connector.revoke_key(&named(&name)?).await?;
    Ok(Redirect::to("/api-keys?did=revoked").into_response())
}

fn named(name: &str) -> Result<KeyName, Trouble> {
    name.parse().map_err(|_| Trouble::missing("that is the name of no API key"))
}
