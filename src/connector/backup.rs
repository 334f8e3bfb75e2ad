//! Backups of the store, and a store from one.
//!
//! What a backup cannot know is what has become of its grants since: a refresh token may have been rotated, a grant revoked. So every
//! connection that is restored with a refresh token is in doubt, exactly as after a request whose reply was lost: its token is
//! tried, and if the provider refuses it, the reason is `rotation_lost` and not `refused`.

use super::{Connector, Error, Home};
use crate::access::{Acting, write_restored};
use crate::model::{
    Action, Clock, Connection, ConnectionState, KeyName, KeyState, Timestamp, TokenKind, WebhookName, WebhookProgress,
    counted, later, new_number,
};
use crate::refresh::newest;
use crate::seal::SealError;
use crate::store::{Backup, BackupNote, Change, SledOptions, SledStore, Store};
use crate::vault::{Flight, KeyRecord, Stored, Vault, VaultError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What a restore came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The backup's id.
    pub backup: Uuid,
    /// When it was made: everything is as of then.
    pub made: Timestamp,
    /// Connections that there are.
    pub connections: u64,
    /// Those whose grant is in use and may have been revoked or rotated since: each is marked until its next refresh.
    pub in_doubt: u64,
    /// The API keys that open doors again. One that was revoked after the backup was made is among them: nothing here knows of that.
    pub keys: Vec<KeyName>,
    /// The API keys that were ended, where that was asked for.
    pub keys_revoked: Vec<KeyName>,
    /// The webhooks that send again, one that was removed since too. They tell of what happens from now on.
    pub webhooks: Vec<WebhookName>,
    /// Whether there is an administrator's password again, the one of then.
    pub password: bool,
    /// Where the store that was there is now.
    pub moved_aside: Option<PathBuf>,
    /// Records that do not open, with the reason; they are as the backup has them. At most 100 are told.
    pub troubles: Vec<String>,
}

/// How a store is made of a backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Whether a store that was used is moved aside.
    pub force: bool,
    /// Whether every API key is ended: for who cannot tell which were revoked since.
    pub revoke_keys: bool,
}

/// Where a store is made of a backup. What is found there later was not finished, and is made anew.
const RESTORING: &str = "store.restoring";
/// A store that is whole, on its way into the present one's place.
const RESTORED: &str = "store.restored";
/// Connections that are written in one commit.
const PAGE: usize = 100;
/// Refreshes a second that restored connections are spread to, where they are overdue.
const REFRESHES_A_SECOND: u64 = 5;
/// How many sequences of events are left out: whoever had read events that came after the backup must not take new ones for those. No
/// store tells so many in the life of a backup.
const SKIPPED_EVENTS: u64 = 1 << 32;
/// How long is waited for a command that ends; a daemon does not.
const WAIT: Duration = Duration::from_secs(2);
const MOST_TROUBLES: usize = 100;

impl Connector {
    /// Copies the store, as it is between two commits, into a new folder. Commits go on meanwhile. The copy is sealed as the store
    /// is, with the same keys: keep those apart from it. It is made to its end, also where nobody waits for it any more.
    pub async fn back_up(&self, to: &Path) -> Result<Backup, Error> {
        let (this, to) = (self.clone(), to.to_owned());
        self.to_its_end(async move {
            let keys = this.vault.keyring().keys().iter().map(|key| key.id.to_string()).collect();
            let copied = async {
                this.log.flush().await?; // what waits to be written is in the copy
                Ok(this.store.backup(&to, BackupNote { made: this.clock.now(), keys }).await?)
            };
            let said = |made: &Result<Backup, Error>| Some(format!("backup {}", made.as_ref().ok()?.id));
            this.audited_as(Action::StoreBackup, copied, |made| (None, said(made))).await
        })
        .await
    }
}

impl Home {
    /// Makes the store anew from a backup. A store that was used is refused, or moved aside with [`RestoreOptions::force`]; nothing is
    /// deleted. Until this returns, nobody has the store.
    pub async fn restore(&self, backup: &Path, options: RestoreOptions, clock: &dyn Clock) -> Result<Restored, Error> {
        if let Err(error) = backup.read_dir() {
            return Err(Error::file(backup, &error));
        }
        self.settings()?;
        let keyring = self.keyring()?;
        // Before anything makes an empty store, under which the one of an interrupted restore would be forgotten.
        self.finish_restore()?;
        let (store, folder) = (self.store(), self.folder().to_owned());
        let [restoring, restored] = [RESTORING, RESTORED].map(|name| folder.join(name));
        let held = SledStore::hold(&store, WAIT)?;
        let used = SledStore::is_used(&store)?;
        if used && !options.force {
            return Err(Error::StoreUsed(store));
        }
        remove(&restoring)?;
        let manifest = SledStore::unpack(backup, &restoring)?;
        let made = Arc::new(SledStore::open(&restoring, &SledOptions::default())?);
        let vault = Vault::new(Arc::clone(&made) as Arc<dyn Store>, Arc::new(keyring));
        let mut report = Restored {
            backup: manifest.id,
            made: manifest.made,
            connections: 0,
            in_doubt: 0,
            keys: Vec::new(),
            keys_revoked: Vec::new(),
            webhooks: Vec::new(),
            password: false,
            moved_aside: None,
            troubles: Vec::new(),
        };
        let settled = settle(&vault, &mut report, options, clock.now()).await;
        let skipped = match settled {
            Ok(()) => made.skip_events(SKIPPED_EVENTS).await.map_err(Error::from),
            Err(error) => Err(error),
        };
        let closed = made.close().await;
        if let Err(error) = skipped.and(closed.map_err(Error::from)) {
            remove(&restoring)?;
            return Err(error);
        }
        remove(&restored)?;
        rename(&restoring, &restored)?;
        let aside = aside(&folder, clock.now());
        rename(&store, &aside)?;
        rename(&restored, &store)?;
        sync(&folder)?;
        drop(held);
        if used {
            report.moved_aside = Some(aside);
        } else {
            remove(&aside)?;
        }
        Ok(report)
    }

    /// A restore that was killed when it had moved the store aside: the one that it had made takes the place. Without this, an
    /// empty one would.
    pub(super) fn finish_restore(&self) -> Result<(), Error> {
        let (store, restored) = (self.store(), self.folder().join(RESTORED));
        if restored.exists() && !SledStore::is_used(&store)? {
            // An empty one may have been made since.
            remove(&store)?;
            rename(&restored, &store)?;
            sync(self.folder())?;
        }
        Ok(())
    }
}

/// Opens every record, and marks what is in doubt, before anybody can use it.
async fn settle(vault: &Vault, report: &mut Restored, options: RestoreOptions, now: Timestamp) -> Result<(), Error> {
    // Nobody comes back to a consent of then.
    vault.store().purge_pending(Timestamp::MAX).await?;
    let overdue = vault.store().due(now, None, usize::MAX).await?.len() as u64;
    let window = (overdue / REFRESHES_A_SECOND).clamp(60, 6 * 3600);
    let mut after = None;
    loop {
        let page = vault.store().connections(None, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        let mut changes = Vec::new();
        for row in &page {
            report.connections += 1;
            match marked(vault, row.id, report.made, now, window).await {
                Ok(marks) => {
                    report.in_doubt += u64::from(!marks.is_empty());
                    changes.extend(marks);
                }
                Err(error) => passed_over(report, error)?,
            }
        }
        vault.commit(changes).await?;
    }
    for row in vault.store().applications().await? {
        if let Err(error) = vault.application_by_id(row.id).await {
            passed_over(report, error)?;
        }
    }
    settle_keys(vault, report, options, now).await?;
    settle_webhooks(vault, report).await?;
    // The log of then goes on with what was done now; what came after the backup is in the store that is moved aside.
    let entry = Acting::this_process().entry(Action::StoreRestore, None, now);
    let ended = counted(report.keys_revoked.len() as u64, "API key", "API keys");
    let detail = format!("backup {} of {}; {ended} ended", report.backup, report.made);
    Ok(write_restored(vault, entry.with_detail(&detail)).await?)
}

/// API keys cannot be tried at a provider as refresh tokens are. So they are named, for a person to look through, or ended.
async fn settle_keys(
    vault: &Vault,
    report: &mut Restored,
    options: RestoreOptions,
    now: Timestamp,
) -> Result<(), Error> {
    for stored in vault.api_keys().await? {
        let Stored { value: KeyRecord { mut key, hash }, version } = match stored {
            Ok(stored) => stored,
            Err(error) => {
                passed_over(report, error)?;
                continue;
            }
        };
        if key.state(now) != KeyState::Good {
            continue;
        }
        if !options.revoke_keys {
            report.keys.push(key.name);
            continue;
        }
        key.revoked = Some(now);
        report.keys_revoked.push(key.name.clone());
        vault.commit(vec![vault.put_api_key(&KeyRecord { key, hash }, Some(version))?]).await?;
    }
    match vault.administrator().await {
        Ok(stored) => report.password = stored.is_some(),
        Err(error) => passed_over(report, error)?,
    }
    Ok(())
}

/// What endpoints were told since the backup was made is not known, and nobody wants a month of old events: webhooks begin with what is
/// new. Their names are told, for a person to look through.
async fn settle_webhooks(vault: &Vault, report: &mut Restored) -> Result<(), Error> {
    let newest = vault.last_event().await?;
    for stored in vault.webhooks().await? {
        let settled = async {
            let record = stored?.value;
            let Some(Stored { value, version }) = vault.webhook_progress(&record).await? else { return Ok(record) };
            let progress = WebhookProgress { cursor: newest, waiting: Vec::new(), ..value };
            vault.commit(vec![vault.put_webhook_progress(&record, &progress, Some(version))?]).await?;
            Ok(record)
        };
        match settled.await {
            Ok(record) if record.webhook.disabled.is_none() => report.webhooks.push(record.webhook.name),
            Ok(_) => {}
            Err(error) => passed_over(report, error)?,
        }
    }
    Ok(())
}

/// A record that is damaged is told and no reason to have none of the others; wrong keys are.
fn passed_over(report: &mut Restored, error: VaultError) -> Result<(), Error> {
    match error {
        VaultError::Store(_) | VaultError::Seal { source: SealError::UnknownKey { .. }, .. } => Err(error.into()),
        error => {
            if report.troubles.len() < MOST_TROUBLES {
                report.troubles.push(error.to_string());
            }
            Ok(())
        }
    }
}

/// What a connection whose grant is in use gets: its mark, a time to be refreshed at, and the journal entry that says that what
/// became of its refresh token is not known.
async fn marked(
    vault: &Vault,
    id: Uuid,
    made: Timestamp,
    now: Timestamp,
    window: u64,
) -> Result<Vec<Change>, VaultError> {
    let Some(Stored { value, version }) = vault.connection_by_id(id).await? else { return Ok(Vec::new()) };
    let credentials = vault.credentials(id).await?;
    let flight = vault.flight(id).await?;
    if !matches!(value.state, ConnectionState::Active | ConnectionState::Degraded) {
        return Ok(Vec::new());
    }
    let mut next = Connection { restored: Some(made), ..value };
    if next.due.is_some_and(|due| due <= now) {
        next.due = Some(later(now, share_of(window, id)));
    }
    let mut changes = vec![vault.put_connection(&next, Some(version))?];
    if newest(&credentials, TokenKind::RefreshToken).is_some() {
        let read = flight.as_ref().map(|flight| flight.version);
        // A reply that was kept is still the newest that is known.
        let reply = flight.filter(|flight| flight.generation == next.generation).and_then(|flight| flight.reply);
        let (owner, generation) = (Uuid::nil(), next.generation);
        let version = new_number();
        let flight = Flight { connection: id, version, owner, until: now, generation, doubt: true, reply };
        changes.push(vault.put_flight(&flight, read)?);
    }
    Ok(changes)
}

/// Where a store is moved aside; nothing is there yet.
fn aside(folder: &Path, now: Timestamp) -> PathBuf {
    let name = format!("store.before-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let further = (2..).map(|number| folder.join(format!("{name}-{number}")));
    let mut places = std::iter::once(folder.join(&name)).chain(further);
    places.find(|place| !place.exists()).unwrap_or_else(|| folder.join(&name))
}

/// A place within a time that stays the same for a connection; its id is random at its end.
fn share_of(window: u64, id: Uuid) -> u64 {
    window * (id.as_u128() & 0xffff) as u64 / 0xffff
}

fn remove(folder: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(folder, &error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(|error| Error::file(from, &error))
}

fn sync(folder: &Path) -> Result<(), Error> {
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::file(folder, &error))
}
