//! What many pages show: states, times, marks, scopes, a provider's words.

use crate::model::{Application, Expiry, ExpirySource, Failure, Timestamp, quoted};
use crate::registry::Catalog;
use maud::{Markup, html};
use serde_json::Value;

/// What a state means to who looks: its colour and its shape. The word stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Warn,
    Bad,
    Wait,
    Idle,
    Ended,
}

impl Tone {
    /// The class of the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Wait => "wait",
            Self::Idle => "idle",
            Self::Ended => "ended",
        }
    }
}

/// A state in a word, a colour and a shape.
pub(super) fn state(tone: Tone, word: &str) -> Markup {
    html! { span.state.(tone.class()) { (word) } }
}

/// A message above the rest of a page.
pub(super) fn note(tone: Tone, body: &Markup) -> Markup {
    let (class, role) = match tone {
        Tone::Bad => ("is-bad", "alert"),
        Tone::Warn => ("is-warn", "status"),
        Tone::Good => ("is-good", "status"),
        _ => ("is-wait", "status"),
    };
    html! { div.note.(class) role=(role) { (body) } }
}

/// How far a time is, in one unit: `in 41 min`, `3 days ago`.
pub(super) fn far(time: Timestamp, now: Timestamp) -> String {
    let seconds = time.duration_since(now).as_secs();
    let left = seconds.unsigned_abs();
    let many = |count: u64, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    let far = match left {
        0..5 => return "now".to_owned(),
        5..60 => format!("{left} s"),
        60..3600 => format!("{} min", left / 60),
        3600..172_800 => format!("{} h", left / 3600),
        172_800..5_184_000 => many(left / 86_400, "day", "days"),
        5_184_000..63_072_000 => many(left / 2_629_800, "month", "months"),
        _ => many(left / 31_557_600, "year", "years"),
    };
    if seconds < 0 { format!("{far} ago") } else { format!("in {far}") }
}

/// A lifetime, in its largest unit that is whole enough.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        172_800..63_072_000 => format!("{} days", seconds / 86_400),
        _ => format!("{} years", seconds / 31_557_600),
    }
}

/// A time to the second, in UTC: the daemon does not know where the reader is.
pub(super) fn exact(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How far a time is; the exact one is in the markup and when one points at it.
pub(super) fn when(time: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(time) title=(exact(time)) { (far(time, now)) } }
}

/// A time that may not have come yet.
pub(super) fn when_or(time: Option<Timestamp>, now: Timestamp, none: &str) -> Markup {
    html! { @match time { Some(time) => { (when(time, now)) } None => { span.faint { (none) } } } }
}

/// Who said when a token ends.
pub(super) fn source(source: ExpirySource) -> &'static str {
    match source {
        ExpirySource::Stated => "stated by the provider",
        ExpirySource::Setting => "from the application's setting",
        ExpirySource::Learned => "learned from rejected tokens",
        ExpirySource::Default => "nobody says; the default",
        ExpirySource::Edited => "edited here",
    }
}

/// The end of a token: how far, as a bar of what is left of its lifetime, and exactly.
#[derive(Debug)]
pub(super) struct Left<'a> {
    pub(super) id: String,
    /// Where it is edited, where it can be.
    pub(super) edit: Option<String>,
    pub(super) issued: Timestamp,
    pub(super) expires: Expiry,
    /// When it is refreshed, if before its end.
    pub(super) renewed: Option<Timestamp>,
    /// The colour of what is left; none where it no longer matters.
    pub(super) tone: Option<Tone>,
    pub(super) now: Timestamp,
    /// In words, where it is not how far the end is.
    pub(super) words: Option<&'a str>,
}

impl Left<'_> {
    pub(super) fn markup(&self) -> Markup {
        let Self { id, edit, issued, expires, now, .. } = self;
        let class = match self.tone {
            Some(Tone::Good) => "",
            Some(Tone::Warn) => "late",
            Some(_) => "over",
            None => "done",
        };
        let life = expires.at.duration_since(*issued).as_secs_f64().max(1.0);
        let share = |time: Timestamp| (expires.at.duration_since(time).as_secs_f64() / life * 100.0).clamp(0.0, 100.0);
        let (left, tick) = (share(*now), self.renewed.map(share).filter(|at| *at > 0.5));
        // One that is over, and matters, is a full bar: there is nothing left, and somebody should see it.
        let left = if self.tone == Some(Tone::Bad) { 100.0 } else { left };
        let words = self.words.map_or_else(|| in_words(expires.at, *now), str::to_owned);
        let lifetime = span(u64::try_from(expires.at.duration_since(*issued).as_secs()).unwrap_or(0));
        html! {
            span.left {
                @match edit {
                    Some(edit) => { a.exact href=(edit) aria-describedby=(id) { (words) } }
                    None => { span.exact tabindex="0" role="note" aria-describedby=(id) { (words) } }
                }
                svg.bar.(class) viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                    rect.all width="100" height="4" {}
                    rect.rest width=(format!("{left:.1}")) height="4" {}
                    @if let Some(tick) = tick { rect.tick x=(format!("{tick:.1}")) width="0.9" height="4" {} }
                }
                span.tip #(id) role="tooltip" {
                    time datetime=(expires.at) { (exact(expires.at)) }
                    span { (source(expires.source)) "; lifetime " (lifetime) }
                    @if let (Some(renewed), Some(_)) = (self.renewed, tick) { span { "refreshed " (far(renewed, *now)) } }
                    @if edit.is_some() { span { "follow to edit it" } }
                }
            }
        }
    }
}

fn in_words(end: Timestamp, now: Timestamp) -> String {
    if end <= now { format!("ended {}", far(end, now)) } else { far(end, now) }
}

/// Colours of marks in the style sheet.
const COLOURS: u32 = 12;

/// An application's mark: letters of its provider's name on a colour that the name gives.
pub(super) fn mark(application: &str, title: &str, big: bool) -> Markup {
    let mut initials = title.split(|c: char| !c.is_alphanumeric()).filter_map(|word| word.chars().next());
    let mut letters: String = initials.by_ref().take(2).collect();
    if letters.chars().count() < 2 {
        letters = title.chars().filter(|c| c.is_alphanumeric()).take(2).collect();
    }
    let colour =
        application.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % COLOURS;
    let colour = format!("m{colour}");
    html! { span.mark.(colour).big[big] aria-hidden="true" { (letters.to_uppercase()) } }
}

/// What people call the provider of an application.
pub(super) fn title(application: &Application) -> String {
    let entry = application.provider.as_deref().and_then(|name| Catalog::find(name).ok());
    entry.map_or_else(|| application.name.to_string(), |entry| entry.title.clone())
}

/// Scopes, the first few of them in short.
pub(super) fn scopes(scopes: &[String], most: usize) -> Markup {
    let rest = scopes.len().saturating_sub(most);
    html! {
        @if scopes.is_empty() {
            span.faint { "none" }
        } @else {
            span.scopes {
                @for scope in scopes.iter().take(most) {
                    @let scope = quoted(scope);
                    span.scope title=(scope) { (if most < 10 { short(&scope) } else { &scope }) }
                }
                @if rest > 0 { span.scope title=(scopes[most..].iter().take(50).map(|scope| quoted(scope)).collect::<Vec<_>>().join(" ")) { "+" (rest) } }
            }
        }
    }
}

/// The part of a scope that tells it from its provider's others: Google's are URLs.
fn short(scope: &str) -> &str {
    let path = scope.split_once("://").map_or("", |(_, path)| path.trim_end_matches('/'));
    path.rsplit_once('/').map(|(_, last)| last).filter(|last| !last.is_empty()).unwrap_or(scope)
}

/// A value of a provider as a line of text.
pub(super) fn quoted_value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        Value::Array(all) => quoted(&all.iter().take(100).map(quoted_value).collect::<Vec<_>>().join(" ")),
        other => quoted(&other.to_string()),
    }
}

/// What a provider said, as it said it.
pub(super) fn failure(failure: &Failure) -> Markup {
    html! {
        p {
            "The provider " @match failure.status { Some(status) => { "answered " (status) " " } None => { "said " } }
            code { (failure.code) }
            " (" (kind(failure)) ")."
            @if let Some(seconds) = failure.retry_after { " It asks to wait " (span(seconds)) "." }
        }
        @if let Some(words) = &failure.words { p.words { "“" (words) "”" } }
    }
}

/// What a failure means, in words.
pub(super) fn kind(failure: &Failure) -> &'static str {
    use crate::model::FailureKind::{
        Ambiguous, BadResponse, ClientRejected, RateLimited, ReauthorizationRequired, RequestRejected, Transient,
    };
    match failure.kind {
        Transient => "passing trouble; it is tried again",
        RateLimited => "too many requests; it is tried again when the provider says",
        ReauthorizationRequired => "the grant is dead; a person must consent again",
        ClientRejected => "our client id or secret is refused; mend the application",
        RequestRejected => "a scope or parameter is refused; mend the profile",
        BadResponse => "a reply that no reading fits; a script may be needed",
        Ambiguous => "sent, and no answer came",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_one_unit() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for (seconds, words) in [
            (0, "now"),
            (2472, "in 41 min"),
            (-27 * 60, "27 min ago"),
            (5400, "in 1 h"),
            (-3 * 86_400, "3 days ago"),
            (160 * 86_400, "in 5 months"),
            (3 * 365 * 86_400 + 86_400, "in 3 years"),
        ] {
            let time = Timestamp::from_second(now.as_second() + seconds).unwrap();
            assert_eq!(far(time, now), words);
        }
    }

    #[test]
    fn a_long_scope_is_shown_by_its_last_part() {
        assert_eq!(short("https://www.googleapis.com/auth/drive.file"), "drive.file");
        assert_eq!(short("https://mail.google.com/"), "https://mail.google.com/");
        assert_eq!(short("repo:status"), "repo:status");
    }
}
