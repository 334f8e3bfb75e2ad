//! `admin-password`: what the administrator signs in with at the pages.

use super::context::Context;
use super::error::Error;
use super::{output, secrets};
use crate::access::SHORTEST_PASSWORD;
use serde_json::json;

/// Set the password that the administrator signs in with at the daemon's pages.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It is asked for at a terminal and not shown, or read from standard input: never an argument, which others can read. Only a hash of it is kept (Argon2id)."
)]
pub(super) struct Args {}

pub(super) async fn run(context: &Context, _: Args) -> Result<(), Error> {
    let password = secrets::from_stdin("new administrator's password")?;
    // Told before the same is asked for again.
    if password.expose().chars().count() < SHORTEST_PASSWORD {
        return Err(Error::Usage(format!(
            "a password has {SHORTEST_PASSWORD} characters at the least; several words do well. Nothing was changed."
        )));
    }
    if output::a_person_is_at_the_input() && secrets::typed("the same again")? != password {
        return Err(Error::Input("the two are not the same; nothing was changed".to_owned()));
    }
    context.with(async |desk| desk.set_administrator_password(&password).await).await?;
    context.output.result(&json!({ "set": true }), || "the administrator's password is set\n".to_owned())
}
