//! What a clean stop leaves behind, so that the next start need not read everything. It never has to be taken away: the
//! first commit makes the journal longer than it says, and then it fits no more.

use super::files;
use super::layout::Sum;
use super::segment::{self, Segment};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

const NAME: &str = "clean";

/// The state of journal and index at a clean stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// The format of the journal's last file. A marker of a newer one is none; the file's head then says what is wrong.
    pub(super) format: u32,
    /// The number of the last group.
    pub(super) sequence: u64,
    /// The sum of the index after it.
    pub(super) sum: Sum,
    /// The journal's files.
    pub(super) segments: Vec<Segment>,
}

impl Marker {
    /// The marker of the last clean stop. One that cannot be read is none.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let bytes = std::fs::read(folder.join(NAME)).ok()?;
        let (crc, content) = bytes.split_first_chunk()?;
        if u32::from_be_bytes(*crc) != crc32fast::hash(content) {
            return None;
        }
        postcard::from_bytes(content).ok().filter(|marker: &Self| marker.format <= segment::FORMAT)
    }

    /// Writes it, durable.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let content = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let crc = crc32fast::hash(&content).to_be_bytes();
        files::write_whole(folder, NAME, &[crc.as_slice(), &content].concat())
    }

    /// Whether there ever was a clean stop.
    pub(super) fn exists(folder: &Path) -> bool {
        folder.join(NAME).exists()
    }

    /// Whether the journal's files are as they were.
    pub(super) fn fits(&self, folder: &Path) -> io::Result<bool> {
        let numbers = segment::list(folder)?;
        if !numbers.iter().eq(self.segments.iter().map(|segment| &segment.number)) {
            return Ok(false);
        }
        for segment in &self.segments {
            if segment.path(folder).metadata()?.len() != segment.length {
                return Ok(false);
            }
        }
        Ok(!numbers.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_with_a_changed_byte_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let segments = vec![Segment { number: 1, first: 1, length: 70, live: 2, live_bytes: 30 }];
        let marker = Marker { format: segment::FORMAT, sequence: 3, sum: Sum::default(), segments };
        marker.write(folder.path()).unwrap();
        assert_eq!(Marker::read(folder.path()), Some(marker));
        let bytes = std::fs::read(folder.path().join(NAME)).unwrap();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            std::fs::write(folder.path().join(NAME), bytes).unwrap();
            assert_eq!(Marker::read(folder.path()), None, "byte {at}");
        }
    }
}
