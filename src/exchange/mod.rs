//! One request to a provider's token endpoint, from a grant to what the provider answered, through the hooks of the
//! application's script. May use `vault`, `script`, `http`, `oauth` and below.
//!
//! The path of one request: the `oauth2` crate builds it for the grants that it speaks (the others are built here) →
//! its form becomes a parameter map → the provider's habits of requests → `interceptRequestParameters` → client
//! authentication, the provider's names and encoding → HTTP → the raw reply is handed to `keep`, which makes it durable → the provider's habits of replies → `parseTokenResponse`
//! → the standard JSON that the crate reads. So every grant passes the same hooks, and no script ever sees the
//! client secret.

mod error;
mod grant;
mod identity;
mod key_sets;
mod layer;
mod reading;
mod reply_file;
mod shaping;
mod shown;
mod trial;
mod unread;

pub use error::{ExchangeError, Sent};
pub use grant::Ask;
pub use identity::{Told, Whose};
use key_sets::KeySets;
pub use reply_file::{ReplyFileError, read_reply_file};
use shaping::SentBefore;
pub use shown::{masked, shown};
pub use trial::{Outcome, Trial, try_reply};

use crate::http::HttpClient;
use crate::model::{
    Application, ClientAuthentication, Clock, Connection, ConnectionName, Fields, GrantType, Labels, Profile,
    ProfileName, Secret, TokenKind,
};
use crate::oauth::{self, DeviceAuthorization, Introspection, RawReply, Revocation, TokenReply, TokenRequest};
use crate::script::{Context, Kept, Script, Scripts};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tracing::Instrument as _;
use url::Url;
use zeroize::Zeroizing;

/// What a provider gave, read.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The tokens and what came with them.
    pub reply: TokenReply,
    /// Fields that the script wants kept with the connection.
    pub kept: Fields,
}

impl Answer {
    /// Every token in it, refresh tokens first: with one most providers end its access token too.
    pub fn tokens(&self) -> impl Iterator<Item = (TokenKind, &Secret)> {
        let all = || std::iter::once(&self.reply).chain(self.reply.further.values());
        let refresh = all().filter_map(|reply| reply.refresh_token.as_ref());
        let access = all().map(|reply| &reply.access_token);
        refresh.map(|token| (TokenKind::RefreshToken, token)).chain(access.map(|token| (TokenKind::AccessToken, token)))
    }
}

/// Who reads a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBy {
    /// A script of somebody's: it may break, take long, or ask others.
    Script,
    /// We alone, at once; the shipped script changes nothing.
    Us,
}

/// Makes a raw reply durable before any script sees it. One that we read ourselves need not be before that: what it brings is durable as soon
/// as the reply itself would be, and where that comes to nothing the reply is kept after all. An error stops the exchange; the grant is then in doubt.
pub type Keep =
    Arc<dyn Fn(RawReply, ReadBy) -> Pin<Box<dyn Future<Output = Result<(), ExchangeError>> + Send>> + Send + Sync>;

/// Whether a request must not be sent any more, asked in the moment before it would be.
pub type Unless = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// Where browsers are sent back to after an application's consent.
pub type RedirectUrl = Arc<dyn Fn(&Application) -> Url + Send + Sync>;

/// What every exchange of a connector shares.
#[derive(Clone)]
pub struct Exchanges {
    http: HttpClient,
    scripts: Scripts,
    clock: Arc<dyn Clock>,
    redirect_url: RedirectUrl,
    key_sets: KeySets,
}

/// The exchanges of one connection: its application's script, and what that script may know.
pub struct Exchange {
    http: HttpClient,
    script: Script,
    application: Arc<Application>,
    of: Of,
    clock: Arc<dyn Clock>,
    keep: Option<Keep>,
    unless: Option<Unless>,
    current: Option<Secret>,
    redirect_url: RedirectUrl,
    key_sets: KeySets,
}

/// What an exchange is for: what it needs of a connection and its profile.
struct Of {
    connection: ConnectionName,
    profile_name: ProfileName,
    profile: Profile,
    labels: Labels,
    fields: Fields,
}

impl Exchanges {
    /// Exchanges over a client and a set of scripts. `redirect_url` is for providers that want it again at a refresh (Wave).
    #[must_use]
    pub fn new(http: HttpClient, scripts: Scripts, clock: Arc<dyn Clock>, redirect_url: RedirectUrl) -> Self {
        Self { http, scripts, clock, redirect_url, key_sets: KeySets::default() }
    }

    /// The scripts.
    #[must_use]
    pub fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// The HTTP client.
    #[must_use]
    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Ready for a connection's exchanges: endpoints that differ from connection to connection are filled from its fields
    /// and labels. Fails when the application's script cannot be run.
    pub fn of(
        &self,
        application: &Arc<Application>,
        profile: &Profile,
        connection: &Connection,
    ) -> Result<Exchange, ExchangeError> {
        let script =
            self.scripts.get(application.script.as_ref()).map_err(|error| ExchangeError::script(Sent::No, error))?;
        let application = match application.endpoints.templates.is_empty() {
            true => Arc::clone(application),
            false => Arc::new(application.of_connection(&connection.fields, &connection.labels)),
        };
        let of = Of {
            connection: connection.name.clone(),
            profile_name: connection.profile.clone(),
            profile: profile.clone(),
            labels: connection.labels.clone(),
            fields: connection.fields.clone(),
        };
        Ok(Exchange {
            http: self.http.clone(),
            script,
            application,
            of,
            clock: Arc::clone(&self.clock),
            keep: None,
            unless: None,
            current: None,
            redirect_url: Arc::clone(&self.redirect_url),
            key_sets: self.key_sets.clone(),
        })
    }
}

impl Exchange {
    /// What a script may know. Made for one that runs: most applications have none of their own.
    fn context(&self, grant: GrantType) -> Context {
        let application = &self.application;
        let (allowed, hosts) = (Arc::clone(application), Arc::clone(application));
        let http = self.http.clone();
        let mut secrets = application.secrets.clone();
        if let Some(secret) = &application.client_secret {
            secrets.insert("client_secret".to_owned(), secret.clone());
        }
        Context {
            application: application.name.clone(),
            client_id: application.client_id.clone(),
            profile_name: self.of.profile_name.clone(),
            profile: self.of.profile.clone(),
            grant,
            connection: self.of.connection.clone(),
            labels: self.of.labels.clone(),
            fields: self.of.fields.clone(),
            secrets: Arc::new(secrets),
            reply: Arc::new(application.habits.reply.clone()),
            allowed: Arc::new(move |url| allowed.allows(url)),
            now: self.clock.now(),
            calls: Some(Arc::new(move |request: http::Request<Vec<u8>>| {
                let (http, hosts) = (http.clone(), Arc::clone(&hosts));
                Box::pin(async move {
                    http.send(request.map(Zeroizing::new), |url| hosts.allows(url))
                        .await
                        .map_err(|error| error.to_string())
                })
            })),
        }
    }

    /// Sees to it that the raw reply is kept before a script reads it.
    #[must_use]
    pub fn keeping(mut self, keep: Keep) -> Self {
        self.keep = Some(keep);
        self
    }

    /// Looks once more, when the hooks have run and before anything is sent, whether it still may be.
    #[must_use]
    pub fn unless(mut self, unless: Unless) -> Self {
        self.unless = Some(unless);
        self
    }

    /// Knows the access token that is in force, for a provider whose refreshes only make it live longer (COROS).
    #[must_use]
    pub fn holding(mut self, access_token: Option<Secret>) -> Self {
        self.current = access_token;
        self
    }

    /// The application as it is for this connection.
    #[must_use]
    pub fn application(&self) -> &Application {
        &self.application
    }

    /// Why an endpoint is not set: its placeholders cannot be filled, or the application says none.
    #[must_use]
    pub fn missing(&self, endpoint: &'static str) -> ExchangeError {
        let name = &self.application.name;
        match self.application.unplaced(endpoint, &self.of.fields, &self.of.labels) {
            Some(unplaced) => ExchangeError::Setup(format!("{}: {unplaced}", self.of.connection)),
            None => ExchangeError::Setup(format!(
                "the application {name} has no {} endpoint; set endpoints.{endpoint} in its file",
                endpoint.replace('_', " ")
            )),
        }
    }

    /// Asks the token endpoint.
    pub async fn ask(&self, ask: &Ask, profile: &Profile) -> Result<Answer, ExchangeError> {
        let span = tracing::info_span!(
            "token request",
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            application = %self.application.name,
            grant = %ask.grant().as_str(),
            failure = tracing::field::Empty,
        );
        let answer = grant::ask(self, ask, profile).instrument(span.clone()).await;
        if let Err(error) = &answer
            && !span.is_disabled()
        {
            span.record("failure", error.failure().kind.as_str());
            span.record("otel.status_code", "ERROR");
        }
        answer
    }

    /// Reads a reply that an earlier exchange for `ask` kept, as if it had just come.
    pub async fn read(&self, ask: &Ask, reply: &RawReply) -> Result<Answer, ExchangeError> {
        self.read_reply(ask.grant(), reply, &ask.secrets()).await
    }

    /// The parameters that the provider's habits add to an authorization request.
    pub fn authorization_parameters(
        &self,
        state: &Secret,
        redirect_url: &Url,
    ) -> Result<BTreeMap<String, String>, ExchangeError> {
        shaping::authorization_parameters(self, state, redirect_url)
    }

    /// The query of an authorization request, changed by `preprocessAuthCode`.
    pub async fn authorization(&self, query: oauth::Params) -> Result<oauth::Params, ExchangeError> {
        let context = self.context(self.of.profile.grant);
        self.script.authorization(&context, query).await.map_err(|error| ExchangeError::script(Sent::No, error))
    }

    /// The parameters of a callback after `postprocessAuthCode`, and the fields that it keeps.
    pub async fn callback(&self, params: oauth::Params) -> Result<(oauth::Params, Fields), ExchangeError> {
        let kept = self.script.callback(&self.context(self.of.profile.grant), params).await;
        let kept = kept.map_err(|error| ExchangeError::script(Sent::No, error))?;
        Ok((kept.value, kept.fields))
    }

    /// Revokes a token at the provider (RFC 7009) after `preprocessRevokeToken`. `None` when the provider has no
    /// revocation endpoint.
    pub async fn revoke_token(&self, kind: TokenKind, token: &Secret) -> Result<Option<Revocation>, ExchangeError> {
        let Some(endpoint) = &self.application.endpoints.revocation else { return Ok(None) };
        let authentication = self.application.client_authentication;
        let request = oauth::revocation_request(endpoint.url(), token, kind, authentication);
        let (request, late) = shaping::before_hooks(self, request, &self.application.habits.revocation, None)?;
        let request = self.script.revocation(&self.context(self.of.profile.grant), request).await;
        let request = late.apply(request.map_err(|error| ExchangeError::script(Sent::No, error))?);
        let reply = self.send(&request).await.map_err(|error| error.scrubbed(&[token]))?;
        Ok(Some(match oauth::read_revocation(&reply, self.clock.now()) {
            Revocation::Revoked => Revocation::Revoked,
            Revocation::Unknown(failure) => Revocation::Unknown(self.scrubbed(failure, &[token])),
            Revocation::Unsupported(failure) => Revocation::Unsupported(self.scrubbed(failure, &[token])),
            Revocation::NotNow(failure) => Revocation::NotNow(self.scrubbed(failure, &[token])),
            Revocation::Refused(failure) => Revocation::Refused(self.scrubbed(failure, &[token])),
        }))
    }

    /// Revokes tokens that came for a connection that was ended while they were on their way; what cannot be revoked
    /// is logged.
    pub async fn revoke_answer(&self, answer: &Answer) {
        for (kind, token) in answer.tokens() {
            if let Err(error) = self.revoke_token(kind, token).await {
                let connection = &self.of.connection;
                tracing::warn!(%connection, "a token that came after the revocation could not be revoked: {error}");
            }
        }
    }

    /// Asks the provider about a token (RFC 7662). `None` when it has no introspection endpoint.
    pub async fn introspect(&self, kind: TokenKind, token: &Secret) -> Result<Option<Introspection>, ExchangeError> {
        let Some(endpoint) = &self.application.endpoints.introspection else { return Ok(None) };
        let authentication = self.application.client_authentication;
        let request = oauth::introspection_request(endpoint.url(), token, kind, authentication);
        let reply = self.send(&request).await.map_err(|error| error.scrubbed(&[token]))?;
        match oauth::read_introspection(&reply, self.clock.now()) {
            Ok(introspection) => Ok(Some(introspection)),
            Err(failure) => Err(self.failed(failure, &[token])),
        }
    }

    /// Begins a device authorization (RFC 8628 section 3.1).
    pub async fn begin_device(&self, profile: &Profile) -> Result<DeviceAuthorization, ExchangeError> {
        let endpoint = self.application.endpoints.device_authorization.as_ref();
        let endpoint = endpoint.ok_or_else(|| self.missing("device_authorization"))?;
        let application = &self.application;
        let mut request = oauth::device_request(
            endpoint.url(),
            &profile.scopes,
            &application.scope_separator,
            &application.client_id,
            application.client_authentication,
        );
        grant::put_targets(&mut request.params, profile);
        let reply = self.send(&request).await?;
        oauth::read_device_authorization(&reply, self.clock.now()).map_err(|failure| self.failed(failure, &[]))
    }

    /// Sends a request with our client's authentication.
    async fn send(&self, request: &TokenRequest) -> Result<RawReply, ExchangeError> {
        let basic =
            matches!(request.client_authentication, ClientAuthentication::Basic | ClientAuthentication::BasicRaw);
        if basic && request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            return Err(ExchangeError::Setup(format!(
                "the application {}: its headers set Authorization, which our client authentication writes too; say client_authentication = \"none\" or \"post\" in its file as well",
                self.application.name
            )));
        }
        let jti = oauth::random_text();
        let client = oauth::Client {
            client_id: &self.application.client_id,
            client_secret: self.application.client_secret.as_ref(),
            private_key: self.application.secrets.get("private_key"),
            audience: self.audience(),
            now: self.clock.now(),
            jti: jti.expose(),
        };
        let request = oauth::encode(request, &client).map_err(|error| ExchangeError::request(&error))?;
        self.http.send(request, |url| self.application.allows(url)).await.map_err(|error| ExchangeError::http(&error))
    }

    /// From a request without client credentials to what the provider gave. The way of every grant.
    async fn run(
        &self,
        grant: GrantType,
        request: TokenRequest,
        sent_before: &SentBefore,
        secrets: &[&Secret],
    ) -> Result<Answer, ExchangeError> {
        let habits = self.application.habits.token.of(grant);
        let (request, late) = shaping::before_hooks(self, request, &habits, Some(sent_before))?;
        let hooked = match self.script.leaves_requests() {
            true => Kept { value: request, fields: Fields::new() },
            false => {
                let hooked = self.script.request(&self.context(grant), request).await;
                hooked.map_err(|error| ExchangeError::script(Sent::No, error))?
            }
        };
        if let Some(unless) = &self.unless
            && unless().await
        {
            return Err(ExchangeError::Overtaken);
        }
        let reply = self.send(&late.apply(hooked.value)).await.map_err(|error| error.scrubbed(secrets))?;
        if let Some(keep) = &self.keep {
            let read_by = if self.script.reads_at_once(&reply) { ReadBy::Us } else { ReadBy::Script };
            keep(reply.clone(), read_by).await?;
        }
        let mut answer = self.read_reply(grant, &reply, secrets).await?;
        let mut kept = hooked.fields;
        kept.append(&mut answer.kept);
        Ok(Answer { kept, ..answer })
    }

    /// Whom our assertions are for: the issuer, else the token endpoint (RFC 7523 section 3). An issuer that is a bare
    /// host is written without the slash that a URL parser puts behind it.
    fn audience(&self) -> &str {
        let endpoints = &self.application.endpoints;
        match (&endpoints.issuer, &endpoints.token) {
            (Some(issuer), _) if issuer.url().path() == "/" => issuer.as_str().trim_end_matches('/'),
            // Nobody's name: each tenant has its own.
            (Some(issuer), Some(token)) if issuer.is_of_tenants() => token.as_str(),
            (Some(endpoint), _) | (None, Some(endpoint)) => endpoint.as_str(),
            (None, None) => "",
        }
    }
}
