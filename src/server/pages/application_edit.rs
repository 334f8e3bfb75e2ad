//! Editing an application as its file: every key there is, with problems at their line and column. Its secrets are not in it.

use super::Pages;
use super::applications::{crumb, named};
use super::guard::Form;
use super::layout::{self, Html, Place, token};
use super::parts::{Tone, note};
use super::trouble::{Trouble, capital};
use crate::connector::{Applied, Error};
use crate::model::{Application, Secret};
use crate::registry::{Draft, RegistryError, SecretSource, export, parse_application};
use crate::server::doors::session::SignedIn;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

/// What the file is called in messages.
const FILE: &str = "the file";

/// The form.
pub(super) async fn page(pages: Pages, me: SignedIn, Path(name): Path<String>) -> Result<Html, Trouble> {
    let application = pages.connector.application(&named(&name)?).await?;
    Ok(form(&me, &application, &without_secrets(&export(&application)), None))
}

/// Takes the edit.
pub(super) async fn edit(
    pages: Pages,
    me: SignedIn,
    Path(name): Path<String>,
    sent: Form,
) -> Result<Response, Trouble> {
    let connector = &pages.connector;
    let before = connector.application(&named(&name)?).await?;
    let text = sent.text("file").replace("\r\n", "\n");
    let applied = async {
        let draft = read(&text, &before, &sent)?;
        connector.apply(draft, &mut |_| Err("nothing is read from elsewhere".to_owned())).await
    };
    match applied.await {
        Ok((application, applied)) => {
            let did = if applied == Applied::Unchanged { "unchanged" } else { "updated" };
            Ok(Redirect::to(&format!("/applications/{}?did={did}", application.name)).into_response())
        }
        Err(error) => Ok((StatusCode::UNPROCESSABLE_ENTITY, form(&me, &before, &text, Some(&error))).into_response()),
    }
}

fn read(text: &str, before: &Application, sent: &Form) -> Result<Draft, Error> {
    let mut draft = parse_application(text, FILE, false)?;
    if draft.name != before.name {
        let reason = format!("is called {} in the file; its name does not change, make another one", draft.name);
        return Err(RegistryError::DoesNotFit { application: before.name.to_string(), reason }.into());
    }
    // Secrets come by their own fields, or stay as they are; the daemon reads no variable and no file of who asks.
    draft.client_secret = sent.secret("client_secret").map(SecretSource::Plain);
    draft.secrets = before
        .secrets
        .keys()
        .filter_map(|name| Some((name.clone(), SecretSource::Plain(sent.secret(&format!("secrets.{name}"))?))))
        .chain(new_secret(sent))
        .collect();
    Ok(draft)
}

fn new_secret(sent: &Form) -> Option<(String, SecretSource)> {
    let name = sent.get("new_secret_name").filter(|name| !name.is_empty())?;
    let secret: Secret = sent.secret("new_secret")?;
    Some((name.to_owned(), SecretSource::Plain(secret)))
}

/// The file without the lines that say where secrets come from: here they come from fields.
fn without_secrets(file: &str) -> String {
    let mut in_secrets = false;
    let kept = file.lines().filter(|line| {
        let line = line.trim_start();
        if line.starts_with('[') {
            in_secrets = line.starts_with("[secrets]");
        }
        !in_secrets
            && !line.starts_with("client_secret =")
            && !line.starts_with("secrets.")
            && !line.starts_with("# Secrets ")
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// Where an error is in the file.
fn place(error: &Error) -> Option<(usize, usize)> {
    let Error::Registry(error) = error else { return None };
    match error {
        RegistryError::NotToml { place, .. }
        | RegistryError::UnknownKey { place, .. }
        | RegistryError::WrongValue { place, .. }
        | RegistryError::PlainSecret { place, .. } => Some((place.line, place.column)),
        _ => None,
    }
}

fn form(me: &SignedIn, application: &Application, text: &str, wrong: Option<&Error>) -> Html {
    let name = &application.name;
    let at = wrong.and_then(place);
    let body = html! {
        (crumb(name))
        h1 { "Edit " (name) }
        @if let Some(wrong) = wrong {
            (note(Tone::Bad, &html! {
                p { strong { "It was not changed." } " " (capital(&wrong.to_string())) }
                @if let Some((line, column)) = at {
                    @let shown: String = text.lines().nth(line - 1).unwrap_or_default().chars().take(200).collect();
                    pre.source { span.faint { (line) "  " } (shown) "\n" (" ".repeat(line.to_string().len() + 2 + column.min(200) - 1)) strong { "^" } }
                }
            }))
        }
        form.panel method="post" action=(format!("/applications/{name}/edit")) {
            div.body.form {
                (token(me))
                div.field {
                    label for="file" { "Its file" }
                    textarea #file name="file" rows=(text.lines().count().clamp(12, 36)) spellcheck="false" wrap="off" aria-describedby="file-hint" aria-invalid=[at.map(|_| "true")] { "\n" (text) }
                    span.hint #file-hint { "TOML, as " code { "grantkeeper app export" } " prints it, without its secrets." }
                }
                div.field.narrow {
                    label for="client_secret" { "Client secret" }
                    input #client_secret type="password" name="client_secret" autocomplete="off" aria-describedby="client_secret-hint";
                    span.hint #client_secret-hint {
                        @if application.client_secret.is_some() { "One is held. Leave this empty to keep it." } @else { "None is held." }
                        " Where the client id or a host changes, it must be given again."
                    }
                }
                @for secret in application.secrets.keys() {
                    @let id = format!("secrets.{secret}");
                    div.field.narrow {
                        label for=(id) { "Secret " (secret) }
                        input id=(id) type="password" name=(id) autocomplete="off" aria-describedby=(format!("{id}-hint"));
                        span.hint id=(format!("{id}-hint")) { "Leave this empty to keep it." }
                    }
                }
                details {
                    summary { "Add a named secret" }
                    div.form {
                        div.field.narrow { label for="new_secret_name" { "Its name" } input #new_secret_name name="new_secret_name" autocomplete="off" spellcheck="false" aria-describedby="new-hint"; }
                        div.field.narrow { label for="new_secret" { "The secret" } textarea #new_secret name="new_secret" rows="3" spellcheck="false" autocomplete="off" {} span.hint #new-hint { "A signing key (PEM) or an API secret that scripts sign with, such as " code { "private_key" } "." } }
                    }
                }
                div.actions { button.primary { "Save" } a.button href=(format!("/applications/{name}")) { "Leave it" } }
            }
        }
    };
    layout::page(me, Place::Applications, &format!("Edit {name}"), false, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_secrets_are_left_out_and_no_others() {
        let file = "name = \"a\"\n# Secrets are not exported.\nclient_secret = { env = \"A\" }\n[endpoints]\ntoken = \"t\"\n[secrets]\nkey = { env = \"B\" }\n[profiles.default]\nscopes = []\n";
        assert_eq!(
            without_secrets(file),
            "name = \"a\"\n[endpoints]\ntoken = \"t\"\n[profiles.default]\nscopes = []\n"
        );
    }
}
