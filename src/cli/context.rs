//! What every command has at hand.

use super::args::Global;
use super::error::Error;
use super::output::Output;
use super::places;
use crate::connector::{Connector, Home};
use crate::http::Tape;
use crate::model::{Clock, SystemClock, Timestamp};
use jiff::tz::TimeZone;
use std::path::PathBuf;

/// What every command has at hand: where the home is, how to print, what time it is.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) output: Output,
    pub(super) zone: TimeZone,
    home: Option<PathBuf>,
    key_file: Option<PathBuf>,
    tape: Option<Tape>,
}

impl Context {
    pub(super) fn new(global: &Global, output: Output) -> Self {
        Self {
            output,
            zone: TimeZone::system(),
            home: global.home.clone(),
            key_file: global.key_file.clone(),
            tape: None,
        }
    }

    /// The same, whose connectors record on a tape.
    pub(super) fn recording_on(&self, tape: &Tape) -> Self {
        Self { tape: Some(tape.clone()), ..self.clone() }
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
    pub(super) async fn open(&self) -> Result<Connector, Error> {
        let home = self.home()?;
        Ok(match &self.tape {
            Some(tape) => Connector::open_recording(&home, tape.clone()).await?,
            None => Connector::open(&home).await?,
        })
    }

    /// Opens the home's connector, does the work, and closes it when the refreshes that the work began are done too.
    pub(super) async fn with<T>(&self, work: impl AsyncFnOnce(&Connector) -> Result<T, Error>) -> Result<T, Error> {
        let connector = self.open().await?;
        let result = work(&connector).await;
        connector.close().await;
        result
    }
}
