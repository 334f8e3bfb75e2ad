//! Copies of a store in use, and stores made of them.
//!
//! The journal is the authority and only ever grows at its end, so a copy of its files up to a synced group is the whole store at
//! that moment. The committer says between two groups which files and how long they are, and goes on: what it empties meanwhile stays on
//! disk until the copy is made ([`Hold`]). The records are sealed as they are; a backup alone opens nothing.

use super::files;
use super::segment::{self, Segment};
use crate::model::Timestamp;
use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

/// What a backup says of itself, in `backup.json`. Written last: a folder without it is no backup, or one that was not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Backup {
    /// The format of the backup.
    pub format: u32,
    /// Its id.
    pub id: Uuid,
    /// When it was made. It holds what was committed until then.
    pub made: Timestamp,
    /// The number of the last group of commits in it.
    pub commit: u64,
    /// How many records it holds.
    pub records: u64,
    /// The names of the keys that it was sealed with.
    pub keys: Vec<String>,
    /// Its files.
    pub files: Vec<BackupFile>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct BackupFile {
    /// Its name in the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}

/// What only the caller knows of a backup.
#[derive(Debug, Clone)]
pub struct BackupNote {
    /// The time.
    pub made: Timestamp,
    /// The names of the keys that records are sealed with.
    pub keys: Vec<String>,
}

/// The journal between two groups.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Number and length of each file.
    pub(super) files: Vec<(u64, u64)>,
    /// The number of the last group.
    pub(super) commit: u64,
    pub(super) records: u64,
    /// Keeps the files.
    pub(super) _hold: Hold,
}

/// As long as one is there, no journal file is removed.
#[derive(Debug)]
pub(super) struct Hold(Arc<AtomicUsize>);

impl Hold {
    pub(super) fn on(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The format that is written, and the newest that is read.
const FORMAT: u32 = 1;
const MANIFEST: &str = "backup.json";

/// Copies what a snapshot names into a new folder, and makes it durable.
pub(super) fn write(store: &Path, to: &Path, snapshot: &Snapshot, note: BackupNote) -> Result<Backup, StoreError> {
    let refuse = |reason: &str| StoreError::Backup { path: to.display().to_string(), reason: reason.to_owned() };
    let failed = |error: io::Error| refuse(&files::advice(&error));
    let store = store.canonicalize().map_err(failed)?;
    match std::fs::read_dir(to).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(refuse("it is there already and is never written over; name a folder that is new")),
        Ok(false) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let is_new = !to.exists();
    files::private_folder(to).map_err(failed)?;
    let within = to.canonicalize().map_err(failed)?.starts_with(&store);
    let copied = if within {
        Err(io::Error::other("it would lie in the store that it is a copy of; name a folder elsewhere"))
    } else {
        snapshot.files.iter().map(|(number, bytes)| copy(&store, to, *number, *bytes)).collect()
    };
    let made = copied.and_then(|files| {
        let (id, commit, records) = (Uuid::now_v7(), snapshot.commit, snapshot.records);
        let backup = Backup { format: FORMAT, id, made: note.made, commit, records, keys: note.keys, files };
        files::sync_folder(to)?;
        files::write_whole(to, MANIFEST, &serde_json::to_vec_pretty(&backup)?)?;
        // Its own name too.
        let whole = std::path::absolute(to)?;
        whole.parent().map_or(Ok(()), files::sync_folder)?;
        Ok(backup)
    });
    made.map_err(|error| {
        // Half a backup is refused, but takes room and a name.
        if is_new {
            let _ = std::fs::remove_dir_all(to);
        }
        if within { refuse(&error.to_string()) } else { failed(error) }
    })
}

/// Reads a backup from end to end: what it says of itself, the sum of each file, each group of commits.
pub(super) fn check(folder: &Path) -> Result<Backup, StoreError> {
    let backup = manifest(folder)?;
    let mut next = None;
    for file in &backup.files {
        let number = number_of(folder, file)?;
        let mut sink = io::sink();
        verified(folder, file, &mut sink)?;
        let contents = Segment::read(folder, number)?;
        let whole = contents.length == contents.size && next.is_none_or(|next| next == contents.first);
        if !whole {
            return Err(refused(folder, &format!("its file {} does not go on where the one before ends", file.name)));
        }
        next = Some(contents.first + contents.frames.len() as u64);
    }
    if next != Some(backup.commit + 1) {
        return Err(refused(
            folder,
            &format!("it does not reach commit {}, which it says that it holds", backup.commit),
        ));
    }
    Ok(backup)
}

/// Makes the folder of a store of a backup, each file compared with its sum once more as it is copied.
pub(super) fn unpack(folder: &Path, to: &Path) -> Result<Backup, StoreError> {
    let backup = check(folder)?;
    let failed = |error: io::Error| files::trouble(to, &error);
    files::private_folder(to).map_err(failed)?;
    for file in &backup.files {
        let place = to.join(segment::name(number_of(folder, file)?));
        let mut copy = files::private_file().write(true).create_new(true).open(place).map_err(failed)?;
        verified(folder, file, &mut copy)?;
        copy.sync_all().map_err(failed)?;
    }
    files::sync_folder(to).map_err(failed)?;
    Ok(backup)
}

fn manifest(folder: &Path) -> Result<Backup, StoreError> {
    let text = match read_manifest(&folder.join(MANIFEST)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reason =
                "there is no backup.json in it: it is no backup, or one that was not finished; take another one";
            return Err(StoreError::Backup { path: folder.display().to_string(), reason: reason.to_owned() });
        }
        read => read.map_err(|error| refused(folder, &files::advice(&error)))?,
    };
    // Before the rest: another format may be another document.
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let unreadable = |error: serde_json::Error| refused(folder, &format!("its backup.json cannot be read ({error})"));
    let Head { format } = serde_json::from_slice(&text).map_err(unreadable)?;
    if format > FORMAT {
        let path = folder.display().to_string();
        let reason = format!("it has format {format}, and this Grantkeeper knows up to {FORMAT}; use the newer one");
        return Err(StoreError::Backup { path, reason });
    }
    serde_json::from_slice(&text).map_err(unreadable)
}

/// Bytes of the longest backup.json: one line a journal file.
const LONGEST_MANIFEST: u64 = 16 << 20;

fn read_manifest(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    plain(path)?.take(LONGEST_MANIFEST).read_to_end(&mut text)?;
    Ok(text)
}

/// Opens a file of a backup that somebody else may have made: a link to a device or a pipe would be read for ever.
fn plain(path: &Path) -> io::Result<File> {
    match std::fs::symlink_metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::other("it is not a plain file")),
    }
}

/// The journal file that a file of a backup is. Its name comes from a file that anybody may have written: nothing but such a name is
/// looked for, and so nothing outside of the folder.
fn number_of(folder: &Path, file: &BackupFile) -> Result<u64, StoreError> {
    let number = file.name.rsplit('-').next().and_then(|digits| digits.parse().ok());
    number
        .filter(|number| segment::name(*number) == file.name)
        .ok_or_else(|| refused(folder, &format!("it names a file {:?}, which no backup has", file.name)))
}

/// Copies a file of a backup and compares it with its length and sum.
fn verified(folder: &Path, file: &BackupFile, to: &mut impl io::Write) -> Result<(), StoreError> {
    let failed = |error: io::Error| refused(folder, &format!("its file {}: {error}", file.name));
    let from = plain(&folder.join(&file.name)).map_err(failed)?;
    let (bytes, sha256) = summed(from, file.bytes.saturating_add(1), to).map_err(failed)?;
    if (bytes, &sha256) != (file.bytes, &file.sha256) {
        return Err(refused(folder, &format!("its file {} is not what was written", file.name)));
    }
    Ok(())
}

fn copy(store: &Path, to: &Path, number: u64, bytes: u64) -> io::Result<BackupFile> {
    let name = segment::name(number);
    let mut file = files::private_file().write(true).create_new(true).open(to.join(&name))?;
    let (copied, sha256) = summed(File::open(segment::path(store, number))?, bytes, &mut file)?;
    if copied != bytes {
        return Err(io::Error::other(format!("{name} is shorter than it was")));
    }
    file.sync_all()?;
    Ok(BackupFile { name, bytes, sha256 })
}

/// Copies up to `most` bytes; says how many, and their SHA-256.
fn summed(from: File, most: u64, to: &mut impl io::Write) -> io::Result<(u64, String)> {
    let mut from = from.take(most);
    let (mut hash, mut all) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            let hash: [u8; 32] = hash.finalize().into();
            return Ok((all, hash.iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        all += read as u64;
    }
}

fn refused(folder: &Path, reason: &str) -> StoreError {
    let reason = format!("{reason}; it is damaged, take another one");
    StoreError::Backup { path: folder.display().to_string(), reason }
}
