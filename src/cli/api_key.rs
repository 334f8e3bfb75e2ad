//! `api-key`: the keys that applications show to the daemon's API.

use super::context::Context;
use super::error::Error;
use super::output::{Field, Tone};
use super::time;
use super::view::unknown;
use crate::api::ApiKeyDocument;
use crate::connector::NewKey;
use crate::model::{Allowance, KeyName, KeyState, Timestamp, later};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make an API key, and print it once
    #[command(
        after_help = "Examples:\n  grantkeeper api-key create reporting --may 'token:google-drive/*' --expires 90d\n  \
                            grantkeeper api-key create ops --may 'manage:*' --may token:slack/team > ops.key\n\n\
                            What it may do is token (be handed access tokens), manage (see, authorize, refresh, revoke and edit connections, without \
                            their tokens) or administer (everything). Standard output has the key and nothing else."
    )]
    Create {
        /// What to call it
        name: KeyName,
        /// What it may do: token:REACH, manage:REACH or administer, where REACH is *, APPLICATION/* or APPLICATION/NAME
        #[arg(long, value_name = "RIGHT", required = true)]
        may: Vec<Allowance>,
        /// When it ends by itself: 90d, or a time such as 2030-01-31; never without this
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List API keys, without the keys themselves
    List,
    /// End an API key: nobody is let in with it from now on
    Revoke {
        /// Its name
        name: KeyName,
    },
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Create { name, may, expires } => {
            let expires = expires.map(|text| end(&text, context)).transpose()?;
            create(context, NewKey { name, allowances: may, expires }).await
        }
        Command::List => list(context).await,
        Command::Revoke { name } => revoke(context, &name).await,
    }
}

async fn create(context: &Context, new: NewKey) -> Result<(), Error> {
    let made = context.with(async |desk| {
        // Before: the key is shown once, and nothing may come between it and who is to see it.
        let known = desk.applications().await.ok();
        Ok((known, desk.create_key(new).await?))
    });
    let (known, made) = made.await?;
    for allowance in &made.key.may {
        if let Some(application) = unknown(known.as_deref(), allowance.application()) {
            context.output.note(&format!("{allowance} means nothing yet: there is no application {application}"));
        }
    }
    if context.output.is_json() {
        return context.output.result(&made, String::new);
    }
    let ends = made.key.expires.map_or_else(
        || "it does not end by itself".to_owned(),
        |end| format!("it ends {}", time::with_distance(end, context.now(), &context.zone)),
    );
    context.output.note(&format!(
        "the API key {} may {}; {ends}. It is shown this once: keep it where its holder keeps secrets.",
        made.key.name,
        listed(&made.key.may),
    ));
    context.output.verbatim(made.api_key.expose())
}

async fn list(context: &Context) -> Result<(), Error> {
    let keys = context.with(async |desk| desk.api_keys().await).await?;
    let (now, zone) = (context.now(), &context.zone);
    let rows = keys.iter().map(|key| {
        [
            key.name.to_string().into(),
            Field::toned(key.state.as_str(), tone(key.state)),
            listed(&key.may).into(),
            ends(key).map_or_else(|| "never".to_owned(), |end| time::with_distance(end, now, zone)).into(),
            key.last_used.map_or_else(|| "never".to_owned(), |used| time::distance(used, now)).into(),
            time::local(key.created, zone).into(),
        ]
    });
    let header = ["KEY", "STATE", "MAY", "ENDS", "LAST USED", "MADE"];
    context.output.table(&keys, header, rows.collect(), "there are no API keys; grantkeeper api-key create makes one")
}

async fn revoke(context: &Context, name: &KeyName) -> Result<(), Error> {
    let key = context.with(async |desk| desk.revoke_key(name).await).await?;
    context.output.result(&key, || format!("the API key {name} is revoked; nobody is let in with it any more\n"))
}

/// When a key ended or ends.
fn ends(key: &ApiKeyDocument) -> Option<Timestamp> {
    key.revoked.or(key.expires)
}

/// So long from now, or a time.
fn end(text: &str, context: &Context) -> Result<Timestamp, Error> {
    match time::parse_duration(text) {
        Ok(duration) => Ok(later(context.now(), duration.as_secs())),
        Err(_) => time::parse_time(text, context.now(), &context.zone).map_err(Error::Usage),
    }
}

fn listed(may: &[Allowance]) -> String {
    may.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn tone(state: KeyState) -> Tone {
    match state {
        KeyState::Good => Tone::Good,
        KeyState::Expired => Tone::Warning,
        KeyState::Revoked => Tone::Bad,
    }
}
