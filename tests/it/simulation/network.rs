//! The way between a process and the provider: slow, lossy, and with gateways that answer in the provider's place.
//!
//! One thing is left out, because no client can do anything against it: a request that the provider takes up only after
//! its sender has given up waiting, or has died, and after the next one.

use super::provider::{Provider, held_of, reply};
use super::world::Life;
use grantkeeper::http::{HttpError, InProcess};
use grantkeeper::oauth::{Params, RawReply};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// When a client gives up, in milliseconds: the default of `http.timeout`.
const TIMEOUT: u64 = 30_000;

/// How the network and the provider's front are now. Shares are percents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weather {
    /// No connection comes about.
    pub(super) unreachable: u64,
    /// The request is lost on its way, or the connection is cut.
    pub(super) lost: u64,
    /// Processed, and the reply is lost.
    pub(super) reply_lost: u64,
    /// A gateway's 5xx; half of them after the request was processed.
    pub(super) gateway: u64,
    /// A page for people; half of them after the request was processed.
    pub(super) page: u64,
    /// Too many requests.
    pub(super) limited: u64,
    /// The provider takes its time, up to longer than the client waits.
    pub(super) slow: u64,
}

/// The network of a run.
pub(super) struct Network {
    pub(super) provider: Arc<Provider>,
    weather: Mutex<Weather>,
    lives: Mutex<Vec<Arc<Life>>>,
}

/// What becomes of one request.
enum Fate {
    Unreachable,
    Lost,
    ReplyLost,
    Instead { processed: bool, reply: RawReply },
    Answered,
}

impl Network {
    pub(super) fn new(provider: &Arc<Provider>) -> Arc<Self> {
        Arc::new(Self { provider: Arc::clone(provider), weather: Mutex::default(), lives: Mutex::default() })
    }

    pub(super) fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// What answers the requests of one process.
    pub(super) fn of(self: &Arc<Self>, life: &Arc<Life>) -> InProcess {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(life));
        let (network, life) = (Arc::clone(self), Arc::clone(life));
        Arc::new(move |request| {
            let (network, life) = (Arc::clone(&network), Arc::clone(&life));
            Box::pin(async move { network.send(&life, &request).await })
        })
    }

    pub(super) fn is_alive(&self, process: u64) -> bool {
        self.life(process).is_some_and(|life| !life.is_dead())
    }

    /// Whether a process ran on for a while after a time.
    pub(super) fn ran_on_after(&self, process: u64, from: u64) -> bool {
        self.life(process).is_some_and(|life| life.ran_on_after(from))
    }

    fn life(&self, process: u64) -> Option<Arc<Life>> {
        let lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        lives.iter().find(|life| life.number == process).cloned()
    }

    async fn send(
        self: &Arc<Self>,
        life: &Arc<Life>,
        request: &http::Request<Zeroizing<Vec<u8>>>,
    ) -> Result<RawReply, HttpError> {
        let world = &life.world;
        let form = Params::from_form(request.body());
        let host = request.uri().host().unwrap_or_default().to_owned();
        let no_reply = |why: &str| HttpError::NoReply { host: host.clone(), why: why.to_owned() };
        let refresh = form.text("refresh_token").and_then(held_of);
        let token = form.text("token").map(str::to_owned);
        let fate = self.fate(world);
        if matches!(fate, Fate::Unreachable) {
            life.pass_some(1..2000).await;
            return Err(HttpError::NotSent { host, why: "simulated".to_owned() });
        }
        let number = refresh.map(|held| self.provider.leaves(life.number, held, self));
        world.tell(|| format!("process {}: asks with {refresh:?}", life.number));
        let weather = *self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        let slow = world.chance.percent(weather.slow);
        let there = if slow { world.chance.of(3_000..29_000) } else { world.chance.of(5..300) };
        let back = if slow { world.chance.of(100..9_000) } else { world.chance.of(5..300) };
        let (answer, answered) = oneshot::channel();
        let (network, place, sender) = (Arc::clone(self), Arc::clone(world), Arc::clone(life));
        // Not the process's: what has been processed stays so when its sender is dead.
        tokio::spawn(async move {
            place.pass(there).await;
            let fate = if sender.is_dead() { Fate::Lost } else { fate };
            let process = || match (refresh, &token) {
                (Some(held), _) => network.provider.refresh(held),
                (None, Some(token)) => network.provider.revoke(token),
                (None, None) => reply(404, &[], ""),
            };
            let came = match fate {
                Fate::Unreachable | Fate::Lost => None,
                Fate::ReplyLost => {
                    let _ = process();
                    None
                }
                Fate::Instead { processed, reply } => {
                    if processed {
                        let _ = process();
                    }
                    Some((reply, false))
                }
                Fate::Answered => {
                    let reply = process();
                    let tokens = reply.status == 200;
                    Some((reply, tokens))
                }
            };
            match came {
                Some(came) => {
                    place.pass(back).await;
                    // Nobody may be waiting any more.
                    let _ = answer.send(came);
                }
                // A cut that is seen, or a silence until the client gives up.
                None if place.chance.percent(50) => drop(answer),
                None => {
                    place.pass(2 * TIMEOUT).await;
                    drop(answer);
                }
            }
        });
        let outcome = tokio::select! {
            biased;
            answered = answered => answered.map_err(|_| no_reply("the connection was cut")),
            () = world.pass(TIMEOUT) => Err(no_reply("it took too long")),
        };
        life.runs().await;
        if let Some(number) = number {
            self.provider.is_over(number, outcome.as_ref().is_ok_and(|(_, tokens)| *tokens));
        }
        let told = outcome.as_ref().map_or_else(|_| "nothing".to_owned(), |(reply, _)| reply.status.to_string());
        world.tell(|| format!("process {}: has {told} for {refresh:?}", life.number));
        outcome.map(|(reply, _)| reply)
    }

    fn fate(&self, world: &super::world::World) -> Fate {
        let weather = *self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        let chance = &world.chance;
        if chance.percent(weather.unreachable) {
            Fate::Unreachable
        } else if chance.percent(weather.lost) {
            Fate::Lost
        } else if chance.percent(weather.reply_lost) {
            Fate::ReplyLost
        } else if chance.percent(weather.gateway) {
            let status = *chance.pick(&[500, 502, 503, 504]);
            Fate::Instead { processed: chance.percent(50), reply: reply(status, &[], "out of order") }
        } else if chance.percent(weather.page) {
            let html = [("content-type", "text/html")];
            Fate::Instead { processed: chance.percent(50), reply: reply(200, &html, "<html><p>Sign in</p></html>") }
        } else if chance.percent(weather.limited) {
            let seconds = chance.of(1..60).to_string();
            Fate::Instead { processed: false, reply: reply(429, &[("retry-after", &seconds)], "too many requests") }
        } else {
            Fate::Answered
        }
    }
}
