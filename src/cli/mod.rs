//! The command line: parses it, opens the home, runs one command and turns its end into an exit code. One file a
//! command; what they share (output, errors, times, secrets) has its own. May use every room below.

mod admin_password;
mod api_key;
mod app;
mod app_file;
mod args;
mod audit;
mod completions;
mod connect;
mod connections;
mod consent;
mod context;
mod demo;
mod desk;
mod device;
mod error;
mod events;
mod exec;
mod export;
mod files;
mod health;
mod import;
mod inherited;
mod init;
mod key;
mod logging;
mod loopback;
mod notify;
mod output;
mod page;
mod places;
mod profile;
mod provider;
mod record;
mod refresh;
mod replayed;
mod revoke;
mod script;
mod script_new;
mod script_try;
mod secrets;
mod serve;
mod sign_in;
mod signals;
mod store;
#[cfg(feature = "otel")]
mod telemetry;
mod time;
mod token;
mod tokens;
mod view;
mod webhook;

use args::{Cli, Command};
use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use context::Context;
use error::Error;
use exec::Successor;
use output::Output;
use std::process::ExitCode;
use std::time::Duration;

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ill_used(error),
    };
    let output = Output::new(cli.global.json);
    let daemon = match &cli.command {
        Command::Serve(args) => Some(args.log_format()),
        _ => None,
    };
    let _logging = logging::start(cli.global.verbose, daemon);
    let result = runtime().and_then(|runtime| {
        let result = runtime.block_on(run(cli, output));
        // A thread that still waits for a line of standard input must not keep the process.
        runtime.shutdown_timeout(Duration::from_millis(200));
        result
    });
    // Nothing of ours is left: a process that becomes another one must not hold a lock or a thread.
    let result = result.and_then(|next| next.map_or(Ok(()), |next| Err(next.take_over())));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            output.error(error.code(), &error.to_string(), error.retryable());
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs the command, and tells what the process is to become after it.
async fn run(cli: Cli, output: Output) -> Result<Option<Successor>, Error> {
    // Kept for as long as the process writes.
    let _quota = signals::survive_a_full_quota();
    let context = &Context::new(&cli.global, output);
    match cli.command {
        Command::Demo => Box::pin(demo::run(context)).await,
        Command::Init => init::run(context),
        Command::App(command) => Box::pin(app::run(context, command)).await,
        Command::Profile(command) => profile::run(context, command).await,
        Command::Connect(args) => Box::pin(connect::run(context, *args)).await,
        Command::Token(args) => token::run(context, args).await,
        Command::Tokens(args) => tokens::run(context, args).await,
        Command::Connections(command) => connections::run(context, command).await,
        Command::Refresh(args) => refresh::run(context, args).await,
        Command::Revoke(args) => revoke::run(context, &args).await,
        Command::Exec(args) => return exec::run(context, args).await.map(Some),
        Command::Health(args) => health::run(context, args).await,
        Command::SignIn(args) => sign_in::run(context, args).await,
        Command::Serve(args) => Box::pin(serve::run(context, args)).await,
        Command::Events(args) => events::run(context, args).await,
        Command::Audit(args) => audit::run(context, args).await,
        Command::ApiKey(command) => api_key::run(context, command).await,
        Command::Webhook(command) => webhook::run(context, command).await,
        Command::AdminPassword(args) => admin_password::run(context, args).await,
        Command::Script(command) => Box::pin(script::run(context, command)).await,
        Command::Key(command) => key::run(context, command).await,
        Command::Store(command) => store::run(context, command).await,
        Command::Provider(command) => provider::run(context, command),
        Command::Completions(args) => completions::run(context, &args),
    }
    .map(|()| None)
}

/// The parser's usage names what it has a value for, and so the options that the environment gives, as if they had to be written.
fn without_environment(error: &mut clap::Error) {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return };
    let told = usage.to_string();
    let written: Vec<String> = std::env::args().collect();
    let mut without = told.clone();
    for (option, value) in [("--home", " --home <FOLDER>"), ("--key-file", " --key-file <FILE>")] {
        if !written.iter().any(|argument| argument.starts_with(option)) {
            without = without.replace(value, "");
        }
    }
    if without != told {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(without.into()));
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.map_err(|error| Error::System(format!("the process cannot start its threads: {error}")))
}

/// Help and version are no mistakes; everything else that the parser says is told as it says it.
fn ill_used(mut error: clap::Error) -> ExitCode {
    without_environment(&mut error);
    let is_mistake = !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_mistake && std::env::args_os().any(|arg| arg == "--json") {
        let text = error.render().to_string();
        let sentence = text.lines().next().unwrap_or_default();
        Output::new(true).error("usage", sentence.trim_start_matches("error: "), false);
    } else {
        // Nobody listens where this fails.
        let _ = error.print();
    }
    ExitCode::from(if is_mistake { crate::api::exit_codes::USAGE } else { 0 })
}
