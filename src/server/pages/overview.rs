//! The first page: what needs a person now, what ends soon, and how refreshing went over the last day.

use super::Pages;
use super::connection::why;
use super::history;
use super::layout::{self, Html, Place};
use super::parts::{Tone, kind, mark, state, title, when};
use super::plot::{Day, Hour};
use super::trouble::Trouble;
use crate::connector::{Connector, CredentialState, Holding, Recent};
use crate::events::expiring_from;
use crate::model::{
    Application, ConnectionName, ConnectionState, EventKind, ExpirySource, Failure, RecordedEvent, Timestamp,
    TokenKind, quoted,
};
use crate::server::doors::session::SignedIn;
use jiff::SignedDuration;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// How far back the plot looks.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);
/// Events that it reads at the most: a thousand connections with hourly tokens.
const MOST_EVENTS: usize = 50_000;
/// Lines of a list.
const MOST_LINES: usize = 12;

/// Something that somebody should do.
struct Need {
    tone: Tone,
    word: &'static str,
    to: String,
    what: String,
    title: String,
    mark: String,
    why: String,
    since: Option<Timestamp>,
}

/// A token that ends soon.
struct Ending {
    name: ConnectionName,
    title: String,
    kind: TokenKind,
    at: Timestamp,
}

/// The page.
pub(super) async fn page(pages: Pages, me: SignedIn) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let now = connector.clock().now();
    let applications = connector.applications().await?;
    let holdings = pages.holdings().await?;
    let titles: BTreeMap<String, String> =
        applications.iter().map(|application| (application.name.to_string(), title(application))).collect();
    let day = day(connector, &titles, now).await?;
    let needs = needs(&applications, &holdings, &titles);
    let endings = endings(&holdings, &titles, now);
    let latest = latest(connector).await?;
    let standing = connector.next_due().await?;
    let counted = |state: fn(&ConnectionState) -> bool| {
        holdings
            .iter()
            .filter(|holding| holding.connection.name.token().is_none() && state(&holding.connection.state))
            .count()
    };
    let figures = [
        ("Connections", counted(|_| true).to_string(), "/tokens"),
        ("Active", counted(|state| *state == ConnectionState::Active).to_string(), "/tokens?state=good"),
        ("Degraded", counted(|state| *state == ConnectionState::Degraded).to_string(), "/tokens?state=degraded"),
        (
            "Need consent",
            counted(|state| matches!(state, ConnectionState::ReauthorizationRequired(_))).to_string(),
            "/tokens?state=consent",
        ),
    ];
    let body = html! {
        div.head { h1 { "Overview" } @if let Some(due) = standing { span.soft #due data-live { "Next refresh " (when(due, now)) } } }
        dl.figures #figures data-live {
            @for (label, figure, to) in &figures { div { dt { a href=(to) { (label) } } dd { (figure) } } }
        }
        div.columns {
            div.stack {
                section.panel aria-labelledby="needs-title" {
                    header { h2 #needs-title { "Needs a person" } }
                    div #needs data-live { (needed(&needs, now)) }
                }
                section.panel aria-labelledby="plot-title" {
                    header { h2 #plot-title { "Refreshes, the last 24 hours" } }
                    div.body #plot data-live { (day.markup()) }
                }
            }
            div.stack {
                section.panel aria-labelledby="ending-title" {
                    header { h2 #ending-title { "Expires soon" } }
                    div #ending data-live { (ending(&endings, now)) }
                }
                section.panel aria-labelledby="latest-title" {
                    header { h2 #latest-title { "What happened" } a.small href="/events" { "All events" } }
                    div.body #latest data-live {
                        @if latest.is_empty() { p.soft { "Nothing yet." } } @else { (history::list(&latest, now, true)) }
                    }
                }
            }
        }
    };
    Ok(layout::page(&me, Place::Overview, "Overview", true, &body))
}

fn needs(applications: &[Application], holdings: &[Holding], titles: &BTreeMap<String, String>) -> Vec<Need> {
    let mut needs = Vec::new();
    let title_of = |name: &str| titles.get(name).cloned().unwrap_or_else(|| name.to_owned());
    for application in applications {
        let name = application.name.to_string();
        if let Some(rejected) = application.rejected.as_ref().filter(|rejected| rejected.confirmed) {
            needs.push(Need {
                tone: Tone::Bad,
                word: "Client rejected",
                to: format!("/applications/{name}"),
                title: title_of(&name),
                mark: name.clone(),
                what: name,
                why: format!(
                    "the provider refuses its client id or secret ({}); its connections wait",
                    rejected.failure.code
                ),
                since: Some(rejected.since),
            });
        }
    }
    for Holding { connection, .. } in holdings {
        let said = |failure: &Option<Failure>| {
            failure.as_ref().map_or_else(String::new, |failure| format!("{}: {}", failure.code, kind(failure)))
        };
        let (tone, word, why) = match connection.state {
            ConnectionState::ReauthorizationRequired(reason) => (Tone::Bad, "Needs consent", why(reason).to_owned()),
            // Passing trouble is nobody's to mend.
            ConnectionState::Degraded
                if connection.failure.as_ref().is_some_and(|failure| !failure.kind.is_retryable()) =>
            {
                (Tone::Warn, "Degraded", said(&connection.failure))
            }
            _ if !connection.scopes.missing.is_empty() && connection.state.is_usable() => {
                let missing = connection.scopes.missing.iter().take(5).map(|scope| quoted(scope));
                (Tone::Warn, "Scopes missing", missing.collect::<Vec<_>>().join(" "))
            }
            _ => continue,
        };
        let application = connection.name.application().to_string();
        needs.push(Need {
            tone,
            word,
            to: format!("/connections/{}", connection.name),
            what: connection.name.to_string(),
            title: title_of(&application),
            mark: application,
            why,
            since: None,
        });
    }
    needs.sort_by_key(|need| need.tone != Tone::Bad);
    needs
}

/// Tokens that nothing but a person renews, and whose time has nearly come: as the event `expiring` is told.
fn endings(holdings: &[Holding], titles: &BTreeMap<String, String>, now: Timestamp) -> Vec<Ending> {
    let mut endings = Vec::new();
    for Holding { connection, credentials } in holdings.iter().filter(|holding| holding.connection.state.is_usable()) {
        let good = |kind| credentials.iter().rfind(|it| it.kind == kind && it.state == CredentialState::Good);
        let refresh = good(TokenKind::RefreshToken);
        // Of two, the one that the grant lives by.
        let Some(token) = refresh.or_else(|| good(TokenKind::AccessToken).filter(|_| connection.due.is_none())) else {
            continue;
        };
        let since = connection.authorized.unwrap_or(connection.created);
        if token.expires.source == ExpirySource::Default || now < expiring_from(since, token.expires.at) {
            continue;
        }
        let application = connection.name.application().as_str();
        endings.push(Ending {
            name: connection.name.clone(),
            title: titles.get(application).cloned().unwrap_or_else(|| application.to_owned()),
            kind: token.kind,
            at: token.expires.at,
        });
    }
    endings.sort_by_key(|ending| ending.at);
    endings
}

async fn latest(connector: &Connector) -> Result<Vec<RecordedEvent>, Trouble> {
    // Refreshes are what is to be expected, and the plot tells of them.
    let kinds = EventKind::ALL.into_iter().filter(|kind| *kind != EventKind::Refreshed).collect();
    Ok(connector.recent_events(&Recent { kinds, limit: 8, ..Recent::default() }).await?.events)
}

async fn day(connector: &Connector, titles: &BTreeMap<String, String>, now: Timestamp) -> Result<Day, Trouble> {
    let since = now.checked_sub(A_DAY).unwrap_or(Timestamp::MIN);
    let kinds = vec![EventKind::Refreshed, EventKind::Degraded, EventKind::ReauthorizationRequired];
    let recent = Recent { kinds, since: Some(since), limit: MOST_EVENTS, ..Recent::default() };
    let events = connector.recent_events(&recent).await?.events;
    let mut day = Day { until: now, hours: vec![Hour::default(); 24], providers: BTreeMap::new() };
    for RecordedEvent { event, .. } in &events {
        let ago = usize::try_from(now.duration_since(event.at).as_hours()).unwrap_or(0).min(23);
        let title = titles.get(event.application.as_str()).cloned().unwrap_or_else(|| event.application.to_string());
        let provider = day.providers.entry(title).or_default();
        for count in [&mut day.hours[23 - ago], provider] {
            match event.kind {
                EventKind::Refreshed => count.good += 1,
                _ => count.failed += 1,
            }
        }
    }
    Ok(day)
}

fn needed(needs: &[Need], now: Timestamp) -> Markup {
    html! {
        @if needs.is_empty() { div.empty { p { "Nothing. Every grant is looked after." } } }
        ul.lines {
            @for need in needs.iter().take(MOST_LINES) {
                li {
                    (mark(&need.mark, &need.title, false))
                    div {
                        a.name href=(need.to) { (need.what) }
                        span.under { (need.why) @if let Some(since) = need.since { ", since " (when(since, now)) } }
                    }
                    (state(need.tone, need.word))
                }
            }
        }
        @if needs.len() > MOST_LINES { div.pager { a href="/tokens?sort=state" { "and " (needs.len() - MOST_LINES) " more" } } }
    }
}

fn ending(endings: &[Ending], now: Timestamp) -> Markup {
    html! {
        @if endings.is_empty() { div.empty { p { "Nothing that only a person can renew." } } }
        ul.lines {
            @for ending in endings.iter().take(MOST_LINES) {
                li {
                    (mark(ending.name.application().as_str(), &ending.title, false))
                    div {
                        a.name href=(format!("/connections/{}", ending.name)) { (ending.name) }
                        span.under { (ending.kind.as_str().replace('_', " ")) }
                    }
                    span.soft { (when(ending.at, now)) }
                }
            }
        }
        @if endings.len() > MOST_LINES { div.pager { span { "and " (endings.len() - MOST_LINES) " more" } } }
    }
}
