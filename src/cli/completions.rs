//! `completions`: a completion script for a shell.

use super::args::Cli;
use super::context::Context;
use super::error::Error;
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "grantkeeper", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match context.output.is_json() {
        true => context
            .output
            .result(&serde_json::json!({ "shell": args.shell.to_string(), "script": script }), String::new),
        false => context.output.verbatim(&script),
    }
}
