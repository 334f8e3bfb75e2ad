//! The vocabulary that a provider entry and an application share, and how one lies over the other.

use super::error::RegistryError;
use super::habits::read_habits;
use super::reader::{Found, Reader, Spot};
use crate::model::{
    Application, ClientAuthentication, Endpoint, Endpoints, GrantType, Habits, HostPattern, Lifespans, Part, Pkce,
    Profile, ProfileName, ScriptName, Template, has_whole_host,
};
use std::collections::BTreeMap;
use url::Url;

/// What a provider entry or an application says. What it does not say is absent, and the layer below decides: an
/// application lies over its provider's entry, and that over the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where the provider's endpoints are.
    pub endpoints: Endpoints,
    /// Hosts beside the endpoints' own that tokens may be sent to. A list replaces the one below.
    pub hosts: Option<Vec<HostPattern>>,
    /// How the client authenticates; the default is Basic.
    pub client_authentication: Option<ClientAuthentication>,
    /// The proof key; the default is S256.
    pub pkce: Option<Pkce>,
    /// Whether the callback must carry `iss`; the default is no.
    pub iss_required: Option<bool>,
    /// What stands between two scopes; the default is a space.
    pub scope_separator: Option<String>,
    /// What else the provider does in its own way.
    pub habits: Box<Habits>,
    /// The OAuth API script.
    pub script: Option<ScriptName>,
    /// Where the provider sends the browser back to.
    pub redirect_url: Option<Url>,
    /// How long tokens live that the provider says nothing of.
    pub lifespans: Lifespans,
    /// Whether a refresh pushes the expiry of an unchanged refresh token out; the default is no.
    pub extend_refresh_token_expiry: Option<bool>,
    /// Whether the password grant keeps the password; the default is no.
    pub keep_password: Option<bool>,
    /// The grant of profiles that name none; the default is the authorization code.
    pub default_grant: Option<GrantType>,
    /// Profiles by name.
    pub profiles: BTreeMap<ProfileName, ProfileSettings>,
}

/// What is said of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileSettings {
    /// How a token is asked for.
    pub grant: Option<GrantType>,
    /// The scopes asked for. A list replaces the one below.
    pub scopes: Option<Vec<String>>,
    /// `audience` of the request.
    pub audience: Option<String>,
    /// `resource` of the request (RFC 8707).
    pub resource: Option<String>,
    /// The user name of the password grant.
    pub username: Option<String>,
    /// The `sub` of a JWT bearer assertion.
    pub subject: Option<String>,
    /// The `aud` of a JWT bearer assertion.
    pub assertion_audience: Option<String>,
}

impl Settings {
    /// What an application says, all of it.
    #[must_use]
    pub fn of(application: &Application) -> Self {
        Self {
            endpoints: application.endpoints.clone(),
            hosts: Some(application.hosts.clone()),
            client_authentication: Some(application.client_authentication),
            pkce: Some(application.pkce),
            iss_required: Some(application.iss_required),
            scope_separator: Some(application.scope_separator.clone()),
            habits: application.habits.clone(),
            script: application.script.clone(),
            redirect_url: application.redirect_url.clone(),
            lifespans: application.lifespans,
            extend_refresh_token_expiry: Some(application.extend_refresh_token_expiry),
            keep_password: Some(application.keep_password),
            default_grant: None,
            profiles: application
                .profiles
                .iter()
                .map(|(name, profile)| (name.clone(), ProfileSettings::of(profile)))
                .collect(),
        }
    }

    /// These settings, and where they are silent those of `below`.
    #[must_use]
    pub fn over(self, below: &Self) -> Self {
        let mut profiles = below.profiles.clone();
        for (name, profile) in self.profiles {
            let under = profiles.remove(&name).unwrap_or_default();
            profiles.insert(name, profile.over(under));
        }
        Self {
            endpoints: self.endpoints.over(&below.endpoints),
            hosts: self.hosts.or_else(|| below.hosts.clone()),
            client_authentication: self.client_authentication.or(below.client_authentication),
            pkce: self.pkce.or(below.pkce),
            iss_required: self.iss_required.or(below.iss_required),
            scope_separator: self.scope_separator.or_else(|| below.scope_separator.clone()),
            habits: Box::new(self.habits.over(&below.habits)),
            script: self.script.or_else(|| below.script.clone()),
            redirect_url: self.redirect_url.or_else(|| below.redirect_url.clone()),
            lifespans: Lifespans {
                access_token: self.lifespans.access_token.or(below.lifespans.access_token),
                refresh_token: self.lifespans.refresh_token.or(below.lifespans.refresh_token),
            },
            extend_refresh_token_expiry: self.extend_refresh_token_expiry.or(below.extend_refresh_token_expiry),
            keep_password: self.keep_password.or(below.keep_password),
            default_grant: self.default_grant.or(below.default_grant),
            profiles,
        }
    }

    /// Reads the shared keys; the caller reads its own and then calls `finish`.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, RegistryError> {
        Ok(Self {
            endpoints: reader.take("endpoints").map(read_endpoints).transpose()?.unwrap_or_default(),
            hosts: reader.take("hosts").map(read_hosts).transpose()?,
            client_authentication: reader
                .take("client_authentication")
                .map(|found| found.choice(&CLIENT_AUTHENTICATION, &OTHER_CLIENT_AUTHENTICATION))
                .transpose()?,
            pkce: reader.take("pkce").map(|found| found.choice(&PKCE, &[])).transpose()?,
            iss_required: reader.take("iss_required").map(Found::flag).transpose()?,
            scope_separator: reader.take("scope_separator").map(|f| f.text_that(is_separator)).transpose()?,
            habits: Box::new(read_habits(reader)?),
            script: reader.take("script").map(Found::parse).transpose()?,
            redirect_url: reader.take("redirect_url").map(read_url).transpose()?.map(|url| url.url().clone()),
            lifespans: reader.take("lifespans").map(read_lifespans).transpose()?.unwrap_or_default(),
            extend_refresh_token_expiry: reader.take("extend_refresh_token_expiry").map(Found::flag).transpose()?,
            keep_password: reader.take("keep_password").map(Found::flag).transpose()?,
            default_grant: reader.take("default_grant").map(read_grant).transpose()?,
            profiles: read_profiles(reader.take("profiles"))?,
        })
    }
}

impl ProfileSettings {
    fn of(profile: &Profile) -> Self {
        Self {
            grant: Some(profile.grant),
            scopes: Some(profile.scopes.clone()),
            audience: profile.audience.clone(),
            resource: profile.resource.clone(),
            username: profile.username.clone(),
            subject: profile.subject.clone(),
            assertion_audience: profile.assertion_audience.clone(),
        }
    }

    fn over(self, below: Self) -> Self {
        Self {
            grant: self.grant.or(below.grant),
            scopes: self.scopes.or(below.scopes),
            audience: self.audience.or(below.audience),
            resource: self.resource.or(below.resource),
            username: self.username.or(below.username),
            subject: self.subject.or(below.subject),
            assertion_audience: self.assertion_audience.or(below.assertion_audience),
        }
    }

    /// The profile itself; `grant` is the grant of one that names none.
    pub(super) fn into_profile(self, grant: GrantType) -> Profile {
        Profile {
            grant: self.grant.unwrap_or(grant),
            scopes: self.scopes.unwrap_or_default(),
            audience: self.audience,
            resource: self.resource,
            username: self.username,
            subject: self.subject,
            assertion_audience: self.assertion_audience,
        }
    }

    fn read(found: Found<'_>) -> Result<Self, RegistryError> {
        let mut table = found.table()?;
        let read = Self {
            grant: table.take("grant").map(read_grant).transpose()?,
            scopes: table.take("scopes").map(read_scopes).transpose()?,
            audience: table.take("audience").map(Found::some_text).transpose()?,
            resource: table.take("resource").map(Found::some_text).transpose()?,
            username: table.take("username").map(Found::some_text).transpose()?,
            subject: table.take("subject").map(Found::some_text).transpose()?,
            assertion_audience: table.take("assertion_audience").map(Found::some_text).transpose()?,
        };
        table.finish()?;
        Ok(read)
    }
}

fn read_endpoints(found: Found<'_>) -> Result<Endpoints, RegistryError> {
    let mut table = found.table()?;
    let mut endpoints = Endpoints::default();
    let mut templates = BTreeMap::new();
    for (name, set) in endpoints.named_mut() {
        let Some(found) = table.take(name) else { continue };
        let address = if name == "issuer" { read_issuer(found)? } else { read_endpoint(found)? };
        match address {
            Address::Fixed(endpoint) => *set = Some(endpoint),
            // Whom an issuer is compared with must not come from what is compared.
            Address::OfConnection(_, spot) if name == "issuer" => {
                return Err(spot.wrong("cannot have placeholders of a connection"));
            }
            Address::OfConnection(template, _) => {
                templates.insert(name.to_owned(), template);
            }
        }
    }
    table.finish()?;
    Ok(Endpoints { templates, ..endpoints })
}

enum Address {
    Fixed(Endpoint),
    OfConnection(Template, Spot),
}

/// As any endpoint, but that `{tid}` in its path stands for the tenant of whoever consents (Microsoft's `common`).
fn read_issuer(found: Found<'_>) -> Result<Address, RegistryError> {
    let spot = found.spot();
    if !found.is_text_with("{tid}") {
        return read_endpoint(found);
    }
    let read = Endpoint::issuer_of_tenants(&found.text()?);
    read.map(Address::Fixed).map_err(|_| spot.wrong("must be a https address with {tid} once, in its path"))
}

fn read_endpoint(found: Found<'_>) -> Result<Address, RegistryError> {
    let spot = found.spot();
    let text = found.some_text()?;
    if !text.contains('{') {
        return read_url_text(&text).map(Address::Fixed).map_err(|reason| spot.wrong(reason));
    }
    let template: Template = text.parse().map_err(|error| spot.again().wrong(format!("{error}")))?;
    if let Some(other) = template.placeholders().find(|placeholder| !placeholder.is_of_connection()) {
        return Err(spot.wrong(format!(
            "cannot have {other}; an endpoint takes {{field.NAME}} and {{label.NAME}}, and in a provider entry {{variable.NAME}}"
        )));
    }
    // With a word in each hole it must be an endpoint that has the words where they cannot change what it is.
    let holes = template.placeholders().count();
    let tried = template.fill(|_| Some("zzhole".to_owned())).unwrap_or_default();
    let endpoint = read_url_text(&tried).map_err(|reason| spot.again().wrong(reason))?;
    let url = endpoint.url();
    let seen = |text: &str| text.matches("zzhole").count();
    if seen(url.host_str().unwrap_or_default()) + seen(url.path()) != holes {
        return Err(spot.wrong("can have placeholders in its host and its path only"));
    }
    Ok(Address::OfConnection(template, spot))
}

/// Whether an endpoint's host depends on the connection.
pub(super) fn has_host_placeholder(template: &Template) -> bool {
    let mut before = String::new();
    template.parts().iter().any(|part| match part {
        Part::Text(text) => {
            before.push_str(text);
            false
        }
        Part::Hole(_) => !has_whole_host(&before),
    })
}

fn read_url(found: Found<'_>) -> Result<Endpoint, RegistryError> {
    let spot = found.spot();
    read_url_text(&found.text()?).map_err(|reason| spot.wrong(reason))
}

fn read_url_text(text: &str) -> Result<Endpoint, String> {
    // A URL parser takes them quietly, as %7B.
    if text.contains(['{', '}', '<', '>']) {
        return Err("has a placeholder in it; write your own value there".to_owned());
    }
    text.parse().map_err(|error| format!("does not fit: {error}"))
}

fn read_hosts(found: Found<'_>) -> Result<Vec<HostPattern>, RegistryError> {
    found.list()?.into_iter().map(Found::parse).collect()
}

fn read_lifespans(found: Found<'_>) -> Result<Lifespans, RegistryError> {
    let mut table = found.table()?;
    let lifespans = Lifespans {
        access_token: table.take("access_token").map(Found::seconds).transpose()?,
        refresh_token: table.take("refresh_token").map(Found::seconds).transpose()?,
    };
    table.finish()?;
    Ok(lifespans)
}

fn read_grant(found: Found<'_>) -> Result<GrantType, RegistryError> {
    let words = GRANTS.map(|grant| (grant.as_str(), grant));
    let others = GRANTS.map(|grant| (grant.on_the_wire(), grant.as_str()));
    found.choice(&words, &others)
}

fn read_scopes(found: Found<'_>) -> Result<Vec<String>, RegistryError> {
    let is_scope = |scope: &str| match scope {
        "" => Err("is empty".to_owned()),
        // Two scopes in one text would be sent as two wherever a space separates them, and as none elsewhere.
        scope if scope.contains(char::is_whitespace) => {
            Err("holds white space; write each scope in its own quotes".to_owned())
        }
        _ => Ok(()),
    };
    found.list()?.into_iter().map(|scope| scope.text_that(is_scope)).collect()
}

fn read_profiles(found: Option<Found<'_>>) -> Result<BTreeMap<ProfileName, ProfileSettings>, RegistryError> {
    let Some(found) = found else { return Ok(BTreeMap::new()) };
    let read = |(name, found): (String, Found<'_>)| {
        let name: ProfileName = name.parse().map_err(|error| found.wrong(format!("does not fit: {error}")))?;
        Ok((name, ProfileSettings::read(found)?))
    };
    found.table()?.rest().map(read).collect()
}

pub(super) fn is_separator(text: &str) -> Result<(), String> {
    let fits = (1..=3).contains(&text.chars().count()) && !text.chars().any(|c| c.is_alphanumeric() || c.is_control());
    if fits {
        Ok(())
    } else {
        Err("must be one to three characters that are no letters or digits, such as \" \" or \",\"".to_owned())
    }
}

const CLIENT_AUTHENTICATION: [(&str, ClientAuthentication); 8] = [
    ("basic", ClientAuthentication::Basic),
    ("basic_raw", ClientAuthentication::BasicRaw),
    ("post", ClientAuthentication::Post),
    ("none", ClientAuthentication::None),
    ("private_key_jwt", ClientAuthentication::PrivateKeyJwt),
    ("client_secret_jwt", ClientAuthentication::ClientSecretJwt),
    ("bearer", ClientAuthentication::Bearer),
    ("basic_secret", ClientAuthentication::BasicSecret),
];

/// OpenID Connect Core section 9's names, and plain words.
const OTHER_CLIENT_AUTHENTICATION: [(&str, &str); 5] = [
    ("client_secret_basic", "basic"),
    ("client_secret_post", "post"),
    ("header", "basic"),
    ("body", "post"),
    ("public", "none"),
];

const PKCE: [(&str, Pkce); 3] = [("S256", Pkce::S256), ("plain", Pkce::Plain), ("none", Pkce::None)];

pub(super) const GRANTS: [GrantType; 6] = [
    GrantType::AuthorizationCode,
    GrantType::ClientCredentials,
    GrantType::Password,
    GrantType::JwtBearer,
    GrantType::DeviceCode,
    GrantType::RefreshToken,
];
