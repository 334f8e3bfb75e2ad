//! Where the home folder and the key file are when nobody says.

use super::error::Error;
use crate::connector::Home;
use etcetera::BaseStrategy as _;
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The home folder and key file that were named, or the platform's.
pub(super) fn home(folder: Option<&Path>, key_file: Option<&Path>) -> Result<Home, Error> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => platform()?.data_dir().join("grantkeeper"),
    };
    let folder = real_path(&folder)?;
    match key_file {
        Some(file) => Ok(Home::new(&folder, file).with_keys(file)),
        None => Ok(Home::new(&folder, platform()?.config_dir().join("grantkeeper").join(key_file_name(&folder)))),
    }
}

/// The key file of a home: its folder's name, and a hash of its whole path, so that two homes never share keys by
/// accident and a copy of a home, which lies elsewhere, has none.
fn key_file_name(folder: &Path) -> String {
    let name: String = folder
        .file_name()
        .map(OsStr::to_string_lossy)
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .take(40)
        .collect();
    let hash = Sha256::digest(folder.as_os_str().as_bytes());
    let short: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{name}-{short}.keys")
}

/// The path without links and dots, as far as it exists: the same home has the same keys whichever way it is named.
fn real_path(folder: &Path) -> Result<PathBuf, Error> {
    let wrong = |error: std::io::Error| Error::System(format!("{}: {error}", folder.display()));
    let whole = std::path::absolute(folder).map_err(wrong)?;
    let mut missing = Vec::new();
    let mut there = whole.as_path();
    loop {
        if let Ok(real) = there.canonicalize() {
            return Ok(missing.into_iter().rev().fold(real, |path, part| path.join(part)));
        }
        let (Some(parent), Some(name)) = (there.parent(), there.file_name()) else { return Ok(whole) };
        missing.push(name);
        there = parent;
    }
}

fn platform() -> Result<impl etcetera::BaseStrategy, Error> {
    etcetera::choose_base_strategy().map_err(|_| {
        Error::System("your home folder is not known; set HOME, or name both --home and --key-file".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_homes_have_two_key_files() {
        let a = key_file_name(Path::new("/a/grantkeeper"));
        let b = key_file_name(Path::new("/b/grantkeeper"));
        assert_ne!(a, b);
        assert!(a.starts_with("grantkeeper-") && a.ends_with(".keys"), "{a}");
    }

    #[test]
    fn a_home_has_one_key_file_by_whichever_way_it_is_named() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("home");
        let before = real_path(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, temporary.path().join("link")).unwrap();
        assert_eq!(real_path(&folder).unwrap(), before, "made or not yet made");
        assert_eq!(real_path(&temporary.path().join("link")).unwrap(), before, "through a link");
        assert_eq!(real_path(&temporary.path().join("link/../home")).unwrap(), before, "with dots");
    }

    #[test]
    fn a_folder_with_an_odd_name_has_a_plain_key_file() {
        let name = key_file_name(Path::new("/x/\u{1b}[2J \u{e9}"));
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{name}");
    }
}
