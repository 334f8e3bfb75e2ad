//! `revoke`: ends a grant, and says what the provider answered.

use super::context::Context;
use super::error::Error;
use crate::api::RevocationDocument;
use crate::connector::{ProviderSaid, Revocation};
use crate::model::{ConnectionName, Failure, FailureKind};

/// End a connection's grant, here and at the provider.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The connection, APPLICATION/NAME
    connection: ConnectionName,
}

/// What was done beside telling the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The token, or the connection, was revoked: it can be told again.
    Revoked,
    /// Every record was removed: nobody can tell again.
    Removed,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), Error> {
    let revocation = context.with(async |desk| desk.revoke(&args.connection).await).await?;
    report(context, &revocation, Ended::Revoked)
}

/// Tells what a revocation came to. That the provider could not be told is an error after the result: the grant may
/// live on there.
pub(super) fn report(context: &Context, revocation: &Revocation, ended: Ended) -> Result<(), Error> {
    let name = &revocation.connection;
    let document = RevocationDocument::of(revocation, ended == Ended::Removed);
    context.output.result(&document, || {
        let mut text = match (ended, revocation.grant_ended) {
            (Ended::Removed, _) if revocation.said.is_empty() => format!("{name} was removed; it had no token\n"),
            (Ended::Removed, _) => format!("{name} was revoked and removed\n"),
            (Ended::Revoked, true) => format!("{name} was revoked; its tokens are not used here any more\n"),
            (Ended::Revoked, false) => {
                format!("an access token of {name} was revoked; the next one is fetched when it is needed\n")
            }
        };
        for (kind, said) in &revocation.said {
            text.push_str(&format!("{kind}: {}\n", in_words(said)));
        }
        text
    })?;
    let Some(failure) = revocation.said.iter().find_map(|(_, said)| not_told(said)) else { return Ok(()) };
    let advice = match ended {
        Ended::Revoked => format!("`grantkeeper revoke {name}` tells it again"),
        Ended::Removed => "end the grant in the account there".to_owned(),
    };
    Err(Error::NotTold { connection: name.clone(), failure: failure.into(), advice })
}

fn in_words(said: &ProviderSaid) -> String {
    match said {
        ProviderSaid::Revoked => "the provider revoked it".to_owned(),
        ProviderSaid::NoEndpoint => {
            "the provider has no revocation endpoint; end the grant in the account there".to_owned()
        }
        ProviderSaid::Failed(failure) => format!("the provider answered {failure}"),
        ProviderSaid::NotAsked(reason) => format!("the provider was not asked: {reason}"),
    }
}

fn not_told(said: &ProviderSaid) -> Option<Failure> {
    match said {
        ProviderSaid::Revoked | ProviderSaid::NoEndpoint => None,
        ProviderSaid::Failed(failure) => Some(failure.clone()),
        ProviderSaid::NotAsked(reason) => {
            Some(Failure::new(FailureKind::ClientRejected, "not_asked").with_words(reason))
        }
    }
}
