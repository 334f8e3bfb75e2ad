//! `--record FILE`: an exchange as a fixture, with every secret replaced; on failure too, for that is its use.

use super::context::{Context, RECORDING};
use super::error::Error;
use super::files;
use crate::http::Tape;
use crate::recording::{Asked, Before, fixture_of_tape};
use crate::replay;
use std::path::{Path, PathBuf};

/// Where to record.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Record {
    /// Write the exchange with the provider into a fixture, with every secret replaced; when it fails too
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "record")]
    force: bool,
}

impl Record {
    /// Whether a recording was asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.record.is_some()
    }

    /// Does the work, and records it where that was asked for.
    pub(super) async fn during(
        &self,
        context: &Context,
        asked: Asked,
        work: impl AsyncFnOnce(&Context) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(file) = &self.record else { return Box::pin(work(context)).await };
        // Before anything is sent: a consent is not given twice for a file.
        files::must_be_free(file, self.force)?;
        let name = &asked.connection;
        let before = context.with(async |desk| Ok(Before::of(desk.here(RECORDING)?, name).await?)).await?;
        let tape = Tape::new();
        let recording = context.recording_on(&tape);
        let result = Box::pin(work(&recording)).await;
        let written = Box::pin(self.write(context, file, &tape, &before, &asked, result.as_ref().err())).await;
        match (result, written) {
            (Ok(()), written) => written,
            (Err(error), Ok(())) => Err(error),
            // Why the work failed is what somebody has to know first.
            (Err(error), Err(unwritten)) => {
                context.output.note(&format!("The exchange could not be recorded: {unwritten}"));
                Err(error)
            }
        }
    }

    async fn write(
        &self,
        context: &Context,
        file: &Path,
        tape: &Tape,
        before: &Before,
        asked: &Asked,
        error: Option<&Error>,
    ) -> Result<(), Error> {
        let error = match error {
            None => None,
            Some(Error::Connector(error)) => Some(&**error),
            // Nobody came back, or the port was taken: nothing happened with the provider.
            Some(_) => {
                context.output.note("Nothing was recorded: the exchange with the provider did not begin.");
                return Ok(());
            }
        };
        let made = context
            .with(async |desk| Ok(fixture_of_tape(desk.here(RECORDING)?, tape, before, asked, error).await?))
            .await?;
        let Some(fixture) = made else {
            context.output.note("Nothing was recorded: no reply of the provider came.");
            return Ok(());
        };
        files::write(file, &fixture.to_toml(), self.force, true)?;
        context.output.note(&format!(
            "The exchange is recorded in {}, with every secret replaced. Look through it before you give it away.",
            file.display()
        ));
        let scripts = context.home()?.scripts();
        let report = Box::pin(replay::replay(&fixture, scripts.is_dir().then_some(&scripts))).await;
        let differences: Vec<String> = report.differences().map(|one| one.what).collect();
        if !differences.is_empty() {
            context.output.note(&format!(
                "It does not come out alike when it is replayed ({}): something in it depended on a value that was replaced. `grantkeeper script test {}` shows it.",
                differences.join(", "),
                file.display()
            ));
        }
        Ok(())
    }
}
