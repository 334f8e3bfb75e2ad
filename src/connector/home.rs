//! The home folder: settings, scripts and the store. The keys lie elsewhere, so that a copied home does not open.

use super::{Error, Settings};
use crate::model::Timestamp;
use crate::registry::wrong_in;
use crate::seal::Keyring;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The variable that may hold the keys themselves, for a container without files.
const KEYS_VARIABLE: &str = "GRANTKEEPER_KEYS";
/// The credential's name in the service manager's credentials folder (systemd's `LoadCredential=`).
const KEYS_CREDENTIAL: &str = "grantkeeper.keys";

/// Where a home folder and its key file are. Nothing is touched before a method does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    folder: PathBuf,
    key_file: PathBuf,
    only_this_file: bool,
}

/// What `init` made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialised {
    /// The home folder.
    pub folder: PathBuf,
    /// Where the keys are.
    pub keys: KeySource,
    /// What was made; nothing when everything was there.
    pub made: Vec<PathBuf>,
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The environment variable `GRANTKEEPER_KEYS`.
    Environment,
    /// The service manager's credentials folder.
    Credential(PathBuf),
    /// A file.
    File(PathBuf),
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment => write!(f, "the environment variable {KEYS_VARIABLE}"),
            Self::Credential(path) | Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Home {
    /// A home folder with its key file.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), key_file: key_file.into(), only_this_file: false }
    }

    /// The same with its keys in this file, whatever the environment and the settings say.
    #[must_use]
    pub fn with_keys(self, key_file: impl Into<PathBuf>) -> Self {
        Self { key_file: key_file.into(), only_this_file: true, ..self }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings file.
    #[must_use]
    pub fn settings_file(&self) -> PathBuf {
        self.folder.join("grantkeeper.toml")
    }

    /// The folder of the person's own scripts.
    #[must_use]
    pub fn scripts(&self) -> PathBuf {
        self.folder.join("scripts")
    }

    /// The store's folder.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Makes whatever of the home is not there yet. A store that exists without its keys is refused: new keys would
    /// not open it.
    pub fn init(&self, now: Timestamp) -> Result<Initialised, Error> {
        let mut made = Vec::new();
        self.finish_restore()?;
        for folder in [self.folder.clone(), self.scripts()] {
            if make_folder(&folder)? {
                made.push(folder);
            }
        }
        let settings = self.settings_file();
        if make_file(&settings, include_str!("grantkeeper.toml"))? {
            made.push(settings);
        }
        let keys = self.key_source(&self.settings()?);
        if let KeySource::File(path) = &keys
            && !path.exists()
        {
            if self.store().exists() {
                return Err(Error::KeysMissing { store: self.store(), keys: keys.clone() });
            }
            Keyring::create_file(path, now)?;
            made.push(path.clone());
        }
        // Opened once, so that a key file that cannot be used is told now.
        self.keyring()?;
        if make_folder(&self.store())? {
            made.push(self.store());
        }
        Ok(Initialised { folder: self.folder.clone(), keys, made })
    }

    /// Reads the settings.
    pub fn settings(&self) -> Result<Settings, Error> {
        let path = self.settings_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(Error::NoHome(self.folder.clone())),
            Err(error) => return Err(Error::file(&path, &error)),
        };
        toml::from_str(&text).map_err(|error| Error::Settings { path, reason: wrong_settings(&text, &error) })
    }

    /// Opens the keyring.
    pub fn keyring(&self) -> Result<Keyring, Error> {
        match self.key_source(&self.settings()?) {
            KeySource::Environment => {
                let text = zeroize::Zeroizing::new(std::env::var(KEYS_VARIABLE).unwrap_or_default());
                Ok(Keyring::from_text(&text, KEYS_VARIABLE)?)
            }
            // The service manager owns that folder and its modes.
            KeySource::Credential(path) => {
                let text = std::fs::read_to_string(&path).map_err(|error| Error::file(&path, &error))?;
                Ok(Keyring::from_text(&zeroize::Zeroizing::new(text), &path.display().to_string())?)
            }
            KeySource::File(path) => Ok(Keyring::from_file(&path)?),
        }
    }

    /// Where the keys come from: the environment, the service manager, the settings' file, the usual file.
    #[must_use]
    pub fn key_source(&self, settings: &Settings) -> KeySource {
        if self.only_this_file {
            return KeySource::File(self.key_file.clone());
        }
        if std::env::var_os(KEYS_VARIABLE).is_some() {
            return KeySource::Environment;
        }
        if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            let path = PathBuf::from(folder).join(KEYS_CREDENTIAL);
            if path.exists() {
                return KeySource::Credential(path);
            }
        }
        KeySource::File(settings.keys.file.clone().unwrap_or_else(|| self.key_file.clone()))
    }
}

/// Makes a folder for its owner only; `false` when it was there.
fn make_folder(path: &Path) -> Result<bool, Error> {
    if path.is_dir() {
        return Ok(false);
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| Error::file(path, &error))?;
    Ok(true)
}

/// Makes a file for its owner only; `false` when it was there.
fn make_file(path: &Path, text: &str) -> Result<bool, Error> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).map_err(|error| Error::file(path, &error))?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::file(path, &error)),
    }
}
/// What is wrong with settings, with what would be right.
fn wrong_settings(text: &str, error: &toml::de::Error) -> String {
    wrong_in(text, error, "setting")
        .replace("expected socket address", "expected an address with a port, e.g. \"127.0.0.1:8765\"")
        .replace("invalid socket address syntax", "expected an address with a port, e.g. \"127.0.0.1:8765\"")
        .replace("relative URL without a base", "expected a whole URL, e.g. \"https://grants.example.com\"")
}
