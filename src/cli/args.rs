//! The words of the command line: every command, and the options that all of them take.

use super::{
    admin_password, api_key, app, audit, completions, connect, connections, events, exec, health, key, profile,
    provider, refresh, revoke, script, serve, sign_in, store, token, tokens, webhook,
};
use clap::{ArgAction, Args, Parser, Subcommand};
use std::path::PathBuf;
use std::str::FromStr;

/// Holds an application's OAuth grants at other people's services: consent, sealed tokens, refresh, revocation.
#[derive(Debug, Parser)]
#[command(name = "grantkeeper", version, about, after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Global {
    /// The home folder [default: grantkeeper in the platform's data folder]
    #[arg(long, global = true, env = "GRANTKEEPER_HOME", hide_env_values = true, value_name = "FOLDER")]
    pub(super) home: Option<PathBuf>,
    /// The key file [default: one of the home's own in the platform's configuration folder]
    #[arg(long, global = true, env = "GRANTKEEPER_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// Print one JSON document; an error is an object on standard error
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Log to standard error, up to -vvv
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Walk the whole way against a built-in provider: consent, sealing, refresh, revocation
    Demo,
    /// Make a home folder and its keys
    Init,
    /// Applications: our client registrations at providers
    #[command(subcommand)]
    App(app::Command),
    /// Profiles of an application: a grant type with its scopes
    #[command(subcommand)]
    Profile(profile::Command),
    /// Make a connection: send a person to consent, or prove ourselves
    Connect(Box<connect::Args>),
    /// Print an access token that works, refreshing it if it must be
    Token(token::Args),
    /// Run a command that has an access token
    Exec(exec::Args),
    /// Manage Tokens: list, show, edit and revoke credentials
    Tokens(tokens::Args),
    /// List, show and remove connections; take grants over from elsewhere (import) and along (export)
    #[command(subcommand)]
    Connections(connections::Command),
    /// Refresh a connection now, or all that are due
    Refresh(refresh::Args),
    /// End a connection's grant, here and at the provider
    Revoke(revoke::Args),
    /// Run the daemon: hold the store, keep connections fresh, answer on a socket in the home
    Serve(serve::Args),
    /// Say whether a daemon answers, and how it is
    Health(health::Args),
    /// Open the daemon's pages in a browser, signed in
    SignIn(sign_in::Args),
    /// Show what happened to connections, and follow what happens
    Events(events::Args),
    /// Show who did what, and check that the log of it is whole
    Audit(audit::Args),
    /// API keys: what applications show to the daemon's API
    #[command(subcommand)]
    ApiKey(api_key::Command),
    /// Webhooks: endpoints that the daemon tells of events
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// Set the administrator's password for the daemon's pages
    AdminPassword(admin_password::Args),
    /// OAuth API scripts
    #[command(subcommand)]
    Script(script::Command),
    /// The keys that the store is sealed with
    #[command(subcommand)]
    Key(key::Command),
    /// The store: backups, and a store from one
    #[command(subcommand)]
    Store(store::Command),
    /// The provider catalog
    #[command(subcommand)]
    Provider(provider::Command),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// What `--help` says of exit codes; `docs/automation.md` says more, and `error.rs` is where they come from.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    anything not named below
  2    the command line is wrong
  3    there is no such home, application, profile, connection, credential, API key, webhook, provider or script
  4    a person must consent: never authorized, denied, expired, revoked, or the grant is dead
  5    passing trouble, try again later (provider out of reach, store held by another process, daemon stopped half-way)
  6    the provider refuses our application or our request, or answers what cannot be read
  7    the store or its keys cannot be used
  130  interrupted (143 by SIGTERM): a refresh that was under way was finished, and what can go on says how";

/// A number in plain words, for who writes something else.
pub(super) fn whole_number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "write a whole number, not below 0".to_owned())
}
