//! `exec`: becomes a command that has a token. The process is replaced and not a parent that waits: exit codes and signals are
//! the command's own, and nothing of ours lives on beside it.

use super::context::Context;
use super::error::{Error, HowEnded};
use super::signals;
use super::time;
use super::token::is_plain;
use crate::model::{ConnectionName, Secret};
use crate::refresh::Token;
use command_fds::{CommandFdExt as _, FdMapping};
use rustix::fs::{OFlags, fcntl_setfl};
use std::ffi::OsString;
use std::io::{ErrorKind, PipeReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;
use zeroize::Zeroizing;

/// Run a command that has an access token.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grantkeeper exec google-drive/reports -- sh -c 'curl -H \"Authorization: Bearer $ACCESS_TOKEN\" https://www.googleapis.com/drive/v3/files'
  grantkeeper exec google-drive/reports --fd 3 -- backup --token-file /dev/fd/3
A variable can be read by every process of the same user; what comes through a file descriptor, only by the command. The command \
takes this process's place: its exit code and the signals that it gets are its own, and the store is free while it runs. Codes \
before it runs are those of `grantkeeper --help`, and 126 or 127 where it cannot be run, as shells have it.")]
pub(super) struct Args {
    /// The connection, APPLICATION/NAME
    connection: ConnectionName,
    /// The environment variable that holds the token [default: ACCESS_TOKEN]
    #[arg(long, value_name = "NAME", value_parser = variable, conflicts_with = "fd")]
    env: Option<String>,
    /// The file descriptor that the command reads the token from, a line and then the end; nothing is in the environment then
    #[arg(long, value_name = "N", value_parser = descriptor)]
    fd: Option<i32>,
    /// How long the token must still be good, e.g. 5m; 30 seconds when not given
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration)]
    min_ttl: Option<Duration>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What the process becomes once everything of ours has ended.
pub(super) struct Successor {
    command: Command,
    program: OsString,
}

impl Successor {
    /// Becomes it; what returns is why that failed.
    pub(super) fn take_over(mut self) -> Error {
        let error = self.command.exec();
        Error::NotRun {
            program: self.program.to_string_lossy().into_owned(),
            missing: error.kind() == ErrorKind::NotFound,
            reason: error.to_string(),
        }
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Successor, Error> {
    let name = &args.connection;
    let token = context.with(async |desk| desk.token(name, args.min_ttl).await).await?;
    if let Some(end) = signals::came_late() {
        return Err(Error::Ended { end, how: HowEnded::Finished });
    }
    let (program, arguments) = args.command.split_first().ok_or_else(|| Error::Usage("name a command".to_owned()))?;
    let mut command = Command::new(program);
    command.args(arguments);
    // It was given one token and not the keys to all of them.
    for keys in KEYS_VARIABLES {
        command.env_remove(keys);
    }
    give(&token, args.fd, args.env.as_deref().unwrap_or(VARIABLE), &mut command)?;
    Ok(Successor { command, program: program.clone() })
}

/// Where the token is when nobody says.
const VARIABLE: &str = "ACCESS_TOKEN";
/// Where the keys of the store may be.
const KEYS_VARIABLES: [&str; 2] = ["GRANTKEEPER_KEYS", "CREDENTIALS_DIRECTORY"];
/// The highest descriptor that can be asked for: every system has as many.
const HIGHEST_DESCRIPTOR: i32 = 255;

fn give(token: &Token, fd: Option<i32>, variable: &str, command: &mut Command) -> Result<(), Error> {
    if !is_plain(token.secret().expose()) {
        return Err(Error::OddToken(token.connection().clone()));
    }
    match fd {
        Some(child_fd) => {
            let mapping = FdMapping { parent_fd: holding(token.secret())?.into(), child_fd };
            let mapped = command.fd_mappings(vec![mapping]);
            mapped.map_err(|error| Error::System(format!("the token cannot be handed over: {error}")))?;
        }
        None => {
            command.env(variable, token.secret().expose());
        }
    }
    Ok(())
}

/// A pipe that holds a secret and a line break, and then ends. Nobody reads it yet, so all of it has to fit.
fn holding(secret: &Secret) -> Result<PipeReader, Error> {
    let failed = |error: std::io::Error| {
        Error::System(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::WriteZero => {
                "the token is longer than a pipe takes; use --env".to_owned()
            }
            _ => format!("the token cannot be handed over: {error}"),
        })
    };
    let (reader, mut writer) = std::io::pipe().map_err(failed)?;
    // A write that does not fit would wait for a reader, which is us.
    fcntl_setfl(&writer, OFlags::NONBLOCK).map_err(|error| failed(error.into()))?;
    let line = Zeroizing::new(format!("{}\n", secret.expose()));
    writer.write_all(line.as_bytes()).map_err(failed)?;
    Ok(reader)
}

fn variable(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.starts_with(|first: char| first.is_ascii_digit());
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no name of a variable; use A-Z, a-z, 0-9 and _"))
    }
}

fn descriptor(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(1 | 2) => Err("1 and 2 are the command's output; take 0 (its input), or 3 and more".to_owned()),
        Ok(number) if (0..=HIGHEST_DESCRIPTOR).contains(&number) => Ok(number),
        _ => Err(format!("{text:?} is no file descriptor; take 0 (its input), or 3 to {HIGHEST_DESCRIPTOR}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_pipe_holds_a_long_token_and_one_that_is_too_long_is_refused_and_not_waited_for() {
        let long = "x".repeat(20_000);
        let mut read = String::new();
        holding(&Secret::new(long.as_str())).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, format!("{long}\n"));
        let refused = holding(&Secret::new("x".repeat(10_000_000))).unwrap_err().to_string();
        assert!(refused.contains("use --env") && refused.len() < 100, "{refused}");
    }

    #[test]
    fn a_variable_and_a_descriptor_are_checked_before_anything_is_done() {
        assert!(variable("DRIVE_TOKEN_2").is_ok());
        for bad in ["", "2X", "A=B", "A B", "é"] {
            assert!(variable(bad).is_err(), "{bad:?}");
        }
        assert_eq!((descriptor("0"), descriptor("3"), descriptor("255")), (Ok(0), Ok(3), Ok(255)));
        for bad in ["1", "2", "-1", "256", "x", ""] {
            assert!(descriptor(bad).is_err(), "{bad:?}");
        }
    }
}
