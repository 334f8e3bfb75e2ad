//! The store as one process sees it: records that several processes may share, commits that take time, and a process that
//! dies with some of its commits on their way. A commit that has returned is durable; of those under way a death lets the
//! first few come about, as a disk's queue would. Like the embedded store's, a commit is durable before anybody sees it, and
//! goes on when whoever asked for it stops waiting.

use super::provider::{Provider, held_of};
use super::world::Life;
use grantkeeper::model::{Connection, ConnectionName, Timestamp, TokenKind};
use grantkeeper::store::{
    AccessRow, Answer, ApplicationRow, AuditRow, Change, ConnectionRow, CredentialRow, DuePlace, EventRow, FlightRow,
    FlightStage, Key, MemoryStore, Reseal, Row, Store, StoreError,
};
use grantkeeper::vault::{Stored, Vault};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use uuid::Uuid;

/// What is on disk, for all processes.
pub(super) struct Disk {
    pub(super) records: MemoryStore,
    /// Opens what is sealed, to compare it with the truth.
    pub(super) glass: Vault,
    provider: Arc<Provider>,
    /// Per connection, what was last seen.
    seen: Mutex<BTreeMap<Uuid, Seen>>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    generation: u64,
    grant: Option<usize>,
    /// The version of its flight.
    flight: u64,
}

impl Disk {
    pub(super) fn new(records: MemoryStore, glass: Vault, provider: &Arc<Provider>) -> Arc<Self> {
        Arc::new(Self { records, glass, provider: Arc::clone(provider), seen: Mutex::default() })
    }

    /// The connections as they are.
    pub(super) async fn connections(&self) -> Vec<Stored<Connection>> {
        self.glass.connections(None, None, 100).await.unwrap()
    }

    /// The refresh token of a connection, by its words.
    pub(super) async fn refresh_token(&self, connection: Uuid) -> Option<String> {
        let credentials = self.glass.credentials(connection).await.unwrap();
        let newest = credentials.iter().filter(|credential| credential.value.kind == TokenKind::RefreshToken);
        let newest = newest.max_by_key(|credential| credential.value.generation)?;
        Some(newest.value.token.expose().to_owned())
    }

    /// Makes a commit, and notes for the provider's books what has become durable.
    async fn apply(&self, life: &Life, changes: Vec<Change>) -> Result<(), StoreError> {
        let count = changes.len();
        let made = self.records.commit(changes).await;
        life.world
            .tell(|| format!("process {}: commits {count} {}", life.number, if made.is_ok() { "" } else { "in vain" }));
        if made.is_ok() {
            for row in self.records.connections(None, None, 100).await? {
                let flight = self.flight(row.id).await?;
                let replied = flight.as_ref().is_some_and(|flight| flight.stage == FlightStage::Replied);
                let flight = flight.map_or(0, |flight| flight.version);
                let was = self.seen().get(&row.id).copied().unwrap_or_default();
                let landed = row.generation != was.generation;
                let grant = match landed {
                    true => self.refresh_token(row.id).await.and_then(|token| held_of(&token)).map(|held| held.grant),
                    false => was.grant,
                };
                self.seen().insert(row.id, Seen { generation: row.generation, grant, flight });
                // A new consent brings another grant.
                if let Some(grant) = grant.filter(|_| grant == was.grant && (landed || replied && flight != was.flight))
                {
                    self.provider.is_durable(life.number, grant);
                }
            }
        }
        made
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<Uuid, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn flight(&self, connection: Uuid) -> Result<Option<FlightRow>, StoreError> {
        match self.records.get(Key::Flight(connection)).await? {
            Some(Row::Flight(row)) => Ok(Some(row)),
            _ => Ok(None),
        }
    }
}

/// The store of one process.
pub(super) struct SimStore {
    life: Arc<Life>,
    disk: Arc<Disk>,
    exclusive: bool,
    under_way: Arc<Mutex<UnderWay>>,
}

#[derive(Default)]
struct UnderWay {
    next: u64,
    commits: VecDeque<(u64, Vec<Change>)>,
}

impl UnderWay {
    fn take(&mut self, number: u64) -> Option<Vec<Change>> {
        let at = self.commits.iter().position(|(other, _)| *other == number)?;
        self.commits.remove(at).map(|(_, changes)| changes)
    }
}

impl SimStore {
    pub(super) fn new(life: &Arc<Life>, disk: &Arc<Disk>, exclusive: bool) -> Arc<Self> {
        Arc::new(Self { life: Arc::clone(life), disk: Arc::clone(disk), exclusive, under_way: Arc::default() })
    }

    /// The process is dead: the first few of its commits that were under way come about, the others never do.
    pub(super) async fn after_death(&self) {
        let commits = std::mem::take(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner).commits);
        let come_about = self.life.world.chance.of(0..commits.len() as u64 + 1);
        for (_, changes) in commits.into_iter().take(usize::try_from(come_about).unwrap()) {
            // Nobody is there to be told of a conflict.
            let _ = self.disk.apply(&self.life, changes).await;
        }
    }

    fn ask<'a, T: Send + 'a>(&'a self, answer: Answer<'a, T>) -> Answer<'a, T> {
        Box::pin(async move {
            if self.life.world.chance.percent(40) {
                self.life.world.pass_some(1..4).await;
            }
            self.life.runs().await;
            answer.await
        })
    }
}

impl Store for SimStore {
    fn commit(&self, changes: Vec<Change>) -> Answer<'_, ()> {
        let (done, answer) = oneshot::channel();
        let (life, disk, under_way) = (Arc::clone(&self.life), Arc::clone(&self.disk), Arc::clone(&self.under_way));
        let number = {
            let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.next += 1;
            let number = under_way.next;
            under_way.commits.push_back((number, changes));
            number
        };
        tokio::spawn(async move {
            // It has left: a pause of its process does not stop it.
            life.world.pass_some(1..12).await;
            let changes = under_way.lock().unwrap_or_else(PoisonError::into_inner).take(number);
            // Taken by its process's death.
            let Some(changes) = changes else { return };
            let made = disk.apply(&life, changes).await;
            life.pass_some(0..6).await;
            let _ = done.send(made);
        });
        Box::pin(async move {
            let made = answer.await;
            self.life.runs().await;
            made.unwrap_or_else(|_| unreachable!("a commit whose process is dead never returns"))
        })
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Row>> {
        self.ask(self.disk.records.get(key))
    }

    fn application(&self, name: &str) -> Answer<'_, Option<ApplicationRow>> {
        self.ask(self.disk.records.application(name))
    }

    fn applications(&self) -> Answer<'_, Vec<ApplicationRow>> {
        self.ask(self.disk.records.applications())
    }

    fn connection(&self, name: &ConnectionName) -> Answer<'_, Option<ConnectionRow>> {
        self.ask(self.disk.records.connection(name))
    }

    fn connections(
        &self,
        application: Option<&str>,
        after: Option<&ConnectionName>,
        limit: usize,
    ) -> Answer<'_, Vec<ConnectionRow>> {
        self.ask(self.disk.records.connections(application, after, limit))
    }

    fn credentials(&self, connection: Uuid) -> Answer<'_, Vec<CredentialRow>> {
        self.ask(self.disk.records.credentials(connection))
    }

    fn due(&self, until: Timestamp, after: Option<DuePlace>, limit: usize) -> Answer<'_, Vec<ConnectionRow>> {
        self.ask(self.disk.records.due(until, after, limit))
    }

    fn next_due(&self) -> Answer<'_, Option<Timestamp>> {
        self.ask(self.disk.records.next_due())
    }

    fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    fn purge_pending(&self, before: Timestamp) -> Answer<'_, usize> {
        self.ask(self.disk.records.purge_pending(before))
    }

    fn events(&self, after: u64, limit: usize) -> Answer<'_, Vec<EventRow>> {
        self.ask(self.disk.records.events(after, limit))
    }

    fn last_event(&self) -> Answer<'_, u64> {
        self.ask(self.disk.records.last_event())
    }

    fn purge_events(&self, before: Timestamp) -> Answer<'_, usize> {
        self.ask(self.disk.records.purge_events(before))
    }

    fn access(&self) -> Answer<'_, Vec<AccessRow>> {
        self.ask(self.disk.records.access())
    }

    fn audit(&self, after: u64, limit: usize) -> Answer<'_, Vec<AuditRow>> {
        self.ask(self.disk.records.audit(after, limit))
    }

    fn last_audit(&self) -> Answer<'_, u64> {
        self.ask(self.disk.records.last_audit())
    }

    fn purge_audit(&self, up_to: u64) -> Answer<'_, usize> {
        self.ask(self.disk.records.purge_audit(up_to))
    }

    fn walk(&self, after: Option<Key>, limit: usize) -> Answer<'_, Vec<Row>> {
        self.ask(self.disk.records.walk(after, limit))
    }

    fn reseal(&self, resealed: Vec<Reseal>) -> Answer<'_, usize> {
        self.ask(self.disk.records.reseal(resealed))
    }

    fn renew<'a>(&'a self, each: &'a mut (dyn FnMut(u64, u64) -> ControlFlow<()> + Send)) -> Answer<'a, bool> {
        self.ask(self.disk.records.renew(each))
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimStore")
    }
}
