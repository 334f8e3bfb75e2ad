//! A page with one message, for a browser that comes back from a provider.

use super::pages;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::html;

/// What a person is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) status: StatusCode,
    pub(super) title: String,
    pub(super) sentences: Vec<String>,
}

impl Notice {
    /// Something is done.
    pub(super) fn done(title: &str, sentence: String) -> Self {
        Self { status: StatusCode::OK, title: title.to_owned(), sentences: vec![sentence] }
    }

    /// Something is not done.
    pub(super) fn failed(status: StatusCode, title: &str, sentence: String) -> Self {
        Self { status, title: title.to_owned(), sentences: vec![sentence] }
    }

    /// And what else there is to say.
    pub(super) fn and(mut self, sentence: impl Into<String>) -> Self {
        self.sentences.push(sentence.into());
        self
    }
}

/// The page's address carries a code or a state: it goes to nobody, and nothing is loaded that could read it.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl IntoResponse for Notice {
    fn into_response(self) -> Response {
        let is_done = self.status.is_success();
        let page = pages::notice(
            &self.title,
            &html! {
                h1 { (self.title) }
                @for (at, sentence) in self.sentences.iter().enumerate() {
                    @if at == 0 { div.note.is-good[is_done].is-bad[!is_done] { p { (sentence) } } } @else { p.soft { (sentence) } }
                }
            },
        );
        let headers: [(HeaderName, &str); 5] = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (REFERRER_POLICY, "no-referrer"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CACHE_CONTROL, "no-store"),
        ];
        (self.status, headers, page).into_response()
    }
}
