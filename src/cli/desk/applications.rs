//! Applications and profiles.

use super::Desk;
use crate::api::{ApplicationDocument, AppliedDocument};
use crate::cli::error::Error;
use crate::connector::Connector;
use crate::model::{Application, ApplicationName, Profile, ProfileName};
use crate::registry::{Draft, export};
use reqwest::Method;
use serde_json::{Value, json};

impl Desk {
    pub(in crate::cli) async fn applications(&self) -> Result<Vec<ApplicationDocument>, Error> {
        match self {
            Self::Here(connector) => {
                Ok(connector.applications().await?.iter().map(|one| document(connector, one)).collect())
            }
            Self::There(client) => client.get("/applications").await,
        }
    }

    pub(in crate::cli) async fn application(&self, name: &ApplicationName) -> Result<ApplicationDocument, Error> {
        match self {
            Self::Here(connector) => Ok(document(connector, &connector.application(name).await?)),
            Self::There(client) => client.get(&format!("/applications/{name}")).await,
        }
    }

    /// The TOML that makes an application.
    pub(in crate::cli) async fn export_application(&self, name: &ApplicationName) -> Result<String, Error> {
        match self {
            Self::Here(connector) => Ok(export(&connector.application(name).await?)),
            Self::There(client) => client.text(&format!("/applications/{name}/toml")).await,
        }
    }

    /// Applies a draft whose secrets were read. `file` is what it was made of, for who reads it anew.
    pub(in crate::cli) async fn apply(&self, draft: Draft, file: &Value) -> Result<AppliedDocument, Error> {
        match self {
            Self::Here(connector) => {
                let mut read = |_: &_| Err("it was not read".to_owned());
                let (application, applied) = connector.apply(draft, &mut read).await?;
                Ok(AppliedDocument { applied, application: document(connector, &application) })
            }
            Self::There(client) => client.send(Method::PUT, &format!("/applications/{}", draft.name), file).await,
        }
    }

    pub(in crate::cli) async fn remove_application(&self, name: &ApplicationName) -> Result<(), Error> {
        match self {
            Self::Here(connector) => Ok(connector.remove_application(name).await?),
            Self::There(client) => client.tell(Method::DELETE, &format!("/applications/{name}"), &json!({})).await,
        }
    }

    pub(in crate::cli) async fn put_profile(
        &self,
        application: &ApplicationName,
        name: ProfileName,
        profile: Profile,
    ) -> Result<(), Error> {
        match self {
            Self::Here(connector) => Ok(connector.put_profile(application, name, profile).await?),
            Self::There(client) => {
                client.tell(Method::PUT, &format!("/applications/{application}/profiles/{name}"), &profile).await
            }
        }
    }

    pub(in crate::cli) async fn remove_profile(
        &self,
        application: &ApplicationName,
        name: &ProfileName,
    ) -> Result<(), Error> {
        match self {
            Self::Here(connector) => Ok(connector.remove_profile(application, name).await?),
            Self::There(client) => {
                client.tell(Method::DELETE, &format!("/applications/{application}/profiles/{name}"), &json!({})).await
            }
        }
    }
}

fn document(connector: &Connector, application: &Application) -> ApplicationDocument {
    ApplicationDocument::of(application, connector.redirect_url(application))
}
