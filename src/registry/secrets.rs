//! Where a secret comes from that an application needs.

use super::error::RegistryError;
use super::reader::Found;
use crate::model::Secret;
use std::fmt;
use std::path::PathBuf;

/// Where a secret is read from when an application is made. Reading is the caller's; one line break at the end is not
/// part of the secret and is taken off here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file; the caller decides what a relative path starts from.
    File(PathBuf),
    /// Standard input, whole. It can be read once.
    Stdin,
    /// The file itself, where the person insisted.
    Plain(Secret),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Stdin => f.write_str("standard input"),
            Self::Plain(_) => f.write_str("the application's own file"),
        }
    }
}

impl SecretSource {
    /// Reads `{ env = "NAME" }`, `{ file = "PATH" }` or `{ stdin = true }`; a plain text only where `insist` says so. No
    /// message repeats what stands there.
    pub(super) fn read(found: Found<'_>, insist: bool) -> Result<Self, RegistryError> {
        if found.is_text() {
            if !insist {
                return Err(RegistryError::PlainSecret { place: found.place(), key: found.key().to_owned() });
            }
            return found.some_text().map(|text| Self::Plain(Secret::new(text)));
        }
        let spot = found.spot();
        let mut table = found.table()?;
        let env = table.take("env").map(|name| name.text_that(is_variable)).transpose()?;
        let file = table.take("file").map(Found::some_text).transpose()?;
        let stdin = table.take("stdin").map(Found::flag).transpose()?;
        table.finish()?;
        match (env, file, stdin) {
            (Some(name), None, None) => Ok(Self::Env(name)),
            (None, Some(path), None) => Ok(Self::File(path.into())),
            (None, None, Some(true)) => Ok(Self::Stdin),
            _ => Err(spot.wrong("must name one source: { env = \"NAME\" }, { file = \"PATH\" } or { stdin = true }")),
        }
    }
}

/// POSIX's names of environment variables. Someone who writes the secret itself here must not see it repeated.
fn is_variable(name: &str) -> Result<(), String> {
    let fits = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { Ok(()) } else { Err("must be the name of an environment variable (letters, digits and _)".to_owned()) }
}
