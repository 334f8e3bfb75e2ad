//! The pages that a person's browser gets from the loopback listener.

use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};

/// A page with one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    status: StatusCode,
    title: String,
    sentence: String,
}

impl Page {
    /// What was to be done is done.
    pub(super) fn done(title: &str, sentence: &str) -> Self {
        Self { status: StatusCode::OK, title: title.to_owned(), sentence: sentence.to_owned() }
    }

    /// It is not done.
    pub(super) fn failed(title: &str, sentence: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, title: title.to_owned(), sentence: sentence.to_owned() }
    }

    /// Nobody waits for this request.
    pub(super) fn stray(status: StatusCode) -> Self {
        Self {
            status,
            title: "Nothing is here".to_owned(),
            sentence: "Grantkeeper waits on this port for a browser that comes back from a provider. This request is another one; the waiting goes on.".to_owned(),
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let (title, sentence) = (escape(&self.title), escape(&self.sentence));
        let body = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title} - Grantkeeper</title></head>\n<body><h1>{title}</h1><p>{sentence}</p></body>\n</html>\n"
        );
        // The address of this page carries the code: it goes to nobody, and nothing is loaded that could read it.
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (REFERRER_POLICY, "no-referrer"),
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CACHE_CONTROL, "no-store"),
            // The process is about to end; a connection that is kept would keep it.
            (CONNECTION, "close"),
        ];
        (self.status, headers, body).into_response()
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_words_are_no_markup() {
        assert_eq!(escape("<script>\"a\" & 'b'"), "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;");
    }

    #[test]
    fn the_page_gives_its_address_to_nobody() {
        let response = Page::done("t", "s").into_response();
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        assert!(response.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}
