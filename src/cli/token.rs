//! `token`: prints an access token that works.

use super::context::Context;
use super::error::Error;
use super::{secrets, time};
use crate::api::TokenDocument;
use crate::model::{ConnectionName, Secret};
use crate::refresh::{Rejected, Token};
use std::str::FromStr;
use std::time::Duration;

/// Print an access token that works, refreshing it if it must be.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  curl -H \"$(grantkeeper token google-drive/reports --header)\" https://www.googleapis.com/drive/v3/files"
)]
pub(super) struct Args {
    /// The connection, APPLICATION/NAME
    connection: ConnectionName,
    /// How long the token must still be good, e.g. 5m; 30 seconds when not given
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration)]
    min_ttl: Option<Duration>,
    /// An API rejected the token: print a newer one. GENERATION (of --json) or `-` (the token, on standard input) says which; the
    /// one that is held when neither does, if it is older than ten seconds. Any number of reports of one token cause one refresh
    #[arg(long, value_name = "GENERATION|-", num_args = 0..=1, require_equals = true, conflicts_with = "min_ttl")]
    rejected: Option<Option<Reported>>,
    /// Print a whole header, `Authorization: Bearer …`
    #[arg(long, conflicts_with = "json")]
    header: bool,
}

/// Which token was rejected.
#[derive(Debug, Clone, Copy)]
enum Reported {
    Generation(u64),
    OnStandardInput,
}

impl FromStr for Reported {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "-" => Ok(Self::OnStandardInput),
            number => number.parse().map(Self::Generation).map_err(
                |_| "give the token's generation, as `token --json` tells it, or - for the token itself on standard input",
            ),
        }
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    let rejected = match args.rejected {
        None => None,
        Some(None) => Some(Rejected::Held),
        Some(Some(Reported::Generation(generation))) => Some(Rejected::Generation(generation)),
        Some(Some(Reported::OnStandardInput)) => Some(Rejected::Token(secrets::from_stdin("rejected token")?)),
    };
    context
        .with(async |desk| {
            let token = match rejected {
                Some(rejected) => desk.token_rejected(&args.connection, rejected).await?,
                None => desk.token(&args.connection, args.min_ttl).await?,
            };
            // Printed before the store is let go of: a refresh ahead of time that began behind it keeps nobody waiting
            // for the token.
            print(context, &token, args.header)
        })
        .await
}

fn print(context: &Context, token: &Token, header: bool) -> Result<(), Error> {
    if context.output.is_json() {
        let document = TokenDocument::of(token, context.now());
        return context.output.result(&document, String::new);
    }
    let shown = match header {
        true => Secret::new(format!("Authorization: {}", token.authorization().expose())),
        false => token.secret().clone(),
    };
    if !is_plain(shown.expose()) {
        return Err(Error::OddToken(token.connection().clone()));
    }
    context.output.verbatim(shown.expose())
}

/// Whether a token can stand in a header (RFC 6749 appendix A.12: visible ASCII and the space). One that cannot comes from a
/// provider that would have us write a second header, or drive the terminal.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_would_add_a_header_is_not_plain() {
        assert!(is_plain("Authorization: Bearer ya29.a-b_c~d+e/f="));
        for odd in ["a\r\nX-Evil: 1", "a\x1b]0;x\x07", "a\u{9b}2J", "a\u{202e}"] {
            assert!(!is_plain(odd), "{odd:?}");
        }
    }
}
