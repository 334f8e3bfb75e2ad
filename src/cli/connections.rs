//! `connections`: what grants are held, and where each stands.

use super::context::Context;
use super::error::Error;
use super::output::Field;
use super::view::{connection_lines, connection_tone, outlook_sentence};
use super::{export, import, revoke, time};
use crate::api::{ConnectionDocument, StateWord};
use crate::model::{ApplicationName, Connection, ConnectionName, Labels, quoted};
use serde_json::{Value, json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List connections
    List {
        /// Only those of this application
        #[arg(long, visible_alias = "application", value_name = "APPLICATION")]
        app: Option<ApplicationName>,
        /// Only those in this state; `reauthorization_required` waits for a person
        #[arg(long, value_name = "STATE", value_parser = state)]
        state: Option<StateWord>,
        /// Only those with this label: `team=finance`, or `team` for any value
        #[arg(long, value_name = "LABEL")]
        label: Option<String>,
    },
    /// Show one connection
    Show {
        /// The connection, APPLICATION/NAME
        connection: ConnectionName,
    },
    /// Edit a connection's labels: those that are named, and no others
    #[command(
        after_help = "Example:\n  grantkeeper connections label google-drive/reports team=finance --remove owner"
    )]
    Label {
        /// The connection, APPLICATION/NAME
        connection: ConnectionName,
        /// A label to set
        #[arg(value_name = "KEY=VALUE", value_parser = label, required_unless_present = "remove")]
        labels: Vec<(String, String)>,
        /// A label to remove; may be given more than once
        #[arg(long, value_name = "KEY")]
        remove: Vec<String>,
    },
    /// Take over grants from a file of refresh tokens, or from an export
    Import(Box<import::Args>),
    /// Write grants into a file that only another key opens
    Export(export::Args),
    /// Revoke a connection's grant and remove every record of it
    Remove {
        /// The connection, APPLICATION/NAME
        connection: ConnectionName,
    },
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::List { app, state, label } => {
            let is_wanted = |connection: &Connection| {
                state.is_none_or(|state| ConnectionDocument::of(connection).state == state)
                    && label.as_deref().is_none_or(|label| has(connection, label))
            };
            list(context, app.as_ref(), is_wanted).await
        }
        Command::Show { connection } => {
            let (connection, outlook) = context.with(async |desk| desk.outlook(&connection).await).await?;
            let document = ConnectionDocument::with(&connection, outlook.clone());
            context.output.result(&document, || {
                let (now, zone) = (context.now(), &context.zone);
                let mut lines = connection_lines(&connection, now, zone);
                lines.put("next", outlook_sentence(&outlook, &connection, now, zone)).text()
            })
        }
        Command::Label { connection, labels, remove } => {
            let edited = context.with(async |desk| {
                let held = desk.connection(&connection).await?.labels;
                if let Some(missing) = remove.iter().find(|key| !held.contains_key(*key)) {
                    return Err(Error::Usage(format!("{connection} has no label {}", quoted(missing))));
                }
                let removed = remove.into_iter().map(|key| (key, None));
                let set = labels.into_iter().map(|(key, value)| (key, Some(value)));
                desk.edit_labels(&connection, removed.chain(set).collect()).await
            });
            let labels = edited.await?;
            let document = json!({ "connection": connection, "labels": labels });
            context.output.result(&document, || match labels.is_empty() {
                true => format!("{connection} has no labels\n"),
                false => format!("{connection} has the labels {}\n", quoted(&listed(&labels))),
            })
        }
        Command::Import(args) => Box::pin(import::run(context, *args)).await,
        Command::Export(args) => Box::pin(export::run(context, args)).await,
        Command::Remove { connection } => {
            let revocation = context.with(async |desk| desk.remove_connection(&connection).await).await?;
            revoke::report(context, &revocation, revoke::Ended::Removed)
        }
    }
}

fn state(word: &str) -> Result<StateWord, String> {
    serde_json::from_value(Value::from(word)).map_err(|_| {
        "it is one of unauthorized, pending, active, degraded, reauthorization_required, revoked".to_owned()
    })
}

fn listed(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// `key=value`, both of them something.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not a label; write KEY=VALUE")),
    }
}

/// Whether a connection has a label, of a value where one is said.
fn has(connection: &Connection, label: &str) -> bool {
    match label.split_once(['=', ':']) {
        Some((name, value)) => connection.labels.get(name).is_some_and(|held| held == value),
        None => connection.labels.contains_key(label),
    }
}

async fn list(
    context: &Context,
    application: Option<&ApplicationName>,
    is_wanted: impl Fn(&Connection) -> bool,
) -> Result<(), Error> {
    let mut all = context.with(async |desk| desk.connections(application).await).await?;
    let count = all.len();
    all.retain(is_wanted);
    let (now, zone) = (context.now(), &context.zone);
    let ago = |time: Option<_>| time.map_or_else(|| "never".to_owned(), |time| time::distance(time, now));
    let rows = all.iter().map(|connection| {
        [
            connection.name.to_string().into(),
            Field::toned(connection.state.to_string(), connection_tone(connection.state)),
            connection.profile.to_string().into(),
            ago(connection.authorized).into(),
            ago(connection.refreshed).into(),
            connection.due.map_or_else(String::new, |due| time::with_distance(due, now, zone)).into(),
            quoted(&listed(&connection.labels)).into(),
        ]
    });
    let header = ["CONNECTION", "STATE", "PROFILE", "AUTHORIZED", "REFRESHED", "NEXT REFRESH", "LABELS"];
    let document: Vec<_> = all.iter().map(ConnectionDocument::of).collect();
    let none = match count {
        0 => "there are no connections; grantkeeper connect makes one",
        _ => "there are no such connections",
    };
    context.output.table(&document, header, rows.collect(), none)
}
