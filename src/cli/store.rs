//! `store`: backups of the store, and a store from one.

use super::context::Context;
use super::error::Error;
use super::time;
use super::view::Lines;
use crate::connector::{RestoreOptions, Restored};
use crate::model::{SystemClock, counted};
use crate::store::{Backup, SledStore};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Copy the store into a new folder, sealed as it is, while everything goes on
    #[command(
        after_help = "The keys are not in it: keep a copy of the key file elsewhere. A store that is copied file by file while it is in use is no backup."
    )]
    Backup {
        /// The folder to make
        folder: PathBuf,
    },
    /// Read a backup from end to end, and tell what is in it
    Check {
        /// The backup's folder
        backup: PathBuf,
    },
    /// Make the store anew from a backup
    #[command(
        after_help = "Everything is as it was when the backup was made: grants that were revoked since come back here, and refresh tokens may have been rotated since. Each connection is marked until its next refresh has told; one whose refresh token is refused needs consent again (rotation_lost)."
    )]
    Restore {
        /// The backup's folder
        backup: PathBuf,
        /// Move a store that is in use aside
        #[arg(long)]
        force: bool,
        /// End every API key: one that was revoked after the backup was made would open its doors again
        #[arg(long)]
        revoke_keys: bool,
    },
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Backup { folder } => backup(context, &folder).await,
        Command::Check { backup } => check(context, &backup),
        Command::Restore { backup, force, revoke_keys } => {
            restore(context, &backup, RestoreOptions { force, revoke_keys }).await
        }
    }
}

async fn backup(context: &Context, folder: &Path) -> Result<(), Error> {
    // Whoever makes it may have another working folder.
    let folder = std::path::absolute(folder).map_err(|error| Error::Input(format!("{}: {error}", folder.display())))?;
    let made = context.with(async |desk| desk.back_up(&folder).await).await?;
    context.output.result(&json!({ "folder": folder, "backup": made }), || {
        format!(
            "{} holds {}, as of {}\n\nThe keys are not in it ({}): keep a copy of them elsewhere.\n",
            folder.display(),
            counted(made.records, "record", "records"),
            time::with_distance(made.made, context.now(), &context.zone),
            made.keys.join(", "),
        )
    })
}

fn check(context: &Context, folder: &Path) -> Result<(), Error> {
    let backup = SledStore::check_backup(folder)?;
    // Whoever checks a backup on another machine has no home there.
    let held = context.home().and_then(|home| Ok(home.keyring()?)).map(|keyring| keyring.keys()).unwrap_or_default();
    let missing: Vec<&String> =
        backup.keys.iter().filter(|id| !held.iter().any(|key| key.id.to_string() == **id)).collect();
    context.output.result(&json!({ "backup": backup, "missing_keys": missing }), || {
        let mut lines = described(&backup, context);
        lines.maybe("keys not here", (!missing.is_empty()).then(|| names(&missing)));
        format!("{} is whole\n\n{}", folder.display(), lines.text())
    })
}

fn described(backup: &Backup, context: &Context) -> Lines {
    let bytes: u64 = backup.files.iter().map(|file| file.bytes).sum();
    let mut lines = Lines::default();
    lines
        .put("backup", backup.id.to_string())
        .put("made", time::with_distance(backup.made, context.now(), &context.zone))
        .put("records", backup.records.to_string())
        .put("commit", backup.commit.to_string())
        .put("files", format!("{}, {bytes} bytes", backup.files.len()))
        .put("sealed with", backup.keys.join(", "));
    lines
}

fn names(keys: &[&String]) -> String {
    keys.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", ")
}

async fn restore(context: &Context, backup: &Path, options: RestoreOptions) -> Result<(), Error> {
    if context.daemon().await?.is_some() {
        return Err(Error::NotThroughDaemon { what: "store restore" });
    }
    let restored = Box::pin(context.home()?.restore(backup, options, &SystemClock)).await?;
    context.output.result(&restored, || told(&restored, context))?;
    if !context.output.is_json() {
        restored.troubles.iter().for_each(|trouble| context.output.note(trouble));
    }
    Ok(())
}

fn told(restored: &Restored, context: &Context) -> String {
    let made = time::with_distance(restored.made, context.now(), &context.zone);
    let mut text = format!("{} restored as of {made}\n", counted(restored.connections, "connection", "connections"));
    if let Some(aside) = &restored.moved_aside {
        text.push_str(&format!("the store that was there is in {}\n", aside.display()));
    }
    if restored.in_doubt > 0 {
        text.push_str(&format!(
            "\n{} of them may have been revoked or rotated since. They are tried at their next refresh; one that is refused\nneeds consent again (rotation_lost). `grantkeeper connections show` tells which are not yet known.\nWhat was revoked here since is in use again: revoke it once more.\n",
            restored.in_doubt
        ));
    }
    if !restored.keys.is_empty() {
        let names: Vec<&str> = restored.keys.iter().map(crate::model::KeyName::as_str).collect();
        text.push_str(&format!(
            "\nThese API keys open their doors again, also where they were revoked since; end those with `grantkeeper api-key revoke`,\nor all of them by restoring with --revoke-keys: {}\n",
            names.join(", ")
        ));
    }
    if !restored.keys_revoked.is_empty() {
        text.push_str(&format!(
            "\nEnded: {}; make new ones with `grantkeeper api-key create`.\n",
            counted(restored.keys_revoked.len() as u64, "API key", "API keys")
        ));
    }
    if !restored.webhooks.is_empty() {
        let names: Vec<&str> = restored.webhooks.iter().map(crate::model::WebhookName::as_str).collect();
        text.push_str(&format!(
            "\nThese webhooks send again, with the URLs and secrets of then, what happens from now on; end those that were removed since\nwith `grantkeeper webhook remove`: {}\n",
            names.join(", ")
        ));
    }
    if restored.password {
        text.push_str("The administrator's password is the one of then; set it anew with `grantkeeper admin-password` if it was changed since.\n");
    }
    text
}
