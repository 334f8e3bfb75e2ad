//! `refresh`: one connection now, or all that are due.

use super::context::Context;
use super::error::Error;
use super::record::Record;
use super::time;
use crate::model::{ConnectionName, GrantType, Labels};
use crate::recording::Asked;
use crate::refresh::Round;

/// Refresh a connection now, or all that are due.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The connection, APPLICATION/NAME: refreshed now, whatever its token says
    #[arg(required_unless_present = "due")]
    connection: Option<ConnectionName>,
    /// Every connection that is due: for a job that runs every few minutes
    #[arg(long, conflicts_with = "connection")]
    due: bool,
    /// Give up a reply that is kept because no script could read it, and send its refresh token again: the way out where the reply
    /// holds no token; where it does, the grant is lost
    #[arg(long, conflicts_with = "due")]
    ask_again: bool,
    #[command(flatten)]
    record: Record,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    match args.connection {
        Some(connection) => {
            let asked = asked(&connection);
            args.record.during(context, asked, async |context| one(context, &connection, args.ask_again).await).await
        }
        None if args.record.is_asked() => {
            Err(Error::Usage("--record takes one connection; name it in place of --due".to_owned()))
        }
        None => all_due(context).await,
    }
}

/// What a recording has to know.
fn asked(name: &ConnectionName) -> Asked {
    let (connection, labels) = (name.clone(), Labels::new());
    Asked { connection, profile: None, grant: GrantType::RefreshToken, labels, proof: None }
}

async fn one(context: &Context, name: &ConnectionName, ask_again: bool) -> Result<(), Error> {
    let document = context.with(async |desk| desk.refresh(name, ask_again).await).await?;
    context.output.result(&document, || {
        let until = time::with_distance(document.expires, context.now(), &context.zone);
        format!("{name} was refreshed; its access token ends {until}\n")
    })
}

async fn all_due(context: &Context) -> Result<(), Error> {
    let round = context.with(async |desk| desk.refresh_due().await).await?;
    let Round { refreshed, failed, put_off, .. } = round;
    context.output.result(&round, || match (refreshed + failed, put_off) {
        (0, 0) => "nothing is due\n".to_owned(),
        (_, 0) => format!("refreshed {refreshed}, failed {failed}\n"),
        _ => format!("refreshed {refreshed}, failed {failed}, put off {put_off}\n"),
    })?;
    if !context.output.is_json() {
        for reason in &round.reasons {
            context.output.note(reason);
        }
    }
    match failed + put_off {
        0 => Ok(()),
        missed => Err(Error::Some {
            failed: missed,
            all: refreshed + missed,
            what: "connections that were due could not be refreshed; `grantkeeper connections list` tells which, and `show` why",
        }),
    }
}
