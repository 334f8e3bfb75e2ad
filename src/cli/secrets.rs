//! Secrets on their way in: never on the command line, where every process of the machine can read them.

use super::error::Error;
use super::output;
use crate::model::Secret;
use crate::registry::{Draft, SecretSource};
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest secret that is taken, in bytes: private keys are a few thousand.
const MOST_BYTES: u64 = 64 * 1024;

/// Where an application's client secret comes from.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct ClientSecret {
    /// Read the client secret from standard input, or ask for it at a terminal
    #[arg(long)]
    client_secret_stdin: bool,
    /// Read the client secret from an environment variable
    #[arg(long, value_name = "VARIABLE")]
    client_secret_env: Option<String>,
    /// Read the client secret from a file
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// The client has no secret (a public client, RFC 6749 section 2.1)
    #[arg(long)]
    pub(super) public: bool,
}

impl ClientSecret {
    /// The source that was named.
    pub(super) fn source(&self) -> Option<SecretSource> {
        match self {
            Self { client_secret_stdin: true, .. } => Some(SecretSource::Stdin),
            Self { client_secret_env: Some(name), .. } => Some(SecretSource::Env(name.clone())),
            Self { client_secret_file: Some(path), .. } => Some(SecretSource::File(path.clone())),
            _ => None,
        }
    }
}

/// Reads every secret that a draft points at, and hands each out when it is asked for. Relative files start from `base`.
pub(super) fn read_ahead(
    draft: &Draft,
    base: &Path,
) -> impl FnMut(&SecretSource) -> Result<Secret, String> + Send + use<> {
    let mut read: Vec<(SecretSource, Result<Secret, String>)> = Vec::new();
    for source in draft.client_secret.iter().chain(draft.secrets.values()) {
        // Standard input can be read once.
        if !read.iter().any(|(known, _)| known == source) {
            read.push((source.clone(), read_source(source, base)));
        }
    }
    move |source| {
        let known = read.iter().find(|(known, _)| known == source);
        known.map_or_else(|| Err("it was not read".to_owned()), |(_, secret)| secret.clone())
    }
}

fn read_source(source: &SecretSource, base: &Path) -> Result<Secret, String> {
    match source {
        SecretSource::Env(name) => match std::env::var(name) {
            Ok(text) => Ok(Secret::new(text)),
            Err(std::env::VarError::NotPresent) => Err("it is not set".to_owned()),
            Err(std::env::VarError::NotUnicode(_)) => Err("it is not UTF-8 text".to_owned()),
        },
        SecretSource::File(path) => read_file(&base.join(path)),
        SecretSource::Stdin if output::a_person_is_at_the_input() => ask("Client secret (not shown): "),
        SecretSource::Stdin => read_all(std::io::stdin().lock()),
        SecretSource::Plain(secret) => Ok(secret.clone()),
    }
}

/// A secret of one line: the whole of standard input, or typed at a terminal without being shown. `what` names it.
pub(super) fn from_stdin(what: &str) -> Result<Secret, Error> {
    if output::a_person_is_at_the_input() {
        return typed(what);
    }
    one_line(&read_all(std::io::stdin().lock()).map_err(|reason| not_read(what, &reason))?, what)
}

/// A secret that is typed at the terminal without being shown, wherever standard input comes from.
pub(super) fn typed(what: &str) -> Result<Secret, Error> {
    one_line(&ask(&format!("{what} (not shown): ")).map_err(|reason| not_read(what, &reason))?, what)
}

fn not_read(what: &str, reason: &str) -> Error {
    Error::Input(format!("the {what} cannot be read: {reason}"))
}

fn one_line(secret: &Secret, what: &str) -> Result<Secret, Error> {
    let line = secret.expose().strip_suffix('\n').unwrap_or(secret.expose());
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains('\n') {
        return Err(not_read(what, "one line is wanted, and it must not be empty"));
    }
    Ok(Secret::new(line))
}

fn ask(prompt: &str) -> Result<Secret, String> {
    rpassword::prompt_password(prompt)
        .map(Secret::new)
        .map_err(|error| format!("there is no terminal to ask at ({error}); give it on standard input"))
}

fn read_file(path: &Path) -> Result<Secret, String> {
    read_all(std::fs::File::open(path).map_err(|error| error.to_string())?)
}

fn read_all(input: impl Read) -> Result<Secret, String> {
    // Reserved whole: growing would leave copies of the secret behind in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES as usize + 1));
    input.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it is longer than {MOST_BYTES} bytes"));
    }
    std::str::from_utf8(&bytes).map(Secret::new).map_err(|_| "it is not UTF-8 text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_one_line_loses_its_line_break_and_nothing_else() {
        assert_eq!(one_line(&Secret::new(" s3cret \r\n"), "x").unwrap().expose(), " s3cret ");
        assert!(one_line(&Secret::new("\n"), "x").is_err());
        assert!(one_line(&Secret::new("a\nb\n"), "x").is_err());
    }

    #[test]
    fn an_endless_input_is_refused() {
        assert!(read_all(std::io::repeat(b'x')).unwrap_err().contains("longer"));
    }

    #[test]
    fn a_relative_file_starts_from_the_base() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s"), "s3cret").unwrap();
        let secret = read_source(&SecretSource::File("s".into()), folder.path()).unwrap();
        assert_eq!(secret.expose(), "s3cret");
    }
}
