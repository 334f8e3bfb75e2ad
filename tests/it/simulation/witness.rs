//! Who watches a run: what callers were given, what the store says, and whether the provider's truth allows it.

use super::process::is_told;
use super::provider::{Ended, Provider, held_of};
use super::store::Disk;
use super::world::World;
use grantkeeper::model::{
    Connection, ConnectionName, ConnectionState, EventKind, ExpirySource, ReauthorizationReason, Timestamp, TokenKind,
};
use grantkeeper::refresh::{RefreshError, Token, Want};
use grantkeeper::vault::Stored;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) struct Witness {
    world: Arc<World>,
    provider: Arc<Provider>,
    disk: Arc<Disk>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// The newest generation that a caller has had.
    acknowledged: BTreeMap<ConnectionName, u64>,
    /// The generation that a process has ended.
    ended: BTreeMap<(u64, ConnectionName), u64>,
    /// How many consents began or ended.
    consents: BTreeMap<ConnectionName, u64>,
    /// Consents under way, with their processes.
    consenting: BTreeSet<(ConnectionName, u64)>,
    /// Ended here, and nobody has consented since.
    stays_revoked: BTreeSet<ConnectionName>,
    /// Whether anything happened that leaves a grant in doubt without a request.
    rough: bool,
    tokens: u64,
}

/// A call that has begun.
pub(super) struct Began {
    process: u64,
    name: ConnectionName,
    ended: Option<u64>,
    consents: u64,
}

impl Witness {
    pub(super) fn new(world: &Arc<World>, provider: &Arc<Provider>, disk: &Arc<Disk>) -> Arc<Self> {
        let (world, provider, disk) = (Arc::clone(world), Arc::clone(provider), Arc::clone(disk));
        Arc::new(Self { world, provider, disk, notes: Mutex::default() })
    }

    pub(super) fn asks(&self, process: u64, name: &ConnectionName) -> Began {
        let notes = self.notes();
        let ended = notes.ended.get(&(process, name.clone())).copied();
        let consents = notes.consents.get(name).copied().unwrap_or(0);
        Began { process, name: name.clone(), ended, consents }
    }

    /// A caller has a token.
    pub(super) fn has_token(&self, began: &Began, want: Want, asked: Timestamp, token: &Token) {
        let Began { process, name, ended, .. } = began;
        let generation = token.generation();
        self.world.tell(|| format!("process {process}: {name} gives generation {generation} for {want:?}"));
        if let Want::NewerThan(unwanted) | Want::Anew(unwanted) = want
            && generation <= unwanted
        {
            self.world.broken(format!("{name}: newer than {unwanted} was wanted, and {generation} was given"));
        }
        if ended.is_some_and(|ended| generation <= ended) {
            self.world.broken(format!("process {process}: {name}: generation {generation} was given after its end"));
        }
        // A clock may have been put back meanwhile.
        if token.expires().at <= asked.min(self.world.now()) {
            self.world
                .broken(format!("process {process}: {name}: a token was given that had ended when it was asked for"));
        }
        let mut notes = self.notes();
        notes.tokens += 1;
        let newest = notes.acknowledged.entry(name.clone()).or_default();
        *newest = generation.max(*newest);
    }

    /// A caller has none.
    pub(super) async fn has_none(&self, began: &Began, want: Want, asked: Timestamp, error: &RefreshError) {
        let Began { process, name, .. } = began;
        self.world.tell(|| format!("process {process}: {name} gives nothing for {want:?}: {}", word(error)));
        if !is_told(error) {
            self.world.broken(format!("process {process}: {name}: {error}"));
        }
        if want != Want::Working
            || !matches!(error, RefreshError::Failing { .. } | RefreshError::Resting { .. } | RefreshError::Busy(_))
        {
            return;
        }
        let stored = self.disk.glass.connection(name).await.unwrap().unwrap();
        let credentials = self.disk.glass.credentials(stored.value.id).await.unwrap();
        let good = credentials.iter().map(|credential| &credential.value).find(|access| {
            let edited = access.expires.source == ExpirySource::Edited;
            access.kind == TokenKind::AccessToken
                && access.revoked.is_none()
                && !edited
                && access.issued < asked - jiff::SignedDuration::from_secs(5)
                && access.expires.at > self.world.now() + jiff::SignedDuration::from_secs(40)
        });
        if let Some(access) = good.filter(|_| stored.value.state.is_usable()) {
            let left = access.expires.at.duration_since(self.world.now());
            self.world.broken(format!("process {process}: {name}: a token good for {left:#} was withheld: {error}"));
        }
    }

    /// A connection is being connected, or has been: what was ended may live.
    pub(super) fn consents(&self, process: u64, name: &ConnectionName, begins: bool) {
        let mut notes = self.notes();
        *notes.consents.entry(name.clone()).or_default() += 1;
        notes.stays_revoked.remove(name);
        match begins {
            true => notes.consenting.insert((name.clone(), process)),
            false => notes.consenting.remove(&(name.clone(), process)),
        };
    }

    /// Something happened to a process or a clock, so that a grant may be in doubt without a request.
    pub(super) fn is_rough(&self) {
        self.notes().rough = true;
    }

    /// A process was killed.
    pub(super) fn is_dead(&self, process: u64) {
        let mut notes = self.notes();
        notes.consenting.retain(|(_, other)| *other != process);
        notes.rough = true;
    }

    /// A call that ended a connection has returned.
    pub(super) fn is_revoked(&self, began: &Began, connection: &Connection) {
        let mut notes = self.notes();
        let consents = notes.consents.get(&began.name).copied().unwrap_or(0);
        let consenting = notes.consenting.iter().any(|(name, _)| *name == began.name);
        if consents != began.consents || consenting {
            return;
        }
        notes.stays_revoked.insert(began.name.clone());
        notes.ended.insert((began.process, began.name.clone()), connection.generation);
    }

    /// What must hold at every time.
    pub(super) async fn look(&self) {
        for Stored { value: connection, .. } in self.disk.connections().await {
            let name = &connection.name;
            let token = self.disk.refresh_token(connection.id).await;
            let held = token.as_deref().and_then(held_of);
            let ended = held.and_then(|held| self.provider.grant(held.grant).ended);
            let notes = self.notes();
            if notes.acknowledged.get(name).is_some_and(|newest| *newest > connection.generation) {
                self.world.broken(format!("{name}: the store is behind a generation that was given out"));
            }
            if notes.stays_revoked.contains(name) && connection.state != ConnectionState::Revoked {
                self.world.broken(format!("{name} was revoked, and is {} again", connection.state));
            }
            let ConnectionState::ReauthorizationRequired(reason) = connection.state else { continue };
            let doubtful = notes.rough || held.is_some_and(|held| self.provider.asked(held) > 1);
            let true_word = match reason {
                ReauthorizationReason::Refused => ended == Some(Ended::Itself),
                ReauthorizationReason::RotationLost => {
                    ended == Some(Ended::Reuse) || ended == Some(Ended::Itself) && doubtful
                }
                ReauthorizationReason::NoRefreshToken | ReauthorizationReason::AccountChanged => false,
            };
            if !true_word {
                let state = connection.state;
                self.world.broken(format!("{name} is {state}, and its grant {held:?} at the provider: {ended:?}"));
            }
        }
    }

    /// What must hold at the end, when everything was mended and each connection was refreshed once more.
    pub(super) async fn judge(&self) {
        self.look().await;
        for Stored { value: connection, .. } in self.disk.connections().await {
            let name = &connection.name;
            let token = self.disk.refresh_token(connection.id).await;
            let held = token.as_deref().and_then(held_of);
            self.world.tell(|| format!("{name} is {} in the end, with {held:?}", connection.state));
            if connection.state.is_usable() {
                let Some(held) = held else {
                    self.world.broken(format!("{name} is {} without a refresh token", connection.state));
                    continue;
                };
                let grant = self.provider.grant(held.grant);
                if grant.ended.is_some() || grant.current != held.index {
                    self.world
                        .broken(format!("{name} is {} with {held:?}, and at the provider {grant:?}", connection.state));
                }
                if connection.state == ConnectionState::Degraded {
                    self.world.broken(format!("{name} stays degraded: {:?}", connection.failure));
                }
            }
            self.read_events(&connection).await;
        }
    }

    /// The events of a connection tell its story: each step is told once, in an order that makes sense.
    async fn read_events(&self, connection: &Connection) {
        let name = &connection.name;
        let all = self.disk.glass.events(0, 100_000).await.unwrap();
        let mut state = "unauthorized";
        let mut generation = 0;
        let mut lost = false;
        for event in all.iter().map(|recorded| &recorded.event) {
            if event.connection.as_ref() != Some(name) {
                continue;
            }
            let wrong = |what: &str| {
                self.world.broken(format!("{name}: the event {} comes when it is {what}", event.kind));
            };
            let usable = matches!(state, "active" | "degraded");
            let said = event.details.get("generation").and_then(serde_json::Value::as_u64);
            match event.kind {
                EventKind::Authorized | EventKind::Refreshed => {
                    if event.kind == EventKind::Refreshed && !usable {
                        wrong(state);
                    }
                    if said != Some(generation + 1) {
                        wrong(&format!("at generation {generation} and brings {said:?}"));
                    }
                    generation = said.unwrap_or(generation);
                    // What follows a refresh of a degraded connection is told by `recovered`.
                    state =
                        if event.kind == EventKind::Refreshed && state == "degraded" { "recovering" } else { "active" };
                }
                EventKind::Recovered if state == "recovering" => state = "active",
                EventKind::Degraded if state == "active" => state = "degraded",
                EventKind::RotationLost if usable => lost = true,
                EventKind::ReauthorizationRequired if usable => {
                    let reason = event.details.get("reason").and_then(serde_json::Value::as_str);
                    if (reason == Some("rotation_lost")) != lost {
                        wrong("told without its rotation_lost");
                    }
                    (state, lost) = ("reauthorization_required", false);
                }
                EventKind::Revoked if state != "revoked" => state = "revoked",
                EventKind::Expiring => {}
                _ => wrong(state),
            }
        }
        if state != connection.state.as_str() || generation != connection.generation {
            let (is, at) = (connection.state, connection.generation);
            self.world.broken(format!("{name} is {is} at {at}, and its events say {state} at {generation}"));
        }
    }

    /// How many tokens were given out.
    pub(super) fn tokens(&self) -> u64 {
        self.notes().tokens
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a wish may be, in seconds.
pub(super) fn good_for(seconds: u64) -> Want {
    Want::GoodFor(Duration::from_secs(seconds))
}

fn word(error: &RefreshError) -> String {
    match error {
        RefreshError::Failing { failure, .. } => format!("failing, {}", failure.kind),
        RefreshError::ReauthorizationRequired { reason, .. } => reason.as_str().to_owned(),
        RefreshError::Revoked(_) => "revoked".to_owned(),
        RefreshError::Busy(_) => "busy".to_owned(),
        RefreshError::Resting { .. } => "resting".to_owned(),
        other => other.to_string(),
    }
}
