//! The folder, its lock and its files: private to the owner, and on disk when a function here says so.

use crate::store::StoreError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// How long is slept between two looks at a lock that another process holds.
pub(super) const PAUSE: Duration = Duration::from_millis(25);

/// Makes the folder, or takes from group and others what rights they have on it.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        builder.mode(0o700).create(folder)?;
        let rights = folder.metadata()?.permissions();
        if rights.mode() & 0o077 != 0 {
            std::fs::set_permissions(folder, PermissionsExt::from_mode(rights.mode() & 0o700))?;
        }
        Ok(())
    }
    #[cfg(not(unix))]
    builder.create(folder)
}

/// How files of the store are opened: for the owner only.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes from group and others what rights they have on what lies in a folder; sled makes its files as the umask says.
pub(super) fn make_private_below(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    for entry in std::fs::read_dir(folder)? {
        use std::os::unix::fs::PermissionsExt;
        let entry = entry?;
        let make_private = || {
            let metadata = entry.metadata()?;
            let mode = metadata.permissions().mode();
            if mode & 0o077 != 0 {
                std::fs::set_permissions(entry.path(), PermissionsExt::from_mode(mode & 0o700))?;
            }
            if metadata.is_dir() { make_private_below(&entry.path()) } else { Ok(()) }
        };
        unless_gone(make_private())?;
    }
    Ok(())
}

/// A file that went while its folder was walked is no trouble: sled removes those of old values behind our back.
fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Writes a file so that after a crash it is there whole or not at all, under its name only once its content is on
/// disk.
pub(super) fn write_whole(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    let write = || {
        let mut file = private_file().write(true).create(true).truncate(true).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, folder.join(name))?;
        sync_folder(folder)
    };
    write().inspect_err(|_| {
        let _ = std::fs::remove_file(&beside); // the next write replaces it; the first error is the one to tell
    })
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and names are made durable with the file.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Makes what lies in a folder and below it durable, and the names.
pub(super) fn sync_below(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        unless_gone(match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => sync_below(&entry.path()),
            Ok(_) => File::open(entry.path()).and_then(|file| file.sync_all()),
            Err(error) => Err(error),
        })?;
    }
    sync_folder(folder)
}

/// Takes the lock of the store, waiting up to `wait` for whoever holds it. It is let go when the file is dropped,
/// also when the process dies.
pub(super) fn lock(folder: &Path, wait: Duration) -> Result<File, StoreError> {
    let open = || {
        private_folder(folder)?;
        private_file().write(true).create(true).truncate(false).open(folder.join("lock"))
    };
    let mut file = open().map_err(|error| trouble(folder, &error))?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            // Whoever moves the folder away holds the lock while he does: then this is not the lock of what is there now.
            Ok(()) if is_there(folder, &file) => return Ok(file),
            Ok(()) => file = open().map_err(|error| trouble(folder, &error))?,
            Err(TryLockError::Error(error)) => return Err(trouble(folder, &error)),
            Err(TryLockError::WouldBlock) if waited >= wait => return Err(held(folder, waited)),
            Err(TryLockError::WouldBlock) => pause(&mut waited),
        }
    }
}

/// Whether a file is the lock that lies in a folder.
fn is_there(folder: &Path, lock: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |about: std::fs::Metadata| (about.dev(), about.ino());
        let ours = lock.metadata().map(id).ok();
        ours.is_some() && ours == std::fs::metadata(folder.join("lock")).map(id).ok()
    }
    #[cfg(not(unix))]
    {
        let _ = (folder, lock);
        true // a folder with an open file is not moved there
    }
}

/// The lock of a store's folder, until it is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "it is held and not read")] pub(super) File);

/// Waits a little for another process, and counts it.
pub(super) fn pause(waited: &mut Duration) {
    #[allow(clippy::disallowed_methods)] // a lock of another process has no event to wait for
    std::thread::sleep(PAUSE);
    *waited += PAUSE;
}

/// Somebody else has the store.
pub(super) fn held(folder: &Path, waited: Duration) -> StoreError {
    StoreError::Held { path: folder.display().to_string(), waited: waited.as_secs() }
}

/// What the system said, with what to do about the usual reasons.
pub(super) fn trouble(folder: &Path, error: &io::Error) -> StoreError {
    StoreError::Io { path: folder.display().to_string(), reason: advice(error) }
}

/// An error of the system, and what to do.
pub(super) fn advice(error: &io::Error) -> String {
    let next = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space and try again",
        io::ErrorKind::FileTooLarge => "; raise the file size limit (ulimit -f) and try again",
        io::ErrorKind::PermissionDenied => "; run as the user that owns the folder",
        io::ErrorKind::ReadOnlyFilesystem => "; mount the file system for writing",
        _ => "; look at the disk and the folder's rights, then try again",
    };
    format!("{error}{next}")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_goes_while_its_folder_is_walked_is_no_trouble() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"stays").unwrap();
        // It is listed, and not there when it is opened.
        std::os::unix::fs::symlink("gone", folder.path().join("listed")).unwrap();
        make_private_below(folder.path()).unwrap();
        sync_below(folder.path()).unwrap();
    }
}
