//! What taking over one grant comes to: the changes that do it, or why it is not done.

use super::{Grant, HeldToken, ImportOptions, Tokens};
use crate::connector::{Connector, Error};
use crate::events::Telling;
use crate::model::{
    Application, Connection, ConnectionName, ConnectionState, Credential, Direction, Expiry, ExpirySource, Profile,
    ProfileName, RECEIVED_ACCESS_TOKEN_SECONDS, RECEIVED_REFRESH_TOKEN_SECONDS, Scopes, Timestamp, TokenKind, later,
};
use crate::refresh::{Arrival, Books, Held, newest, renews_by_asking, settle_further};
use crate::store::{Change, Expect, Key};
use crate::vault::{Stored, VaultError};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// More generations than any connection sees: one a second for nine million years.
const MOST_GENERATIONS: u64 = 1 << 48;

/// What taking over one grant comes to.
pub(super) enum Plan {
    /// It can be taken over.
    Adopt(Box<Adoption>),
    /// It is here. The generation to refresh from, where nothing has refreshed it yet.
    Already { refreshes_from: Option<u64> },
    /// It is not taken over; why.
    Refused(String),
}

/// What takes a grant over.
pub(super) struct Adoption {
    pub(super) changes: Vec<Change>,
    /// Whether another grant ends with it.
    pub(super) replaces: bool,
    /// Whose cached tokens are to be forgotten.
    pub(super) names: Vec<ConnectionName>,
    /// The generation to refresh from, where it can be refreshed.
    pub(super) refreshes_from: Option<u64>,
}

/// What a grant is planned with.
struct Ground<'a> {
    application: &'a Application,
    profile: &'a Profile,
    now: Timestamp,
    spread: Duration,
}

impl Connector {
    /// Plans a grant against what the store holds now.
    pub(super) async fn planned(
        &self,
        grant: &Grant,
        application: &Application,
        options: &ImportOptions,
    ) -> Result<Plan, Error> {
        let now = self.clock.now();
        let refused = |reason: String| Ok(Plan::Refused(reason));
        let stored = self.vault.connection(&grant.name).await?;
        if stored.as_ref().is_some_and(|stored| stored.value.application != application.id) {
            return refused(
                "its connection belongs to an earlier application of the same name; remove it first".into(),
            );
        }
        let held = stored.as_ref().map(|stored| stored.value.profile.clone());
        let profile_name = grant.profile.clone().or(held).unwrap_or_default();
        let Some(profile) = application.profile(&profile_name) else {
            return refused("its application has no profile of that name; see `grantkeeper profile list`".into());
        };
        let mut tokens = grant.tokens.clone();
        let ground = Ground { application, profile, now, spread: options.spread };
        if let Err(reason) = still_good(&mut tokens, now) {
            return refused(reason);
        }
        let old = match &stored {
            Some(stored) => self.vault.credentials(stored.value.id).await?,
            None => Vec::new(),
        };
        if let Some(Stored { value: held, .. }) = &stored {
            if held.state.is_usable() && is_held(&tokens, &old) {
                let unproven = held.refreshed.is_none() && tokens.refresh.is_some();
                return Ok(Plan::Already { refreshes_from: unproven.then_some(held.generation) });
            }
            if held.generation > 0 && !options.replace {
                return refused(format!(
                    "there is a connection of its name already ({}), with another token: a refresh may have brought that since; --replace takes the one of the file",
                    held.state
                ));
            }
            let accounts = held.account.as_ref().zip(grant.account.as_ref());
            if accounts.is_some_and(|(held, given)| !held.is_same(given)) {
                return refused("the connection of its name is of another account; remove that one first".into());
            }
        }
        let Stored { value: before, version } =
            stored.unwrap_or_else(|| Stored { value: Connection::new(&grant.name, application.id, now), version: 0 });
        let mut connection = before.clone();
        connection.fields.extend(grant.fields.clone());
        connection.labels.extend(grant.labels.clone());
        connection.account = grant.account.clone().or(connection.account.take());
        connection.scopes.requested = grant.requested.clone().unwrap_or_else(|| profile.scopes.clone());
        connection.password = grant.password.clone().filter(|_| application.keep_password);
        if tokens.refresh.is_none() && tokens.access.is_none() && !renews_by_asking(application, profile, &connection) {
            return refused("it has no token, and its profile's grant needs one".into());
        }
        let renewed = grant.authorized.unwrap_or(now);
        // Whoever wrote the file counts as they like; ours must be able to count on.
        let generation = grant.generation.min(MOST_GENERATIONS).max(before.generation.saturating_add(1));
        let mut names: Vec<ConnectionName> = connection.further().collect();
        // Those of the old grant end with it.
        let settings = self.refresher.settings();
        let books = Books { vault: &self.vault, settings, application, profile, old: &[] };
        let mut changes = settle_further(&books, &mut connection, &BTreeMap::new(), Arrival::Consent, now).await?;
        let owner = (renewed, generation, &profile_name);
        for (token, tokens) in &grant.further {
            let (Ok(name), mut tokens) = (grant.name.with_token(token), tokens.clone()) else { continue };
            // One that has ended is no loss to the others.
            if still_good(&mut tokens, now).is_err() {
                continue;
            }
            let mut further =
                Connection { account: connection.account.clone(), ..Connection::new(&name, application.id, now) };
            further.fields = connection.fields.clone();
            further.labels = connection.labels.clone();
            let none = further.clone();
            changes.extend(self.settled(&ground, &none, &mut further, &tokens, owner)?);
            changes.push(self.vault.put_connection(&further, None)?);
            connection.tokens.insert(token.clone());
            names.push(name);
        }
        changes.extend(self.settled(&ground, &before, &mut connection, &tokens, owner)?);
        changes.push(self.vault.put_connection(&connection, (version > 0).then_some(version))?);
        // A refresh that is under way belongs to the old grant: without its entry it cannot land.
        changes.push(Change::remove(Key::Flight(connection.id), Expect::Any));
        changes.extend(old.iter().map(|old| Change::remove(Key::Credential(old.value.id), Expect::Any)));
        names.push(connection.name);
        let refreshable = tokens.refresh.is_some() || tokens.access.is_none();
        Ok(Plan::Adopt(Box::new(Adoption {
            changes,
            replaces: before.generation > 0,
            names,
            refreshes_from: refreshable.then_some(generation),
        })))
    }

    /// Makes a connection the holder of tokens, and writes these.
    fn settled(
        &self,
        ground: &Ground<'_>,
        before: &Connection,
        connection: &mut Connection,
        tokens: &Tokens,
        (authorized, generation, profile): (Timestamp, u64, &ProfileName),
    ) -> Result<Vec<Change>, VaultError> {
        let Ground { application, now, .. } = *ground;
        connection.profile = profile.clone();
        connection.generation = generation;
        connection.state = ConnectionState::Active;
        connection.authorized = Some(authorized);
        connection.refreshed = None;
        connection.failure = None;
        connection.failures = 0;
        connection.waits = false;
        (connection.rejected, connection.rejected_age, connection.learned_lifetime) = (None, None, None);
        (connection.doubted, connection.doubted_until) = (None, None);
        connection.scopes = scopes(application, &connection.scopes, tokens);
        let lifespans = &application.lifespans;
        let made = |kind, held: &HeldToken, setting, default| Credential {
            id: Uuid::now_v7(),
            connection: connection.id,
            kind,
            direction: Direction::Received,
            generation,
            token: held.token.clone(),
            token_type: application
                .habits
                .authorization_scheme
                .clone()
                .or_else(|| tokens.token_type.clone())
                .unwrap_or_else(|| "Bearer".to_owned()),
            scopes: match connection.scopes.granted.is_empty() {
                true => connection.scopes.requested.clone(),
                false => connection.scopes.granted.clone(),
            },
            issued: held.issued.unwrap_or(now).min(now),
            expires: held.expires.unwrap_or_else(|| Expiry::of_received(now, None, setting, default)),
            revoked: None,
        };
        let refresh = tokens
            .refresh
            .as_ref()
            .map(|held| made(TokenKind::RefreshToken, held, lifespans.refresh_token, RECEIVED_REFRESH_TOKEN_SECONDS));
        let access = tokens
            .access
            .as_ref()
            .map(|held| made(TokenKind::AccessToken, held, lifespans.access_token, RECEIVED_ACCESS_TOKEN_SECONDS));
        connection.due = Some(self.due(ground, connection, refresh.as_ref(), access.as_ref()));
        let mut changes = Vec::new();
        for credential in [&refresh, &access].into_iter().flatten() {
            changes.push(self.vault.put_credential(credential, None)?);
        }
        if let Some(credential) = access.as_ref().or(refresh.as_ref()) {
            changes.extend(Telling::of(&self.vault, before, connection, now).authorized(credential)?);
        }
        Ok(changes)
    }

    /// When the background job looks at it first: by its access token, or at a time of its own within the spread, so that
    /// those that moved in together are not refreshed together. Never so late that the refresh token could end before.
    fn due(
        &self,
        ground: &Ground<'_>,
        connection: &Connection,
        refresh: Option<&Credential>,
        access: Option<&Credential>,
    ) -> Timestamp {
        let Ground { application, profile, now, spread } = *ground;
        let renewable = refresh.is_some() || renews_by_asking(application, profile, connection);
        let habits = application.habits.refresh;
        let usual = access
            .map(|access| self.refresher.settings().due(connection, &Held { access, refresh, renewable, habits }, now));
        let due = usual.filter(|due| *due > now).unwrap_or_else(|| {
            // By the random part of its id: a dry run and a second plan need not agree.
            let share = connection.id.as_u128() & u128::from(u32::MAX);
            let seconds = u128::from(spread.as_secs()) * share / u128::from(u32::MAX);
            later(now, u64::try_from(seconds).unwrap_or(u64::MAX))
        });
        match refresh.map(|refresh| refresh.expires).filter(|expires| expires.source == ExpirySource::Stated) {
            Some(expires) => due.min(later(now, expires.seconds_left(now) / 4 * 3)),
            None => due,
        }
    }
}

/// Leaves out an access token that has ended; refuses what cannot work any more.
fn still_good(tokens: &mut Tokens, now: Timestamp) -> Result<(), String> {
    // What nobody but us said is no reason not to try.
    let ended = |held: &HeldToken| {
        held.expires.filter(|expires| expires.source == ExpirySource::Stated && !expires.is_good(now, 0))
    };
    if tokens.refresh.iter().chain(&tokens.access).any(|held| held.token.expose().trim().is_empty()) {
        return Err("its token is empty".to_owned());
    }
    if let Some(ended) = tokens.refresh.as_ref().and_then(ended) {
        return Err(format!("its refresh token ended at {}", ended.at));
    }
    let had_access = tokens.access.is_some();
    tokens.access = tokens.access.take().filter(|held| held.expires.is_none_or(|expires| expires.is_good(now, 0)));
    if had_access && tokens.access.is_none() && tokens.refresh.is_none() {
        return Err("its access token has ended, and it has no refresh token".to_owned());
    }
    Ok(())
}

/// Whether the store holds these very tokens.
fn is_held(tokens: &Tokens, old: &[Stored<Credential>]) -> bool {
    let is = |held: &Option<HeldToken>, kind| {
        held.as_ref().zip(newest(old, kind)).is_some_and(|(held, stored)| held.token == stored.value.token)
    };
    match &tokens.refresh {
        Some(_) => is(&tokens.refresh, TokenKind::RefreshToken),
        None => is(&tokens.access, TokenKind::AccessToken),
    }
}

/// What was granted, where the grant says it.
fn scopes(application: &Application, before: &Scopes, tokens: &Tokens) -> Scopes {
    let requested = before.requested.clone();
    let Some(given) = &tokens.scopes else { return Scopes { requested, ..Scopes::default() } };
    let separator = application.scope_separator.trim();
    let granted = match separator.is_empty() {
        true => given.clone(),
        false => {
            given.iter().flat_map(|scope| scope.split(separator)).filter(|s| !s.is_empty()).map(str::to_owned).collect()
        }
    };
    // Neither shows in a list; whether an id token came is not known.
    let came: &[&str] = if tokens.refresh.is_some() { &["openid", "offline_access"] } else { &["openid"] };
    Scopes::compared(requested, granted, came)
}
