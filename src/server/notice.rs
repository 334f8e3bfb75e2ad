//! A page with one message, for a browser that comes back from a provider.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, html};

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
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl IntoResponse for Notice {
    fn into_response(self) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " - Grantkeeper" }
                }
                body {
                    main {
                        h1 { (self.title) }
                        @for sentence in &self.sentences { p { (sentence) } }
                    }
                }
            }
        };
        let headers: [(HeaderName, &str); 5] = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (REFERRER_POLICY, "no-referrer"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CACHE_CONTROL, "no-store"),
        ];
        (self.status, headers, page.into_string()).into_response()
    }
}
