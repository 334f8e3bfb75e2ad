//! The audit log: who did what, looking back; and whether it is whole.

use super::Pages;
use super::guard::Form;
use super::layout::{self, Html, Place, token};
use super::parts::{Tone, far, note, state};
use super::trouble::Trouble;
use crate::access::{AuditFilter, AuditList, Head, Verified};
use crate::model::{
    Action, Actor, ApiKey, AuditEntry, ConnectionName, KeyName, Outcome, RecordedAudit, Target, Timestamp, counted,
    quoted,
};
use crate::server::doors::session::SignedIn;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use jiff::tz::Offset;
use maud::{Markup, html};

/// Entries on one page.
const PAGE: usize = 100;
/// Keys that a name is offered of, at the most.
const MOST_OFFERED: usize = 200;

/// What is looked for, as the address says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Query {
    of: String,
    key: String,
    action: Option<Action>,
    since: String,
    before: Option<u64>,
}

impl Query {
    fn read(query: Option<&str>) -> Self {
        let mut read = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let text = || value.trim().chars().take(220).collect::<String>();
            match &*name {
                "of" => read.of = text(),
                "key" => read.key = text(),
                "action" => read.action = Action::from_word(&value),
                "since" => read.since = text(),
                "before" => read.before = value.parse().ok(),
                _ => {}
            }
        }
        read
    }

    fn path(&self) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("of", self.of.as_str()),
            ("key", &self.key),
            ("action", self.action.map_or("", Action::as_str)),
            ("since", &self.since),
            ("before", &self.before.map_or_else(String::new, |before| before.to_string())),
        ] {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        }
        let query = pairs.finish();
        if query.is_empty() { "/audit".to_owned() } else { format!("/audit?{query}") }
    }

    fn is_filtered(&self) -> bool {
        *self != Self { before: self.before, ..Self::default() }
    }

    /// What the log is asked for; otherwise what cannot be asked for.
    fn filter(&self) -> Result<AuditFilter, &'static str> {
        let mut filter = AuditFilter { action: self.action, ..AuditFilter::default() };
        if !self.of.is_empty() {
            filter.connection = self.of.parse::<ConnectionName>().ok();
            filter.application = self.of.parse().ok();
            if filter.connection.is_none() && filter.application.is_none() {
                return Err("That is the name of no connection and of no application.");
            }
        }
        if !self.key.is_empty() {
            let name: KeyName = self.key.parse().map_err(|_| "That is the name of no API key.")?;
            filter.key = Some(name);
        }
        if !self.since.is_empty() {
            let since = day(&self.since).ok_or("That is no day. Write it as 2030-01-31.")?;
            filter.since = Some(since);
        }
        Ok(filter)
    }
}

/// When a day begins, in UTC.
fn day(text: &str) -> Option<Timestamp> {
    let date: Date = text.parse().ok()?;
    Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
}

/// The page.
pub(super) async fn page(pages: Pages, me: SignedIn, RawQuery(query): RawQuery) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let now = connector.clock().now();
    let query = Query::read(query.as_deref());
    let none = AuditList { entries: Vec::new(), next: None, unread: Vec::new() };
    let (list, wrong) = match query.filter() {
        Ok(filter) => (connector.audit(&filter, query.before, PAGE).await?, None),
        Err(wrong) => (none, Some(wrong)),
    };
    // One that does not open hides none of the log.
    let keys = connector.api_keys().await.unwrap_or_default();
    let older = list.next.map(|next| Query { before: Some(next), ..query.clone() }.path());
    let newest = Query { before: None, ..query.clone() }.path();
    let live = query.before.is_none();
    let body = html! {
        div.head {
            h1 { "Audit" }
            form method="post" action="/audit/verify" { (token(&me)) button { "Verify the log" } }
            p.lead { "Who did what, the newest first: tokens handed out, changes, refusals. What is done in the background is in " a href="/events" { "Events" } "." }
        }
        (filters(&query, &keys))
        @if !list.unread.is_empty() {
            (note(Tone::Bad, &html! {
                p { strong { "Some of the log cannot be read." } " Verify it to see where." }
                @for unread in list.unread.iter().take(5) { p.words { (quoted(unread)) } }
            }))
        }
        section.panel aria-label="Entries" {
            table.cards.audit {
                caption.hidden-text { "Entries of the audit log, a row each" }
                thead { tr { th scope="col" { "Time (UTC)" } th scope="col" { "Who" } th scope="col" { "Did what" } th scope="col" { "Outcome" } th scope="col" { "Request" } } }
                tbody #entries data-live[live] { @for recorded in &list.entries { (row(recorded, now)) } }
            }
            div.empty #none data-live[live] {
                @if list.entries.is_empty() {
                    p { @match (wrong, older.is_some()) {
                        (Some(wrong), _) => { (wrong) }
                        (None, true) => { "Nothing fits in this part of the log. Look on with Older." }
                        (None, false) => { "Nothing is kept that fits." }
                    } }
                }
            }
            div.pager #pager data-live[live] {
                @if query.before.is_some() { a.button href=(newest) { "Newest" } }
                @if let Some(older) = older { a.button href=(older) rel="next" { "Older" } }
            }
        }
    };
    Ok(layout::page_of(&me, Place::Audit, "Audit", live.then_some("/live/audit"), &body))
}

fn filters(query: &Query, keys: &[ApiKey]) -> Markup {
    html! {
        form.filters.audit-filters role="search" action="/audit" data-at-once {
            div.field {
                label for="of" { "Connection or application" }
                input #of type="search" name="of" value=(query.of) placeholder="google-drive/reports" autocomplete="off" spellcheck="false";
            }
            div.field {
                label for="key" { "API key" }
                input #key type="search" name="key" value=(query.key) placeholder="reporting" list="keys" autocomplete="off" spellcheck="false";
                datalist #keys { @for key in keys.iter().take(MOST_OFFERED) { option value=(key.name) {} } }
            }
            div.field {
                label for="action" { "Action" }
                select #action name="action" {
                    option value="" { "All" }
                    @for one in Action::ALL { option value=(one) selected[query.action == Some(*one)] { (did(*one)) } }
                }
            }
            div.field {
                label for="since" { "Since" }
                input #since type="date" name="since" value=(query.since);
            }
            div.actions { button { "Show" } @if query.is_filtered() { a href="/audit" { "Clear" } } }
        }
    }
}

fn row(recorded: &RecordedAudit, now: Timestamp) -> Markup {
    let RecordedAudit { sequence, entry } = recorded;
    html! {
        tr id=(format!("entry-{sequence}")) data-is=(entry.times) {
            th scope="row" {
                span.nowrap {
                    time datetime=(entry.at) { (entry.at.strftime("%Y-%m-%d %H:%M:%S").to_string()) }
                    span.under { (far(entry.at, now)) " · " (sequence) }
                }
            }
            td data-label="Who" { span { (who(&entry.actor)) } }
            td data-label="Did what" {
                span {
                    strong title=(entry.action) { (did(entry.action)) }
                    @if let Some(target) = &entry.target { " " (to(target)) }
                    @if entry.times > 1 { " " span.times { (entry.times) " times" } }
                    @if entry.code.is_some() || entry.detail.is_some() {
                        span.under.more {
                            @if let Some(code) = &entry.code { code.soft { (quoted(code)) } " " }
                            @if let Some(detail) = &entry.detail { (quoted(detail)) }
                        }
                    }
                }
            }
            td.corner data-label="Outcome" { (state(tone(entry.outcome), outcome(entry.outcome))) }
            td data-label="Request" { span { (request(entry)) } }
        }
    }
}

fn who(actor: &Actor) -> Markup {
    html! {
        @match actor {
            Actor::Local { user, process } => {
                "User " @match user { Some(user) => { (user) } None => { "of this machine" } }
                @if let Some(process) = process { span.under { "process " (process) } }
            }
            Actor::Key { id, name } => { "Key " a href=(of_key(name.as_str())) title=(id) { (name) } }
            Actor::Session { who, key: None } => { (capital(who)) span.under { "at the pages" } }
            Actor::Session { who, key: Some(id) } => {
                "Key " a href=(of_key(who)) title=(id) { (quoted(who)) }
                span.under { "at the pages" }
            }
            Actor::System => { "Grantkeeper" span.under { "by itself" } }
            Actor::Nobody => { span.soft { "Nobody known" } }
        }
    }
}

fn to(target: &Target) -> Markup {
    html! {
        @match target {
            Target::Connection(name) => { a href=(format!("/connections/{name}")) { (name) } }
            Target::Application(name) => { a href=(format!("/applications/{name}")) { (name) } }
            Target::Profile { application, profile } => { a href=(format!("/applications/{application}")) { (application) } " " code { (profile) } }
            Target::Key(name) => { a href=(of_key(name.as_str())) { (name) } }
            Target::Script(name) => { a href=(format!("/scripts/{name}")) { (name) } }
            Target::Webhook(name) => { (name) }
            Target::Log { up_to, .. } => { "up to " (up_to) }
        }
    }
}

fn request(entry: &AuditEntry) -> Markup {
    html! {
        @match entry.remote {
            Some(remote) => { "from " code { (remote) } }
            None if entry.request.is_some() => { "on this machine" }
            None => { span.faint { "none" } }
        }
        @if let Some(request) = &entry.request { span.under { code.id title=(request) { (end_of(&request.to_string())) } } }
    }
}

/// What tells a request from others, and finds it in the daemon's log: an id begins with its time, which stands beside it.
fn end_of(request: &str) -> String {
    match request.char_indices().rev().nth(16) {
        Some((at, _)) if at > 0 => format!("…{}", &request[at..]),
        _ => request.to_owned(),
    }
}

fn of_key(name: &str) -> String {
    Query { key: name.to_owned(), ..Query::default() }.path()
}

fn capital(word: &str) -> String {
    let word = quoted(word);
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Done => Tone::Good,
        Outcome::Refused => Tone::Bad,
        Outcome::Failed => Tone::Warn,
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "Done",
        Outcome::Refused => "Refused",
        Outcome::Failed => "Failed",
    }
}

/// An action in words that also fit where it was not done.
fn did(action: Action) -> &'static str {
    match action {
        Action::TokenRead => "Ask for a token",
        Action::TokenRejected => "Report a rejected token",
        Action::Refresh => "Refresh",
        Action::Revoke => "Revoke",
        Action::ExpiresEdit => "Edit an expiry",
        Action::Introspect => "Ask the provider about a token",
        Action::Authorize => "Begin a consent",
        Action::Abandon => "Give a consent up",
        Action::Connect => "Connect without a browser",
        Action::InviteCreate => "Make a connect link",
        Action::InviteWithdraw => "Take a connect link back",
        Action::Complete => "Complete a consent",
        Action::LabelsEdit => "Edit labels",
        Action::ConnectionRemove => "Remove a connection",
        Action::ApplicationEdit => "Make or edit an application",
        Action::ApplicationRemove => "Remove an application",
        Action::ProfileEdit => "Make or edit a profile",
        Action::ProfileRemove => "Remove a profile",
        Action::KeyCreate => "Make an API key",
        Action::KeyRevoke => "Revoke an API key",
        Action::PasswordSet => "Set the administrator's password",
        Action::SignIn => "Sign in",
        Action::SignInRefused => "Try to sign in",
        Action::SignOut => "Sign out",
        Action::WebhookCreate => "Make a webhook",
        Action::WebhookEdit => "Edit a webhook",
        Action::WebhookRotate => "Give a webhook another secret",
        Action::WebhookEnable => "Start a webhook again",
        Action::WebhookDisable => "Stop a webhook",
        Action::WebhookTest => "Test a webhook",
        Action::WebhookRemove => "Remove a webhook",
        Action::Proxy => "Send a request through the proxy",
        Action::Import => "Take grants over",
        Action::Export => "Export grants",
        Action::ScriptTry => "Try a script",
        Action::AccessRefused => "Ask without the right to",
        Action::KeysRotate => "Rotate the sealing keys",
        Action::StoreBackup => "Back the store up",
        Action::StoreRestore => "Restore a backup",
        Action::AuditPurge => "Remove old entries",
    }
}

/// Asks for a head that was noted earlier.
pub(super) async fn ask(me: SignedIn) -> Html {
    let body = html! {
        (crumb())
        h1 { "Verify the audit log" }
        (again(&me, "", None))
    };
    layout::page(&me, Place::Audit, "Verify the audit log", false, &body)
}

/// Says whether the log is whole.
pub(super) async fn verify(pages: Pages, me: SignedIn, sent: Form) -> Result<Response, Trouble> {
    let typed = sent.text("head");
    let noted: Result<Option<Head>, _> = Some(typed).filter(|head| !head.is_empty()).map(str::parse).transpose();
    let (status, body) = match noted {
        Err(_) => {
            let wrong = "This is no head. It is a number, a colon and 64 of 0-9 and a-f, as it was shown.";
            (StatusCode::UNPROCESSABLE_ENTITY, html! { h1 { "Verify the audit log" } (again(&me, typed, Some(wrong))) })
        }
        Ok(noted) => {
            let verified = pages.connector.verify_audit(noted).await?;
            (StatusCode::OK, html! { (told(&verified, noted)) (again(&me, "", None)) })
        }
    };
    let body = html! { (crumb()) (body) };
    Ok((status, layout::page(&me, Place::Audit, "Verify the audit log", false, &body)).into_response())
}

fn told(verified: &Verified, noted: Option<Head>) -> Markup {
    let is_whole = verified.findings.is_empty();
    html! {
        h1 { @if is_whole { "The audit log is whole" } @else { "The audit log is not whole" } }
        @if is_whole {
            (note(Tone::Good, &html! { p {
                (counted(verified.entries, "entry", "entries")) ": " "each page opens, and follows the one before it."
                @if noted.is_some() { " The head that you noted is in it as it was." }
            } }))
        } @else {
            (note(Tone::Bad, &html! { p { strong { (verified.findings.len()) @if verified.findings.len() == 1 { " thing is wrong." } @else { " things are wrong." } } " Something changed the log, or damaged it. Keep the store as it is, and look who could write it." } }))
            section.panel aria-labelledby="findings" {
                header { h2 #findings { "What is wrong" } }
                ul.lines.plain-lines { @for finding in &verified.findings { li { span { (quoted(&finding.reason)) } span.soft.nowrap { "at " (finding.sequence) } } } }
            }
        }
        @if !verified.restored.is_empty() {
            section.panel aria-labelledby="restored" {
                header { h2 #restored { "Restored from backups" } }
                ul.lines.plain-lines { @for at in &verified.restored { li { span { "A store was restored; what came after its backup is in the store that was moved aside." } span.soft.nowrap { "at " (at) } } } }
            }
        }
        @if let Some(head) = verified.head {
            section.panel aria-labelledby="head-title" {
                header { h2 #head-title { "The head, to note elsewhere" } }
                div.body {
                    div.copy { code #head { (head) } button type="button" data-copy="head" hidden { "Copy" } }
                    p.soft.small { "It stands for every entry up to " (head.sequence) ". Nothing in the store can show that its newest entries were cut off, or that somebody who has the keys wrote it anew: a head that was noted in a ticket, or in another log, can." }
                }
            }
        }
    }
}

fn again(me: &SignedIn, typed: &str, wrong: Option<&str>) -> Markup {
    html! {
        section.panel aria-labelledby="again" {
            header { h2 #again { "Check against a head that was noted" } }
            form.body.stack method="post" action="/audit/verify" {
                (token(me))
                div.field {
                    label for="noted" { "Head" }
                    input #noted name="head" value=(typed) placeholder="812:9c1f…" autocomplete="off" spellcheck="false"
                        aria-describedby=(if wrong.is_some() { "noted-wrong noted-hint" } else { "noted-hint" }) aria-invalid=[wrong.map(|_| "true")];
                    @if let Some(wrong) = wrong { span.wrong #noted-wrong role="alert" { (wrong) } }
                    span.hint #noted-hint { "Empty, the log is checked in itself. It is read whole, which takes a moment for each million entries." }
                }
                div.actions { button { "Verify" } a.button href="/audit" { "Back to the log" } }
            }
        }
    }
}

fn crumb() -> Markup {
    html! { div.crumb { a href="/audit" { "Audit" } " / Verify" } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_is_looked_for_in_the_log() {
        let path = "/audit?of=drive%2Fann&key=reporting&action=token.read&since=2026-11-01&before=9";
        let query = Query::read(Some(path.split_once('?').unwrap().1));
        assert_eq!(query.path(), path);
        let filter = query.filter().unwrap();
        assert_eq!(filter.connection, Some("drive/ann".parse().unwrap()));
        assert_eq!(filter.since.unwrap().to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(Query::read(Some("of=drive")).filter().unwrap().application, Some("drive".parse().unwrap()));
        assert_eq!(Query::read(Some("action=none&before=x&else=1")), Query::default());
        assert_eq!(Query::default().path(), "/audit");
        for bad in ["of=a+b", "key=a/b", "since=soon"] {
            assert!(Query::read(Some(bad)).filter().is_err(), "{bad}");
        }
    }
}
