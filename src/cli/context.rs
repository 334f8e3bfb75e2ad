//! What every command has at hand.

use super::args::Global;
use super::desk::{Client, Desk};
use super::error::{Error, HowEnded};
use super::output::Output;
use super::places;
use super::signals::{self, Interrupt};
use crate::access::Acting;
use crate::connector::{Connector, Home};
use crate::http::Tape;
use crate::model::{Clock, SystemClock, Timestamp};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};

/// What every command has at hand: where the home is, how to print, what time it is.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) output: Output,
    pub(super) zone: TimeZone,
    home: Option<PathBuf>,
    key_file: Option<PathBuf>,
    tape: Option<Tape>,
    /// Whether the command sees to interruptions itself.
    minds_interrupts: bool,
}

impl Context {
    pub(super) fn new(global: &Global, output: Output) -> Self {
        Self {
            output,
            zone: TimeZone::system(),
            home: global.home.clone(),
            key_file: global.key_file.clone(),
            tape: None,
            minds_interrupts: false,
        }
    }

    /// The same, whose connectors record on a tape.
    pub(super) fn recording_on(&self, tape: &Tape) -> Self {
        Self { tape: Some(tape.clone()), ..self.clone() }
    }

    /// The same for a command that listens for an [`Interrupt`] of its own.
    pub(super) fn minding_interrupts(&self) -> Self {
        Self { minds_interrupts: true, ..self.clone() }
    }

    /// Where the home is. It need not be there.
    pub(super) fn home(&self) -> Result<Home, Error> {
        places::home(self.home.as_deref(), self.key_file.as_deref())
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Opens the home's connector. Whoever does must [`close`](Connector::close) it.
    async fn open(&self) -> Result<Connector, Error> {
        let home = self.home()?;
        let connector = match &self.tape {
            Some(tape) => Connector::open_recording(&home, tape.clone()).await?,
            None => Connector::open(&home).await?,
        };
        Ok(connector.acting(Acting::this_process()))
    }

    /// Does the work at the desk: through the daemon where one answers, else with the store itself, which is let go of when the
    /// refreshes that the work began are done too. Interrupted, it finishes what must not be broken off: a rotation whose reply is lost is a grant
    /// that is lost. A second interruption ends at once.
    pub(super) async fn with<T>(&self, work: impl AsyncFnOnce(&Desk) -> Result<T, Error>) -> Result<T, Error> {
        if let Some(end) = signals::came_late().filter(|_| !self.minds_interrupts) {
            return Err(Error::Ended { end, how: HowEnded::Finished });
        }
        let desk = self.desk().await?;
        if self.minds_interrupts {
            let result = work(&desk).await;
            desk.close().await;
            return result;
        }
        let mut interrupt = Interrupt::new()?;
        let ended = tokio::select! {
            biased;
            result = work(&desk) => Ok(result),
            end = interrupt.wait() => Err(end),
        };
        let is_daemons = matches!(desk, Desk::There(_));
        let under_way = desk.under_way();
        let mut interrupted = ended.as_ref().err().copied();
        let note = || self.output.note("interrupted; what is under way is finished first (again ends at once)");
        if interrupted.is_some() && under_way > 0 {
            note();
        }
        let mut closing = std::pin::pin!(desk.close());
        loop {
            tokio::select! {
                biased;
                () = &mut closing => break,
                end = interrupt.wait() => {
                    if interrupted.is_some() {
                        return Err(Error::Ended { end, how: HowEnded::CutOff });
                    }
                    interrupted = Some(end);
                    note();
                }
            }
        }
        if let (Ok(_), Some(end)) = (&ended, interrupted) {
            // What was done is told; what is to follow is not begun.
            signals::remember(end);
        }
        ended.unwrap_or_else(|end| {
            let how = match (is_daemons, under_way) {
                (true, _) => HowEnded::DaemonGoesOn,
                (false, 0) => HowEnded::Clean,
                (false, _) => HowEnded::Finished,
            };
            Err(Error::Ended { end, how })
        })
    }

    /// The daemon, where one answers.
    pub(super) async fn daemon(&self) -> Result<Option<Client>, Error> {
        Ok(Client::of(self.home()?.folder()).await)
    }

    async fn desk(&self) -> Result<Desk, Error> {
        let home = self.home()?;
        let folder = home.folder();
        let daemon = match Client::of(folder).await {
            Some(client) => client,
            // A daemon that is just starting has the store before it has its socket.
            None => tokio::select! {
                opened = self.open() => return Ok(Desk::Here(Box::new(opened?))),
                client = appearing(folder) => client,
            },
        };
        match &self.tape {
            // What a tape records happens in the daemon's process.
            Some(_) => Err(Error::NotThroughDaemon { what: RECORDING }),
            None => Ok(Desk::There(daemon)),
        }
    }
}

/// What cannot be recorded through a daemon.
pub(super) const RECORDING: &str = "--record";

/// Looks for a daemon until there is one.
async fn appearing(home: &Path) -> Client {
    loop {
        SystemClock.sleep_until(SystemClock.now() + LOOK_AGAIN).await;
        if let Some(client) = Client::of(home).await {
            return client;
        }
    }
}

/// How often a daemon is looked for while the store is waited for.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_millis(100);
