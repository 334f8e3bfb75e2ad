//! Applications.

use crate::connector::Applied;
use crate::model::{
    Application, ApplicationName, ClientAuthentication, Endpoints, Habits, HostPattern, Lifespans, Pkce, Profile,
    ProfileName, ScriptName, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;
use uuid::Uuid;

/// An application: everything but the secrets, of which only the names are told.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationDocument {
    /// What people call it.
    pub name: ApplicationName,
    /// The catalog entry that it was made from.
    pub provider: Option<String>,
    /// Whether it may be used.
    pub active: bool,
    /// Our client id.
    pub client_id: String,
    /// Whether a client secret is kept, sealed.
    pub has_client_secret: bool,
    /// The names of its further secrets.
    pub secrets: Vec<String>,
    /// How the client authenticates.
    pub client_authentication: ClientAuthentication,
    /// The proof key for code exchange.
    pub pkce: Pkce,
    /// Whether a callback must carry `iss`.
    pub iss_required: bool,
    /// Where the provider's endpoints are.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub endpoints: Endpoints,
    /// Hosts beside the endpoints' own.
    pub hosts: Vec<HostPattern>,
    /// What stands between two scopes.
    pub scope_separator: String,
    /// What else the provider does in its own way.
    #[serde(flatten)]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub habits: Box<Habits>,
    /// The OAuth API script.
    pub script: Option<ScriptName>,
    /// The redirect URL that the provider must know, be it the application's own or the usual one.
    pub redirect_url: Url,
    /// How long tokens live that the provider says nothing of.
    pub lifespans: Lifespans,
    /// Whether a refresh pushes the expiry of an unchanged refresh token out.
    pub extend_refresh_token_expiry: bool,
    /// Whether the password grant keeps the password.
    pub keep_password: bool,
    /// Its profiles by name.
    pub profiles: BTreeMap<ProfileName, Profile>,
    /// When it was made.
    pub created: Timestamp,
}

impl ApplicationDocument {
    /// `redirect_url` is [`Connector::redirect_url`](crate::Connector::redirect_url)'s.
    #[must_use]
    pub fn of(application: &Application, redirect_url: Url) -> Self {
        Self {
            name: application.name.clone(),
            provider: application.provider.clone(),
            active: application.active,
            client_id: application.client_id.clone(),
            has_client_secret: application.client_secret.is_some(),
            secrets: application.secrets.keys().cloned().collect(),
            client_authentication: application.client_authentication,
            pkce: application.pkce,
            iss_required: application.iss_required,
            endpoints: application.endpoints.clone(),
            hosts: application.hosts.clone(),
            scope_separator: application.scope_separator.clone(),
            habits: application.habits.clone(),
            script: application.script.clone(),
            redirect_url,
            lifespans: application.lifespans,
            extend_refresh_token_expiry: application.extend_refresh_token_expiry,
            keep_password: application.keep_password,
            profiles: application.profiles.clone(),
            created: application.created,
        }
    }

    /// The application as far as it is told: enough to read a reply by, without its secrets and its id.
    #[must_use]
    pub fn into_application(self) -> Application {
        Application {
            id: Uuid::nil(),
            name: self.name,
            provider: self.provider,
            active: self.active,
            client_id: self.client_id,
            client_secret: None,
            secrets: BTreeMap::new(),
            endpoints: self.endpoints,
            hosts: self.hosts,
            client_authentication: self.client_authentication,
            pkce: self.pkce,
            iss_required: self.iss_required,
            scope_separator: self.scope_separator,
            habits: self.habits,
            script: self.script,
            redirect_url: Some(self.redirect_url),
            lifespans: self.lifespans,
            extend_refresh_token_expiry: self.extend_refresh_token_expiry,
            keep_password: self.keep_password,
            profiles: self.profiles,
            created: self.created,
            rejected: None,
        }
    }
}

/// What applying an application came to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AppliedDocument {
    /// `created`, `updated` or `unchanged`.
    pub applied: Applied,
    /// The application as it is now.
    pub application: ApplicationDocument,
}
