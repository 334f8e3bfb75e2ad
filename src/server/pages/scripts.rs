//! The OAuth API scripts: which there are, what is wrong with them, and their text.

use super::Pages;
use super::layout::{self, Html, Place};
use super::parts::{Tone, note, state};
use super::playground::{self, Tried, Wanted};
use super::trouble::Trouble;
use crate::model::{NameError, ScriptName};
use crate::script::{Origin, Problem, ScriptInfo, Scripts};
use crate::server::doors::session::SignedIn;
use axum::extract::{Path, RawQuery};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// The list.
pub(super) async fn list(pages: Pages, me: SignedIn) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for application in connector.applications().await? {
        if let Some(script) = &application.script {
            used.entry(script.to_string()).or_default().push(application.name.to_string());
        }
    }
    let scripts = looked_at(connector.scripts(), |scripts| Ok((scripts.list()?, scripts.problems()?))).await?;
    let (scripts, problems) = scripts;
    let body = html! {
        div.head { h1 { "Scripts" } p.lead { "A script bends the requests and replies of a provider with habits of its own. Where none is named, OAuthUtil runs." } }
        @for problem in &problems { (problem_note(problem)) }
        section.panel aria-label="Scripts" {
            table.cards {
                caption.hidden-text { "Scripts, a row each" }
                thead { tr { th scope="col" { "Script" } th scope="col" { "Its own hooks" } th scope="col" { "Used by" } th scope="col" { "State" } } }
                tbody {
                    @for script in &scripts {
                        @let name = script.name.to_string();
                        tr {
                            th scope="row" { span { a.name href=(format!("/scripts/{name}")) { (name) } span.under { (origin(&script.origin)) } } }
                            td data-label="Its own hooks" { @if script.hooks.is_empty() { span.faint { "none" } } @else { span.scopes { @for hook in &script.hooks { span.scope { (hook) } } } } }
                            td data-label="Used by" {
                                @match used.get(&name) {
                                    Some(applications) => { span { @for application in applications { a href=(format!("/applications/{application}")) { (application) } " " } } }
                                    None if name == "OAuthUtil" => { span.soft { "all that name no script" } }
                                    None => { span.faint { "nobody" } }
                                }
                            }
                            td.corner data-label="State" { (state_of(script)) }
                        }
                    }
                }
            }
        }
    };
    Ok(layout::page(&me, Place::Scripts, "Scripts", false, &body))
}

/// One script, and its playground.
pub(super) async fn page(
    pages: Pages,
    me: SignedIn,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Html, Trouble> {
    shown(&pages, &me, &named(&name)?, &Wanted::of_query(query.as_deref()), None).await
}

/// The script that a path names.
pub(super) fn named(name: &str) -> Result<ScriptName, Trouble> {
    name.parse().map_err(|error: NameError| Trouble::missing(&error.to_string()))
}

/// The page of a script, with what came of trying it.
pub(super) async fn shown(
    pages: &Pages,
    me: &SignedIn,
    name: &ScriptName,
    wanted: &Wanted,
    tried: Option<&Tried>,
) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let wanted_name = name.clone();
    let (info, text) = looked_at(connector.scripts(), move |scripts| {
        let text = scripts.text(&wanted_name)?;
        let info = scripts.list()?.into_iter().find(|info| info.name == wanted_name);
        Ok((info, text))
    })
    .await?;
    let applications = connector.applications().await?;
    let problem = info.as_ref().and_then(|info| info.problem.as_ref());
    let body = html! {
        div.stack {
            div.crumb { a href="/scripts" { "Scripts" } }
            div.head {
                div { h1 { (name) } @if let Some(info) = &info { span.soft { (origin(&info.origin)) } } }
                @if let Some(info) = &info { (state_of(info)) }
            }
        }
        @if let Some(problem) = problem { (problem_note(problem)) }
        (playground::panel(me, name, wanted, &applications, tried))
        section.panel aria-labelledby="text" {
            header { h2 #text { "Its text" } span.small.faint { (text.lines().count()) " lines" } }
            (source(&text, problem.and_then(|problem| problem.line)))
        }
    };
    Ok(layout::page(me, Place::Scripts, name.as_str(), false, &body))
}

/// Looks at scripts in a thread that may wait for files.
async fn looked_at<T: Send + 'static>(
    scripts: &Scripts,
    look: impl FnOnce(&Scripts) -> Result<T, crate::script::ScriptError> + Send + 'static,
) -> Result<T, Trouble> {
    let scripts = scripts.clone();
    let looked = tokio::task::spawn_blocking(move || look(&scripts)).await;
    looked
        .map_err(|_| Trouble::from(crate::connector::Error::Stopped("looking at the scripts")))?
        .map_err(Trouble::from)
}

fn state_of(script: &ScriptInfo) -> Markup {
    match (&script.problem, script.hooks.is_empty()) {
        (None, _) => state(Tone::Good, "Compiles"),
        // The last that compiled goes on running.
        (Some(_), false) => state(Tone::Warn, "The last good one runs"),
        (Some(_), true) => state(Tone::Bad, "Does not compile"),
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Shipped => "shipped".to_owned(),
        Origin::Given => "given by the program".to_owned(),
        Origin::File(path) => path.display().to_string(),
    }
}

/// A problem, with its place marked.
fn problem_note(problem: &Problem) -> Markup {
    note(
        Tone::Bad,
        &html! {
            p {
                strong { (problem.file) }
                @if let Some(line) = problem.line { ", line " (line) @if let Some(column) = problem.column { ", column " (column) } }
                ": " (problem.message)
            }
            @if let (Some(line), Some(text)) = (problem.line, &problem.source_line) { (marked(line, problem.column, text)) }
        },
    )
}

/// A line with a mark under a column.
pub(super) fn marked(line: usize, column: Option<usize>, text: &str) -> Markup {
    let before = line.to_string().len() + 2;
    html! {
        pre.source tabindex="0" {
            span.faint { (line) "  " } (text)
            @if let Some(column) = column { "\n" (" ".repeat(before + column.clamp(1, 200) - 1)) strong { "^" } }
        }
    }
}

fn source(text: &str, wrong: Option<usize>) -> Markup {
    html! {
        pre.code tabindex="0" aria-label="The script's text" {
            @for (at, line) in text.lines().enumerate() {
                span.line.is-wrong[wrong == Some(at + 1)] { span.number aria-hidden="true" { (at + 1) } (line) }
            }
        }
    }
}
