//! `health`: whether a daemon answers for the home, for whoever looks after it.

use super::context::Context;
use super::error::Error;
use super::time;
use crate::api::HealthDocument;
use std::time::Duration;

/// Whether a daemon answers, and how it is.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exits with 0 when a daemon of this home answers, its store can be read and it is not about to end; with 5 when \
                        not. For a container's HEALTHCHECK, and for monitors on the same machine; others ask the port for /health or /ready."
)]
pub(super) struct Args {}

/// How long the daemon may take.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

pub(super) async fn run(context: &Context, _: Args) -> Result<(), Error> {
    let Some(daemon) = context.daemon().await? else {
        return Err(Error::NoDaemon(context.home()?.folder().display().to_string()));
    };
    let asked = tokio::time::timeout(LONGEST_ANSWER, daemon.get::<HealthDocument>("/health"));
    let health = match asked.await {
        Ok(Ok(health)) => health,
        Ok(Err(error)) => return Err(Error::DaemonUnwell(error.to_string())),
        Err(_) => return Err(Error::DaemonUnwell("it has not answered for 5 seconds".to_owned())),
    };
    context.output.line(&health, || {
        let started = time::with_distance(health.started, context.now(), &context.zone);
        let mut text =
            format!("Grantkeeper {}, process {}, since {started}: {}", health.version, health.process, health.status);
        if let Some(due) = health.next_due {
            text += &format!("; the next connection is due {}", time::with_distance(due, context.now(), &context.zone));
        }
        if let Some(url) = &health.callbacks {
            text += &format!("; browsers come back to {url}");
        }
        text
    })?;
    match health.status.as_str() {
        "ok" => Ok(()),
        _ => Err(Error::DaemonStops),
    }
}
