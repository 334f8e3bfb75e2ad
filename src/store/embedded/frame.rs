//! One record of the journal: everything that one sync made durable.
//!
//! `GKfr`, the length of the body and its CRC-32 (both big-endian, 4 bytes), the body. A frame is one group of
//! commits and is synced before the next one is written. So what a crash can tear is one frame, the last: a bad frame
//! with a good one behind it was whole once, and somebody was told that it is safe.

use super::layout::Sum;
use crate::store::{Key, Row};
use serde::{Deserialize, Serialize};

/// The largest body, in bytes: four times what one commit may weigh. A length above it is damage, not a reason to ask for memory.
pub(super) const LARGEST: usize = 64 << 20;

const MAGIC: &[u8; 4] = b"GKfr";
const HEAD: usize = 12;

/// A group of commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frame {
    /// Counts the groups of the store, from 1.
    pub(super) sequence: u64,
    /// The oldest journal file that is still needed. Those below it are not read again, also when they come back.
    pub(super) oldest: u64,
    /// The sum of the index after it.
    pub(super) sum: Sum,
    /// What changed, in order.
    pub(super) changes: Vec<(Key, Option<Row>)>,
}

impl Frame {
    /// Its bytes, in a buffer that may have been used before; `None` when it is too large to be read again.
    pub(super) fn encode(&self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        bytes.clear();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 8]);
        bytes = postcard::to_extend(self, bytes).ok()?;
        let body = bytes.len() - HEAD;
        if body > LARGEST {
            return None;
        }
        let length = u32::try_from(body).ok()?.to_be_bytes();
        bytes[4..8].copy_from_slice(&length);
        let crc = crc32fast::hash(&bytes[HEAD..]).to_be_bytes();
        bytes[8..12].copy_from_slice(&crc);
        Some(bytes)
    }

    /// The frame that starts `bytes`, and where it ends; `None` when there is no whole one.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = usize::try_from(number(4)).ok()?;
        if !head.starts_with(MAGIC) || length > LARGEST {
            return None;
        }
        let body = rest.get(..length)?;
        if crc32fast::hash(body) != number(8) {
            return None;
        }
        match postcard::take_from_bytes(body) {
            Ok((frame, [])) => Some((frame, HEAD + length)),
            _ => None,
        }
    }

    /// Whether a whole frame starts anywhere in `bytes`.
    pub(super) fn is_anywhere_in(bytes: &[u8]) -> bool {
        (0..bytes.len()).any(|at| bytes[at..].starts_with(MAGIC) && Self::decode(&bytes[at..]).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame() -> Frame {
        let changes = vec![(Key::Pending([7; 32]), None)];
        Frame { sequence: 3, oldest: 1, sum: Sum::default().with(b"a", b"b"), changes }
    }

    #[test]
    fn a_frame_reads_back_and_says_where_it_ends() {
        let mut bytes = frame().encode(Vec::new()).unwrap();
        let length = bytes.len();
        bytes.extend(b"what follows");
        assert_eq!(Frame::decode(&bytes), Some((frame(), length)));
        assert!(Frame::is_anywhere_in(&[b"GKfrGK", bytes.as_slice()].concat()));
    }

    proptest! {
        #[test]
        fn a_frame_with_a_changed_or_missing_byte_is_none(at in 0..70usize, bit in 0..8u8, cut in any::<bool>()) {
            let mut bytes = frame().encode(Vec::new()).unwrap();
            let at = at % bytes.len();
            if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
            prop_assert_eq!(Frame::decode(&bytes), None);
            prop_assert!(!Frame::is_anywhere_in(&bytes));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frame::decode(&[b"GKfr", bytes.as_slice()].concat());
        }
    }
}
