//! Connections that no browser is needed for: client credentials, password, JWT bearer, and a refresh token that
//! somebody already has.

use super::authorize::{Consent, profile_of, with_labels};
use super::{Connector, Error};
use crate::events::Telling;
use crate::exchange::{Ask, Told};
use crate::model::{
    Action, Connection, ConnectionName, ConnectionState, Credential, Direction, Expiry, Fields, GrantType, Labels,
    ProfileName, RECEIVED_REFRESH_TOKEN_SECONDS, Secret, Target, TokenKind, new_id,
};
use crate::refresh::{Arrival, Books, Want, settle_further};
use crate::store::{Change, Expect, Key};
use crate::vault::Stored;
use std::collections::BTreeMap;

/// How a connection is made.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// The profile; the connection's own, or `default`, when none is given.
    pub profile: Option<ProfileName>,
    /// Labels that the connection gets.
    pub labels: Labels,
    /// What the grant needs from a person.
    pub proof: Proof,
    /// Whether the grant may be another account's than the one that the connection has been of.
    pub other_account: bool,
}

/// What a grant without a browser needs from a person.
#[derive(Debug, Clone, Default)]
pub enum Proof {
    /// Nothing: client credentials and JWT bearer prove themselves.
    #[default]
    None,
    /// The password of the profile's user.
    Password(Secret),
    /// A refresh token from elsewhere.
    RefreshToken(Secret),
}

impl Connector {
    /// Makes a connection by its profile's grant, without a browser. When it fails, nothing is changed; only an adopted
    /// refresh token is kept as soon as it has been sent.
    pub async fn connect(&self, name: &ConnectionName, options: ConnectOptions) -> Result<Connection, Error> {
        let (this, of) = (self.clone(), name.clone());
        self.to_its_end(async move {
            this.audited(Action::Connect, Target::of(&of), Box::pin(this.connect_now(&of, options))).await
        })
        .await
    }

    async fn connect_now(&self, name: &ConnectionName, options: ConnectOptions) -> Result<Connection, Error> {
        let (given, what) = match &options.proof {
            Proof::None => (None, ""),
            Proof::Password(password) => (Some(password), "password"),
            Proof::RefreshToken(token) => (Some(token), "refresh token"),
        };
        if given.is_some_and(|given| given.expose().trim().is_empty()) {
            return Err(Error::EmptyProof { connection: name.clone(), what });
        }
        let (application, stored) = self.prepare(name, options.profile.as_ref()).await?;
        let connection = &stored.value;
        let profile = profile_of(&application, &connection.profile)?;
        let wrong = || Error::WrongGrant {
            connection: name.clone(),
            profile: connection.profile.clone(),
            grant: profile.grant,
        };
        let (ask, password) = match (options.proof, profile.grant) {
            // Any profile may start from a refresh token: it is how grants move in.
            (Proof::RefreshToken(token), _) => {
                return self.adopt(stored, options.labels, token, options.other_account).await;
            }
            (Proof::None, GrantType::ClientCredentials) => (Ask::ClientCredentials, None),
            (Proof::None, GrantType::JwtBearer) => (Ask::JwtBearer, None),
            (Proof::Password(password), GrantType::Password) => {
                let username = profile.username.clone().ok_or_else(|| Error::NoUsername(application.name.clone()))?;
                let kept = application.keep_password.then(|| password.clone());
                (Ask::Password { username, password }, kept)
            }
            _ => return Err(wrong()),
        };
        let exchange = self.exchanges.of(&application, profile, &with_labels(connection, &options.labels))?;
        let answer = exchange.ask(&ask, profile).await;
        let answer = answer.map_err(|error| Error::NotAuthorized { connection: name.clone(), error })?;
        let given_for = (stored.version > 0).then_some((connection.id, connection.revocations));
        let consent = Consent {
            connection: name.clone(),
            profile: connection.profile.clone(),
            labels: options.labels,
            password,
            given_for,
            grant: profile.grant,
            scopes: profile.scopes.clone(),
            told: Told::default(),
            other_account: options.other_account,
        };
        Box::pin(self.welcome(&application, consent, &exchange, answer)).await
    }

    /// Takes over a refresh token that somebody has. It is sealed and durable before it is first sent, because the
    /// provider may rotate it in its reply.
    async fn adopt(
        &self,
        stored: Stored<Connection>,
        labels: Labels,
        token: Secret,
        other_account: bool,
    ) -> Result<Connection, Error> {
        let now = self.clock.now();
        let before = self.vault.credentials(stored.value.id).await?;
        let mut connection = match stored.version {
            0 => Connection::new(&stored.value.name, stored.value.application, now),
            _ => stored.value.clone(),
        };
        connection.profile = stored.value.profile.clone();
        connection.labels.extend(labels);
        if other_account {
            // The first refresh tells, where its reply does.
            if connection.account.take().is_some() {
                // They say where the other account's things are.
                connection.fields = Fields::new();
            }
        }
        connection.generation += 1;
        connection.state = ConnectionState::Active;
        connection.authorized = Some(now);
        (connection.rejected, connection.rejected_age, connection.learned_lifetime) = (None, None, None);
        (connection.doubted, connection.doubted_until) = (None, None);
        connection.failure = None;
        connection.failures = 0;
        connection.due = Some(now);
        let application = self.application(connection.name.application()).await?;
        connection.scopes.requested = profile_of(&application, &connection.profile)?.scopes.clone();
        let profile = profile_of(&application, &connection.profile)?;
        // Those of the old grant end with it.
        let gone: Vec<ConnectionName> = connection.further().collect();
        let settings = self.refresher.settings();
        let books = Books { vault: &self.vault, settings, application: &application, profile, old: &[] };
        let without = settle_further(&books, &mut connection, &BTreeMap::new(), Arrival::Consent, now).await?;
        let lifespan = application.lifespans.refresh_token;
        let credential = Credential {
            id: new_id(),
            connection: connection.id,
            kind: TokenKind::RefreshToken,
            direction: Direction::Received,
            generation: connection.generation,
            token,
            token_type: "Bearer".to_owned(),
            scopes: profile_of(&application, &connection.profile)?.scopes.clone(),
            issued: now,
            expires: Expiry::of_received(now, None, lifespan, RECEIVED_REFRESH_TOKEN_SECONDS),
            revoked: None,
        };
        let mut changes = vec![
            self.vault.put_connection(&connection, (stored.version > 0).then_some(stored.version))?,
            self.vault.put_credential(&credential, None)?,
            Change::remove(Key::Flight(connection.id), Expect::Any),
        ];
        changes.extend(Telling::of(&self.vault, &stored.value, &connection, now).authorized(&credential)?);
        changes.extend(without);
        changes.extend(before.iter().map(|old| Change::remove(Key::Credential(old.value.id), Expect::Any)));
        if !self.committed(changes).await? {
            return Err(Error::Changed(format!("the connection {}", connection.name)));
        }
        self.refresher.forget(&connection.name);
        gone.iter().for_each(|name| self.refresher.forget(name));
        self.refresher.token(&connection.name, Want::Anew(connection.generation)).await?;
        self.connection(&connection.name).await
    }
}
