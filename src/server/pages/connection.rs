//! One connection.

use super::Pages;
use super::history;
use super::layout::{self, Html, Place, token};
use super::parts::{Tone, exact, failure, mark, note, quoted_value, scopes, state, title, when, when_or};
use super::rows::{Row, RowState, rows};
use super::tokens::{kind, left};
use super::trouble::Trouble;
use crate::connector::{Connector, Recent};
use crate::model::{
    Application, Connection, ConnectionName, ConnectionState, ReauthorizationReason, RecordedEvent, Timestamp, quoted,
};
use crate::refresh::Outlook;
use crate::server::doors::session::SignedIn;
use axum::extract::{Path, RawQuery};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Events of the history that are shown at once.
const SHOWN: usize = 25;

/// All that the page shows.
pub(super) struct Seen {
    pub(super) connection: Connection,
    pub(super) title: String,
    application: Option<Application>,
    outlook: Outlook,
    rows: Vec<Row>,
    events: Vec<RecordedEvent>,
    now: Timestamp,
}

/// The connection that a path names.
pub(super) fn named(application: &str, name: &str) -> Result<ConnectionName, Trouble> {
    format!("{application}/{name}")
        .parse()
        .map_err(|error: crate::model::NameError| Trouble::missing(&error.to_string()))
}

/// The page.
pub(super) async fn page(
    pages: Pages,
    me: SignedIn,
    Path((application, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Html, Trouble> {
    let seen = Seen::of(&pages.connector, &named(&application, &name)?).await?;
    let did = match query.as_deref() {
        Some("did=refreshed") => Some(note(Tone::Good, &html! { p { "Refreshed: a new access token is here." } })),
        Some("did=expires") => Some(note(
            Tone::Good,
            &html! { p { "The new end holds until the next refresh, which brings the provider's own." } },
        )),
        _ => None,
    };
    Ok(seen.page(&me, did.as_ref()))
}

impl Seen {
    pub(super) async fn of(connector: &Connector, name: &ConnectionName) -> Result<Self, Trouble> {
        let holdings = connector.holdings(None, Some(name)).await?;
        let outlook = connector.outlook(name).await?;
        let connection = connector.connection(name).await?;
        // One whose application is gone is shown too.
        let application = connector.application(name.application()).await.ok();
        let title = application.as_ref().map_or_else(|| name.application().to_string(), title);
        let titles = BTreeMap::from([(name.application().to_string(), title.clone())]);
        let recent = Recent { connection: Some(name.clone()), limit: SHOWN, ..Recent::default() };
        let events = connector.recent_events(&recent).await?.events;
        let mut rows = rows(holdings, &titles);
        rows.sort_by_key(|row| (row.credential.kind, row.credential.id));
        Ok(Self { connection, title, application, outlook, rows, events, now: connector.clock().now() })
    }

    /// The page, with a message on top where something was done.
    pub(super) fn page(&self, me: &SignedIn, did: Option<&Markup>) -> Html {
        let connection = &self.connection;
        let name = connection.name.to_string();
        let alive = connection.state.is_usable();
        let body = html! {
            div.stack {
                div.crumb { a href="/tokens" { "Manage Tokens" } " / " a href=(format!("/tokens?application={}", connection.name.application())) { (connection.name.application()) } }
                div.head {
                    div.with-mark {
                        (mark(connection.name.application().as_str(), &self.title, true))
                        div {
                            h1 { (name) }
                            span.soft { @if let Some(account) = &connection.account { (quoted(account.name.as_deref().unwrap_or(&account.id))) " · " } (self.title) " · profile " (connection.profile) }
                        }
                    }
                    div.actions {
                        span #state data-live { (state_of(connection)) }
                        @if alive {
                            form method="post" action=(format!("/connections/{name}/refresh")) { (token(me)) button { "Refresh now" } }
                        }
                        @if connection.state != ConnectionState::Unauthorized {
                            a.button.danger href=(format!("/connections/{name}/revoke")) {
                                @if connection.state == ConnectionState::Revoked { "Revoke again" } @else { "Revoke access" }
                            }
                        }
                    }
                }
            }
            @if let Some(did) = did { (did) }
            div.stack #matters data-live { @for matter in self.matters() { (matter) } }
            div.columns {
                div.stack {
                    (self.tokens())
                    section.panel aria-labelledby="history" {
                        header { h2 #history { "History" } a.small href=(format!("/events?of={}", query(&name))) { "All events" } }
                        div.body {
                            @if self.events.is_empty() {
                                p.soft { "Nothing has happened in the time that events are kept." }
                            } @else {
                                div #events data-live { (history::list(&self.events, self.now, false)) }
                            }
                        }
                    }
                }
                div.stack {
                    section.panel aria-labelledby="next" {
                        header { h2 #next { "What comes next" } }
                        div.body #outlook data-live { (self.next()) }
                    }
                    (self.about())
                }
            }
        };
        layout::page(me, Place::Tokens, &name, true, &body)
    }

    /// What somebody should know first.
    fn matters(&self) -> Vec<Markup> {
        let (connection, now) = (&self.connection, self.now);
        let mut matters = Vec::new();
        match connection.state {
            ConnectionState::ReauthorizationRequired(reason) => matters.push(note(
                Tone::Bad,
                &html! {
                    p { strong { "A person must consent again" } ": " (why(reason)) }
                    @if let Some(said) = &connection.failure { (failure(said)) }
                    p { a href=(again(connection)) { "Connect it again" } }
                },
            )),
            ConnectionState::Degraded => matters.push(note(
                Tone::Warn,
                &html! {
                    p { strong { "Refreshing fails" } @if connection.failures > 1 { ": " (connection.failures) " times in a row" } "." }
                    @if let Some(said) = &connection.failure { (failure(said)) }
                },
            )),
            ConnectionState::Pending | ConnectionState::Unauthorized => {
                matters.push(note(Tone::Wait, &html! { p { "Nobody has consented yet. " a href=(again(connection)) { "Make a link for it" } } }));
            }
            ConnectionState::Active | ConnectionState::Revoked => {}
        }
        if let Outlook::WaitForApplication { since, failure: said, probe } = &self.outlook {
            matters.push(note(
                Tone::Bad,
                &html! {
                    p { strong { "The provider refuses the application's client" } " since " (when(*since, now)) ". Its connections wait until it is mended; one tries by itself " (when(*probe, now)) "." }
                    (failure(said))
                },
            ));
        }
        if matches!(self.outlook, Outlook::Inactive) {
            matters.push(note(
                Tone::Warn,
                &html! { p { "The application is switched off: no token is handed out or refreshed." } },
            ));
        }
        if !connection.scopes.missing.is_empty() {
            matters.push(note(
                Tone::Warn,
                &html! { p { "Fewer scopes were granted than asked for. Missing: " (scopes(&connection.scopes.missing, 20)) } },
            ));
        }
        if let Some(of) = connection.restored {
            matters.push(note(
                Tone::Warn,
                &html! { p { "Restored from a backup of " (exact(of)) ". What has become of its grant since is told by the next refresh." } },
            ));
        }
        matters
    }

    fn tokens(&self) -> Markup {
        html! {
            section.panel aria-labelledby="tokens" {
                header { h2 #tokens { "Tokens" } span.small.faint { "generation " (self.connection.generation) } }
                @if self.rows.is_empty() {
                    div.empty { p { "It holds no token." } }
                } @else {
                    table.cards {
                        caption.hidden-text { "Tokens of this connection" }
                        thead { tr { th scope="col" { "Type" } th scope="col" { "Expires" } th scope="col" { "Received" } th scope="col" { "State" } th scope="col" { span.hidden-text { "Change" } } } }
                        tbody #rows data-live {
                            @for row in &self.rows {
                                @let credential = &row.credential;
                                tr id=(row.slot) data-is=(row.is()) {
                                    th.nowrap scope="row" { (kind(credential)) }
                                    td data-label="Expires" { (left(row, self.now)) }
                                    td.nowrap data-label="Received" { (when(credential.issued, self.now)) }
                                    td.corner data-label="State" { (state(row.state.tone(), row.state.label())) }
                                    td data-label="Change" {
                                        span.actions {
                                            @if credential.revoked.is_none() {
                                                a.small href=(format!("/credentials/{}/expires", credential.id)) { "Edit expires" span.hidden-text { " of the " (credential.kind.as_str().replace('_', " ")) } }
                                                @if row.state != RowState::Revoked {
                                                    a.small href=(format!("/credentials/{}/revoke", credential.id)) { "Revoke" span.hidden-text { " the " (credential.kind.as_str().replace('_', " ")) } }
                                                }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn next(&self) -> Markup {
        let (connection, now) = (&self.connection, self.now);
        let at = |at: Timestamp| html! { strong { (when(at, now)) } " (" (exact(at)) ")" };
        html! {
            p {
                @match &self.outlook {
                    Outlook::Refresh { at: time } => { "It is refreshed " (at(*time)) "." }
                    Outlook::Retry { at: time, failures } => { "It is tried again " (at(*time)) ", after " (failures) " that failed." }
                    Outlook::UnderWay => { "A refresh is under way, and its answer is not known yet." }
                    Outlook::Resolve { at: time } => { "A refresh was sent and no answer is known. The refresh token that was used is tried once more " (at(*time)) "." }
                    Outlook::ReadKeptReply { at: time } => { "The provider's reply is kept, because no script could read it. It is read again " (at(*time)) "; mend the script until then." }
                    Outlook::WaitForApplication { probe, .. } => { "It waits until the application is mended. One connection tries by itself " (at(*probe)) "." }
                    Outlook::Inactive => { "Nothing, until the application is switched on." }
                    Outlook::Expire { at: time } => { "Nothing renews it: it works until " (at(*time)) ", and then a person must consent." }
                    Outlook::Consent { .. } => { "A person must consent." }
                    Outlook::Nothing => { "Nothing: it was ended here." }
                }
            }
            dl.facts {
                dt { "Last refresh" } dd { (when_or(connection.refreshed, now, "never")) }
                dt { "Consented" } dd { (when_or(connection.authorized, now, "never")) }
                dt { "Made" } dd { (when(connection.created, now)) }
                @if connection.failures > 0 { dt { "Failures in a row" } dd { (connection.failures) } }
            }
        }
    }

    fn about(&self) -> Markup {
        let connection = &self.connection;
        html! {
            section.panel aria-labelledby="about" {
                header { h2 #about { "About" } }
                div.body {
                    dl.facts {
                        dt { "Account" }
                        dd {
                            @match &connection.account {
                                Some(account) => {
                                    @if let Some(name) = &account.name { (quoted(name)) span.under { code { (quoted(&account.id)) } } } @else { code { (quoted(&account.id)) } }
                                }
                                None => { span.faint { "not known" } }
                            }
                        }
                        dt { "Scopes" } dd { (scopes(&connection.scopes.granted, 100)) }
                        @if let Some(application) = &self.application {
                            dt { "Grant" } dd { (application.profile(&connection.profile).map_or("", |profile| profile.grant.as_str()).replace('_', " ")) }
                        }
                        @if connection.further().next().is_some() {
                            dt { "Further tokens" }
                            dd { @for further in connection.further() { a href=(format!("/connections/{further}")) { (further) } " " } }
                        }
                        @if connection.name.token().is_some() {
                            @let main = connection.name.main();
                            dt { "Belongs to" } dd { a href=(format!("/connections/{main}")) { (main) } }
                        }
                        @if !connection.labels.is_empty() {
                            dt { "Labels" }
                            dd { @for (name, value) in &connection.labels { div { (quoted(name)) " = " (quoted(value)) } } }
                        }
                        @if !connection.fields.is_empty() {
                            dt { "Kept fields" }
                            dd { @for (name, value) in &connection.fields { div { code { (quoted(name)) } " " (quoted_value(value)) } } }
                        }
                    }
                }
            }
        }
    }
}

/// Where it is connected again.
fn again(connection: &Connection) -> String {
    let main = connection.name.main();
    format!("/connect?application={}&name={}", main.application(), query(main.requestor()))
}

/// A text as a query has it: `+` stands for a space there.
fn query(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A connection's state in a word.
pub(super) fn state_of(connection: &Connection) -> Markup {
    let (tone, word) = match connection.state {
        ConnectionState::Unauthorized => (Tone::Wait, "Not authorized"),
        ConnectionState::Pending => (Tone::Wait, "Pending"),
        ConnectionState::Active => (Tone::Good, "Active"),
        ConnectionState::Degraded => (Tone::Warn, "Degraded"),
        ConnectionState::ReauthorizationRequired(_) => (Tone::Bad, "Needs consent"),
        ConnectionState::Revoked => (Tone::Ended, "Revoked"),
    };
    state(tone, word)
}

/// Why a person must consent again, in a sentence.
pub(super) fn why(reason: ReauthorizationReason) -> &'static str {
    match reason {
        ReauthorizationReason::Refused => "the provider refuses the refresh token.",
        ReauthorizationReason::RotationLost => {
            "the provider replaced the refresh token, and its reply never came; the new one is lost."
        }
        ReauthorizationReason::NoRefreshToken => "the access token has ended, and no refresh token was ever given.",
        ReauthorizationReason::AccountChanged => "a refresh brought tokens of another account, which are not used.",
    }
}
