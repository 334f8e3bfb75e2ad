//! `key`: the keys that the store is sealed with. The store is not opened.

use super::context::Context;
use super::error::Error;
use super::time;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the keys, without their secrets
    List,
}

pub(super) fn run(context: &Context, command: &Command) -> Result<(), Error> {
    match command {
        Command::List => list(context),
    }
}

fn list(context: &Context) -> Result<(), Error> {
    let home = context.home()?;
    let keys = home.keyring()?.keys();
    let from = home.key_source(&home.settings()?);
    let rows = keys.iter().map(|key| {
        [
            key.id.to_string().into(),
            time::with_distance(key.created, context.now(), &context.zone).into(),
            if key.current { "current" } else { "old" }.into(),
            from.to_string().into(),
        ]
    });
    context.output.table(&keys, ["KEY", "MADE", "USE", "FROM"], rows.collect(), "there are no keys")
}
