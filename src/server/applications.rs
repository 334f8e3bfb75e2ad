//! Applications and profiles.

use super::acting::For;
use super::answer::{Answer, Document, OfApplication, OfProfile, Refusal, whole};
use super::shared::Shared;
use crate::api::{ApplicationDocument, AppliedDocument};
use crate::connector::Connector;
use crate::model::{Application, Profile, ProfileName};
use crate::registry::{SecretSource, export, parse_application};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::routing::{get, put};
use axum::{Json, Router};
use std::collections::BTreeMap;

/// Bytes of the largest application: its file has 1 MiB at the most, and JSON writes some characters longer.
const LARGEST_APPLICATION: usize = 2 * 1024 * 1024;

/// The media type of the file that `app apply` reads.
const TOML: &str = "application/toml";

pub(super) fn routes() -> Router<Shared> {
    let apply = put(apply).layer(DefaultBodyLimit::max(LARGEST_APPLICATION));
    Router::new()
        .route("/applications", get(list))
        .route("/applications/{application}", get(show).delete(remove).merge(apply))
        .route("/applications/{application}/toml", get(as_toml))
        .route("/applications/{application}/profiles", get(profiles))
        .route("/applications/{application}/profiles/{profile}", put(put_profile).delete(remove_profile))
}

async fn list(State(shared): State<Shared>) -> Answer<Vec<ApplicationDocument>> {
    let all = shared.connector.applications().await?;
    Ok(Json(all.iter().map(|application| document(&shared.connector, application)).collect()))
}

async fn show(State(shared): State<Shared>, OfApplication(name): OfApplication) -> Answer<ApplicationDocument> {
    let application = shared.connector.application(&name).await?;
    Ok(Json(document(&shared.connector, &application)))
}

async fn as_toml(
    State(shared): State<Shared>,
    OfApplication(name): OfApplication,
) -> Result<([(header::HeaderName, &'static str); 1], String), Refusal> {
    let application = shared.connector.application(&name).await?;
    Ok(([(header::CONTENT_TYPE, TOML)], export(&application)))
}

/// Makes or edits an application. The body is its file: as TOML, or the same keys as JSON. Secrets stand in it in clear; one that is
/// to be read from elsewhere is read by who asks, whose environment and files they are.
async fn apply(For(shared): For, OfApplication(name): OfApplication, request: Request) -> Answer<AppliedDocument> {
    let is_toml = request.headers().get(header::CONTENT_TYPE).is_some_and(|named| named.as_bytes() == TOML.as_bytes());
    let text = match is_toml {
        true => text(&whole(request, &shared, TOML).await?)?.to_owned(),
        false => {
            let bytes = whole(request, &shared, "application/json").await?;
            let table: toml::Table = serde_json::from_slice(&bytes).map_err(|error| {
                Refusal::bad(format!(
                    "the body is no application: it is not JSON, or has a null, at line {} column {}",
                    error.line(),
                    error.column()
                ))
            })?;
            toml::to_string(&table)
                .map_err(|_| Refusal::bad("the body is no application: it cannot be written as TOML"))?
        }
    };
    let draft = parse_application(&text, "the application in the request", true)?;
    if draft.name != name {
        return Err(Refusal::bad(format!("the path names {name}, and the body {}", draft.name)));
    }
    let (application, applied) = shared.connector.apply(draft, &mut not_here).await?;
    Ok(Json(AppliedDocument { applied, application: document(&shared.connector, &application) }))
}

async fn remove(For(shared): For, OfApplication(name): OfApplication) -> Result<StatusCode, Refusal> {
    shared.connector.remove_application(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn profiles(
    State(shared): State<Shared>,
    OfApplication(name): OfApplication,
) -> Answer<BTreeMap<ProfileName, Profile>> {
    Ok(Json(shared.connector.application(&name).await?.profiles))
}

async fn put_profile(
    For(shared): For,
    OfProfile(application, name): OfProfile,
    Document(profile): Document<Profile>,
) -> Answer<Profile> {
    shared.connector.put_profile(&application, name, profile.clone()).await?;
    Ok(Json(profile))
}

async fn remove_profile(For(shared): For, OfProfile(application, name): OfProfile) -> Result<StatusCode, Refusal> {
    shared.connector.remove_profile(&application, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn document(connector: &Connector, application: &Application) -> ApplicationDocument {
    ApplicationDocument::of(application, connector.redirect_url(application))
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| Refusal::bad("the body is not UTF-8 text"))
}

/// The daemon reads no variable, no file and no input for who asks.
fn not_here(_: &SecretSource) -> Result<crate::model::Secret, String> {
    Err("the daemon reads no secrets for others; put the secret itself into the request".to_owned())
}
