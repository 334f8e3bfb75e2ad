//! What went wrong at a provider, in the seven kinds that are treated differently.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The kind of a failure decides what happens next, and nothing else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum FailureKind {
    /// Passing: a 5xx, an unreachable host, `temporarily_unavailable`. Tried again with backoff.
    Transient,
    /// The provider asks for fewer requests; tried again when it says.
    RateLimited,
    /// The grant is dead (`invalid_grant` and its dialects): a person must consent again. Never retried.
    ReauthorizationRequired,
    /// Our client id or secret is refused: the application must be mended.
    ClientRejected,
    /// A parameter or scope is refused: the profile must be mended.
    RequestRejected,
    /// A reply that no reading fits; a script may be needed.
    BadResponse,
    /// The request was sent and no reply came back: whether it took effect is unknown.
    Ambiguous,
}

impl FailureKind {
    /// The word that scripts, JSON and logs use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited => "rate_limited",
            Self::ReauthorizationRequired => "reauthorization_required",
            Self::ClientRejected => "client_rejected",
            Self::RequestRejected => "request_rejected",
            Self::BadResponse => "bad_response",
            Self::Ambiguous => "ambiguous",
        }
    }

    /// The kind that a word names. `ambiguous` is not for scripts to say: only the client knows whether it sent.
    #[must_use]
    pub fn from_script(word: &str) -> Option<Self> {
        [
            Self::Transient,
            Self::RateLimited,
            Self::ReauthorizationRequired,
            Self::ClientRejected,
            Self::RequestRejected,
            Self::BadResponse,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
    }

    /// Whether the same request may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Transient | Self::RateLimited | Self::Ambiguous | Self::BadResponse => true,
            Self::ReauthorizationRequired | Self::ClientRejected | Self::RequestRejected => false,
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One failure at a provider. Its texts are the provider's own, capped and escaped by [`quoted`], with every secret
/// of the request taken out, so that it may be shown and stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Failure {
    /// What it means for us.
    pub kind: FailureKind,
    /// The provider's code, the finest it gave: `invalid_grant`, `50196` (Microsoft), `http_503` when there is only a
    /// status.
    pub code: String,
    /// The provider's words, when it had any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// The HTTP status, when a reply came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the provider asks to wait, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Failure {
    /// A failure of a kind with a code, cleaned by [`quoted`], and nothing else known.
    #[must_use]
    pub fn new(kind: FailureKind, code: &str) -> Self {
        Self { kind, code: quoted(code), words: None, status: None, retry_after: None }
    }

    /// The same with words, cleaned by [`quoted`].
    #[must_use]
    pub fn with_words(mut self, words: &str) -> Self {
        self.words = Some(quoted(words)).filter(|words| !words.is_empty());
        self
    }

    /// The same with the status of the reply.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(words) = &self.words {
            write!(f, " (\"{words}\")")?;
        }
        Ok(())
    }
}

/// Longest text of a provider that is kept, in characters: enough for a sentence, too short for a page.
const MOST_QUOTED: usize = 300;

/// A number of things: `1 entry`, `2 entries`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A stranger's text made fit to show in a terminal, a log line or a page: control and direction-changing characters
/// become spaces, runs of white space one space, and the rest is cut at 300 characters.
#[must_use]
pub fn quoted(text: &str) -> String {
    let clean: String = text.chars().map(|c| if is_presentable(c) { c } else { ' ' }).take(4 * MOST_QUOTED).collect();
    let mut words = String::new();
    for word in clean.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    match words.char_indices().nth(MOST_QUOTED) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// Whether a character shows as itself: it neither moves a terminal's cursor nor hides or reorders text.
#[must_use]
pub fn is_presentable(c: char) -> bool {
    !c.is_control() && !is_invisible(c)
}

/// Characters that reorder or hide text (bidirectional controls, zero-width, tags): what one reads must be what was sent.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_words_cannot_move_the_cursor_or_fill_the_screen() {
        assert_eq!(quoted("a\x1b[2J\r\nb\u{202e}c"), "a [2J b c");
        assert_eq!(quoted(&"x".repeat(5000)).chars().count(), 301);
    }

    #[test]
    fn a_script_can_name_every_kind_but_ambiguous() {
        assert_eq!(FailureKind::from_script("rate_limited"), Some(FailureKind::RateLimited));
        assert_eq!(FailureKind::from_script("ambiguous"), None);
        assert_eq!(FailureKind::from_script("fatal"), None);
    }
}
