//! Applications and profiles.

use crate::api::{ApplicationDocument, AppliedDocument};
use crate::connector::Connector;
use crate::model::{Application, Profile, ProfileName};
use crate::registry::{SecretSource, export, parse_application};
use crate::server::answer::{Answer, Document, Json, OfApplication, OfProfile, Refusal, whole};
use crate::server::doors::asker::Asker;
use crate::server::routes::{Routes, get, put};
use crate::server::shared::Shared;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use std::collections::BTreeMap;

/// Bytes of the largest application: its file has 1 MiB at the most, and JSON writes some characters longer.
const LARGEST_APPLICATION: usize = 2 * 1024 * 1024;

/// The media type of the file that `app apply` reads.
const TOML: &str = "application/toml";

pub(in crate::server) fn routes() -> Routes {
    Routes::new()
        .route("/v1/applications", get(list))
        .route("/v1/applications/{application}", get(show).delete(remove).merge(put(apply).up_to(LARGEST_APPLICATION)))
        .route("/v1/applications/{application}/toml", get(as_toml))
        .route("/v1/applications/{application}/profiles", get(profiles))
        .route("/v1/applications/{application}/profiles/{profile}", put(put_profile).delete(remove_profile))
}

async fn list(asker: Asker) -> Answer<Vec<ApplicationDocument>> {
    let all = asker.applications().await?;
    Ok(Json(
        all.iter()
            .filter(|application| asker.manages_application(&application.name))
            .map(|application| document(&asker, application))
            .collect(),
    ))
}

async fn show(asker: Asker, OfApplication(name): OfApplication) -> Answer<ApplicationDocument> {
    let application = asker.application(&name).await?;
    Ok(Json(document(&asker, &application)))
}

async fn as_toml(
    asker: Asker,
    OfApplication(name): OfApplication,
) -> Result<([(header::HeaderName, &'static str); 1], String), Refusal> {
    let application = asker.application(&name).await?;
    Ok(([(header::CONTENT_TYPE, TOML)], export(&application)))
}

/// Makes or edits an application. The body is its file: as TOML, or the same keys as JSON. Secrets stand in it in clear; one that is
/// to be read from elsewhere is read by who asks, whose environment and files they are.
async fn apply(
    State(shared): State<Shared>,
    asker: Asker,
    OfApplication(name): OfApplication,
    request: Request,
) -> Answer<AppliedDocument> {
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
    let (application, applied) = asker.apply(draft, &mut not_here).await?;
    Ok(Json(AppliedDocument { applied, application: document(&asker, &application) }))
}

async fn remove(asker: Asker, OfApplication(name): OfApplication) -> Result<StatusCode, Refusal> {
    asker.remove_application(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn profiles(asker: Asker, OfApplication(name): OfApplication) -> Answer<BTreeMap<ProfileName, Profile>> {
    Ok(Json(asker.application(&name).await?.profiles))
}

async fn put_profile(
    asker: Asker,
    OfProfile(application, name): OfProfile,
    Document(profile): Document<Profile>,
) -> Answer<Profile> {
    asker.put_profile(&application, name, profile.clone()).await?;
    Ok(Json(profile))
}

async fn remove_profile(asker: Asker, OfProfile(application, name): OfProfile) -> Result<StatusCode, Refusal> {
    asker.remove_profile(&application, &name).await?;
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
