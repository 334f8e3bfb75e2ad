//! Files that commands write and read for a person: never over what is there by accident, and what is read has an end.

use super::error::Error;
use crate::connector;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes of a recorded reply: what the HTTP client takes of a body by default, and headers.
const MOST_BYTES: u64 = 2 * 1024 * 1024;

/// Refuses to go on where a file is there already.
pub(super) fn must_be_free(path: &Path, force: bool) -> Result<(), Error> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(there_already(path));
    }
    Ok(())
}

/// Writes a file, and the folders that it lies in; over another with `force` alone. `private`: for its owner only.
pub(super) fn write(path: &Path, text: &str, force: bool, private: bool) -> Result<(), Error> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => there_already(path),
        _ => connector::Error::File { path: path.to_owned(), reason: error.to_string() }.into(),
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(if private { 0o600 } else { 0o666 });
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options.open(path).map_err(failed)?;
    if private {
        // One that was there may be open to others.
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    }
    file.write_all(text.as_bytes()).map_err(failed)
}

/// What a file holds, or standard input where it is `-`.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let trouble = |error: std::io::Error| Error::Input(format!("{} cannot be read: {error}", path.display()));
    let mut bytes = Zeroizing::new(Vec::new());
    if path == Path::new("-") {
        std::io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(trouble)?;
    } else {
        let file = std::fs::File::open(path).map_err(trouble)?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(trouble)?;
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::Input(format!("{} is longer than {MOST_BYTES} bytes; no token reply is", path.display())));
    }
    Ok(bytes)
}

fn there_already(path: &Path) -> Error {
    Error::Exists(format!("{} is there already; edit it, or write over it with --force", path.display()))
}
