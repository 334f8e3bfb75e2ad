//! `tokens`: Manage Tokens.

use super::context::Context;
use super::desk::Desk;
use super::error::Error;
use super::output::Field;
use super::view::{Lines, credential_name, credential_tone};
use super::{revoke, time};
use crate::api::CredentialDocument;
use crate::connector::CredentialView;
use crate::model::{ApplicationName, ConnectionName, Timestamp, TokenKind, quoted};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use serde_json::json;
use uuid::Uuid;

/// Manage Tokens: list, show, edit and revoke credentials.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    filter: Filter,
}

/// Whose credentials.
#[derive(Debug, Default, clap::Args)]
struct Filter {
    /// Only those of this application
    #[arg(long, visible_alias = "application", value_name = "APPLICATION")]
    app: Option<ApplicationName>,
    /// Only those of this connection
    #[arg(long, value_name = "APPLICATION/NAME", conflicts_with = "app")]
    connection: Option<ConnectionName>,
    /// Only access tokens, or only refresh tokens
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<TokenKind>,
    /// Only those that end within this time, or have ended: 7d, 12h
    #[arg(long, value_name = "TIME")]
    expires_within: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List credentials; the same as no command
    List(Filter),
    /// Show one credential
    Show {
        /// The credential's id, or as much of its beginning or end as is unique
        id: String,
    },
    /// Edit when a credential expires
    #[command(
        after_help = "The edit lasts until the next refresh. TIME is 2030-01-31T12:00:00Z, 2030-01-31 12:00, 2030-01-31, +2h or -1d, earlier or later, up to the year 9999."
    )]
    Expire {
        /// The credential's id, or as much of its beginning or end as is unique
        id: String,
        /// When: RFC 3339, a local date with or without a time, or from now on (+2h, -1d)
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        at: String,
    },
    /// Revoke one credential: an access token is dropped, a refresh token ends its connection
    Revoke {
        /// The credential's id, or as much of its beginning or end as is unique
        id: String,
    },
    /// Ask the provider what it knows of a credential (RFC 7662)
    Introspect {
        /// The credential's id, or as much of its beginning or end as is unique
        id: String,
    },
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    match args.command.unwrap_or(Command::List(args.filter)) {
        Command::List(filter) => list(context, &filter).await,
        Command::Show { id } => {
            let credential = context.with(async |desk| desk.credential(find(desk, &id).await?).await).await?;
            show(context, &credential)
        }
        Command::Expire { id, at } => {
            let at = time::parse_time(&at, context.now(), &context.zone).map_err(Error::Usage)?;
            let credential = context.with(async |desk| desk.set_expires(find(desk, &id).await?, at).await).await?;
            show(context, &credential)
        }
        Command::Revoke { id } => {
            let revocation = context.with(async |desk| desk.revoke_credential(find(desk, &id).await?).await).await?;
            revoke::report(context, &revocation, revoke::Ended::Revoked)
        }
        Command::Introspect { id } => introspect(context, &id).await,
    }
}

fn kinds() -> impl clap::builder::TypedValueParser<Value = TokenKind> {
    let all = [TokenKind::AccessToken, TokenKind::RefreshToken];
    PossibleValuesParser::new(all.map(TokenKind::as_str))
        .try_map(move |word| all.into_iter().find(|kind| kind.as_str() == word).ok_or("there is no such kind"))
}

/// When a time from now on ends.
fn within(time: &str, context: &Context) -> Result<Timestamp, Error> {
    let until = time::parse_time(&format!("+{time}"), context.now(), &context.zone);
    until.map_err(|_| Error::Usage(format!("--expires-within: {time:?} is no time; write e.g. 7d or 12h")))
}

async fn list(context: &Context, filter: &Filter) -> Result<(), Error> {
    let now = context.now();
    let until = filter.expires_within.as_deref().map(|time| within(time, context)).transpose()?;
    let mut all =
        context.with(async |desk| desk.credentials(filter.app.as_ref(), filter.connection.as_ref()).await).await?;
    all.retain(|credential| {
        until.is_none_or(|until| credential.expires.at <= until)
            && filter.kind.is_none_or(|kind| credential.kind == kind)
    });
    let ids: Vec<Uuid> = all.iter().map(|credential| credential.id).collect();
    let rows = all.iter().map(|credential| {
        [
            short(credential.id, &ids).into(),
            credential_name(credential).into(),
            credential.kind.as_str().into(),
            // Who said so: a year that nobody stated is a guess.
            format!(
                "{}, {}",
                time::with_distance(credential.expires.at, now, &context.zone),
                credential.expires.source.as_str()
            )
            .into(),
            format!("{} {}", credential.direction.as_str(), time::local(credential.issued, &context.zone)).into(),
            credential.application.to_string().into(),
            credential.connection.to_string().into(),
            quoted(&credential.scopes.join(" ")).into(),
            Field::toned(credential.state.as_str(), credential_tone(credential.state)),
        ]
    });
    let header = ["ID", "NAME", "TYPE", "EXPIRES", "RECEIVED/ISSUED", "APPLICATION", "CONNECTION", "SCOPES", "STATE"];
    let document: Vec<_> = all.iter().map(|credential| CredentialDocument::of(credential, now)).collect();
    context.output.table(&document, header, rows.collect(), "there are no tokens; grantkeeper connect brings some")
}

fn show(context: &Context, credential: &CredentialView) -> Result<(), Error> {
    let now = context.now();
    let zone = &context.zone;
    context.output.result(&CredentialDocument::of(credential, now), || {
        let expires = time::with_distance(credential.expires.at, now, zone);
        let mut lines = Lines::default();
        lines
            .put("id", credential.id.to_string())
            .put("name", credential_name(credential))
            .put("type", credential.kind.as_str())
            .put("token type", &credential.token_type)
            .put("state", credential.state.as_str())
            .put("expires", format!("{expires}, {}", credential.expires.source.as_str()))
            .put(credential.direction.as_str(), time::with_distance(credential.issued, now, zone))
            .time("revoked", credential.revoked, now, zone)
            .put("application", credential.application.as_str())
            .put("connection", credential.connection.to_string())
            .put("scopes", credential.scopes.join(" "));
        lines.text()
    })
}

async fn introspect(context: &Context, id: &str) -> Result<(), Error> {
    let (id, said) = context
        .with(async |desk| {
            let id = find(desk, id).await?;
            Ok((id, desk.introspect(id).await?))
        })
        .await?;
    let document = json!({
        "id": id,
        "active": said.active,
        "scopes": said.scopes,
        "expires": said.expires,
        "subject": said.subject,
        "username": said.username,
        "client_id": said.client_id,
    });
    context.output.result(&document, || {
        let mut lines = Lines::default();
        lines
            .put("active", if said.active { "yes" } else { "no" })
            .maybe("scopes", said.scopes.map(|scopes| scopes.join(" ")).filter(|scopes| !scopes.is_empty()))
            .time("expires", said.expires, context.now(), &context.zone)
            .maybe("subject", said.subject.as_ref())
            .maybe("username", said.username.as_ref())
            .maybe("client id", said.client_id.as_ref());
        lines.text()
    })
}

/// The credential that a person means: a whole id, or as much of its beginning or end as only one has.
async fn find(desk: &Desk, text: &str) -> Result<Uuid, Error> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let wanted = text.to_ascii_lowercase();
    if wanted.len() < SHORTEST || !wanted.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Err(Error::Usage(format!(
            "{text:?} is not a credential's id; take one from `grantkeeper tokens`, with {SHORTEST} characters at least"
        )));
    }
    let all = desk.credentials(None, None).await?;
    let mut fitting = all.iter().map(|credential| credential.id).filter(|id| fits(*id, &wanted));
    match (fitting.next(), fitting.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(Error::Missing(format!("there is no credential {text}; see `grantkeeper tokens`"))),
        (Some(_), Some(_)) => Err(Error::Usage(format!("{text} fits more than one credential; give more of its id"))),
    }
}

/// Fewest characters of an id that are taken for one.
const SHORTEST: usize = 4;

fn fits(id: Uuid, wanted: &str) -> bool {
    let whole = id.to_string();
    let plain = id.simple().to_string();
    [whole, plain].iter().any(|id| id.starts_with(wanted) || id.ends_with(wanted))
}

/// The end of an id, as short as is unique among `all`. Ids begin with the time (UUID version 7): two tokens of one
/// reply share half of it, and only their ends tell them apart at a glance.
fn short(id: Uuid, all: &[Uuid]) -> String {
    let text = id.simple().to_string();
    for length in (8..text.len()).step_by(4) {
        let end = &text[text.len() - length..];
        if all.iter().filter(|other| fits(**other, end)).count() == 1 {
            return end.to_owned();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_id_is_unique_and_finds_its_own() {
        let ids: Vec<Uuid> = (0..200).map(|_| Uuid::now_v7()).collect();
        for id in &ids {
            let short = short(*id, &ids);
            let found: Vec<_> = ids.iter().filter(|other| fits(**other, &short)).collect();
            assert_eq!(found, [id]);
            assert!(short.len() <= 12, "{short}");
        }
    }

    #[test]
    fn ids_that_end_alike_are_shown_longer() {
        let a: Uuid = "01900000-0000-7000-8000-00010000abcd".parse().unwrap();
        let b: Uuid = "01900000-0000-7000-8000-00020000abcd".parse().unwrap();
        assert_eq!(short(a, &[a, b]), "00010000abcd");
    }

    #[test]
    fn an_id_is_found_by_its_beginning_with_or_without_dashes() {
        let id: Uuid = "019ab3c4-d5e6-7000-8000-000000000001".parse().unwrap();
        assert!(fits(id, "019ab3c4-d5") && fits(id, "019ab3c4d5") && !fits(id, "9ab3"));
    }
}
