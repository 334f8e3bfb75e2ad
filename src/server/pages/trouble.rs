//! What could not be done, as a page.

use super::layout;
use crate::api::Problem;
use crate::connector;
use crate::server::doors::session::SignedIn;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

/// Why a page is not the one that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    status: StatusCode,
    title: String,
    sentence: String,
}

impl Trouble {
    pub(super) fn new(status: StatusCode, title: &str, sentence: &str) -> Self {
        Self { status, title: title.to_owned(), sentence: sentence.to_owned() }
    }

    /// Something that is not there.
    pub(super) fn missing(sentence: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such thing", sentence)
    }

    /// What happened.
    pub(super) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The page that says it; within the frame where somebody is signed in.
    pub(super) fn shown(&self, me: Option<&SignedIn>, path: &str) -> Response {
        let body = html! {
            div.stack {
                h1 { (self.title) }
                div.note.is-bad role="alert" { p { (capital(&self.sentence)) } }
                p.actions {
                    @if me.is_some() {
                        a.button href="/tokens" { "Manage Tokens" }
                    } @else {
                        a.button.primary href="/sign-in" { "Sign in" }
                    }
                }
            }
        };
        let page = match me {
            Some(me) => layout::page(me, layout::Place::of(path), &self.title, false, &body),
            None => layout::outside(&self.title, &body),
        };
        (self.status, page).into_response()
    }
}

impl<E: Into<connector::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        let problem = Problem::of(&error.into());
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let title = match problem.status {
            404 => "There is no such thing",
            409 => "That cannot be done now",
            502 => "The provider did not agree",
            503 => "That did not work this time",
            _ => "That could not be done",
        };
        Self::new(status, title, &problem.detail)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let mut response = self.shown(None, "/");
        // For the guard, who knows who is signed in and shows it in their frame.
        response.extensions_mut().insert(self);
        response
    }
}

/// Any path that no page has.
pub(super) async fn nothing_here(request: Request) -> Trouble {
    let path: String = request.uri().path().chars().take(200).collect();
    Trouble::new(StatusCode::NOT_FOUND, "There is no such page", &format!("nothing is at {path}"))
}

/// A page that is asked for in the wrong way.
pub(super) async fn not_so() -> Trouble {
    Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "That cannot be done here", "this page is not asked for in this way")
}

/// A sentence of a message, as a sentence of a page.
pub(in crate::server) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let text: String = chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect());
    if text.ends_with(['.', '!', '?', ')']) { text } else { text + "." }
}
