//! Trying a script: a reply in, and what it makes of it. Nothing is sent and nothing is kept.

use super::Pages;
use super::guard::Form;
use super::layout::token;
use super::parts::{Tone, exact, failure, note, source};
use super::samples;
use super::scripts::{named, shown};
use super::trouble::{Trouble, capital};
use crate::connector::ScriptTry;
use crate::exchange::{self, Outcome, Trial, masked, read_reply_file};
use crate::model::{Application, GrantType, ScriptName, quoted};
use crate::oauth::{Params, TokenReply};
use crate::server::doors::session::SignedIn;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use std::time::Duration;

/// Bytes of the largest reply: as many as one of a provider may have.
const LARGEST_REPLY: usize = 1024 * 1024;
/// Rows of parameters that are shown.
const MOST_ROWS: usize = 200;

/// What is to be tried.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    fixture: String,
    reply: String,
    about: Option<String>,
    grant: GrantType,
    application: String,
}

/// What came of it.
pub(super) enum Tried {
    /// The reply could not be read.
    NoReply(String),
    /// The script ran, for so long.
    Ran(Box<Trial>, Duration),
}

impl Wanted {
    /// Of an address: which fixture is taken.
    pub(super) fn of_query(query: Option<&str>) -> Self {
        let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let fixture = pairs.find(|(name, _)| name == "fixture").map(|(_, value)| value.into_owned());
        let Some(fixture) = fixture.filter(|fixture| !fixture.is_empty()) else { return Self::default() };
        match samples::find(&fixture) {
            Some(sample) => Self {
                fixture,
                reply: sample.text,
                about: Some(sample.about),
                grant: sample.grant,
                application: String::new(),
            },
            None => Self { about: Some("This fixture has no reply that is text.".to_owned()), ..Self::default() },
        }
    }
}

/// Runs it.
pub(super) async fn run(pages: Pages, me: SignedIn, Path(name): Path<String>, sent: Form) -> Result<Response, Trouble> {
    let name = named(&name)?;
    let connector = &pages.connector;
    let wanted = Wanted {
        fixture: String::new(),
        reply: sent.text("reply").replace("\r\n", "\n"),
        about: None,
        grant: grants().into_iter().find(|grant| grant.as_str() == sent.text("grant")).unwrap_or_default(),
        application: sent.text("application").to_owned(),
    };
    let reply = match read_reply_file(wanted.reply.as_bytes()) {
        _ if wanted.reply.is_empty() => Err("paste a reply, or take one of a fixture".to_owned()),
        _ if wanted.reply.len() > LARGEST_REPLY => {
            Err("the reply is longer than 1 MiB, which no reply may be".to_owned())
        }
        read => read.map_err(|error| format!("the reply cannot be read: {error}")),
    };
    let reply = match reply {
        Ok(reply) => reply,
        Err(what) => {
            let page = shown(&pages, &me, &name, &wanted, Some(&Tried::NoReply(what))).await?;
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let (grant, application) = (wanted.grant, wanted.application.parse().ok());
    let tried = connector.try_script(&name, ScriptTry { text: None, reply, grant, application }).await?;
    let tried = Tried::Ran(tried.trial.into(), tried.took);
    Ok(shown(&pages, &me, &name, &wanted, Some(&tried)).await?.into_response())
}

/// The playground of a script.
pub(super) fn panel(
    me: &SignedIn,
    name: &ScriptName,
    wanted: &Wanted,
    applications: &[Application],
    tried: Option<&Tried>,
) -> Markup {
    html! {
        section.panel aria-labelledby="try" {
            header { h2 #try { "Try it" } span.small.faint { "nothing is sent, and nothing is kept" } }
            div.body {
                form.filters.few action=(format!("/scripts/{name}")) {
                    div.field {
                        label for="fixture" { "A recorded reply" }
                        select #fixture name="fixture" {
                            option value="" { "None" }
                            @for fixture in samples::names() { option value=(fixture) selected[fixture == wanted.fixture] { (fixture) } }
                        }
                    }
                    div.actions { button { "Take it" } }
                }
                form.stack method="post" action=(format!("/scripts/{name}/try#came")) {
                    (token(me))
                    div.field {
                        label for="reply" { "Reply" }
                        textarea #reply name="reply" rows="10" spellcheck="false" aria-describedby="reply-hint" aria-invalid=[matches!(tried, Some(Tried::NoReply(_))).then_some("true")] { "\n" (wanted.reply) }
                        @if let Some(Tried::NoReply(what)) = tried { span.wrong role="alert" { (capital(what)) } }
                        span.hint #reply-hint { @match &wanted.about { Some(about) => (about), None => { "A body, or what " code { "curl -i" } " prints." } } }
                    }
                    div.two {
                        div.field {
                            label for="grant" { "Grant that the script is told" }
                            select #grant name="grant" { @for grant in grants() { option value=(grant) selected[grant == wanted.grant] { (grant.as_str().replace('_', " ")) } } }
                        }
                        div.field {
                            label for="application" { "Application whose settings count" }
                            select #application name="application" {
                                option value="" { "None" }
                                @for application in applications { option value=(application.name) selected[application.name.as_str() == wanted.application] { (application.name) } }
                            }
                        }
                    }
                    div.actions { button.primary { "Run " (name) } }
                }
            }
        }
        @if let Some(Tried::Ran(trial, took)) = tried { (came(name, trial, *took)) }
    }
}

fn came(name: &ScriptName, trial: &Trial, took: Duration) -> Markup {
    html! {
        section.stack #came aria-labelledby="came-title" {
            h2 #came-title { "What came of it" }
            (outcome(&trial.outcome, trial))
            p.small.soft {
                (name) " ran "
                @for (at, (hook, own)) in trial.hooks.iter().enumerate() { @if at > 0 { " → " } code { (hook) } @if !own { " (OAuthUtil's)" } }
                " in " strong { (format!("{:.1} ms", took.as_secs_f64() * 1000.0)) } " and " strong { (trial.operations) " operations" } "."
            }
            div.two.wide {
                (params("Read without the script", &trial.before, &trial.after, "gone"))
                (params("After the script", &trial.after, &trial.before, "new"))
            }
        }
    }
}

fn outcome(outcome: &Outcome, trial: &Trial) -> Markup {
    match outcome {
        Outcome::Token(tokens, expires) => note(
            Tone::Good,
            &html! {
                p { strong { "A token." } " It ends at " (exact(expires.at)) " (" (source(expires.source)) ")." }
                dl.facts { (facts(tokens, trial)) }
            },
        ),
        Outcome::Failed(said) => {
            note(Tone::Warn, &html! { p { strong { "A failure, as the reply is read." } } (failure(said)) })
        }
        Outcome::Broke(error) => note(
            Tone::Bad,
            &html! { p { strong { "The script broke." } } pre.source tabindex="0" { (error.to_string()) } },
        ),
    }
}

fn facts(tokens: &TokenReply, trial: &Trial) -> Markup {
    let kept: Vec<String> = tokens.extra.keys().chain(trial.kept.keys()).map(|name| quoted(name)).collect();
    html! {
        dt { "Access token" } dd { code { (masked(&tokens.access_token)) } }
        @if let Some(token) = &tokens.refresh_token { dt { "Refresh token" } dd { code { (masked(token)) } } }
        @if let Some(token) = &tokens.id_token { dt { "Id token" } dd { code { (masked(token)) } } }
        dt { "Type" } dd { (quoted(&tokens.token_type)) }
        dt { "Lifetime" } dd { @match tokens.expires_in { Some(seconds) => { (seconds) " s" } None => { span.faint { "not stated" } } } }
        dt { "Scopes" } dd { @match &tokens.scopes { Some(scopes) => { (quoted(&scopes.join(" "))) } None => { span.faint { "not stated" } } } }
        @if !kept.is_empty() { dt { "Kept fields" } dd { (kept.join(", ")) } }
    }
}

/// Parameters; those that the other side has not, or has otherwise, are marked.
fn params(title: &str, these: &Params, others: &Params, word: &str) -> Markup {
    let rest = these.iter().count().saturating_sub(MOST_ROWS);
    html! {
        section.panel {
            header { h3 { (title) } }
            @if these.is_empty() { div.empty { p { "None." } } }
            table.params {
                caption.hidden-text { (title) }
                tbody {
                    @for (name, value) in these.iter().take(MOST_ROWS) {
                        @let differs = others.get(name) != Some(value);
                        tr.differs[differs] { th scope="row" { code { (quoted(name)) } @if differs { " " span.small.faint { "(" (word) ")" } } } td { (exchange::shown(name, value)) } }
                    }
                }
            }
            @if rest > 0 { div.pager { "and " (rest) " more" } }
        }
    }
}

fn grants() -> [GrantType; 6] {
    [
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
        GrantType::Password,
        GrantType::JwtBearer,
        GrantType::DeviceCode,
    ]
}
