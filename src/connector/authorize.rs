//! Sending a person to consent, and taking them back.

use super::access::completed_for;
use super::identity::whose_account;
use super::{Connector, Error};
use crate::events::Telling;
use crate::exchange::{Answer, Ask, Exchange, Told};
use crate::http::Recorded;
use crate::model::{
    Action, Application, Connection, ConnectionName, ConnectionState, Failure, FailureKind, Fields, GrantType, Labels,
    Profile, ProfileName, Secret, Target, Timestamp, later,
};
use crate::oauth::{self, CallbackError};
use crate::refresh::{Arrival, Books, Settled, settle, settle_further};
use crate::store::{Change, Expect, Key};
use crate::vault::{Pending, PendingKind, Stored, Vault};
use std::sync::Arc;
use url::Url;
use uuid::Uuid;

/// How long a person may take to consent, in seconds: a second factor, a call to an administrator.
const CONSENT_SECONDS: u64 = 15 * 60;

/// Parameters of a callback that are looked at for a state beside `state`.
const MOST_NAMES: usize = 16;

/// How often a commit is tried again when the connection changed meanwhile.
const MOST_TRIES: usize = 10;

/// How a person is sent to consent.
#[derive(Debug, Clone, Default)]
pub struct AuthorizeOptions {
    /// The profile; the connection's own, or `default`, when none is given.
    pub profile: Option<ProfileName>,
    /// Labels that the connection gets.
    pub labels: Labels,
    /// Where the browser is sent back to, when not to the application's redirect URL.
    pub redirect_url: Option<Url>,
    /// Whether the grant may be another account's than the one that the connection has been of.
    pub other_account: bool,
}

/// A person can be sent to `url` now.
#[derive(Debug, Clone)]
pub struct Authorization {
    /// The authorization URL. It carries the `state`: whoever has it can finish this authorization.
    pub url: Url,
    /// The state in it.
    pub state: Secret,
    /// Where the browser will be sent back to.
    pub redirect_url: Url,
    /// The connection that this is for.
    pub connection: ConnectionName,
    /// When it can no longer be completed.
    pub expires: Timestamp,
}

/// What a person agreed to, or an administrator set up: whose grant the first tokens are.
pub(super) struct Consent {
    pub(super) connection: ConnectionName,
    pub(super) profile: ProfileName,
    pub(super) labels: Labels,
    pub(super) password: Option<Secret>,
    /// The connection that it was given for, and how often that had been revoked; `None` for one that is not there yet.
    pub(super) given_for: Option<(Uuid, u32)>,
    pub(super) grant: GrantType,
    /// What was asked for.
    pub(super) scopes: Vec<String>,
    pub(super) told: Told,
    pub(super) other_account: bool,
}

impl Consent {
    pub(super) fn of(pending: Pending) -> Self {
        let given_for = Some((pending.connection_id, pending.revocations));
        let nonce = match pending.kind {
            PendingKind::Redirect { nonce, .. } => nonce,
            PendingKind::Device { .. } => None,
        };
        Self {
            connection: pending.connection,
            profile: pending.profile,
            labels: pending.labels,
            password: None,
            given_for,
            grant: pending.grant,
            scopes: pending.scopes,
            told: Told { callback: Fields::new(), nonce },
            other_account: pending.other_account,
        }
    }
}

impl Connector {
    /// Begins an authorization: makes the connection where it is new, and returns the URL to send the person to.
    /// Nothing is sent to the provider yet.
    pub async fn authorize(&self, name: &ConnectionName, options: AuthorizeOptions) -> Result<Authorization, Error> {
        self.audited(Action::Authorize, Target::of(name), Box::pin(self.authorize_now(name, options))).await
    }

    async fn authorize_now(&self, name: &ConnectionName, options: AuthorizeOptions) -> Result<Authorization, Error> {
        let (application, stored) = self.prepare(name, options.profile.as_ref()).await?;
        let mut connection = stored.value.clone();
        let profile = profile_of(&application, &connection.profile)?;
        if profile.grant != GrantType::AuthorizationCode {
            return Err(Error::WrongGrant {
                connection: name.clone(),
                profile: connection.profile,
                grant: profile.grant,
            });
        }
        let exchange = self.exchanges.of(&application, profile, &with_labels(&connection, &options.labels))?;
        let application = exchange.application();
        let habits = &application.habits.authorization;
        let endpoint = application.endpoints.authorization.as_ref();
        let endpoint = endpoint.ok_or_else(|| exchange.missing("authorization"))?;
        let redirect_url = options.redirect_url.unwrap_or_else(|| self.redirect_url(application));
        let (state, nonce) = (oauth::random_text(), oauth::random_text());
        let proof_key = oauth::ProofKey::random(application.pkce);
        let more = exchange.authorization_parameters(&state, &redirect_url)?;
        let request = oauth::AuthorizationRequest {
            client_id: &application.client_id,
            redirect_uri: redirect_url.as_str(),
            scopes: &profile.scopes,
            scope_separator: &application.scope_separator,
            state: &state,
            nonce: Some(&nonce),
            proof_key: proof_key.as_ref(),
            audience: profile.audience.as_deref(),
            resource: profile.resource.as_deref(),
            more: &more,
            drop: habits.drop.as_deref().unwrap_or_default(),
        };
        let asked = oauth::authorization_params(&request);
        let challenge = asked.text("code_challenge").map(str::to_owned);
        let nonce = asked.contains("nonce").then_some(nonce);
        let query = exchange.authorization(asked).await?;
        // The callback is found by the state that was sent; a script that drops it would send people nowhere.
        if query.text("state") != Some(state.expose()) {
            return Err(Error::ScriptTook { application: application.name.clone(), parameter: "state" });
        }
        // A provider that refuses a proof key says so in its entry, where one can see it.
        if query.text("code_challenge") != challenge.as_deref() {
            return Err(Error::ScriptTook { application: application.name.clone(), parameter: "code_challenge" });
        }
        if query.text("nonce") != nonce.as_ref().map(Secret::expose) {
            return Err(Error::ScriptTook { application: application.name.clone(), parameter: "nonce" });
        }
        // A script may have its own redirect URL; the token request must repeat what was really sent.
        let redirect_url = match query.text("redirect_uri").map(Url::parse) {
            Some(Ok(url)) => url,
            Some(Err(_)) => return Err(Error::ScriptRedirect(application.name.clone())),
            None => redirect_url,
        };
        let now = self.clock.now();
        let pending = Pending {
            connection: name.clone(),
            connection_id: connection.id,
            revocations: connection.revocations,
            application: application.id,
            profile: connection.profile.clone(),
            grant: GrantType::AuthorizationCode,
            scopes: oauth::split_scopes(query.text("scope").unwrap_or_default(), &application.scope_separator),
            labels: options.labels,
            other_account: options.other_account,
            created: now,
            expires: later(now, CONSENT_SECONDS),
            kind: PendingKind::Redirect {
                redirect_url: redirect_url.clone(),
                verifier: proof_key.map(|key| key.verifier),
                nonce,
            },
        };
        self.begin(&mut connection, stored.version, &pending, state.expose()).await?;
        let url = oauth::authorization_url(endpoint.url(), query, habits);
        self.record(|| Recorded::Authorization(url.clone()));
        Ok(Authorization { url, state, redirect_url, connection: name.clone(), expires: pending.expires })
    }

    /// Completes an authorization with the whole URL that the browser was sent back to: the state is used up, the
    /// issuer checked, the code exchanged and the tokens sealed.
    pub async fn complete(&self, callback: &str) -> Result<Connection, Error> {
        let (this, callback) = (self.clone(), Secret::new(callback.trim()));
        let completed = Box::pin(self.to_its_end(async move { this.complete_now(callback.expose()).await }));
        self.audited_as(Action::Complete, completed, |completed| (completed_for(completed), None)).await
    }

    async fn complete_now(&self, callback: &str) -> Result<Connection, Error> {
        self.record(|| Recorded::Callback(callback.to_owned().into()));
        let mut params = oauth::parse_callback(callback)?;
        let (state, pending) = self.pending_of(&params).await?;
        let PendingKind::Redirect { redirect_url, verifier, .. } = &pending.kind else {
            return Err(Error::UnknownState);
        };
        // Each application has a redirect URL of its own: a callback that arrived at another one is another
        // provider's, however right its state is (RFC 9700 section 4.4).
        if !is_at(callback, redirect_url) {
            return Err(Error::WrongRedirect { expected: redirect_url.clone() });
        }
        // Used up before anything is sent: of two callbacks with the same state one goes on.
        if !self.committed(vec![Vault::use_pending(&state)]).await? {
            return Err(Error::UnknownState);
        }
        if pending.expires <= self.clock.now() {
            return Err(Error::Expired(pending.connection));
        }
        let application = self.application_of(&pending).await?;
        let connection = self.stored(&pending.connection).await?;
        if !pending.is_for(&connection.value) {
            return Err(Error::RevokedMeanwhile(pending.connection));
        }
        let issuer = application.endpoints.issuer.as_ref().map(ToString::to_string);
        if let Err(error) = oauth::check_issuer(&params, issuer.as_deref(), application.iss_required) {
            self.not_consented(&connection).await?;
            return Err(error.into());
        }
        let habits = &application.habits.callback;
        if let Some(error) = signed(&params, &application).err() {
            self.not_consented(&connection).await?;
            return Err(error.into());
        }
        if let Some(code) = habits.code.as_ref().and_then(|name| params.remove(name)) {
            params.put("code", code);
        }
        let declared: Fields =
            habits.keep.iter().flatten().filter_map(|name| Some((name.clone(), params.get(name)?.clone()))).collect();
        let mut told = params.as_object().clone();
        told.retain(|name, _| !matches!(name.as_str(), "code" | "state"));
        let profile = profile_of(&application, &pending.profile)?;
        let holder = with_labels(&connection.value, &pending.labels);
        let exchange = self.exchanges.of(&application, profile, &holder)?;
        let consented = match params.contains("error") {
            true => Ok((params, Fields::new())),
            false => exchange.callback(params).await.map_err(Error::from),
        };
        let code = consented.and_then(|(params, kept)| Ok((oauth::authorization_code(&params)?, kept)));
        let (code, mut kept) = match code {
            Ok(code) => code,
            Err(error) => {
                self.not_consented(&connection).await?;
                return Err(match error {
                    Error::Callback(CallbackError::Denied { words }) => {
                        let failure = Failure::new(FailureKind::ReauthorizationRequired, "access_denied");
                        let failure = words.iter().fold(failure, |failure, words| failure.with_words(words));
                        Error::Denied { connection: pending.connection, failure }
                    }
                    other => other,
                });
            }
        };
        for (name, value) in declared {
            kept.entry(name).or_insert(value);
        }
        // The callback may decide where the token endpoint is (Shopify's `shop`), within the application's hosts.
        let mut holder = holder;
        holder.fields.extend(kept.clone());
        let exchange = self.exchanges.of(&application, profile, &holder)?;
        let ask = Ask::Code {
            code,
            verifier: verifier.clone(),
            redirect_url: redirect_url.clone(),
            state: Secret::new(state.as_str()),
        };
        // Kept fields first: a reply's own fields of the same name are newer.
        match exchange.ask(&ask, profile).await {
            Ok(answer) => {
                let mut consent = Consent::of(pending);
                consent.told.callback = told;
                self.welcome(&application, consent, &exchange, with_fields(kept, answer)).await
            }
            Err(error) => {
                self.not_consented(&connection).await?;
                Err(Error::NotAuthorized { connection: pending.connection, error })
            }
        }
    }

    /// Gives an authorization up: its callback is no longer taken.
    pub async fn abandon(&self, authorization: &Authorization) -> Result<(), Error> {
        self.abandon_state(&authorization.connection, &authorization.state).await
    }

    /// Gives up the authorization of a state, or the device authorization of a handle.
    pub async fn abandon_state(&self, connection: &ConnectionName, state: &Secret) -> Result<(), Error> {
        let abandoned = self.abandon_pending(state.expose(), connection);
        self.audited(Action::Abandon, Target::of(connection), abandoned).await
    }

    /// Where browsers are sent back to after an application's consent: its own redirect URL, else a loopback one. It
    /// is what must be registered at the provider.
    #[must_use]
    pub fn redirect_url(&self, application: &Application) -> Url {
        let own = application.redirect_url.clone();
        own.unwrap_or_else(|| self.settings.callback.redirect_url(&application.name))
    }

    /// The pending authorization whose state a callback carries, in the parameter that its application says.
    async fn pending_of(&self, params: &oauth::Params) -> Result<(String, Pending), Error> {
        let texts = params.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        let (standard, others): (Vec<_>, Vec<_>) = texts.partition(|(name, _)| *name == "state");
        let mut found = None;
        for (name, text) in standard.iter().chain(others.iter().take(MOST_NAMES)) {
            if let Some(pending) = self.vault.pending(text).await? {
                found = Some(((*name).to_owned(), (*text).to_owned(), pending));
                break;
            }
        }
        let Some((name, state, pending)) = found else {
            return Err(if standard.is_empty() { Error::NoState } else { Error::UnknownState });
        };
        let application = self.vault.application_by_id(pending.application).await?;
        let expected = application.and_then(|stored| stored.value.habits.callback.state);
        if name == expected.as_deref().unwrap_or("state") { Ok((state, pending)) } else { Err(Error::NoState) }
    }

    pub(super) async fn abandon_pending(&self, state: &str, connection: &ConnectionName) -> Result<(), Error> {
        // One that was completed or has ended meanwhile is nobody's to give up.
        if self.committed(vec![Vault::use_pending(state)]).await? {
            self.not_consented(&self.stored(connection).await?).await?;
        }
        Ok(())
    }

    /// The application of a connection, and the connection: the stored one, or a new one that is not yet written
    /// (version 0).
    pub(super) async fn prepare(
        &self,
        name: &ConnectionName,
        profile: Option<&ProfileName>,
    ) -> Result<(Arc<Application>, Stored<Connection>), Error> {
        if name.token().is_some() {
            return Err(Error::FurtherToken(name.clone()));
        }
        let application = self.vault.application(name.application()).await?;
        let application = application.ok_or_else(|| Error::NoApplication(name.application().to_string()))?.value;
        if !application.active {
            return Err(Error::Inactive(application.name));
        }
        let mut stored = match self.vault.connection(name).await? {
            Some(stored) if stored.value.application != application.id => {
                return Err(Error::OtherApplication(name.clone()));
            }
            Some(stored) => stored,
            None => Stored { value: Connection::new(name, application.id, self.clock.now()), version: 0 },
        };
        if let Some(profile) = profile {
            stored.value.profile = profile.clone();
        }
        profile_of(&application, &stored.value.profile)?;
        Ok((Arc::new(application), stored))
    }

    /// Writes a pending authorization, and the connection where it is new or was ended.
    pub(super) async fn begin(
        &self,
        connection: &mut Connection,
        version: u64,
        pending: &Pending,
        state: &str,
    ) -> Result<(), Error> {
        let mut changes = vec![self.vault.put_pending(pending, state)?];
        // A grant that still works goes on working until the new consent is here.
        if connection.generation == 0 {
            connection.state = ConnectionState::Pending;
            changes.push(self.vault.put_connection(connection, (version > 0).then_some(version))?);
        }
        if self.committed(changes).await? {
            Ok(())
        } else {
            Err(Error::Changed(format!("the connection {}", connection.name)))
        }
    }

    /// Takes the first tokens of a consent over.
    pub(super) async fn welcome(
        &self,
        application: &Arc<Application>,
        consent: Consent,
        exchange: &Exchange,
        answer: Answer,
    ) -> Result<Connection, Error> {
        let profile = profile_of(application, &consent.profile)?;
        let whose = match exchange.whose(&answer, &consent.told, consent.grant).await {
            Ok(whose) => whose,
            Err(error) => {
                self.not_welcome(&consent.connection).await?;
                return Err(Error::NotAuthorized { connection: consent.connection, error });
            }
        };
        let now = self.clock.now();
        for _ in 0..MOST_TRIES {
            let stored = match (self.vault.connection(&consent.connection).await?, consent.given_for) {
                (Some(stored), Some(given)) if given == (stored.value.id, stored.value.revocations) => stored,
                (Some(stored), None) => stored,
                (_, Some(_)) => {
                    // Revoked or removed while the code was exchanged: what came back ends too.
                    exchange.revoke_answer(&answer).await;
                    return Err(Error::RevokedMeanwhile(consent.connection));
                }
                (None, None) => Stored { value: Connection::new(&consent.connection, application.id, now), version: 0 },
            };
            let old = self.vault.credentials(stored.value.id).await?;
            let account = match whose_account(&stored.value, &whose, consent.other_account) {
                Ok(account) => account,
                Err(error) => {
                    self.not_welcome(&consent.connection).await?;
                    return Err(error);
                }
            };
            let before = stored.value;
            let mut connection = before.clone();
            if connection.account.as_ref().is_some_and(|held| !account.as_ref().is_some_and(|now| held.is_same(now))) {
                // They say where the other account's things are.
                connection.fields = Fields::new();
            }
            connection.account = account;
            connection.scopes.requested = consent.scopes.clone();
            connection.profile = consent.profile.clone();
            connection.labels.extend(consent.labels.clone());
            connection.password = consent.password.clone();
            connection.authorized = Some(now);
            (connection.rejected, connection.rejected_age, connection.learned_lifetime) = (None, None, None);
            // A new consent inherits nothing: neither the old refresh token nor the old scopes.
            let settings = self.refresher.settings();
            let books = Books { vault: &self.vault, settings, application, profile, old: &[] };
            let Settled { mut connection, access, mut changes, .. } = settle(&books, &connection, answer.clone(), now)?;
            let mut further_names: Vec<_> = connection.further().collect();
            let further = settle_further(&books, &mut connection, &answer.reply.further, Arrival::Consent, now).await?;
            further_names.extend(connection.further());
            changes.extend(further);
            changes.extend(old.iter().map(|before| Change::remove(Key::Credential(before.value.id), Expect::Any)));
            changes.extend(Telling::of(&self.vault, &before, &connection, now).authorized(&access)?);
            changes.push(self.vault.put_connection(&connection, (stored.version > 0).then_some(stored.version))?);
            // A refresh that is under way belongs to the old grant: without its entry it cannot land.
            changes.push(Change::remove(Key::Flight(connection.id), Expect::Any));
            if self.committed(changes).await? {
                self.refresher.forget(&connection.name);
                further_names.iter().for_each(|name| self.refresher.forget(name));
                tracing::info!(connection = %connection.name, "authorized");
                return Ok(connection);
            }
        }
        Err(Error::Changed(format!("the connection {}", consent.connection)))
    }

    pub(super) async fn application_of(&self, pending: &Pending) -> Result<Arc<Application>, Error> {
        let missing = || Error::NoApplication(pending.connection.application().to_string());
        let application = self.vault.application_by_id(pending.application).await?.ok_or_else(missing)?.value;
        if application.active { Ok(Arc::new(application)) } else { Err(Error::Inactive(application.name)) }
    }

    /// As [`not_consented`](Self::not_consented), for a connection that may not be there.
    async fn not_welcome(&self, name: &ConnectionName) -> Result<(), Error> {
        match self.vault.connection(name).await? {
            Some(connection) => self.not_consented(&connection).await,
            None => Ok(()),
        }
    }

    /// A connection that never had a grant goes back to `unauthorized`; one that has keeps it.
    pub(super) async fn not_consented(&self, connection: &Stored<Connection>) -> Result<(), Error> {
        if connection.value.state == ConnectionState::Pending {
            let mut next = connection.value.clone();
            next.state = ConnectionState::Unauthorized;
            self.committed(vec![self.vault.put_connection(&next, Some(connection.version))?]).await?;
        }
        Ok(())
    }
}

pub(super) fn profile_of<'a>(application: &'a Application, name: &ProfileName) -> Result<&'a Profile, Error> {
    let missing = || Error::NoProfile { application: application.name.clone(), profile: name.clone() };
    application.profile(name).ok_or_else(missing)
}

/// Checks the signature of a callback where the provider signs it.
fn signed(params: &oauth::Params, application: &Application) -> Result<(), CallbackError> {
    match (&application.habits.callback.hmac, &application.client_secret) {
        (Some(parameter), Some(secret)) => oauth::check_hmac(params, parameter, secret),
        (Some(parameter), None) => Err(CallbackError::NotSigned(parameter.clone())),
        (None, _) => Ok(()),
    }
}

/// The connection as it will be with further labels.
pub(super) fn with_labels(connection: &Connection, labels: &Labels) -> Connection {
    let mut connection = connection.clone();
    connection.labels.extend(labels.clone());
    connection
}

/// Whether a callback arrived at a redirect URL: the same scheme, host, port and path.
fn is_at(callback: &str, redirect_url: &Url) -> bool {
    Url::parse(callback).is_ok_and(|url| {
        (url.scheme(), url.host(), url.port_or_known_default(), url.path())
            == (redirect_url.scheme(), redirect_url.host(), redirect_url.port_or_known_default(), redirect_url.path())
    })
}

fn with_fields(mut kept: Fields, answer: Answer) -> Answer {
    kept.extend(answer.kept);
    Answer { kept, ..answer }
}
