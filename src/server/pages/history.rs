//! Events as lines that a person reads.

use super::parts::{Tone, exact, quoted_value, when};
use crate::model::{Event, EventKind, RecordedEvent, Timestamp};
use maud::{Markup, html};
use serde_json::Value;

/// Events as a list, the newest first. `named` shows whose each is.
pub(super) fn list(events: &[RecordedEvent], now: Timestamp, named: bool) -> Markup {
    html! {
        ol.history {
            @for RecordedEvent { sequence, event } in events {
                li id=(format!("event-{sequence}")) {
                    (when(event.at, now))
                    span.dot.(tone(event.kind).class()) aria-hidden="true" {}
                    span {
                        strong title=(exact(event.at)) { (word(event.kind)) }
                        @if named {
                            " "
                            @match &event.connection {
                                Some(name) => { a href=(format!("/connections/{name}")) { (name) } }
                                None => { a href=(format!("/applications/{}", event.application)) { (event.application) } }
                            }
                        }
                        " " span.soft { (details(event, now)) }
                    }
                }
            }
        }
    }
}

/// What a kind means to who looks.
pub(super) fn tone(kind: EventKind) -> Tone {
    match kind {
        EventKind::Authorized | EventKind::Refreshed | EventKind::Recovered | EventKind::ClientAccepted => Tone::Good,
        EventKind::Degraded | EventKind::Expiring | EventKind::ScopesMissing => Tone::Warn,
        EventKind::ReauthorizationRequired
        | EventKind::RotationLost
        | EventKind::AccountChanged
        | EventKind::ClientRejected => Tone::Bad,
        EventKind::Revoked => Tone::Ended,
    }
}

/// A kind in words.
pub(super) fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Authorized => "Authorized",
        EventKind::Refreshed => "Refreshed",
        EventKind::Expiring => "Expires soon",
        EventKind::Degraded => "Refreshing fails",
        EventKind::Recovered => "Recovered",
        EventKind::ReauthorizationRequired => "Needs consent",
        EventKind::Revoked => "Revoked",
        EventKind::RotationLost => "Rotation lost",
        EventKind::ScopesMissing => "Scopes missing",
        EventKind::AccountChanged => "Account changed",
        EventKind::ClientRejected => "Client rejected",
        EventKind::ClientAccepted => "Client accepted again",
    }
}

/// What there is to say of an event, in a line.
fn details(event: &Event, now: Timestamp) -> Markup {
    let text = |name: &str| event.details.get(name).map(quoted_value).filter(|text| !text.is_empty());
    let time = |name: &str| event.details.get(name).and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok());
    let nested = |of: &str, name: &str| {
        let value = event.details.get(of).and_then(|of| of.get(name));
        value.map(quoted_value).filter(|text| !text.is_empty())
    };
    let account = |of: &str| nested(of, "name").or_else(|| nested(of, "id"));
    html! {
        @match event.kind {
            EventKind::Authorized => {
                @if let Some(account) = account("account") { "as " (account) }
                @if event.details.get("again") == Some(&Value::Bool(true)) { ", again" }
                @if let Some(profile) = text("profile").filter(|profile| profile != "default") { " with the profile " (profile) }
            }
            EventKind::Refreshed => {
                @if let Some(at) = time("expires") { "good until " time datetime=(at) { (exact(at)) } }
            }
            EventKind::Recovered => { @if let Some(failures) = text("failures") { "after " (failures) " that failed" } }
            EventKind::Expiring => {
                @if let Some(token) = text("token") { (token.replace('_', " ")) " " }
                @if let Some(at) = time("expires") { "ends " (when(at, now)) }
            }
            EventKind::ScopesMissing => { @if let Some(missing) = text("missing") { (missing) } }
            EventKind::AccountChanged => {
                @if let Some(held) = account("held") { "was " (held) }
                @if let Some(given) = account("given") { ", is " (given) }
            }
            EventKind::Revoked => { @if let Some(was) = text("was") { "was " (was.replace('_', " ")) } }
            EventKind::ClientAccepted => { @if let Some(at) = time("rejected_since") { "rejected since " (when(at, now)) } }
            EventKind::Degraded | EventKind::ReauthorizationRequired | EventKind::RotationLost | EventKind::ClientRejected => {
                @if let Some(reason) = text("reason") { (reason.replace('_', " ")) ": " }
                @if let Some(status) = nested("failure", "status") { (status) " " }
                @if let Some(code) = nested("failure", "code") { code { (code) } }
                @if let Some(words) = nested("failure", "words") { " “" (words) "”" }
                @if let Some(at) = time("next_try") { "; tried again " (when(at, now)) }
            }
        }
    }
}
