//! The frame of every page.

use super::assets::{MARK, SCRIPT, STYLE};
use crate::server::doors::session::SignedIn;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A whole page.
#[derive(Debug)]
pub(super) struct Html(pub(super) Markup);

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], self.0.into_string()).into_response()
    }
}

/// Where in the house a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Tokens,
    Applications,
    Connect,
    Scripts,
    Events,
    Audit,
    Keys,
}

impl Place {
    const ALL: [Self; 8] = [
        Self::Overview,
        Self::Tokens,
        Self::Applications,
        Self::Connect,
        Self::Scripts,
        Self::Events,
        Self::Audit,
        Self::Keys,
    ];

    /// The place that a path belongs to.
    pub(super) fn of(path: &str) -> Self {
        match path.split('/').nth(1) {
            Some("tokens" | "connections" | "credentials") => Self::Tokens,
            Some("applications" | "new-application") => Self::Applications,
            Some("connect") => Self::Connect,
            Some("scripts") => Self::Scripts,
            Some("events") => Self::Events,
            Some("audit") => Self::Audit,
            Some("api-keys") => Self::Keys,
            _ => Self::Overview,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Tokens => "/tokens",
            Self::Applications => "/applications",
            Self::Connect => "/connect",
            Self::Scripts => "/scripts",
            Self::Events => "/events",
            Self::Audit => "/audit",
            Self::Keys => "/api-keys",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Tokens => "Manage Tokens",
            Self::Applications => "Applications",
            Self::Connect => "Connect",
            Self::Scripts => "Scripts",
            Self::Events => "Events",
            Self::Audit => "Audit",
            Self::Keys => "API keys",
        }
    }
}

/// A page for who is signed in. `live` says that parts of it keep themselves up to date: those with `data-live` and an id.
pub(super) fn page(me: &SignedIn, place: Place, title: &str, live: bool, body: &Markup) -> Html {
    page_of(me, place, title, live.then_some("/live"), body)
}

/// The same, whose parts keep themselves up to date with what another stream tells.
pub(super) fn page_of(me: &SignedIn, place: Place, title: &str, live_from: Option<&str>, body: &Markup) -> Html {
    Html(html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body data-live-from=[live_from] {
                a.skip href="#main" { "Skip to the content" }
                header.rail {
                    (brand("/"))
                    nav.nav aria-label="Pages" {
                        ul {
                            @for one in Place::ALL {
                                li { a href=(one.path()) aria-current=[(one == place).then_some("page")] { (one.title()) } }
                            }
                        }
                    }
                    div.foot {
                        span.live #live role="status" hidden {}
                        span.who { "Signed in as " @if me.api_key.is_some() { "key " } (me.who) }
                        form method="post" action="/sign-out" { (token(me)) button.plain { "Sign out" } }
                    }
                }
                main #main tabindex="-1" { (body) }
            }
        }
    })
}

/// A page for who is not.
pub(super) fn outside(title: &str, body: &Markup) -> Html {
    Html(html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body.outside {
                main #main { (brand("/sign-in")) div.panel { div.body { (body) } } }
            }
        }
    })
}

/// A page with one message, without a script and without a way on: its address may carry a code or a state.
pub(super) fn notice(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { (looks(title)) }
            body.outside {
                main #main { span.brand { (MARKED) } div.panel { div.body.stack { (body) } } }
            }
        }
    }
}

/// A page for who is not, that leads on to another site at once; its link does so too.
pub(super) fn leading_to(url: &url::Url, title: &str, body: &Markup) -> Html {
    Html(html! {
        (DOCTYPE)
        html lang="en" {
            (head_with(title, &html! { meta http-equiv="refresh" content=(format!("0; url={url}")); }))
            body.outside {
                main #main { (brand("/sign-in")) div.panel { div.body { (body) } } }
            }
        }
    })
}

/// What every form of a session carries, so that no other site can send one in its place.
pub(super) fn token(me: &SignedIn) -> Markup {
    html! { input type="hidden" name="form" value=(me.form.expose()); }
}

fn head(title: &str) -> Markup {
    head_with(title, &html! {})
}

fn head_with(title: &str, more: &Markup) -> Markup {
    html! {
        head {
            (looks(title))
            script src=(SCRIPT.path) defer {}
            (more)
        }
    }
}

fn looks(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        meta name="robots" content="noindex";
        title { (title) " · Grantkeeper" }
        link rel="stylesheet" href=(STYLE.path);
        link rel="icon" type="image/svg+xml" href=(MARK.path);
    }
}

fn brand(to: &str) -> Markup {
    html! {
        a.brand href=(to) {
            (MARKED)
        }
    }
}

/// The mark and the name.
const MARKED: PreEscaped<&str> = PreEscaped(
    r#"<svg viewBox="0 0 20 20" aria-hidden="true" focusable="false"><path fill="currentColor" fill-rule="evenodd" d="M10 1 3 3.6v5.7c0 4.4 2.9 7.9 7 9.7 4.1-1.8 7-5.3 7-9.7V3.6L10 1Zm0 4.6a2.3 2.3 0 0 1 1.1 4.3l.7 4H8.2l.7-4A2.3 2.3 0 0 1 10 5.6Z"/></svg> Grantkeeper"#,
);
