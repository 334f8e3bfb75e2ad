//! The daemon's life: serving until it is told to end, and ending cleanly.

use super::answering::answer;
use super::doors::admission::Admission;
use super::doors::door::{Door, Port};
use super::doors::places::Places;
use super::doors::session::Sessions;
use super::doors::socket::Socket;
use super::metrics::follow;
use super::pages;
use super::router::Api;
use super::shared::Shared;
use super::v1::webhooks::deliver;
use crate::connector::{Connector, Error};
use crate::model::later;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;

/// How long a stop waits for what is under way, in seconds: longer than any HTTP exchange may take (60), so that it is cut
/// off only where something hangs.
pub const LONGEST_STOP: u64 = 70;

/// How a daemon ended.
#[derive(Debug)]
pub struct Stopped {
    /// How.
    pub ended: Ended,
    /// How long the stopping took.
    pub took: Duration,
    /// Why it ended by itself, where it did.
    pub error: Option<Error>,
}

/// How a stop came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All that was under way was finished.
    Clean,
    /// Something hung; what it did is journaled, and is settled when the store is next opened.
    CutOff,
}

/// Answers on a socket, and on a port where there is one, and refreshes what is due, until `shutdown` ends or neither goes on. Then nothing new is begun: the socket goes
/// first, and requests and rotations under way are finished, for as long as [`LONGEST_STOP`] and until `at_once` ends.
pub async fn serve(
    connector: Connector,
    socket: Socket,
    port: Option<(Port, Sessions)>,
    shutdown: impl Future<Output = ()>,
    at_once: impl Future<Output = ()>,
) -> Stopped {
    let (stop, stopping) = watch::channel(false);
    let shared = Shared::new(connector.clone(), stopping);
    let (port, shared) = match port {
        Some((port, sessions)) => {
            let (bound, behind_proxy) = (port.url(), port.is_behind_proxy());
            (Some(port), shared.outside(sessions, bound, behind_proxy))
        }
        None => (None, shared),
    };
    let doors = 1 + usize::from(port.is_some());
    let (listener, owner, file) = socket.into_parts();
    let api = Api::new(shared.clone(), None);
    let app = Admission::at_home(api, owner);
    let (told, places) = (shared.clone(), Places::for_doors(doors));
    let mut answering = tokio::spawn(async move { answer(Door::Home(listener), app, places, told.stopped()).await });
    let outside = port.map(|port| {
        let pages = pages::router(shared.clone(), shared.sessions.clone());
        let app = Admission::at_port(Api::new(shared.clone(), Some(pages)), shared.clone());
        let (told, places) = (shared.clone(), Places::for_doors(doors));
        tokio::spawn(async move { answer(port.into_door(), app, places, told.stopped()).await })
    });
    tokio::spawn(follow(shared.clone()));
    let telling = tokio::spawn(deliver(shared.clone()));
    let (background, told) = (connector.clone(), shared.clone());
    let mut refreshing = tokio::spawn(async move { background.run_background(told.stopped()).await });
    let error = tokio::select! {
        () = shutdown => None,
        _ = &mut answering => Some(Error::Stopped("answering on the socket")),
        ended = &mut refreshing => Some(match ended {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => Error::Stopped("the background refresh"),
        }),
    };
    let began = connector.clock().now();
    // Fails only when nobody is left to be told.
    let _ = stop.send(true);
    // Nobody finds the way in any more.
    drop(file);
    let finishing = async {
        // What ended by itself is not waited for again.
        if !answering.is_finished() {
            let _ = answering.await;
        }
        if let Some(outside) = outside {
            let _ = outside.await;
        }
        if !refreshing.is_finished() {
            let _ = refreshing.await;
        }
        let _ = telling.await;
        shared.idle().await;
        connector.clone().close().await;
    };
    let ended = tokio::select! {
        biased;
        () = finishing => Ended::Clean,
        () = at_once => Ended::CutOff,
        () = connector.clock().sleep_until(later(began, LONGEST_STOP)) => Ended::CutOff,
    };
    let took = connector.clock().now().duration_since(began);
    Stopped { ended, took: Duration::try_from(took).unwrap_or_default(), error }
}
