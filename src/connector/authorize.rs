//! Sending a person to consent, and taking them back.

use super::identity::whose_account;
use super::{Connector, Error};
use crate::events::Telling;
use crate::exchange::{Answer, Exchange, Told};
use crate::http::Recorded;
use crate::model::{
    Action, Application, Connection, ConnectionName, ConnectionState, Fields, GrantType, Labels, Profile, ProfileName,
    Secret, Target, Timestamp, later,
};
use crate::oauth;
use crate::refresh::{Arrival, Books, Settled, settle, settle_further};
use crate::store::{Change, Expect, Key};
use crate::vault::{Pending, PendingKind, Stored, Vault, state_hash};
use std::sync::Arc;
use url::Url;
use uuid::Uuid;

/// How long a person may take to consent, in seconds: a second factor, a call to an administrator.
const CONSENT_SECONDS: u64 = 15 * 60;

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
    /// A secret that only the browser which begins it has, in a cookie, say: it must be shown at the callback too
    /// ([`Connector::complete_from`]), so that nobody ends in a browser what another one began (RFC 9700 section 4.7).
    pub browser: Option<Secret>,
    /// Where the person is sent when it is over; `return_urls` of the settings must allow it.
    pub return_url: Option<Url>,
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
        if let Some(url) = options.return_url.as_ref().filter(|url| !self.settings.callback.may_return_to(url)) {
            return Err(Error::ReturnUrl(url.origin().ascii_serialization()));
        }
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
            browser: options.browser.as_ref().map(|secret| state_hash(secret.expose())),
            return_url: options.return_url,
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

    pub(super) async fn abandon_pending(&self, state: &str, connection: &ConnectionName) -> Result<(), Error> {
        // Another connection's is not this one's to give up.
        if self.vault.pending(state).await?.is_some_and(|pending| pending.connection != *connection) {
            return Err(Error::UnknownState);
        }
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
            (connection.doubted, connection.doubted_until) = (None, None);
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

/// The connection as it will be with further labels.
pub(super) fn with_labels(connection: &Connection, labels: &Labels) -> Connection {
    let mut connection = connection.clone();
    connection.labels.extend(labels.clone());
    connection
}
