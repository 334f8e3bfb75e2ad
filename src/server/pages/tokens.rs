//! Manage Tokens: a row a credential.

use super::Pages;
use super::layout::{self, Html, Place};
use super::parts::{Left, mark, scopes, state, title, when};
use super::rows::{Row, RowState, rows};
use super::trouble::Trouble;
use crate::connector::CredentialView;
use crate::model::{Timestamp, TokenKind, quoted};
use crate::server::doors::session::SignedIn;
use axum::extract::RawQuery;
use maud::{Markup, html};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Rows on one page.
const PAGE: usize = 50;

/// What is looked for, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Query {
    text: String,
    application: String,
    state: Option<RowState>,
    kind: Option<TokenKind>,
    sort: Sort,
    descending: bool,
    /// From 0.
    page: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Connection,
    Type,
    Expires,
    Received,
    State,
}

impl Sort {
    const ALL: [Self; 5] = [Self::Connection, Self::Type, Self::Expires, Self::Received, Self::State];

    fn word(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Type => "type",
            Self::Expires => "expires",
            Self::Received => "received",
            Self::State => "state",
        }
    }
}

impl Query {
    /// What it cannot read is as if it were not there: an address that somebody kept goes on working.
    fn read(query: Option<&str>) -> Self {
        let mut read = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let value = value.trim();
            match &*name {
                "q" => read.text = value.chars().take(200).collect(),
                "application" => read.application = value.chars().take(80).collect(),
                "state" => read.state = RowState::from_word(value),
                "type" => read.kind = kinds().into_iter().find(|kind| kind.as_str() == value),
                "sort" => {
                    let (word, descending) = value.strip_prefix('-').map_or((value, false), |word| (word, true));
                    if let Some(sort) = Sort::ALL.into_iter().find(|sort| sort.word() == word) {
                        (read.sort, read.descending) = (sort, descending);
                    }
                }
                "page" => read.page = value.parse().unwrap_or(1_usize).saturating_sub(1),
                _ => {}
            }
        }
        read
    }

    fn path(&self) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        };
        put("q", &self.text);
        put("application", &self.application);
        put("state", self.state.map_or("", RowState::word));
        put("type", self.kind.map_or("", TokenKind::as_str));
        if self.sort != Sort::default() || self.descending {
            put("sort", &self.order());
        }
        if self.page > 0 {
            put("page", &(self.page + 1).to_string());
        }
        let query = pairs.finish();
        if query.is_empty() { "/tokens".to_owned() } else { format!("/tokens?{query}") }
    }

    fn order(&self) -> String {
        format!("{}{}", if self.descending { "-" } else { "" }, self.sort.word())
    }

    fn is_filtered(&self) -> bool {
        !self.text.is_empty() || !self.application.is_empty() || self.state.is_some() || self.kind.is_some()
    }

    fn wants(&self, row: &Row) -> bool {
        (self.application.is_empty() || row.credential.application.as_str() == self.application)
            && self.kind.is_none_or(|kind| row.credential.kind == kind)
            && self.text.split_whitespace().all(|word| row.searched.contains(&word.to_lowercase()))
    }

    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let (one, other) = (&a.credential, &b.credential);
        let by = match self.sort {
            Sort::Connection => Ordering::Equal,
            Sort::Type => one.kind.cmp(&other.kind),
            Sort::Expires => one.expires.at.cmp(&other.expires.at),
            Sort::Received => one.issued.cmp(&other.issued),
            Sort::State => a.state.cmp(&b.state),
        };
        let name = || one.connection.cmp(&other.connection);
        let by = if self.sort == Sort::Connection { name() } else { by };
        let by = if self.descending { by.reverse() } else { by };
        // A whole order, so that no row is on two pages.
        by.then_with(name).then_with(|| one.kind.cmp(&other.kind)).then_with(|| one.id.cmp(&other.id))
    }
}

fn kinds() -> [TokenKind; 2] {
    [TokenKind::AccessToken, TokenKind::RefreshToken]
}

/// The page.
pub(super) async fn page(pages: Pages, me: SignedIn, RawQuery(query): RawQuery) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let now = connector.clock().now();
    let mut query = Query::read(query.as_deref());
    let applications = connector.applications().await?;
    let titles: BTreeMap<String, String> =
        applications.iter().map(|application| (application.name.to_string(), title(application))).collect();
    let all = rows(pages.holdings().await?, &titles);
    let none_at_all = all.is_empty();
    let mut found: Vec<Row> = all.into_iter().filter(|row| query.wants(row)).collect();
    // By state, whatever state is asked for: the tally is where one chooses it.
    let mut tally: BTreeMap<RowState, usize> = BTreeMap::new();
    for row in &found {
        *tally.entry(row.state).or_default() += 1;
    }
    found.retain(|row| query.state.is_none_or(|state| row.state == state));
    found.sort_by(|a, b| query.compare(a, b));
    query.page = query.page.min(found.len().saturating_sub(1) / PAGE);
    let shown = &found[query.page * PAGE..found.len().min((query.page + 1) * PAGE)];
    let body = html! {
        div.head {
            h1 { "Manage Tokens" }
            div.tally #tally data-live { (tallied(&tally, &query)) }
        }
        (filters(&query, &titles))
        section.panel aria-label="Credentials" {
            @if shown.is_empty() {
                div.empty #none data-live {
                    @if none_at_all {
                        p { "No token is held yet." }
                        p.small { "Make an application, connect it, and its tokens are here." }
                    } @else {
                        p { "Nothing fits." }
                        p { a href="/tokens" { "Show all" } }
                    }
                }
            } @else {
                (table(shown, &query, now))
            }
            div.pager #pager data-live { (pager(&query, found.len())) }
        }
    };
    Ok(layout::page(&me, Place::Tokens, "Manage Tokens", true, &body))
}

fn tallied(tally: &BTreeMap<RowState, usize>, query: &Query) -> Markup {
    html! {
        @for (of, count) in tally {
            @let chosen = query.state == Some(*of);
            @let to = Query { state: (!chosen).then_some(*of), page: 0, ..query.clone() };
            a.state.(of.tone().class()) href=(to.path()) aria-current=[chosen.then_some("true")] { (count) " " (of.many()) }
        }
    }
}

fn filters(query: &Query, titles: &BTreeMap<String, String>) -> Markup {
    html! {
        form.filters role="search" action="/tokens" data-at-once {
            div.field {
                label for="q" { "Search" }
                input #q type="search" name="q" value=(query.text) placeholder="connection, account, scope, label" autocomplete="off";
            }
            div.field {
                label for="application" { "Application" }
                select #application name="application" {
                    option value="" { "All" }
                    @for name in titles.keys() {
                        option value=(name) selected[*name == query.application] { (name) }
                    }
                }
            }
            div.field {
                label for="state" { "State" }
                select #state name="state" {
                    option value="" { "All" }
                    @for state in RowState::ALL {
                        option value=(state.word()) selected[query.state == Some(state)] { (state.label()) }
                    }
                }
            }
            div.field {
                label for="type" { "Type" }
                select #type name="type" {
                    option value="" { "All" }
                    @for kind in kinds() {
                        option value=(kind) selected[query.kind == Some(kind)] { (kind.as_str().replace('_', " ")) }
                    }
                }
            }
            @if query.sort != Sort::default() || query.descending { input type="hidden" name="sort" value=(query.order()); }
            div.actions {
                button { "Show" }
                @if query.is_filtered() { a href="/tokens" { "Clear" } }
            }
        }
    }
}

fn table(rows: &[Row], query: &Query, now: Timestamp) -> Markup {
    html! {
        table.cards.tokens {
            caption.hidden-text { "Credentials, a row each" }
            thead {
                tr {
                    (heading(query, Sort::Connection, "Connection"))
                    (heading(query, Sort::Type, "Type"))
                    (heading(query, Sort::Expires, "Expires"))
                    (heading(query, Sort::Received, "Received"))
                    th scope="col" { "Scopes" }
                    (heading(query, Sort::State, "State"))
                }
            }
            tbody #rows data-live { @for row in rows { (line(row, now)) } }
        }
    }
}

fn heading(query: &Query, sort: Sort, label: &str) -> Markup {
    let chosen = query.sort == sort;
    let order = chosen.then_some(if query.descending { "descending" } else { "ascending" });
    let to = Query { sort, descending: chosen && !query.descending, page: 0, ..query.clone() };
    html! { th scope="col" aria-sort=[order] { a href=(to.path()) { (label) } } }
}

fn line(row: &Row, now: Timestamp) -> Markup {
    let credential = &row.credential;
    let name = &credential.connection;
    html! {
        tr id=(row.slot) data-is=(row.is()) {
            th scope="row" {
                span.with-mark {
                    (mark(name.application().as_str(), &row.title, false))
                    span {
                        a.name href=(format!("/connections/{name}")) {
                            span.of { (name.application()) "/" } (name.requestor())
                            @if let Some(token) = name.token() { span.of { "~" (token) } }
                        }
                        span.under { (row.title) @if let Some(account) = &row.account { " · " (account) } }
                    }
                }
            }
            td data-label="Type" {
                (kind(credential))
            }
            td data-label="Expires" { (left(row, now)) }
            td.nowrap data-label="Received" { (when(credential.issued, now)) }
            td data-label="Scopes" { (scopes(&credential.scopes, 2)) }
            td.corner data-label="State" { (state(row.state.tone(), row.state.label())) }
        }
    }
}

/// What a credential is. `Bearer` goes without saying.
pub(super) fn kind(credential: &CredentialView) -> Markup {
    let other = (credential.token_type != "Bearer").then(|| quoted(&credential.token_type));
    html! {
        span {
            (credential.kind.as_str().replace('_', " "))
            span.under { (credential.direction.as_str()) @if let Some(other) = other { " · " (other) } }
        }
    }
}

/// When a credential ends.
pub(super) fn left(row: &Row, now: Timestamp) -> Markup {
    let credential = &row.credential;
    let revoked = credential.revoked.is_some();
    Left {
        id: format!("left-{}", credential.id),
        edit: (!revoked).then(|| format!("/credentials/{}/expires", credential.id)),
        issued: credential.issued,
        expires: credential.expires,
        renewed: row.renewed.filter(|_| row.state.is_alive()),
        tone: row.bar(now),
        now,
        words: match row.state {
            RowState::Revoked => Some("ended here"),
            RowState::Consent => Some("not used any more"),
            _ => None,
        },
    }
    .markup()
}

fn pager(query: &Query, found: usize) -> Markup {
    let (first, last) = (query.page * PAGE, found.min((query.page + 1) * PAGE));
    let to = |page| Query { page, ..query.clone() }.path();
    html! {
        @if found > 0 { span { (first + 1) "–" (last) " of " (found) } }
        @if found > PAGE {
            nav.actions aria-label="More credentials" {
                @if query.page > 0 { a.button href=(to(query.page - 1)) rel="prev" { "Previous" } }
                @if last < found { a.button href=(to(query.page + 1)) rel="next" { "Next" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_is_looked_for_and_what_it_cannot_say_is_left_out() {
        let path = "/tokens?q=ann+crm&application=hubspot&state=degraded&type=refresh_token&sort=-expires&page=3";
        let query = Query::read(Some(path.split_once('?').unwrap().1));
        assert_eq!((query.text.as_str(), query.descending, query.page), ("ann crm", true, 2));
        assert_eq!(query.path(), path);
        assert_eq!(Query::read(Some("sort=none&page=x&state=&type=1&else=2")), Query::default());
        assert_eq!(Query::default().path(), "/tokens");
    }
}
