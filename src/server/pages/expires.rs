//! Editing when a credential ends.

use super::Pages;
use super::acts::{crumb, id_of};
use super::guard::Form;
use super::layout::{self, Html, Place, token};
use super::parts::{exact, source, when};
use super::trouble::Trouble;
use crate::connector::CredentialView;
use crate::model::Timestamp;
use crate::server::doors::session::SignedIn;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::civil::DateTime;
use jiff::tz::Offset;
use maud::html;

/// The form.
pub(super) async fn page(pages: Pages, me: SignedIn, Path(id): Path<String>) -> Result<Html, Trouble> {
    let connector = &pages.connector;
    let credential = connector.credential(id_of(&id)?).await?;
    Ok(form(&me, &credential, connector.clock().now(), &written(credential.expires.at), None))
}

/// Takes the edit.
pub(super) async fn edit(
    pages: Pages,
    me: SignedIn,
    Path(id): Path<String>,
    fields: Form,
) -> Result<Response, Trouble> {
    let connector = &pages.connector;
    let credential = connector.credential(id_of(&id)?).await?;
    let typed = fields.text("expires");
    let Some(at) = read(typed) else {
        let wrong = "This is not a time. Write it as 2030-01-31T12:00, in UTC, up to the year 9999.";
        let page = form(&me, &credential, connector.clock().now(), typed, Some(wrong));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    let edited = connector.set_expires(credential.id, at).await?;
    Ok(Redirect::to(&format!("/connections/{}?did=expires", edited.connection)).into_response())
}

fn form(me: &SignedIn, credential: &CredentialView, now: Timestamp, value: &str, wrong: Option<&str>) -> Html {
    let name = &credential.connection;
    let what = credential.kind.as_str().replace('_', " ");
    let body = html! {
        (crumb(name))
        h1 { "When the " (what) " of " (name) " ends" }
        div.panel {
            div.body {
                p { "It ends " strong { (when(credential.expires.at, now)) } ", at " (exact(credential.expires.at)) " (" (source(credential.expires.source)) ")." }
                form.stack method="post" action=(format!("/credentials/{}/expires", credential.id)) {
                    (token(me))
                    div.field.narrow {
                        label for="expires" { "Expires (UTC)" }
                        input #expires type="datetime-local" step="1" name="expires" value=(value) required
                            aria-describedby=(if wrong.is_some() { "expires-wrong expires-hint" } else { "expires-hint" }) aria-invalid=[wrong.map(|_| "true")];
                        @if let Some(wrong) = wrong { span.wrong #expires-wrong role="alert" { (wrong) } }
                        span.hint #expires-hint {
                            "An edit changes what is done here, not at the provider: an access token that has ended by it is not handed out, and a refresh is still tried. It lasts until the next refresh."
                        }
                    }
                    div.actions { button.primary { "Save" } a.button href=(format!("/connections/{name}")) { "Leave it" } }
                }
            }
        }
    };
    layout::page(me, Place::Tokens, &format!("Expires of {name}"), false, &body)
}

/// As a browser's field has it.
fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// A time in UTC, as a browser's field or a person writes it.
fn read(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let time: DateTime = text.trim_end_matches(" UTC").parse().ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_browsers_and_people_write_it() {
        for text in ["2030-01-31T12:00", "2030-01-31T12:00:00", "2030-01-31 12:00", "2030-01-31T13:00:00+01:00"] {
            assert_eq!(read(text).unwrap().to_string(), "2030-01-31T12:00:00Z", "{text}");
        }
        for text in ["", "soon", "12:00", "2030-13-01T00:00"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
