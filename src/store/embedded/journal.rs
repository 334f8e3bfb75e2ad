//! The journal: the authority on what the store holds. A commit is one when its frame is synced here; the index can
//! always be made again from it.
//!
//! It is a row of files ([`segment`]). When the last is large, the next is begun. When all together are more than twice
//! what the live records need, the oldest file is emptied: its records that are still live are written again at the
//! end (in a frame that says that the file is no longer needed), and then it is removed. So the journal is bounded, a removed record is gone for good,
//! the work is spread over the commits that cause it, and at each step a crash leaves a journal that reads the same:
//! a record that stands twice stands there with the same content, and a file that comes back is not read.

use super::backup::{Hold, Snapshot};
use super::files;
use super::frame::Frame;
use super::index::Fault;
use super::layout::Sum;
use super::marker::Marker;
use super::segment::{self, Contents, Segment};
use crate::store::{Key, Row, StoreError};
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    /// All files that are needed; never empty, the last is written.
    segments: VecDeque<Segment>,
    tail: File,
    /// The format of the last file.
    tail_format: u32,
    /// How large a file may be before the next is begun, in bytes.
    segment_bytes: u64,
    /// The number of the last group.
    sequence: u64,
    /// The sum of the index after it.
    sum: Sum,
    /// Set when a failed write could not be taken back: that comes first then.
    broken: bool,
    /// How many copies of the files are being made.
    holds: Arc<AtomicUsize>,
    /// Emptied files that a copy may still need.
    emptied: Vec<PathBuf>,
    /// What the last group was encoded in.
    buffer: Vec<u8>,
}

/// The largest buffer that is kept for the next group, in bytes.
const LARGEST_BUFFER: usize = 4 << 20;

impl Journal {
    /// Makes the first file.
    pub(super) fn create(folder: &Path, segment_bytes: u64) -> Result<Self, StoreError> {
        let (segment, tail) = Segment::create(folder, 1, 1, 1).map_err(|error| files::trouble(folder, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
            segments: [segment].into(),
            tail,
            tail_format: segment::FORMAT,
            segment_bytes,
            sequence: 0,
            sum: Sum::default(),
            broken: false,
            holds: Arc::default(),
            emptied: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Goes on where a clean stop left off, without reading.
    pub(super) fn resume(folder: &Path, segment_bytes: u64, marker: Marker) -> Result<Self, StoreError> {
        let last = marker.segments.last().map_or(0, |segment| segment.number);
        let tail = segment::append_to(folder, last).map_err(|error| files::trouble(folder, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
            segments: marker.segments.into(),
            tail,
            tail_format: marker.format,
            segment_bytes,
            sequence: marker.sequence,
            sum: marker.sum,
            broken: false,
            holds: Arc::default(),
            emptied: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Reads all files and checks that they are whole and follow each other. A torn end is left where it is; see
    /// [`Journal::cut_torn_end`].
    pub(super) fn recover(folder: &Path, segment_bytes: u64) -> Result<Self, StoreError> {
        let trouble = |error| files::trouble(folder, &error);
        let numbers = segment::list(folder).map_err(trouble)?;
        let Some(&last) = numbers.last() else {
            return Err(missing(folder, 1));
        };
        let end = Segment::read(folder, last)?;
        let sequence = end.first + end.frames.len() as u64 - 1; // `first` is checked to be 1 or more
        let oldest = end.oldest.clamp(1, last);
        let mut sum = end.frames.last().map(|frame| frame.sum);
        let mut segments = VecDeque::new();
        let mut next_first = None;
        for number in oldest..=last {
            if numbers.binary_search(&number).is_err() {
                return Err(missing(folder, number));
            }
            let Contents { frames, first, length, size, .. } = Segment::read(folder, number)?;
            let damaged = |what: String| StoreError::Damaged {
                path: segment::path(folder, number).display().to_string(),
                reason: format!("{what}; {}", segment::RESTORE),
            };
            if number < last && length < size {
                return Err(damaged(format!("it is whole up to byte {length} only")));
            }
            if let Some(next) = next_first.filter(|next| *next != first) {
                let what = format!("it starts at commit group {first}, which does not follow {}", next - 1);
                return Err(damaged(what));
            }
            next_first = Some(first + frames.len() as u64);
            if number == last - 1 && sum.is_none() {
                sum = frames.last().map(|frame| frame.sum);
            }
            segments.push_back(Segment { number, first, length, live: 0, live_bytes: 0 });
        }
        Ok(Self {
            folder: folder.to_owned(),
            segments,
            tail: segment::append_to(folder, last).map_err(trouble)?,
            tail_format: end.format,
            segment_bytes,
            sequence,
            sum: sum.unwrap_or_default(),
            broken: false,
            holds: Arc::default(),
            emptied: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Cuts off what stands behind the last whole frame: a write that a crash interrupted and that nobody was told of. Also
    /// removes files that are no longer needed.
    pub(super) fn cut_torn_end(&mut self) -> Result<(), StoreError> {
        let cut = || {
            let whole = self.segments.back().map_or(0, |segment| segment.length);
            if self.tail.metadata()?.len() > whole {
                self.tail.set_len(whole)?;
                self.tail.sync_data()?;
            }
            let oldest = self.segments.front().map_or(0, |segment| segment.number);
            let is_needed = |number: &u64| *number >= oldest || self.is_held();
            for number in segment::list(&self.folder)?.into_iter().filter(|number| !is_needed(number)) {
                std::fs::remove_file(segment::path(&self.folder, number))?;
            }
            files::sync_folder(&self.folder)
        };
        cut().map_err(|error| files::trouble(&self.folder, &error))?;
        self.broken = false;
        Ok(())
    }

    /// Makes a group durable. After an error it is not in the journal, and the journal can be used on.
    pub(super) fn append(
        &mut self,
        changes: Vec<(Key, Option<Row>)>,
        sum: Sum,
        releases_oldest: bool,
    ) -> Result<(), StoreError> {
        if self.broken {
            self.cut_torn_end()?;
        }
        let path = self.folder.display().to_string();
        let refuse = |reason: &str| StoreError::Io { path, reason: format!("nothing was written: {reason}") };
        let is_full = self.segments.back().is_none_or(|tail| tail.length >= self.segment_bytes);
        let is_full = is_full || self.tail_format < segment::FORMAT;
        if let Err(error) = if is_full { self.begin_next() } else { Ok(()) } {
            return Err(refuse(&files::advice(&error)));
        }
        let oldest = self.segments.front().map_or(1, |segment| segment.number) + u64::from(releases_oldest);
        let frame = Frame { sequence: self.sequence + 1, oldest, sum, changes };
        let Some((tail, bytes)) = self.segments.back_mut().zip(frame.encode(std::mem::take(&mut self.buffer))) else {
            return Err(refuse("the commit is too large; write it in parts"));
        };
        let appended = tail.append(&mut self.tail, &bytes);
        if bytes.capacity() <= LARGEST_BUFFER {
            self.buffer = bytes;
        }
        match appended {
            Ok(()) => {
                (self.sequence, self.sum) = (frame.sequence, sum);
                Ok(())
            }
            Err((error, restored)) => {
                self.broken = !restored;
                Err(refuse(&files::advice(&error)))
            }
        }
    }

    /// Calls `each` with the groups after `after`, in order.
    pub(super) fn replay<E: From<StoreError>>(
        &self,
        after: u64,
        mut each: impl FnMut(Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        for (at, segment) in self.segments.iter().enumerate() {
            if self.segments.get(at + 1).is_some_and(|next| next.first <= after + 1) {
                continue;
            }
            for frame in Segment::read(&self.folder, segment.number)?.frames {
                if frame.sequence > after {
                    each(frame)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the oldest file should be emptied: all take more than twice what the live records need, and two files
    /// more, so that small stores do not empty files all the time.
    pub(super) fn is_overgrown(&self) -> bool {
        let all: u64 = self.segments.iter().map(|segment| segment.length).sum();
        let live: u64 = self.segments.iter().map(|segment| segment.live_bytes).sum();
        self.segments.len() > 1 && all > 2 * (live + self.segment_bytes)
    }

    /// Begins a file, unless the last one is still empty, and gives its number: what was written before is in the files below.
    pub(super) fn begin_file(&mut self) -> Result<u64, StoreError> {
        if self.broken {
            self.cut_torn_end()?;
        }
        if !self.segments.back().is_some_and(Segment::is_empty) {
            self.begin_next().map_err(|error| files::trouble(&self.folder, &error))?;
        }
        Ok(self.segments.back().map_or(1, |segment| segment.number))
    }

    /// The numbers of the oldest and the newest file.
    pub(super) fn range(&self) -> (u64, u64) {
        let number = |segment: Option<&Segment>| segment.map_or(1, |segment| segment.number);
        (number(self.segments.front()), number(self.segments.back()))
    }

    /// How much of the oldest file is written again in one group, in bytes: half a file, so that readers and committers
    /// get in between.
    pub(super) fn step_bytes(&self) -> u64 {
        self.segment_bytes / 2
    }

    /// The oldest file: its groups, and how many live records it must hold.
    pub(super) fn oldest(&self) -> Result<(Vec<Frame>, u64), StoreError> {
        let Some(oldest) = self.segments.front() else { return Ok((Vec::new(), 0)) };
        Ok((Segment::read(&self.folder, oldest.number)?.frames, oldest.live))
    }

    /// Removes the oldest file, once a frame says that it is not needed. One that cannot be removed is tried again
    /// when the store is next checked; nothing reads it.
    pub(super) fn drop_oldest(&mut self) {
        let Some(oldest) = self.segments.pop_front() else { return };
        self.emptied.push(oldest.path(&self.folder));
        self.remove_emptied();
    }

    /// Removes emptied files, unless a copy is being made.
    pub(super) fn remove_emptied(&mut self) {
        if self.emptied.is_empty() || self.is_held() {
            return;
        }
        for path in std::mem::take(&mut self.emptied) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "an emptied journal file could not be removed");
            }
        }
        if let Err(error) = files::sync_folder(&self.folder) {
            tracing::warn!(%error, "that emptied journal files are gone could not be made sure of");
        }
    }

    /// Whether a copy of the files is being made.
    pub(super) fn is_held(&self) -> bool {
        self.holds.load(Ordering::SeqCst) > 0
    }

    /// What a copy made now would have. The files stay as long as the snapshot does.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            files: self.segments.iter().map(|segment| (segment.number, segment.length)).collect(),
            commit: self.sequence,
            records: self.records(),
            _hold: Hold::on(&self.holds),
        }
    }

    /// Forgets what is live, to count it again.
    pub(super) fn forget_live(&mut self) {
        for segment in &mut self.segments {
            (segment.live, segment.live_bytes) = (0, 0);
        }
    }

    /// Counts a record as last written by a group. A group that no file here has is a damaged index.
    pub(super) fn born(&mut self, sequence: u64, bytes: u64) -> Result<(), Fault> {
        let segment = self.segment_of(sequence)?;
        segment.live += 1;
        segment.live_bytes += bytes;
        Ok(())
    }

    /// A record that a group wrote was replaced or removed.
    pub(super) fn died(&mut self, sequence: u64, bytes: u64) -> Result<(), Fault> {
        let segment = self.segment_of(sequence)?;
        segment.live = segment.live.checked_sub(1).ok_or_else(|| Fault::damage("more records went than there were"))?;
        segment.live_bytes = segment.live_bytes.saturating_sub(bytes);
        Ok(())
    }

    /// The number of the last group, and the sum after it.
    pub(super) fn progress(&self) -> (u64, Sum) {
        (self.sequence, self.sum)
    }

    /// The number of the first group that can be read again.
    pub(super) fn first(&self) -> u64 {
        self.segments.front().map_or(1, |segment| segment.first)
    }

    /// The number of live records.
    pub(super) fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.live).sum()
    }

    /// What a clean stop leaves behind.
    pub(super) fn marker(&self) -> Marker {
        let segments = self.segments.iter().cloned().collect();
        Marker { format: self.tail_format, sequence: self.sequence, sum: self.sum, segments }
    }

    fn begin_next(&mut self) -> std::io::Result<()> {
        let (number, oldest) = (
            self.segments.back().map_or(1, |segment| segment.number + 1),
            self.segments.front().map_or(1, |segment| segment.number),
        );
        let (segment, tail) = Segment::create(&self.folder, number, oldest, self.sequence + 1)?;
        self.segments.push_back(segment);
        self.tail = tail;
        self.tail_format = segment::FORMAT;
        Ok(())
    }

    fn segment_of(&mut self, sequence: u64) -> Result<&mut Segment, Fault> {
        let behind = self.segments.partition_point(|segment| segment.first <= sequence);
        if sequence > self.sequence || behind == 0 {
            return Err(Fault::damage("a record was written by a group that the journal does not know"));
        }
        Ok(&mut self.segments[behind - 1])
    }
}

fn missing(folder: &Path, number: u64) -> StoreError {
    StoreError::Damaged {
        path: folder.display().to_string(),
        reason: format!(
            "its journal file {} is missing; {}",
            segment::path(folder, number).display(),
            segment::RESTORE
        ),
    }
}
