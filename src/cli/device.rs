//! The device grant at a terminal (RFC 8628): shows the code and asks until the person has decided. The store is
//! opened for each question only.

use super::context::Context;
use super::error::Error;
use super::signals::Interrupt;
use super::time;
use crate::connector::{DevicePoll, DeviceStart};
use crate::model::{Clock as _, Connection, ConnectionName, Labels, ProfileName, SystemClock, later};

pub(super) async fn run(
    context: &Context,
    name: &ConnectionName,
    profile: &ProfileName,
    labels: Labels,
    other_account: bool,
) -> Result<Connection, Error> {
    // Before anything is begun, so that an interruption always finds somebody to clean up.
    let mut interrupt = Interrupt::new()?;
    let context = &context.minding_interrupts();
    let mut start =
        context.with(async |desk| desk.start_device(name, Some(profile), labels, other_account).await).await?;
    show(context, &start)?;
    loop {
        let until = later(context.now(), start.interval.as_secs().max(1)).min(start.expires);
        let interrupted = tokio::select! {
            () = SystemClock.sleep_until(until) => false,
            _ = interrupt.wait() => true,
        };
        if interrupted {
            give_up(context, &start).await;
            return Err(Error::Interrupted(name.clone()));
        }
        match context.with(async |desk| desk.poll_device(&mut start).await).await {
            Ok(DevicePoll::Done(connection)) => return Ok(*connection),
            Ok(DevicePoll::Waiting) => {}
            // Another command holds the store: ask again, as long as the code lasts.
            Err(error) if error.retryable() && context.now() < start.expires => {
                tracing::info!(%error, "asked again later");
            }
            Err(error) => return Err(error),
        }
    }
}

fn show(context: &Context, start: &DeviceStart) -> Result<(), Error> {
    let output = context.output;
    output.hand_over(&format!("Open {} and type this code: {}", start.verification_uri, start.user_code))?;
    if let Some(url) = &start.verification_uri_complete {
        output.hand_over(&format!("Or open the address that has it already: {url}"))?;
    }
    let until = time::with_distance(start.expires, context.now(), &context.zone);
    output.note(&format!("Waiting until {until} (Ctrl-C gives up) …"));
    Ok(())
}

/// Takes the pending authorization back. Where that fails, it ends with its code.
async fn give_up(context: &Context, start: &DeviceStart) {
    let given_up = context.with(async |desk| desk.abandon_device(start).await).await;
    if let Err(error) = given_up {
        tracing::warn!(%error, "the pending authorization could not be taken back; it ends by itself");
    }
}
