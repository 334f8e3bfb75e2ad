//! `connections export`: grants that move to another home, sealed for it.

use super::context::Context;
use super::error::Error;
use crate::connector::{self, ExportError, ExportWriter, LeftOut};
use crate::model::{ApplicationName, ConnectionName};
use crate::seal::Keyring;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Write grants with all that belongs to them into a file that only another key opens.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grantkeeper connections export --new-key transfer.keys --output grants.export
  grantkeeper connections import grants.export --export-key transfer.keys      # at the other home
The grants are in two places then, and a refresh token that rotates works in one of them only: where the other home is to go on, \
switch the applications off here (`active = false`) before it begins. Applications move by `app export` and `app apply`; docs/moving.md \
goes through it. No option writes tokens in clear. The exit code is 1 when connections were left out that can be exported later.")]
pub(super) struct Args {
    /// Only connections of this application
    #[arg(long, visible_alias = "application", value_name = "APPLICATION")]
    app: Option<ApplicationName>,
    /// Seal for the keys of this file: those of the receiving home, or of an earlier --new-key
    #[arg(long, value_name = "FILE", required_unless_present = "new_key", conflicts_with = "new_key")]
    to_key: Option<PathBuf>,
    /// Make a new key in this file, and seal for it
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
    /// The file to write; standard output when not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    if args.output.is_none() && (context.output.is_json() || std::io::stdout().is_terminal()) {
        return Err(Error::Usage("name the file to write with --output, or send standard output into one".to_owned()));
    }
    let mut written = Vec::new();
    let result = context
        .with(async |desk| {
            // Not through a daemon, which would go on refreshing what was exported.
            let connector = desk.here("an export")?;
            let keyring = keys(context, &args, &mut written)?;
            if let Some(application) = &args.app {
                connector.application(application).await?;
            }
            let mut writer =
                ExportWriter::begin(created(args.output.as_deref(), &mut written)?, &keyring).map_err(told)?;
            let (mut exported, mut left_out) = (0, Vec::new());
            let mut after: Option<ConnectionName> = None;
            loop {
                let page = connector.export(args.app.as_ref(), after.as_ref()).await?;
                exported += page.grants.len();
                page.grants.into_iter().try_for_each(|grant| writer.put(grant)).map_err(told)?;
                left_out.extend(page.left_out);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            writer.end().map_err(told)?;
            Ok((exported, left_out))
        })
        .await;
    // Half an export is none: nobody could read it. One of nothing would only stand in the way of the next.
    if !matches!(result, Ok((1.., _))) {
        written.iter().for_each(|file| drop(std::fs::remove_file(file)));
    }
    let (exported, left_out) = result?;
    report(context, &args, exported, &left_out)
}

/// The keys that the export is sealed for. They are not this home's own.
fn keys(context: &Context, args: &Args, written: &mut Vec<PathBuf>) -> Result<Keyring, Error> {
    let keyring = match (&args.to_key, &args.new_key) {
        (Some(file), _) => Keyring::from_file(file)?,
        (None, Some(file)) => {
            let made = Keyring::create_file(file, context.now())?;
            written.push(file.clone());
            made
        }
        (None, None) => return Err(Error::Usage("give --to-key or --new-key".to_owned())),
    };
    let own = context.home()?.keyring()?.keys();
    if own.iter().any(|own| keyring.keys().iter().any(|key| key.id == own.id)) {
        return Err(Error::Usage(
            "that is this home's own key; an export is for another home: take that one's key file, or --new-key"
                .to_owned(),
        ));
    }
    Ok(keyring)
}

fn report(context: &Context, args: &Args, exported: usize, left_out: &[LeftOut]) -> Result<(), Error> {
    let document = json!({ "exported": exported, "left_out": left_out });
    if context.output.is_json() {
        context.output.result(&document, String::new)?;
    } else {
        for LeftOut { name, reason, .. } in left_out {
            context.output.note(&format!("{name} was left out: {reason}"));
        }
        let what = if exported == 1 { "connection was" } else { "connections were" };
        context.output.note(&format!("{exported} {what} exported, {} left out", left_out.len()));
    }
    if exported > 0 {
        context.output.note(
            "the exported grants are in two places now, and a refresh token that rotates works in one of them only: switch their applications off here (`active = false`) before the other home begins to use them",
        );
    }
    if exported == 0 {
        context.output.note("an export of nothing is not kept: no file is left of it");
    } else if let Some(key) = &args.new_key {
        context
            .output
            .note(&format!("{} opens the export: carry it another way, and remove it afterwards", key.display()));
    }
    match left_out.iter().filter(|left| left.later).count() {
        0 => Ok(()),
        failed => Err(Error::Some {
            failed,
            all: exported + left_out.len(),
            what: "connections were being refreshed and left out; export them again",
        }),
    }
}

/// Where the export goes. A file is new, and for its owner alone.
fn created(file: Option<&Path>, written: &mut Vec<PathBuf>) -> Result<Box<dyn Write>, Error> {
    let Some(file) = file else { return Ok(Box::new(BufWriter::new(std::io::stdout().lock()))) };
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let created = created.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::Exists(format!("{} is there already; name another file, or move that one away", file.display()))
        }
        _ => Error::Input(format!("{} cannot be written: {error}", file.display())),
    })?;
    written.push(file.to_owned());
    Ok(Box::new(BufWriter::new(created)))
}

fn told(error: ExportError) -> Error {
    match error {
        ExportError::Io { error, .. } => Error::Output(error),
        ExportError::Seal(error) => connector::Error::from(error).into(),
        other => Error::System(other.to_string()),
    }
}
