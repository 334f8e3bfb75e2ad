//! An application: our client registration at one provider.

use super::{
    ApplicationName, Endpoint, Endpoints, Failure, Fields, Habits, HostPattern, Labels, ProfileName, ScriptName,
    Secret, Timestamp, Unplaced, sealed_map, sealed_option,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use url::Url;
use uuid::Uuid;

/// Our client registration at one provider. It is stored sealed as a whole: whoever can write the store can neither
/// read the secret nor redirect it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Never changes, and is never used again once the application is removed.
    pub id: Uuid,
    /// What people call it.
    pub name: ApplicationName,
    /// The catalog entry that it was made from.
    pub provider: Option<String>,
    /// An application that is not active hands out no token and refreshes none.
    pub active: bool,
    /// Our client id (RFC 6749 section 2.2).
    pub client_id: String,
    /// Our client secret; a public client has none.
    #[serde(with = "sealed_option")]
    pub client_secret: Option<Secret>,
    /// Further secrets by name: signing keys (PEM) and API secrets that scripts may sign with but never see. The
    /// private key for assertions is named `private_key`.
    #[serde(with = "sealed_map")]
    pub secrets: BTreeMap<String, Secret>,
    /// Where the provider's endpoints are.
    pub endpoints: Endpoints,
    /// Hosts beside the endpoints' own that scripts and callers may send this application's tokens to.
    pub hosts: Vec<HostPattern>,
    /// How the client authenticates at the token endpoint (RFC 6749 section 2.3).
    pub client_authentication: ClientAuthentication,
    /// Proof key for code exchange (RFC 7636).
    pub pkce: Pkce,
    /// Whether the callback must carry `iss` (RFC 9207), because the metadata promises it.
    pub iss_required: bool,
    /// What stands between two scopes; a space says RFC 6749 section 3.3.
    pub scope_separator: String,
    /// What else the provider does in its own way.
    pub habits: Box<Habits>,
    /// The OAuth API script; without one, `OAuthUtil` runs.
    pub script: Option<ScriptName>,
    /// Where the provider sends the browser back to. Without one, a loopback address with a path of the
    /// application's own (RFC 8252 section 7.3, RFC 9700 section 4.4).
    pub redirect_url: Option<Url>,
    /// How long tokens live that the provider says nothing of.
    pub lifespans: Lifespans,
    /// Whether a refresh reply without a new refresh token pushes the old one's expiry out.
    pub extend_refresh_token_expiry: bool,
    /// Whether the password grant may keep the password (sealed) to renew by itself.
    pub keep_password: bool,
    /// Grant types with their scopes, by name; `default` is always there.
    pub profiles: BTreeMap<ProfileName, Profile>,
    /// When it was made.
    pub created: Timestamp,
    /// Set while the provider refuses its client id or secret; an edit of the application clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<ClientRejection>,
}

/// The provider refuses an application's client: no connection of it can be refreshed before somebody mends that, so they
/// wait, and one alarm is raised for all of them. What one connection is told may be its own (a tenant that switched the
/// application off): it is the application's when a second one is told the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRejection {
    /// The provider's words.
    pub failure: Failure,
    /// The connection that met it first.
    pub by: Uuid,
    /// Whether another one met it too. Until then nobody waits.
    pub confirmed: bool,
    /// Since when.
    pub since: Timestamp,
    /// When one connection tries again by itself: a provider's own mistake looks just like ours.
    pub probe: Timestamp,
}

impl Application {
    /// Whether a URL's host is one that this application names: an endpoint's own, or one of `hosts`; https always,
    /// http only on this machine.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        let Ok(target) = Endpoint::try_from(url.clone()) else { return false };
        self.endpoints
            .all()
            .any(|endpoint| endpoint.url().scheme() == url.scheme() && endpoint.authority() == target.authority())
            || self.hosts.iter().any(|pattern| pattern.allows(url))
    }

    /// The application as it is for one connection: endpoints with placeholders are filled from its fields and labels. One
    /// that cannot be filled yet stays unset; [`Application::unplaced`] tells why.
    #[must_use]
    pub fn of_connection(&self, fields: &Fields, labels: &Labels) -> Self {
        Self { endpoints: self.endpoints.placed(fields, labels, &self.hosts), ..self.clone() }
    }

    /// Why an endpoint that has placeholders is not set for a connection; `None` when it has none, or is.
    #[must_use]
    pub fn unplaced(&self, endpoint: &str, fields: &Fields, labels: &Labels) -> Option<Unplaced> {
        self.endpoints.place(endpoint, fields, labels, &self.hosts)?.err()
    }

    /// The profile of a name.
    #[must_use]
    pub fn profile(&self, name: &ProfileName) -> Option<&Profile> {
        self.profiles.get(name)
    }
}

/// How Basic credentials are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BasicEncoding {
    /// Id and secret form-encoded first, as RFC 6749 section 2.3.1 says.
    Form,
    /// As they are: many servers do not decode.
    Raw,
}

/// How our client authenticates at the token, revocation and introspection endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum ClientAuthentication {
    /// HTTP Basic, form-encoded first (RFC 6749 section 2.3.1): what every server must support.
    #[default]
    Basic,
    /// HTTP Basic without the encoding.
    BasicRaw,
    /// `client_id` and `client_secret` in the body.
    Post,
    /// A public client: `client_id` alone.
    None,
    /// A JWT signed with the secret named `private_key` (RFC 7523 section 2.2).
    PrivateKeyJwt,
    /// A JWT signed with the client secret (OpenID Connect Core section 9).
    ClientSecretJwt,
    /// The client secret as a bearer token (Stripe).
    Bearer,
    /// HTTP Basic with the client secret as the user and no password (Stripe's other way).
    BasicSecret,
}

impl ClientAuthentication {
    /// The word that entries, scripts and JSON use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::BasicRaw => "basic_raw",
            Self::Post => "post",
            Self::None => "none",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::Bearer => "bearer",
            Self::BasicSecret => "basic_secret",
        }
    }
}

/// The proof key that goes with an authorization code (RFC 7636).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum Pkce {
    /// The challenge is the verifier's SHA-256: the default, and RFC 9700's advice for every client.
    #[default]
    S256,
    /// The challenge is the verifier itself.
    #[serde(rename = "plain")]
    Plain,
    /// No proof key; only for a provider that refuses it.
    #[serde(rename = "none")]
    None,
}

/// How a token is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum GrantType {
    /// RFC 6749 section 4.1.
    #[default]
    AuthorizationCode,
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 6749 section 4.3; kept for old servers.
    Password,
    /// RFC 7523 section 2.1.
    JwtBearer,
    /// RFC 8628.
    DeviceCode,
    /// RFC 6749 section 6.
    RefreshToken,
}

impl GrantType {
    /// The word that entries, JSON and people use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::JwtBearer => "jwt_bearer",
            Self::DeviceCode => "device_code",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// The value of `grant_type` on the wire.
    #[must_use]
    pub fn on_the_wire(self) -> &'static str {
        match self {
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            other => other.as_str(),
        }
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long received tokens live that the provider says nothing of, in seconds; unset is 30 and 365 days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Lifespans {
    /// Of a received access token.
    pub access_token: Option<u64>,
    /// Of a received refresh token.
    pub refresh_token: Option<u64>,
}

/// A named grant type with its scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Profile {
    /// How a token is asked for.
    pub grant: GrantType,
    /// The scopes asked for, in order.
    pub scopes: Vec<String>,
    /// `audience` of the request (Auth0 and others).
    pub audience: Option<String>,
    /// `resource` of the request (RFC 8707).
    pub resource: Option<String>,
    /// The user name of the password grant.
    pub username: Option<String>,
    /// The `sub` of a JWT bearer assertion; without one, the client id.
    pub subject: Option<String>,
    /// The `aud` of a JWT bearer assertion; without one, the token endpoint.
    pub assertion_audience: Option<String>,
}
