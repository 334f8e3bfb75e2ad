//! The application registry: the list, one application, and what is done to it.

use super::Pages;
use super::layout::{self, Html, Place, token};
use super::parts::{Tone, failure, mark, note, scopes, state, title, when};
use super::trouble::{Trouble, capital};
use crate::connector::{Connector, Verdict};
use crate::model::{Application, ApplicationName, ClientAuthentication, Pkce, Timestamp, quoted};
use crate::registry::{export, parse_application};
use crate::server::doors::session::SignedIn;
use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// The list.
pub(super) async fn list(pages: Pages, me: SignedIn) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let applications = connector.applications().await?;
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for connection in pages.connections().await? {
        if connection.name.token().is_none() {
            *used.entry(connection.name.application().to_string()).or_default() += 1;
        }
    }
    let body = html! {
        div.head { h1 { "Applications" } a.button.primary href="/new-application" { "New application" } }
        section.panel aria-label="Applications" {
            @if applications.is_empty() {
                div.empty { p { "No application is registered yet." } p.small { "Register one at a provider, then make it here." } }
            } @else {
                table.cards {
                    caption.hidden-text { "Applications, a row each" }
                    thead { tr { th scope="col" { "Application" } th scope="col" { "Client id" } th scope="col" { "Client authentication" } th scope="col" { "Profiles" } th.num scope="col" { "Connections" } th scope="col" { "State" } } }
                    tbody #rows data-live {
                        @for application in &applications {
                            @let name = application.name.to_string();
                            @let title = title(application);
                            tr id=(format!("a-{name}")) data-is=(format!("{} {}", application.active, application.rejected.is_some())) {
                                th scope="row" { span.with-mark { (mark(&name, &title, false)) span { a.name href=(format!("/applications/{name}")) { (name) } span.under { (title) } } } }
                                td data-label="Client id" { code { (quoted(&application.client_id)) } }
                                td data-label="Authentication" { (authentication(application.client_authentication)) }
                                td data-label="Profiles" { (application.profiles.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ")) }
                                td.num data-label="Connections" { a href=(format!("/tokens?application={name}")) { (used.get(&name).copied().unwrap_or_default()) } }
                                td.corner data-label="State" { (state_of(application)) }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(layout::page(&me, Place::Applications, "Applications", true, &body))
}

/// One application.
pub(super) async fn page(
    pages: Pages,
    me: SignedIn,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let application = connector.application(&named(&name)?).await?;
    let did = match query.as_deref() {
        Some("did=created") => Some("It is made. Enter the redirect URL at the provider, then connect somebody."),
        Some("did=updated") => Some("It is changed."),
        Some("did=unchanged") => Some("Nothing was changed: it was so already."),
        _ => None,
    };
    let did = did.map(|did| note(Tone::Good, &html! { p { (did) } }));
    Ok(shown(&me, connector, &application, did.as_ref()))
}

/// Tries the client at the provider.
pub(super) async fn test(pages: Pages, me: SignedIn, Path(name): Path<String>) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let application = connector.application(&named(&name)?).await?;
    let (tone, what, said) = match connector.try_client(&application.name).await {
        Ok(tried) => match tried.verdict {
            Verdict::Accepted => (
                Tone::Good,
                "The provider takes the client: its id and secret are right, as far as a test can tell.".to_owned(),
                None,
            ),
            Verdict::Rejected => (
                Tone::Bad,
                "The provider refuses the client: check the client id, the secret and how it authenticates.".to_owned(),
                tried.failure,
            ),
            Verdict::Unclear => (
                Tone::Warn,
                "The provider's answer does not tell whether it takes the client.".to_owned(),
                tried.failure,
            ),
        },
        Err(error) => (Tone::Warn, capital(&error.to_string()), None),
    };
    let did = note(
        tone,
        &html! {
            p { strong { (what) } }
            @if let Some(said) = &said { (failure(said)) }
            p.small { "It was shown a code that nobody gave out." }
        },
    );
    Ok(shown(&me, connector, &application, Some(&did)))
}

/// Switches an application on or off.
pub(super) async fn switch(pages: Pages, Path(name): Path<String>) -> Result<Response, Trouble> {
    let connector = &pages.connector;
    let application = connector.application(&named(&name)?).await?;
    let mut draft = parse_application(&export(&application), "the application", false)?;
    draft.active = Some(!application.active);
    // They are kept: nothing else changes.
    (draft.client_secret, draft.secrets) = (None, BTreeMap::new());
    connector.apply(draft, &mut |_| Err("nothing is read".to_owned())).await?;
    Ok(Redirect::to(&format!("/applications/{}?did=updated", application.name)).into_response())
}

/// Asks before an application is removed.
pub(super) async fn ask_to_remove(pages: Pages, me: SignedIn, Path(name): Path<String>) -> Result<Html, Trouble> {
    let application = pages.connector.application(&named(&name)?).await?;
    let name = &application.name;
    let body = html! {
        (crumb(name))
        h1 { "Remove " (name) "?" }
        div.panel {
            div.body {
                p { "Its settings and its secrets are deleted here. Its registration at the provider stays there." }
                form.actions method="post" action=(format!("/applications/{name}/remove")) {
                    (token(&me))
                    button.danger-fill { "Remove it" }
                    a.button href=(format!("/applications/{name}")) { "Keep it" }
                }
            }
        }
    };
    Ok(layout::page(&me, Place::Applications, &format!("Remove {name}"), false, &body))
}

/// Removes an application that no connection uses.
pub(super) async fn remove(pages: Pages, Path(name): Path<String>) -> Result<Response, Trouble> {
    pages.connector.remove_application(&named(&name)?).await?;
    Ok(Redirect::to("/applications").into_response())
}

/// The application that a path names.
pub(super) fn named(name: &str) -> Result<ApplicationName, Trouble> {
    name.parse().map_err(|error: crate::model::NameError| Trouble::missing(&error.to_string()))
}

/// The way back up.
pub(super) fn crumb(name: &ApplicationName) -> Markup {
    html! { div.crumb { a href="/applications" { "Applications" } " / " a href=(format!("/applications/{name}")) { (name) } } }
}

/// A redirect URL, to be copied into the provider's form.
pub(super) fn redirect(url: &str) -> Markup {
    html! {
        div.copy {
            code #redirect-url { (url) }
            button type="button" data-copy="redirect-url" hidden { "Copy" }
        }
    }
}

fn shown(me: &SignedIn, connector: &Connector, application: &Application, did: Option<&Markup>) -> Html {
    let (name, now) = (&application.name, connector.clock().now());
    let title = title(application);
    let body = html! {
        div.stack {
            div.crumb { a href="/applications" { "Applications" } }
            div.head {
                div.with-mark {
                    (mark(name.as_str(), &title, true))
                    div { h1 { (name) } span.soft { (title) } }
                }
                div.actions {
                    (state_of(application))
                    a.button.primary href=(format!("/connect?application={name}")) { "Connect" }
                    form method="post" action=(format!("/applications/{name}/test")) { (token(me)) button { "Test" } }
                    a.button href=(format!("/applications/{name}/edit")) { "Edit" }
                }
            }
        }
        @if let Some(did) = did { (did) }
        @if let Some(rejected) = application.rejected.as_ref().filter(|rejected| rejected.confirmed) {
            (note(Tone::Bad, &html! {
                p { strong { "The provider refuses the client" } " since " (when(rejected.since, now)) ". Its connections wait; one tries by itself " (when(rejected.probe, now)) "." }
                (failure(&rejected.failure))
            }))
        }
        div.columns {
            div.stack {
                section.panel aria-labelledby="redirect" {
                    header { h2 #redirect { "Redirect URL" } }
                    div.body {
                        p.soft { "Enter it at the provider, exactly as it is here." }
                        (redirect(connector.redirect_url(application).as_str()))
                    }
                }
                section.panel aria-labelledby="profiles" {
                    header { h2 #profiles { "Profiles" } }
                    table.cards {
                        caption.hidden-text { "Profiles of this application" }
                        thead { tr { th scope="col" { "Profile" } th scope="col" { "Grant" } th scope="col" { "Scopes" } } }
                        tbody {
                            @for (profile, settings) in &application.profiles {
                                tr {
                                    th scope="row" { (profile) }
                                    td data-label="Grant" { (settings.grant.as_str().replace('_', " ")) }
                                    td data-label="Scopes" { (scopes(&settings.scopes, 50)) }
                                }
                            }
                        }
                    }
                }
                section.panel aria-labelledby="endpoints" {
                    header { h2 #endpoints { "Endpoints" } }
                    div.body { dl.facts { @for (endpoint, url) in endpoints(application) { dt { (endpoint) } dd { code { (url) } } } } }
                }
            }
            div.stack { (about(application, now)) (danger(me, application)) }
        }
    };
    layout::page(me, Place::Applications, name.as_str(), false, &body)
}

fn about(application: &Application, now: Timestamp) -> Markup {
    html! {
        section.panel aria-labelledby="about" {
            header { h2 #about { "About" } }
            div.body {
                dl.facts {
                    dt { "Client id" } dd { code { (quoted(&application.client_id)) } }
                    dt { "Client secret" } dd { @if application.client_secret.is_some() { "held, sealed; it is never shown" } @else { span.faint { "none" } } }
                    @if !application.secrets.is_empty() { dt { "Further secrets" } dd { (application.secrets.keys().cloned().collect::<Vec<_>>().join(", ")) } }
                    dt { "Authentication" } dd { (authentication(application.client_authentication)) }
                    dt { "Proof key" } dd { @match application.pkce { Pkce::S256 => "S256", Pkce::Plain => "plain", Pkce::None => "none" } }
                    dt { "Script" } dd { @match &application.script { Some(script) => { a href=(format!("/scripts/{script}")) { (script) } } None => { span.faint { "none; OAuthUtil runs" } } } }
                    @if !application.hosts.is_empty() { dt { "Hosts" } dd { @for host in &application.hosts { div { code { (host.as_str()) } } } } }
                    dt { "Made" } dd { (when(application.created, now)) }
                    dt { "Connections" } dd { a href=(format!("/tokens?application={}", application.name)) { "their tokens" } }
                }
            }
        }
    }
}

fn danger(me: &SignedIn, application: &Application) -> Markup {
    let name = &application.name;
    html! {
        section.panel aria-labelledby="ends" {
            header { h2 #ends { "Switch off, remove" } }
            div.body {
                p.soft { "One that is off hands out no token and refreshes none. One that no connection uses can be removed." }
                div.actions {
                    form method="post" action=(format!("/applications/{name}/switch")) { (token(me)) button { @if application.active { "Switch off" } @else { "Switch on" } } }
                    a.button.danger href=(format!("/applications/{name}/remove")) { "Remove" }
                }
            }
        }
    }
}

fn endpoints(application: &Application) -> Vec<(&'static str, String)> {
    let endpoints = &application.endpoints;
    let fixed = [
        ("Issuer", "issuer", &endpoints.issuer),
        ("Authorization", "authorization", &endpoints.authorization),
        ("Token", "token", &endpoints.token),
        ("Refresh", "refresh", &endpoints.refresh),
        ("Revocation", "revocation", &endpoints.revocation),
        ("Introspection", "introspection", &endpoints.introspection),
        ("Device", "device_authorization", &endpoints.device_authorization),
        ("Userinfo", "userinfo", &endpoints.userinfo),
        ("Keys", "jwks", &endpoints.jwks),
    ];
    let text = |key: &str, url: &Option<crate::model::Endpoint>| {
        let template = || endpoints.templates.get(key).map(|template| template.as_str().to_owned());
        url.as_ref().map(ToString::to_string).or_else(template)
    };
    fixed.into_iter().filter_map(|(label, key, url)| Some((label, text(key, url)?))).collect()
}

fn state_of(application: &Application) -> Markup {
    match application {
        Application { active: false, .. } => state(Tone::Idle, "Off"),
        Application { rejected: Some(rejected), .. } if rejected.confirmed => state(Tone::Bad, "Client rejected"),
        _ => state(Tone::Good, "Active"),
    }
}

/// How a client authenticates, in words.
pub(super) fn authentication(how: ClientAuthentication) -> &'static str {
    match how {
        ClientAuthentication::Basic => "HTTP Basic",
        ClientAuthentication::BasicRaw => "HTTP Basic, not encoded",
        ClientAuthentication::Post => "in the body",
        ClientAuthentication::None => "none (a public client)",
        ClientAuthentication::PrivateKeyJwt => "a JWT signed with its private key",
        ClientAuthentication::ClientSecretJwt => "a JWT signed with its secret",
        ClientAuthentication::Bearer => "the secret as a bearer token",
        ClientAuthentication::BasicSecret => "HTTP Basic, the secret as the user",
    }
}
