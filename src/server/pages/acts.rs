//! What changes something at the provider: refreshing and revoking.

use super::Pages;
use super::connection::{Seen, named};
use super::layout::{self, Html, Place, token};
use super::parts::{Tone, failure, note};
use super::trouble::{Trouble, capital};
use crate::connector::{Connector, ProviderSaid, Revocation};
use crate::model::{ConnectionName, TokenKind};
use crate::server::doors::session::SignedIn;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use uuid::Uuid;

/// Refresh now.
pub(super) async fn refresh(
    pages: Pages,
    me: SignedIn,
    Path((application, name)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let (connector, name) = (&pages.connector, named(&application, &name)?);
    match connector.refresh(&name).await {
        Ok(_) => Ok(Redirect::to(&format!("/connections/{name}?did=refreshed")).into_response()),
        Err(error) => {
            let trouble = Trouble::from(error);
            // Where there is no such connection, there is no page of it to say so.
            let seen = Seen::of(connector, &name).await?;
            let said =
                note(Tone::Bad, &html! { p { strong { "It was not refreshed." } " " (capital(trouble.sentence())) } });
            Ok((trouble.status(), seen.page(&me, Some(&said))).into_response())
        }
    }
}

/// Asks before a grant is ended.
pub(super) async fn ask_to_revoke(
    pages: Pages,
    me: SignedIn,
    Path((application, name)): Path<(String, String)>,
) -> Result<Html, Trouble> {
    let name = named(&application, &name)?;
    let connector = &pages.connector;
    let connection = connector.connection(&name).await?;
    let account = connection.account.as_ref().map(|account| account.name.clone().unwrap_or_else(|| account.id.clone()));
    let further = connection.further().count();
    let body = html! {
        (crumb(&name))
        h1 { "Revoke access of " (name) "?" }
        div.panel {
            div.body {
                p { "The grant" @if let Some(account) = &account { " of " strong { (crate::model::quoted(account)) } } " ends here at once: its tokens are not handed out or refreshed any more"
                    @if further > 0 { ", those of its further tokens too" } "." }
                p { (told_or_not(connector, &name).await?) }
                p.soft { "To use it again, a person must consent anew. The connection, its history and its labels stay." }
                form.actions method="post" action=(format!("/connections/{name}/revoke")) {
                    (token(&me))
                    button.danger-fill { "Revoke access" }
                    a.button href=(format!("/connections/{name}")) { "Keep it" }
                }
            }
        }
    };
    Ok(layout::page(&me, Place::Tokens, &format!("Revoke {name}"), false, &body))
}

/// Ends a grant.
pub(super) async fn revoke(
    pages: Pages,
    me: SignedIn,
    Path((application, name)): Path<(String, String)>,
) -> Result<Html, Trouble> {
    let revocation = pages.connector.revoke(&named(&application, &name)?).await?;
    Ok(revoked(&me, &revocation))
}

/// Asks before one token is ended.
pub(super) async fn ask_to_revoke_one(pages: Pages, me: SignedIn, Path(id): Path<String>) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let credential = connector.credential(id_of(&id)?).await?;
    let name = &credential.connection;
    let what = credential.kind.as_str().replace('_', " ");
    let body = html! {
        (crumb(name))
        h1 { "Revoke the " (what) " of " (name) "?" }
        div.panel {
            div.body {
                @match credential.kind {
                    TokenKind::AccessToken => { p { "Only this access token ends. Where there is a refresh token, the next request brings a new one." } }
                    TokenKind::RefreshToken => { p { "The refresh token is the grant: the whole connection ends with it, and a person must consent anew to use it again." } }
                }
                p { (told_or_not(connector, name).await?) }
                form.actions method="post" action=(format!("/credentials/{}/revoke", credential.id)) {
                    (token(&me))
                    button.danger-fill { "Revoke the " (what) }
                    a.button href=(format!("/connections/{name}")) { "Keep it" }
                }
            }
        }
    };
    Ok(layout::page(&me, Place::Tokens, &format!("Revoke a token of {name}"), false, &body))
}

/// Ends one token.
pub(super) async fn revoke_one(pages: Pages, me: SignedIn, Path(id): Path<String>) -> Result<Html, Trouble> {
    let revocation = pages.connector.revoke_credential(id_of(&id)?).await?;
    Ok(revoked(&me, &revocation))
}

/// The credential that a path names.
pub(super) fn id_of(id: &str) -> Result<Uuid, Trouble> {
    id.parse().map_err(|_| Trouble::missing("a credential is named by its whole id"))
}

/// The way back up.
pub(super) fn crumb(name: &ConnectionName) -> Markup {
    html! { div.crumb { a href="/tokens" { "Manage Tokens" } " / " a href=(format!("/connections/{name}")) { (name) } } }
}

/// Whether the provider can be told.
async fn told_or_not(connector: &Connector, name: &ConnectionName) -> Result<Markup, Trouble> {
    let application = connector.application(name.application()).await.ok();
    let told = application.is_some_and(|application| application.endpoints.revocation.is_some());
    Ok(html! {
        @if told {
            "Then the provider is told to revoke it too; what it answers is shown."
        } @else {
            "The provider has no revocation endpoint here: it will not be told, and the person can only end the grant in their account there."
        }
    })
}

/// What a revocation came to.
fn revoked(me: &SignedIn, revocation: &Revocation) -> Html {
    let name = &revocation.connection;
    let all_told =
        !revocation.said.is_empty() && revocation.said.iter().all(|(_, said)| *said == ProviderSaid::Revoked);
    let tone = if all_told || revocation.said.is_empty() { Tone::Good } else { Tone::Warn };
    let title =
        if revocation.grant_ended { format!("{name} is revoked") } else { format!("A token of {name} is revoked") };
    let body = html! {
        (crumb(name))
        h1 { (title) }
        (note(tone, &html! {
            p { strong { "Ended here." } " "
                @if revocation.grant_ended { "No token of this grant is used any more." } @else { "This access token is not handed out any more." } }
        }))
        section.panel aria-labelledby="said" {
            header { h2 #said { "What the provider said" } }
            div.body {
                @if revocation.said.is_empty() { p.soft { "There was no token left to tell it about." } }
                @for (kind, said) in &revocation.said {
                    div.stack {
                        h3 { (capital_word(&kind.as_str().replace('_', " "))) }
                        @match said {
                            ProviderSaid::Revoked => { p { "It revoked the token, or did not know it any more." } }
                            ProviderSaid::NoEndpoint => { p { "It was not told: it has no revocation endpoint. The grant can only be ended in the person's account there." } }
                            ProviderSaid::Failed(said) => { p { "It did not revoke the token. It may still work there until it expires." } (failure(said)) }
                            ProviderSaid::NotAsked(why) => { p { "It could not be asked: " (why) } }
                        }
                    }
                }
                p.actions { a.button href=(format!("/connections/{name}")) { "Back to " (name) } a.button href="/tokens" { "Manage Tokens" } }
            }
        }
    };
    layout::page(me, Place::Tokens, &title, false, &body)
}

fn capital_word(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
