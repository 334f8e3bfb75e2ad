//! One file of the journal: a head, then frames.
//!
//! The head is 40 bytes: `GKJOURNL`, the format's version (4 bytes), the file's number, the oldest file needed when it
//! was made, the number of its first group (8 bytes each) and the CRC-32 of all that; big-endian.

use super::files;
use super::frame::Frame;
use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The format that is written, and the newest that is read: 2 since there are events, 3 since there are API keys and the audit log,
/// 4 since there are webhooks, 5 since pages of the audit log are packed, which is all that they differ in. A reader of an earlier format would take a frame with such a
/// record for a torn end and cut it off, or go on behind a page that it cannot read; a higher number in the head keeps it away. So nothing is added to a file of an earlier format: the next one is begun.
pub(super) const FORMAT: u32 = 5;

const MAGIC: &[u8; 8] = b"GKJOURNL";
pub(super) const HEAD: u64 = 40;
const PREFIX: &str = "journal-";

/// What is known of a file of the journal without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    /// Its place in the row of files, from 1.
    pub(super) number: u64,
    /// The number of its first group.
    pub(super) first: u64,
    /// Up to where it is whole, in bytes.
    pub(super) length: u64,
    /// Records that were last written here.
    pub(super) live: u64,
    /// What they take in the index, in bytes.
    pub(super) live_bytes: u64,
}

/// A file of the journal, read.
#[derive(Debug)]
pub(super) struct Contents {
    /// Its groups.
    pub(super) frames: Vec<Frame>,
    /// Its format.
    pub(super) format: u32,
    /// The oldest file needed, as the last word in it says.
    pub(super) oldest: u64,
    /// The number of its first group.
    pub(super) first: u64,
    /// Up to where it is whole, in bytes.
    pub(super) length: u64,
    /// How long it is. More than `length` where the end is torn.
    pub(super) size: u64,
}

impl Segment {
    /// Makes a file without frames, durable with its name.
    pub(super) fn create(folder: &Path, number: u64, oldest: u64, first: u64) -> io::Result<(Self, File)> {
        let mut head = MAGIC.to_vec();
        head.extend(FORMAT.to_be_bytes());
        for field in [number, oldest, first] {
            head.extend(field.to_be_bytes());
        }
        head.extend(crc32fast::hash(&head).to_be_bytes());
        files::write_whole(folder, &name(number), &head)?;
        let file = append_to(folder, number)?;
        Ok((Self { number, first, length: HEAD, live: 0, live_bytes: 0 }, file))
    }

    /// Adds a frame and syncs it. After an error the file is as it was, or the second value of the error says that
    /// even that is not known.
    pub(super) fn append(&mut self, file: &mut File, frame: &[u8]) -> Result<(), (io::Error, bool)> {
        match file.write_all(frame).and_then(|()| file.sync_data()) {
            Ok(()) => {
                self.length += frame.len() as u64;
                Ok(())
            }
            Err(error) => {
                let restored = file.set_len(self.length).and_then(|()| file.sync_data());
                Err((error, restored.is_ok()))
            }
        }
    }

    /// Reads the file of a number. A torn end is what the last file may have; `Damaged` when a whole frame follows.
    pub(super) fn read(folder: &Path, number: u64) -> Result<Contents, StoreError> {
        let path = path(folder, number);
        let bytes = std::fs::read(&path).map_err(|error| files::trouble(&path, &error))?;
        let damaged = |reason: String| StoreError::Damaged { path: path.display().to_string(), reason };
        let (format, oldest, first) = read_head(&bytes, number).map_err(|wrong| match wrong {
            WrongHead::Newer(version) => StoreError::Io {
                path: path.display().to_string(),
                reason: format!(
                    "it has format {version}, and this Grantkeeper knows up to {FORMAT}; use the newer Grantkeeper that wrote it"
                ),
            },
            WrongHead::Damaged => damaged(format!("its head is not one that we wrote; {RESTORE}")),
        })?;
        let mut contents =
            Contents { frames: Vec::new(), format, oldest, first, length: HEAD, size: bytes.len() as u64 };
        let mut at = HEAD as usize;
        while let Some((frame, length)) = Frame::decode(&bytes[at..]) {
            if frame.sequence != first + contents.frames.len() as u64 {
                return Err(damaged(format!(
                    "at byte {at} stands commit group {} where {} belongs; {RESTORE}",
                    frame.sequence,
                    first + contents.frames.len() as u64
                )));
            }
            at += length;
            contents.oldest = frame.oldest;
            contents.frames.push(frame);
        }
        contents.length = at as u64;
        if at < bytes.len() && Frame::is_anywhere_in(&bytes[at + 1..]) {
            return Err(damaged(format!("what stands at byte {at} was changed after it was written; {RESTORE}")));
        }
        Ok(contents)
    }

    /// Whether it has no frame yet.
    pub(super) fn is_empty(&self) -> bool {
        self.length <= HEAD
    }

    /// Where it lies.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        path(folder, self.number)
    }
}

/// What to do about a journal that is not whole.
pub(super) const RESTORE: &str = "put the whole store folder back from a backup";

/// The numbers of the journal's files, in order.
pub(super) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The path of the file of a number.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(name(number))
}

/// Opens the file of a number to add to it.
pub(super) fn append_to(folder: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new().append(true).open(path(folder, number))
}

/// What the file of a number is called.
pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{number:08}")
}

enum WrongHead {
    Newer(u32),
    Damaged,
}

/// The format, the oldest file needed and the first group of a file's head.
fn read_head(bytes: &[u8], number: u64) -> Result<(u32, u64, u64), WrongHead> {
    let head = bytes.get(..HEAD as usize).ok_or(WrongHead::Damaged)?;
    let (content, crc) = head.split_at(HEAD as usize - 4);
    let field = |at: usize| content[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let version = content[8..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    if !content.starts_with(MAGIC) {
        return Err(WrongHead::Damaged);
    }
    if version > FORMAT {
        return Err(WrongHead::Newer(version)); // before the checksum: a newer head may have another length
    }
    let (oldest, first) = (field(20), field(28));
    let counts = 1..=u64::MAX / 2; // what is read can be added to without a thought
    if crc32fast::hash(content).to_be_bytes() != crc || field(12) != number || !counts.contains(&first) {
        return Err(WrongHead::Damaged);
    }
    Ok((version, oldest, first))
}
