//! Connecting an account: a link to send to a person, or at once where no person is needed.

use super::Pages;
use super::fields::{Fields, field};
use super::guard::Form;
use super::invites::Invite;
use super::layout::{self, Html, Place, token};
use super::parts::{Tone, note, state, when};
use super::trouble::{Trouble, capital};
use crate::connector::ConnectOptions;
use crate::model::{
    Action, Application, Connection, ConnectionName, GrantType, Labels, ProfileName, Secret, Target, Timestamp, later,
    new_id, quoted,
};
use crate::server::doors::session::SignedIn;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use uuid::Uuid;

/// How long a link may be good, in seconds, and in words.
const SPANS: [(u64, &str); 4] = [(3600, "1 hour"), (86_400, "1 day"), (3 * 86_400, "3 days"), (7 * 86_400, "7 days")];

/// The form, and the links that were made.
pub(super) async fn page(pages: Pages, me: SignedIn, RawQuery(query): RawQuery) -> Result<Html, Trouble> {
    let query = query.unwrap_or_default();
    let asked = url::form_urlencoded::parse(query.as_bytes());
    let fields = asked.filter(|(name, _)| matches!(&**name, "application" | "name"));
    let fields = Fields::filled(fields.map(|(name, value)| (name.into_owned(), value.chars().take(220).collect())));
    shown(&pages, &me, &fields, None).await
}

/// Makes a link, or connects at once.
pub(super) async fn make(pages: Pages, me: SignedIn, sent: Form) -> Result<Response, Trouble> {
    let connector = &pages.connector;
    let now = connector.clock().now();
    let wrong = match read(&sent, me.api_key, now) {
        Err(wrong) => wrong,
        Ok(invite) => {
            let name = invite.connection.clone();
            let application = connector.application(name.application()).await?;
            match application.profile(&invite.profile).map(|profile| profile.grant) {
                None => Fields::default().with("profile", "is no profile of this application"),
                Some(GrantType::AuthorizationCode) => {
                    let link = link(&pages, invite).await?;
                    return Ok(shown(&pages, &me, &Fields::default(), Some((&name, &link))).await?.into_response());
                }
                Some(GrantType::ClientCredentials | GrantType::JwtBearer) => {
                    let Invite { profile, labels, other_account, .. } = invite;
                    let options =
                        ConnectOptions { profile: Some(profile), labels, other_account, ..Default::default() };
                    connector.connect(&name, options).await?;
                    return Ok(Redirect::to(&format!("/connections/{name}")).into_response());
                }
                Some(grant) => {
                    let words = format!(
                        "has the grant {}, which is connected with `grantkeeper connect {name}`",
                        grant.as_str().replace('_', " ")
                    );
                    Fields::default().with("profile", &words)
                }
            }
        }
    };
    let page = shown(&pages, &me, &wrong.sent(&sent), None).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// Takes a link back.
pub(super) async fn withdraw(pages: Pages, _: SignedIn, sent: Form) -> Result<Response, Trouble> {
    let id = sent.text("id").parse().map_err(|_| Trouble::missing("there is no such link"))?;
    if let Some(invite) = pages.invites.withdraw(id) {
        let entry = pages.entry(Action::InviteWithdraw, Target::of(&invite.connection));
        pages.connector.audit_now(entry.with_detail(&invite.said())).await?;
    }
    Ok(Redirect::to("/connect").into_response())
}

fn read(sent: &Form, api_key: Option<Uuid>, now: Timestamp) -> Result<Invite, Fields> {
    let wrong = |key: &str, what: &str| Fields::default().with(key, what);
    let application = sent.text("application");
    if application.is_empty() {
        return Err(wrong("application", "is needed; make one first where there is none"));
    }
    let name = sent.text("name");
    let connection: ConnectionName = format!("{application}/{name}")
        .parse()
        .map_err(|_| wrong("name", "is 1 to 128 letters, digits or . _ @ + : -, and does not begin with - or ."))?;
    if connection.token().is_some() {
        return Err(wrong("name", "names a further token, which comes with its connection"));
    }
    let profile = Some(sent.text("profile")).filter(|profile| !profile.is_empty());
    let profile: Result<ProfileName, _> = profile.map_or_else(|| Ok(ProfileName::default()), str::parse);
    let seconds = sent.text("span").parse().ok().filter(|span| SPANS.iter().any(|(known, _)| known == span));
    Ok(Invite {
        id: new_id(),
        connection,
        profile: profile.map_err(|error| wrong("profile", &error.to_string()))?,
        labels: labels(sent.text("labels"))?,
        whom: quoted(sent.text("whom")),
        other_account: sent.get("other_account").is_some(),
        made: now,
        ends: later(now, seconds.unwrap_or(86_400)),
        api_key,
        used: None,
        superseded: None,
    })
}

fn labels(text: &str) -> Result<Labels, Fields> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pairs = lines.map(|line| {
        let pair = line.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        pair.filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Fields::default().with("labels", "are written as name = value, one a line"))
    });
    pairs.collect()
}

/// The whole address that is sent to a person. It is written down before anybody has it.
async fn link(pages: &Pages, invite: Invite) -> Result<Secret, Trouble> {
    let entry = pages.entry(Action::InviteCreate, Target::of(&invite.connection));
    pages.connector.audit_now(entry.with_detail(&invite.said())).await?;
    let key = pages
        .invites
        .add(invite)
        .map_err(|error| Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "No link was made", &error.to_string()))?;
    let base = pages.shared.pages_url().unwrap_or_else(|| pages.connector.settings().callback.base_url());
    Ok(Secret::new(format!("{}/invite?key={}", base.as_str().trim_end_matches('/'), key.expose())))
}

async fn shown(
    pages: &Pages,
    me: &SignedIn,
    fields: &Fields,
    made: Option<(&ConnectionName, &Secret)>,
) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let now = connector.clock().now();
    let applications = connector.applications().await?;
    let mut lines = Vec::new();
    for invite in pages.invites.list() {
        // One that is not there yet has nobody's account.
        let connection = connector.connection(&invite.connection).await.ok();
        lines.push((invite, connection));
    }
    let body = html! {
        div.head {
            h1 { "Connect" }
            p.lead { "A link lets one person connect one account, without signing in here. It is good once, and for as long as you say." }
        }
        @if let Some((name, link)) = made {
            (note(Tone::Good, &html! {
                p { strong { "The link for " (name) " is made." } " It is shown only now: send it to the person." }
                div.copy { code #link { (link.expose()) } button type="button" data-copy="link" hidden { "Copy" } }
                p.small { a href=(link.expose()) { "Open it here" } ", to connect an account of your own." }
            }))
        }
        @if let Some(wrong) = fields.first() {
            (note(Tone::Bad, &html! { p { strong { "No link was made." } " " (capital(wrong)) } }))
        }
        div.columns {
            (form(me, fields, &applications))
            section.panel aria-labelledby="links" {
                header { h2 #links { "Links" } }
                div #links-list data-live { (list(me, &lines, now)) }
            }
        }
    };
    Ok(layout::page(me, Place::Connect, "Connect", made.is_none(), &body))
}

fn form(me: &SignedIn, fields: &Fields, applications: &[Application]) -> Markup {
    let input = |key: &'static str, label: &str, hint: &str, placeholder: &str| {
        field(
            fields,
            key,
            label,
            hint,
            &html! {
                input id=(key) name=(key) value=(fields.value(key).unwrap_or_default()) placeholder=(placeholder) autocomplete="off" spellcheck="false" aria-describedby=(fields.about(key)) aria-invalid=[fields.invalid(key)];
            },
        )
    };
    html! {
        form.panel method="post" action="/connect" {
            div.body.form {
                (token(me))
                (field(fields, "application", "Application", "", &html! {
                    select #application name="application" required aria-describedby=(fields.about("application")) aria-invalid=[fields.invalid("application")] {
                        @for application in applications.iter().filter(|application| application.active) {
                            option value=(application.name) selected[fields.value("application") == Some(application.name.as_str())] { (application.name) }
                        }
                    }
                }))
                (input("name", "Name of the connection", "What you call it: a person, a tenant, a system. One that is there is connected again.", "reports"))
                (input("whom", "For whom", "Shown to the person, so that nobody follows a link that is another's.", "Ann, finance"))
                div.two {
                    (field(fields, "span", "Good for", "", &html! {
                        select #span name="span" aria-describedby=(fields.about("span")) {
                            @for (seconds, words) in SPANS { option value=(seconds) selected[fields.value("span").unwrap_or("86400") == seconds.to_string()] { (words) } }
                        }
                    }))
                    (input("profile", "Profile", "", "default"))
                }
                details open[fields.invalid("labels").is_some()] {
                    summary { "Labels, and another account" }
                    div.form {
                        (field(fields, "labels", "Labels", "One a line. Some providers need one, such as shop = acme.myshopify.com.", &html! {
                            textarea #labels name="labels" rows="3" spellcheck="false" aria-describedby=(fields.about("labels")) aria-invalid=[fields.invalid("labels")] { (fields.value("labels").unwrap_or_default()) }
                        }))
                        label.check { input type="checkbox" name="other_account" value="yes" checked[fields.value("other_account").is_some()]; span { "It may be another account than before" } }
                    }
                }
                div.actions { button.primary { "Make a link" } }
            }
        }
    }
}

fn list(me: &SignedIn, lines: &[(Invite, Option<Connection>)], now: Timestamp) -> Markup {
    html! {
        @if lines.is_empty() { div.empty { p { "No link was made since the daemon started." } } }
        ul.lines.plain-lines {
            @for (invite, connection) in lines {
                @let linked = invite.linked(connection.as_ref());
                li {
                    div {
                        a.name href=(format!("/connections/{}", invite.connection)) { (invite.connection) }
                        span.under {
                            @if !invite.whom.is_empty() { "for " (invite.whom) ", " }
                            @match (&linked, invite.used) {
                                (Some(account), Some(_)) => { "linked" @if !account.is_empty() { " as " strong { (account) } } }
                                (None, Some(used)) => { "followed " (when(used, now)) @if invite.superseded.is_some() { ", and nothing came of it" } }
                                (_, None) if now < invite.ends => { "ends " (when(invite.ends, now)) }
                                (_, None) => { "ended " (when(invite.ends, now)) }
                            }
                        }
                    }
                    span.actions {
                        @match (&linked, invite.used) {
                            (Some(_), Some(_)) => { (state(Tone::Good, "Linked")) }
                            (None, Some(_)) if invite.superseded.is_some() => { (state(Tone::Idle, "Ended")) }
                            (None, Some(_)) => { (state(Tone::Wait, "Followed")) }
                            (_, None) if now < invite.ends => {
                                (state(Tone::Wait, "Waiting"))
                                form method="post" action="/connect/withdraw" { (token(me)) input type="hidden" name="id" value=(invite.id); button.small { "Take back" span.hidden-text { " the link for " (invite.connection) } } }
                            }
                            (_, None) => { (state(Tone::Idle, "Ended")) }
                        }
                    }
                }
            }
        }
    }
}
