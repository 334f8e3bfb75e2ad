//! The authorization code grant at a terminal: sends a person to the provider and takes them back. The store is held
//! only before and after, never while the person consents.

use super::context::Context;
use super::error::Error;
use super::loopback::{self, Callback, Listener};
use super::page::Page;
use super::signals::Interrupt;
use crate::connector::{self, Authorization, AuthorizeOptions};
use crate::model::{Clock as _, Connection, ConnectionName, Secret, SystemClock};
use crate::oauth::{self, Params};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use url::Url;

/// How the person comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Their browser comes to a loopback port of ours.
    Listen {
        /// Another port than the redirect URL's.
        port: Option<u16>,
        /// Whether we open their browser.
        browser: bool,
    },
    /// They paste the URL that their browser was sent to.
    Paste,
}

/// Longest pasted URL, in bytes.
const MOST_PASTED: u64 = 64 * 1024;

pub(super) async fn run(
    context: &Context,
    name: &ConnectionName,
    options: AuthorizeOptions,
    way: Way,
) -> Result<Connection, Error> {
    // Before anything is begun, so that an interruption always finds somebody to clean up.
    let mut interrupt = Interrupt::new()?;
    let context = &context.minding_interrupts();
    let (authorization, back) = begin(context, name, options, way).await?;
    let came = match back {
        Back::Port(listener) => Box::pin(listen(context, &authorization, listener, way, &mut interrupt)).await,
        Back::Daemon => Box::pin(wait(context, &authorization, way, &mut interrupt)).await,
        Back::Hand => Box::pin(paste(context, &authorization, &mut interrupt)).await,
    };
    match came {
        Ok(connection) => Ok(connection),
        Err(Ended::Completing(error)) => Err(error),
        Err(Ended::Waiting(error)) => {
            give_up(context, &authorization).await;
            Err(error)
        }
    }
}

/// Where the person comes back.
enum Back {
    /// To a port of this process.
    Port(Listener),
    /// To the daemon.
    Daemon,
    /// By hand.
    Hand,
}

/// Where it ended when it did not end well.
enum Ended {
    /// Nobody came back: the authorization is still pending.
    Waiting(Error),
    /// Somebody came back, and the callback was taken.
    Completing(Error),
}

/// Takes the port and writes the pending authorization.
async fn begin(
    context: &Context,
    name: &ConnectionName,
    mut options: AuthorizeOptions,
    way: Way,
) -> Result<(Authorization, Back), Error> {
    context
        .with(async |desk| {
            let application = desk.application(name.application()).await?;
            let mut redirect_url = application.redirect_url;
            let mut listener = None;
            let is_daemons = way != Way::Paste
                && !matches!(way, Way::Listen { port: Some(_), .. })
                && desk.takes_back_at(&redirect_url).await?;
            if let Way::Listen { port, .. } = way
                && !is_daemons
            {
                must_be_ours(&redirect_url)?;
                if let Some(port) = port {
                    // Fails only for URLs without a host.
                    let _ = redirect_url.set_port(Some(port));
                }
                // Before the authorization is written: a port that is taken changes nothing.
                let taken = Listener::bind(&redirect_url).await?;
                options.redirect_url = port.map(|_| taken.url().clone());
                listener = Some(taken);
            }
            let authorization = desk.authorize(name, options).await?;
            // A script may have set another redirect URL.
            if let Some(taken) = listener.take_if(|taken| *taken.url() != authorization.redirect_url) {
                drop(taken);
                let other = match must_be_ours(&authorization.redirect_url) {
                    Ok(()) => Listener::bind(&authorization.redirect_url).await,
                    Err(error) => Err(error),
                };
                match other {
                    Ok(other) => listener = Some(other),
                    Err(error) => {
                        desk.abandon(&authorization).await?;
                        return Err(error);
                    }
                }
            }
            let back = match listener {
                Some(listener) => Back::Port(listener),
                None if is_daemons => Back::Daemon,
                None => Back::Hand,
            };
            Ok((authorization, back))
        })
        .await
}

fn must_be_ours(redirect_url: &Url) -> Result<(), Error> {
    if loopback::is_ours(redirect_url) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "browsers are sent back to {redirect_url}, which is not a loopback address of this machine; use --paste and give the URL that the browser ends at"
    )))
}

/// Waits on the loopback port, completes the authorization and shows the browser what came of it.
async fn listen(
    context: &Context,
    authorization: &Authorization,
    listener: Listener,
    way: Way,
    interrupt: &mut Interrupt,
) -> Result<Connection, Ended> {
    let is_posted =
        authorization.url.query_pairs().any(|(name, value)| name == "response_mode" && value == "form_post");
    let mut waiting = listener.wait_for(authorization.state.clone(), is_posted);
    send_away(context, authorization, way).map_err(Ended::Waiting)?;
    let callback = tokio::select! {
        callback = waiting.callback() => callback.ok_or_else(|| Error::System("the loopback listener has stopped".to_owned())),
        () = SystemClock.sleep_until(authorization.expires) => Err(expired(authorization)),
        _ = interrupt.wait() => Err(Error::Interrupted(authorization.connection.clone())),
    };
    let result = match callback {
        Ok(callback) => Box::pin(complete_and_show(context, authorization, callback)).await.map_err(Ended::Completing),
        Err(error) => Err(Ended::Waiting(error)),
    };
    waiting.stop().await;
    result
}

/// Waits until the browser has come back to the daemon, which completes the authorization and tells the browser.
async fn wait(
    context: &Context,
    authorization: &Authorization,
    way: Way,
    interrupt: &mut Interrupt,
) -> Result<Connection, Ended> {
    send_away(context, authorization, way).map_err(Ended::Waiting)?;
    loop {
        let came = tokio::select! {
            came = context.with(async |desk| desk.await_person(authorization).await) => came,
            () = SystemClock.sleep_until(authorization.expires) => return Err(Ended::Waiting(expired(authorization))),
            _ = interrupt.wait() => return Err(Ended::Waiting(Error::Interrupted(authorization.connection.clone()))),
        };
        match came {
            Ok(Some(connection)) => return Ok(connection),
            Ok(None) => {}
            Err(error) => return Err(Ended::Completing(error)),
        }
    }
}

async fn complete_and_show(
    context: &Context,
    authorization: &Authorization,
    callback: Callback,
) -> Result<Connection, Error> {
    let result = complete(context, &callback.url).await;
    callback.answer(match &result {
        Ok(connection) => {
            Page::done("Connected", &format!("{} is connected. You can close this window.", connection.name))
        }
        Err(error) => {
            Page::failed("Not connected", &format!("{} is not connected: {error}.", authorization.connection))
        }
    });
    result
}

async fn complete(context: &Context, callback: &Secret) -> Result<Connection, Error> {
    Box::pin(context.with(async |desk| desk.complete(callback).await)).await
}

/// Reads the redirected URL from standard input. A line that is another URL is refused, and the next one read.
async fn paste(
    context: &Context,
    authorization: &Authorization,
    interrupt: &mut Interrupt,
) -> Result<Connection, Ended> {
    send_away(context, authorization, Way::Paste).map_err(Ended::Waiting)?;
    let mut lines = BufReader::new(tokio::io::stdin().take(MOST_PASTED)).lines();
    loop {
        // An interruption first: whoever interrupts often closes the input in the same moment.
        let line = tokio::select! {
            biased;
            _ = interrupt.wait() => Err(Error::Interrupted(authorization.connection.clone())),
            line = lines.next_line() => line.map_err(|error| Error::Input(format!("standard input cannot be read: {error}"))),
            () = SystemClock.sleep_until(authorization.expires) => Err(expired(authorization)),
        };
        let line = line.map_err(Ended::Waiting)?;
        let Some(line) = line else { return Err(Ended::Waiting(Error::NotPasted(authorization.connection.clone()))) };
        let line = Secret::new(line.trim());
        // The address tells where the answer arrived; a bare query could be another provider's.
        let query = line.expose().split_once('?').filter(|(address, _)| address.contains("://"));
        let query = query.map_or("", |(_, query)| query);
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        if oauth::state_name(&Params::from_form(query.as_bytes()), &authorization.state).is_some() {
            return complete(context, &line).await.map_err(Ended::Completing);
        }
        if !line.is_empty() {
            context.output.note("That is not the URL that this authorization ends at: its `state` is another one. Paste the whole address, from the browser that was sent to the URL above.");
        }
    }
}

/// Tells the person where to go, or takes them there.
fn send_away(context: &Context, authorization: &Authorization, way: Way) -> Result<(), Error> {
    let output = context.output;
    let url = authorization.url.as_str();
    match way {
        Way::Listen { browser: true, .. } => {
            // It may say that it worked and open nothing: the URL is told in any case.
            let opened = match open::that_detached(url) {
                Ok(()) => "Your browser was opened. If it was not, open this URL yourself",
                Err(_) => "No browser could be opened. Open this URL yourself",
            };
            output.note(&format!("{opened}:\n{url}"));
        }
        Way::Listen { browser: false, .. } => {
            output.note("Open this URL in a browser on this machine:");
            output.hand_over(url)?;
        }
        Way::Paste => {
            output.note("Open this URL in any browser:");
            output.hand_over(url)?;
            output.note(
                "Then paste the whole address that the browser ends at here (a page that cannot be reached is as it should be):",
            );
        }
    }
    if let Way::Listen { .. } = way {
        output.note(&format!(
            "Waiting for the browser to come back to {} (Ctrl-C gives up) …",
            authorization.redirect_url
        ));
    }
    Ok(())
}

/// Takes the pending authorization back. Where that fails, it ends by itself in a quarter of an hour.
async fn give_up(context: &Context, authorization: &Authorization) {
    let given_up = context.with(async |desk| desk.abandon(authorization).await).await;
    if let Err(error) = given_up {
        tracing::warn!(%error, "the pending authorization could not be taken back; it ends by itself");
    }
}

fn expired(authorization: &Authorization) -> Error {
    connector::Error::Expired(authorization.connection.clone()).into()
}
