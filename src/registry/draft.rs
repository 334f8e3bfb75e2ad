//! An application as it was written, on its way to one that cannot be wrong.

use super::catalog::{Catalog, Provider};
use super::error::RegistryError;
use super::reader::{Found, Reader};
use super::secrets::SecretSource;
use super::settings::{Settings, has_host_placeholder};
use super::variable;
use crate::model::{
    Application, ApplicationName, ClientAuthentication, Endpoint, Endpoints, GrantType, ProfileName, Secret, Timestamp,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// An application as a person wrote it, with its provider's entry beneath. [`Draft::resolve`] makes the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What people will call it.
    pub name: ApplicationName,
    /// The catalog entry whose settings lie beneath.
    pub provider: Option<String>,
    /// Whether it may be used; unsaid, it stays as it was, and a new one is active.
    pub active: Option<bool>,
    /// Our client id.
    pub client_id: String,
    /// Where the client secret comes from.
    pub client_secret: Option<SecretSource>,
    /// Where further secrets come from, by name.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Everything else; the provider's settings are in it.
    pub settings: Settings,
}

/// Reads an application's TOML. `file_name` is for messages. A secret that stands in the text itself is refused unless
/// `insist_plain_secrets`.
///
/// # Errors
/// The first thing that is wrong, with its place and what would be right.
pub fn parse_application(text: &str, file_name: &str, insist_plain_secrets: bool) -> Result<Draft, RegistryError> {
    parse_application_without(text, file_name, insist_plain_secrets, None)
}

/// The same as if one key ([`super::KEYS`]) were not there, neither in the text nor in the provider's entry: how tests see
/// that each key does something.
pub fn parse_application_without(
    text: &str,
    file_name: &str,
    insist_plain_secrets: bool,
    without: Option<&str>,
) -> Result<Draft, RegistryError> {
    let mut reader = Reader::new(file_name, text)?;
    reader.leave_out(without);
    let name = reader.need("name", "give the application a name, e.g. name = \"google-drive\"")?.parse()?;
    let provider = reader.take("provider").map(read_provider).transpose()?;
    let client_id = reader.need("client_id", "the provider gives it when you register there")?.some_text()?;
    let active = reader.take("active").map(Found::flag).transpose()?;
    let client_secret =
        reader.take("client_secret").map(|found| SecretSource::read(found, insist_plain_secrets)).transpose()?;
    let secrets = reader.take("secrets").map(|found| read_secrets(found, insist_plain_secrets)).transpose()?;
    let variables = reader.take("variables").map(|found| Ok((found.spot(), variable::stated(found)?))).transpose()?;
    let mut settings = Settings::read(&mut reader)?;
    reader.finish()?;
    match (provider, variables) {
        (Some(provider), variables) => {
            let (spot, stated) = variables.map_or((None, BTreeMap::new()), |(spot, stated)| (Some(spot), stated));
            let below = provider.settings_without(&stated, without).map_err(|error| match spot {
                Some(spot) => spot.wrong(format!("do not fit: {error}")),
                None => error,
            })?;
            settings = settings.over(&below);
        }
        (None, Some((spot, _))) => {
            return Err(spot
                .wrong("belong to a provider's entry; write the values where they are needed, or name the provider"));
        }
        (None, None) => {}
    }
    Ok(Draft {
        name,
        provider: provider.map(|provider| provider.name.clone()),
        active,
        client_id,
        client_secret,
        secrets: secrets.unwrap_or_default(),
        settings,
    })
}

impl Draft {
    /// An application of a provider with nothing overridden. The secret's source is set by the caller.
    ///
    /// # Errors
    /// When a variable of the provider's is missing, or is none of its.
    pub fn from_provider(
        name: ApplicationName,
        provider: &Provider,
        variables: &BTreeMap<String, String>,
        client_id: String,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            name,
            provider: Some(provider.name.clone()),
            active: None,
            client_id,
            client_secret: None,
            secrets: BTreeMap::new(),
            settings: provider.settings_with(variables)?,
        })
    }

    /// The issuer whose metadata (RFC 8414, OpenID Connect Discovery) should be read, when an endpoint that a profile
    /// needs is not set and an issuer is. Give what was found to [`Draft::fill`].
    #[must_use]
    pub fn discover_from(&self) -> Option<&Endpoint> {
        let missing =
            self.grants().into_iter().any(|(_, grant)| missing_endpoint(grant, &self.settings.endpoints).is_some());
        self.settings.endpoints.issuer.as_ref().filter(|issuer| missing && !issuer.is_of_tenants())
    }

    /// Takes what the issuer's metadata says, where the draft says nothing. The caller has checked that the metadata
    /// names that issuer (RFC 8414 section 3.3).
    pub fn fill(&mut self, found: &Endpoints, iss_required: bool) {
        self.settings.endpoints = std::mem::take(&mut self.settings.endpoints).over(found);
        self.settings.iss_required = self.settings.iss_required.or(Some(iss_required));
    }

    /// Reads every secret from its source, so that the draft holds them itself and can be resolved elsewhere.
    ///
    /// # Errors
    /// When one cannot be read, or two are to come from standard input.
    pub fn read_secrets(
        &mut self,
        secrets: &mut dyn FnMut(&SecretSource) -> Result<Secret, String>,
    ) -> Result<(), RegistryError> {
        self.one_standard_input()?;
        let name = self.name.to_string();
        let named = self.secrets.iter_mut().map(|(key, source)| (format!("secrets.{key}"), source));
        for (key, source) in
            self.client_secret.iter_mut().map(|source| ("client_secret".to_owned(), source)).chain(named)
        {
            *source = SecretSource::Plain(read_secret(&name, &key, source, secrets)?);
        }
        Ok(())
    }

    /// Makes the application. `secrets` reads a secret from its source. `previous` is the application that this one
    /// replaces: its creation time, its state and the secrets that are not stated again are kept, and `id` should be its
    /// id. Secrets are kept only for the client id that they belong to, and for the places that they were given for.
    ///
    /// # Errors
    /// When settings do not fit together, or a secret cannot be read.
    pub fn resolve(
        self,
        id: Uuid,
        now: Timestamp,
        secrets: &mut dyn FnMut(&SecretSource) -> Result<Secret, String>,
        previous: Option<&Application>,
    ) -> Result<Application, RegistryError> {
        self.one_standard_input()?;
        let grants = self.grants();
        let name = self.name.to_string();
        let mut read = |key: &str, source: &SecretSource| read_secret(&name, key, source, secrets);
        let client_secret = self.client_secret.as_ref().map(|source| read("client_secret", source)).transpose()?;
        let mut named = BTreeMap::new();
        for (key, source) in &self.secrets {
            named.insert(key.clone(), read(&format!("secrets.{key}"), source)?);
        }
        let grant = self.settings.default_grant.unwrap_or_default();
        let mut profiles: BTreeMap<_, _> =
            self.settings.profiles.into_iter().map(|(name, profile)| (name, profile.into_profile(grant))).collect();
        profiles.entry(ProfileName::default()).or_insert_with(|| super::ProfileSettings::default().into_profile(grant));
        let mut application = Application {
            id,
            name: self.name,
            provider: self.provider,
            active: self.active.or(previous.map(|previous| previous.active)).unwrap_or(true),
            client_id: self.client_id,
            client_secret,
            secrets: named,
            endpoints: self.settings.endpoints,
            hosts: self.settings.hosts.unwrap_or_default(),
            client_authentication: self.settings.client_authentication.unwrap_or_default(),
            pkce: self.settings.pkce.unwrap_or_default(),
            iss_required: self.settings.iss_required.unwrap_or_default(),
            scope_separator: self.settings.scope_separator.unwrap_or_else(|| " ".to_owned()),
            habits: self.settings.habits,
            script: self.settings.script,
            redirect_url: self.settings.redirect_url,
            lifespans: self.settings.lifespans,
            extend_refresh_token_expiry: self.settings.extend_refresh_token_expiry.unwrap_or_default(),
            keep_password: self.settings.keep_password.unwrap_or_default(),
            profiles,
            created: previous.map_or(now, |previous| previous.created),
            // Whatever is applied is worth a try.
            rejected: None,
        };
        if let Some(previous) = previous {
            keep_secrets(&mut application, previous)?;
        }
        fits(&application, &grants)?;
        Ok(application)
    }

    /// Each profile's grant; `default` is always there.
    fn grants(&self) -> BTreeMap<ProfileName, GrantType> {
        let grant = self.settings.default_grant.unwrap_or_default();
        let mut grants = BTreeMap::from([(ProfileName::default(), grant)]);
        grants.extend(self.settings.profiles.iter().map(|(name, said)| (name.clone(), said.grant.unwrap_or(grant))));
        grants
    }

    fn one_standard_input(&self) -> Result<(), RegistryError> {
        let count =
            self.client_secret.iter().chain(self.secrets.values()).filter(|s| **s == SecretSource::Stdin).count();
        if count > 1 {
            let reason =
                "takes two secrets from standard input, which can be read once; use env or file for one of them";
            return Err(does_not_fit(&self.name, reason));
        }
        Ok(())
    }
}

fn read_provider(found: Found<'_>) -> Result<&'static Provider, RegistryError> {
    let spot = found.spot();
    let name = found.text()?;
    Catalog::find(&name).map_err(|error| spot.wrong(format!("does not fit: {error}")))
}

fn read_secrets(found: Found<'_>, insist: bool) -> Result<BTreeMap<String, SecretSource>, RegistryError> {
    let read = |(name, found): (String, Found<'_>)| {
        let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !fits {
            return Err(found.wrong("must have a name of a-z, 0-9 and _"));
        }
        Ok((name, SecretSource::read(found, insist)?))
    };
    found.table()?.rest().map(read).collect()
}

fn read_secret(
    application: &str,
    key: &str,
    source: &SecretSource,
    secrets: &mut dyn FnMut(&SecretSource) -> Result<Secret, String>,
) -> Result<Secret, RegistryError> {
    let failed = |reason| RegistryError::SecretNotRead {
        application: application.to_owned(),
        key: key.to_owned(),
        source_name: source.to_string(),
        reason,
    };
    let secret = match source {
        SecretSource::Plain(secret) => secret.clone(),
        // `echo` and editors end a text with a line break that no secret has.
        other => Secret::new(secrets(other).map_err(failed)?.expose().trim_end_matches(['\r', '\n'])),
    };
    if secret.is_empty() { Err(failed("it is empty".to_owned())) } else { Ok(secret) }
}

/// Takes over the secrets that are not stated again. Whoever can edit the file but does not know the secrets must not be
/// able to have them sent elsewhere: so they are kept only where client id and hosts are the ones they were given for.
fn keep_secrets(application: &mut Application, previous: &Application) -> Result<(), RegistryError> {
    let mut kept = Vec::new();
    if application.client_secret.is_none() && application.client_authentication != ClientAuthentication::None {
        application.client_secret.clone_from(&previous.client_secret);
        kept.extend(application.client_secret.as_ref().map(|_| "client_secret".to_owned()));
    }
    for (name, secret) in &previous.secrets {
        if !application.secrets.contains_key(name) {
            application.secrets.insert(name.clone(), secret.clone());
            kept.push(format!("secrets.{name}"));
        }
    }
    if kept.is_empty() {
        return Ok(());
    }
    let kept = kept.join(", ");
    if application.client_id != previous.client_id {
        let reason = format!("has a new client_id, and {kept} belonged to the old one: state it again");
        return Err(does_not_fit(&application.name, reason));
    }
    // A host that depends on the connection is one of `hosts`, which are compared as they are; what is asked for there is
    // compared too, for some of those hosts may be anybody's (a shop's pages in Shopify).
    let before = &previous.endpoints;
    let templates = || application.endpoints.templates.values();
    let new_template = templates()
        .filter(|template| has_host_placeholder(template))
        .find(|template| !before.templates.values().any(|old| old == *template))
        .map(|template| template.as_str().to_owned());
    let known: Vec<Endpoint> = fixed_hosts(before).collect();
    let is_known = |endpoint: &Endpoint| {
        let same =
            |old: &Endpoint| old.url().scheme() == endpoint.url().scheme() && old.authority() == endpoint.authority();
        known.iter().any(same) || previous.hosts.iter().any(|host| !host.is_wide() && host.allows(endpoint.url()))
    };
    let strange = fixed_hosts(&application.endpoints)
        .filter(|endpoint| !is_known(endpoint))
        .map(|endpoint| endpoint.authority())
        .chain(application.hosts.iter().filter(|host| !previous.hosts.contains(host)).map(|h| h.as_str().to_owned()))
        .chain(new_template)
        .next();
    match strange {
        None => Ok(()),
        Some(host) => {
            let reason = format!("now names {host}, which {kept} was not given for: state it again");
            Err(does_not_fit(&application.name, reason))
        }
    }
}

/// The endpoints whose hosts are the same for every connection.
fn fixed_hosts(endpoints: &Endpoints) -> impl Iterator<Item = Endpoint> {
    let templates = endpoints.templates.values().filter(|template| !has_host_placeholder(template));
    let from_templates = templates.filter_map(|template| template.fill(|_| Some("x".to_owned())).ok()?.parse().ok());
    endpoints.all().cloned().chain(from_templates)
}

/// Refuses settings that no request could be made from.
fn fits(application: &Application, grants: &BTreeMap<ProfileName, GrantType>) -> Result<(), RegistryError> {
    let wrong = |reason: String| Err(does_not_fit(&application.name, reason));
    let word = application.client_authentication.as_str();
    let private_key = application.secrets.get("private_key");
    match application.client_authentication {
        ClientAuthentication::Basic
        | ClientAuthentication::BasicRaw
        | ClientAuthentication::Post
        | ClientAuthentication::Bearer
        | ClientAuthentication::BasicSecret
        | ClientAuthentication::ClientSecretJwt
            if application.client_secret.is_none() =>
        {
            return wrong(format!(
                "authenticates with {word} and has no client_secret; say where it comes from (`client_secret` in its file, `--client-secret-stdin` of `app add`), or that the client is public (`client_authentication = \"none\"`, `--public`)"
            ));
        }
        ClientAuthentication::PrivateKeyJwt if private_key.is_none() => {
            return wrong(format!(
                "authenticates with {word} and has no secrets.private_key; state where it comes from"
            ));
        }
        _ => {}
    }
    if private_key.is_some_and(|key| !key.expose().contains("-----BEGIN ")) {
        return wrong("has a secrets.private_key that is no PEM text: it has no -----BEGIN line".to_owned());
    }
    if application.iss_required && application.endpoints.issuer.is_none() {
        return wrong("demands iss in the callback and has no endpoints.issuer to compare it with; set that, or iss_required = false".to_owned());
    }
    for (profile, grant) in grants {
        if let Some(missing) = missing_endpoint(*grant, &application.endpoints) {
            return wrong(format!(
                "has a profile {profile} with the grant {grant} and no endpoints.{missing}; set that, or another grant"
            ));
        }
        if *grant == GrantType::JwtBearer && private_key.is_none() {
            return wrong(format!(
                "has a profile {profile} with the grant {grant} and no secrets.private_key to sign with; state where it comes from"
            ));
        }
    }
    let templates = &application.endpoints.templates;
    if let Some((endpoint, _)) = templates.iter().find(|(_, template)| has_host_placeholder(template))
        && application.hosts.is_empty()
    {
        return wrong(format!(
            "has endpoints.{endpoint} on a host that depends on the connection, and no hosts: name the hosts that it may be, e.g. hosts = [\"*.provider.example\"]; nothing is sent to any other"
        ));
    }
    if application.habits.callback.hmac.is_some() && application.client_secret.is_none() {
        return wrong("has callback.hmac and no client_secret to check it with".to_owned());
    }
    let separator = &application.scope_separator;
    let split = application
        .profiles
        .iter()
        .flat_map(|(name, profile)| profile.scopes.iter().map(move |scope| (name, scope)))
        .find(|(_, scope)| scope.contains(separator));
    match split {
        None => Ok(()),
        Some((profile, scope)) => wrong(format!(
            "has the scope {scope:?} in profile {profile}, which holds the scope_separator {separator:?}; write each scope by itself"
        )),
    }
}

/// The endpoint that a grant needs and that is not set.
fn missing_endpoint(grant: GrantType, endpoints: &Endpoints) -> Option<&'static str> {
    let needed: &[&'static str] = match grant {
        GrantType::AuthorizationCode => &["authorization", "token"],
        GrantType::DeviceCode => &["device_authorization", "token"],
        GrantType::RefreshToken if endpoints.states("refresh") => &[],
        GrantType::RefreshToken | GrantType::ClientCredentials | GrantType::Password | GrantType::JwtBearer => {
            &["token"]
        }
    };
    needed.iter().find(|name| !endpoints.states(name)).copied()
}

fn does_not_fit(application: &ApplicationName, reason: impl Into<String>) -> RegistryError {
    RegistryError::DoesNotFit { application: application.to_string(), reason: reason.into() }
}
