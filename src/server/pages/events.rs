//! Events: looking back.

use super::Pages;
use super::history;
use super::layout::{self, Html, Place};
use super::trouble::Trouble;
use crate::connector::Recent;
use crate::model::{ConnectionName, EventKind};
use crate::server::doors::session::SignedIn;
use axum::extract::RawQuery;
use maud::html;

/// Events on one page.
const PAGE: usize = 100;

/// The page.
pub(super) async fn page(pages: Pages, me: SignedIn, RawQuery(query): RawQuery) -> Result<Html, Trouble> {
    let (mut of, mut kind, mut before) = (String::new(), None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes()) {
        match &*name {
            "of" => of = value.trim().chars().take(220).collect(),
            "kind" => kind = EventKind::from_word(&value),
            "before" => before = value.parse::<u64>().ok(),
            _ => {}
        }
    }
    let connector = &pages.connector;
    let now = connector.clock().now();
    let (connection, application) = (of.parse::<ConnectionName>().ok(), of.parse().ok());
    // What is no name names nothing.
    let is_none = !of.is_empty() && connection.is_none() && application.is_none();
    let kinds = kind.into_iter().collect();
    let recent = Recent { before, connection, application, kinds, since: None, limit: PAGE };
    let looked = if is_none { Default::default() } else { connector.recent_events(&recent).await? };
    let further = looked.before.map(|before| {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        pairs.append_pair("of", &of).append_pair("kind", kind.map_or("", EventKind::as_str));
        format!("/events?{}", pairs.append_pair("before", &before.to_string()).finish())
    });
    let body = html! {
        div.head {
            h1 { "Events" }
            p.lead { "What happened to connections and applications, the newest first, as long as events are kept." }
        }
        form.filters.few action="/events" data-at-once {
            div.field {
                label for="of" { "Connection or application" }
                input #of type="search" name="of" value=(of) placeholder="google-drive/reports" autocomplete="off";
            }
            div.field {
                label for="kind" { "Kind" }
                select #kind name="kind" {
                    option value="" { "All" }
                    @for one in EventKind::ALL { option value=(one) selected[kind == Some(one)] { (history::word(one)) } }
                }
            }
            div.actions { button { "Show" } @if !of.is_empty() || kind.is_some() { a href="/events" { "Clear" } } }
        }
        section.panel aria-label="Events" {
            div.body #events data-live[before.is_none()] {
                @if looked.events.is_empty() {
                    p.soft { @if is_none { "That is the name of no connection and of no application." } @else { "Nothing is kept that fits." } }
                } @else {
                    (history::list(&looked.events, now, true))
                }
            }
            div.pager {
                @if before.is_some() { a.button href="/events" { "Newest" } }
                @if let Some(further) = further { a.button href=(further) rel="next" { "Older" } }
            }
        }
    };
    Ok(layout::page(&me, Place::Events, "Events", before.is_none(), &body))
}
