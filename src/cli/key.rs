//! `key`: the keys that the store is sealed with.

use super::context::Context;
use super::error::Error;
use super::signals::Interrupt;
use super::time;
use crate::api::KeysDocument;
use crate::connector::KeySource;
use crate::model::counted;
use crate::vault::{RotateOptions, Rotated, RotationProgress, RotationStage};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the keys, without their secrets
    List {
        /// Count how many records each key seals; reads the whole store
        #[arg(long)]
        count: bool,
    },
    /// Put a new key in the old one's place and seal everything under it, or go on where that was interrupted
    #[command(
        after_help = "Tokens are handed out and refreshed meanwhile. The new key is in the key file before anything is sealed under it, and the old one leaves it when nothing names it any more. Interrupted or killed, run the same command again."
    )]
    Rotate {
        /// Records of one batch
        #[arg(long, hide = true, value_name = "N", default_value_t = RotateOptions::default().batch, value_parser = at_least_one)]
        batch: usize,
    },
    /// Print the keys with a new one, for keys that are not in a file (the secrets themselves!)
    New,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::List { count: false } => list(context),
        Command::List { count: true } => count(context).await,
        Command::Rotate { batch } => rotate(context, RotateOptions { batch }).await,
        Command::New => new(context),
    }
}

/// The store is not opened.
fn list(context: &Context) -> Result<(), Error> {
    let home = context.home()?;
    let keys = home.keyring()?.keys();
    let from = home.key_source(&home.settings()?);
    let rows = keys.iter().map(|key| {
        [
            key.id.to_string().into(),
            time::with_distance(key.created, context.now(), &context.zone).into(),
            use_of(key.current).into(),
            from.to_string().into(),
        ]
    });
    context.output.table(&keys, ["KEY", "MADE", "USE", "FROM"], rows.collect(), "there are no keys")
}

async fn count(context: &Context) -> Result<(), Error> {
    let KeysDocument { keys, records: counts } = context.with(async |desk| desk.keys().await).await?;
    // A key that is named and not held is what somebody must know of.
    let strange = counts.keys().filter(|id| !keys.iter().any(|key| key.id == **id)).map(|id| (*id, None, "missing"));
    let held = keys.iter().map(|key| (key.id, Some(key.created), use_of(key.current)));
    let all: Vec<_> = held.chain(strange).collect();
    let records = |id| counts.get(&id).copied().unwrap_or(0);
    let document: Vec<Value> = all
        .iter()
        .map(|(id, created, used)| json!({ "id": id, "created": created, "use": used, "records": records(*id) }))
        .collect();
    let rows = all.iter().map(|(id, created, used)| {
        let made = created.map(|created| time::with_distance(created, context.now(), &context.zone));
        [id.to_string().into(), made.unwrap_or_default().into(), (*used).into(), records(*id).to_string().into()]
    });
    context.output.table(&document, ["KEY", "MADE", "USE", "RECORDS"], rows.collect(), "there are no keys")
}

async fn rotate(context: &Context, options: RotateOptions) -> Result<(), Error> {
    let mut interrupt = Interrupt::new()?;
    let context = &context.minding_interrupts();
    let stop = async {
        interrupt.wait().await;
    };
    let bar = if context.output.is_json() { ProgressBar::hidden() } else { bar() };
    let told = |progress| show(&bar, progress);
    let rotated = context.with(async |desk| desk.rotate_keys(&options, stop, &told).await).await;
    bar.finish_and_clear();
    match rotated? {
        Some(rotated) => report(context, &rotated),
        None => Err(Error::RotationStopped { left: None }),
    }
}

fn report(context: &Context, rotated: &Rotated) -> Result<(), Error> {
    if rotated.stopped {
        return Err(Error::RotationStopped { left: Some(rotated.left) });
    }
    let home = context.home()?;
    let from = home.key_source(&home.settings()?);
    context.output.result(rotated, || told(rotated, &from))?;
    if rotated.kept.is_empty() && rotated.left == 0 {
        return Ok(());
    }
    if !context.output.is_json() {
        rotated.troubles.iter().for_each(|trouble| context.output.note(trouble));
    }
    Err(Error::KeysKept { left: rotated.left })
}

fn told(rotated: &Rotated, from: &KeySource) -> String {
    let ids = |keys: &[crate::seal::KeyId]| keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut text =
        format!("sealed {} anew; the key is {}\n", counted(rotated.sealed, "record", "records"), rotated.key);
    if rotated.resumed {
        text.push_str("a rotation that had been begun earlier was finished; no further key was made\n");
    }
    if !rotated.retired.is_empty() {
        text.push_str(&format!(
            "nothing names {} any more; it is gone from {from}\n\nKeep a copy of that file in a safe place. Backups made until now need the key that is gone: keep your copy of\nthe file as it was for as long as you keep them.\n",
            ids(&rotated.retired)
        ));
    }
    if !rotated.unused.is_empty() {
        text.push_str(&format!("nothing names {} any more; remove it from {from}\n", ids(&rotated.unused)));
    }
    text
}

/// What goes in the place of keys that cannot be written from here.
fn new(context: &Context) -> Result<(), Error> {
    let home = context.home()?;
    if let KeySource::File(path) = home.key_source(&home.settings()?) {
        let path = path.display();
        return Err(Error::Usage(format!(
            "the keys are in the file {path}, which `grantkeeper key rotate` writes itself; nothing was made"
        )));
    }
    let keyring = home.keyring()?.with_new_key(context.now())?;
    let text = keyring.to_text();
    if context.output.is_json() {
        return context.output.result(&json!({ "key": keyring.current(), "keys": text.as_str() }), String::new);
    }
    context.output.note(
        "These are the keys that there are and a new one, which is current. Put them in the place of the present ones, start again whatever runs, and run `grantkeeper key rotate`.",
    );
    context.output.verbatim(&text)
}

fn bar() -> ProgressBar {
    // Drawn where standard error is a terminal, and nowhere else.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: RotationProgress) {
    bar.set_message(match progress.stage {
        RotationStage::Sealing => "sealing records anew",
        RotationStage::Rewriting => "writing the store anew",
    });
    bar.set_length(progress.total);
    bar.set_position(progress.done);
}

fn use_of(current: bool) -> &'static str {
    if current { "current" } else { "old" }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|batch| *batch > 0).ok_or_else(|| "a number from 1 on".to_owned())
}
