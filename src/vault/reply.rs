//! The frame of a kept reply: status, headers and body as they came, before any reading.

use super::KeptReply;
use crate::model::Timestamp;
use crate::oauth::RawReply;
use zeroize::Zeroizing;

/// When it came, in epoch seconds (8 bytes), status (2), number of headers (2), each name and value with its length (4), and the rest is the body.
pub(super) fn encode(kept: &KeptReply) -> Zeroizing<Vec<u8>> {
    let reply = &kept.reply;
    let headers: usize = reply.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    let mut frame = Zeroizing::new(Vec::with_capacity(12 + headers + reply.body.len()));
    frame.extend_from_slice(&kept.received.as_second().to_be_bytes());
    frame.extend_from_slice(&reply.status.to_be_bytes());
    let count = u16::try_from(reply.headers.len()).unwrap_or(u16::MAX);
    frame.extend_from_slice(&count.to_be_bytes());
    for (name, value) in reply.headers.iter().take(usize::from(count)) {
        for text in [name, value] {
            // The client caps headers far below 4 GiB.
            frame.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            frame.extend_from_slice(text.as_bytes());
        }
    }
    frame.extend_from_slice(&reply.body);
    frame
}

/// The reply of a frame, or nothing when it is not one.
pub(super) fn decode(frame: &[u8]) -> Option<KeptReply> {
    let (received, rest) = frame.split_first_chunk::<8>()?;
    let received = Timestamp::from_second(i64::from_be_bytes(*received)).ok()?;
    let (status, rest) = rest.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<2>()?;
    let mut headers = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let name = text(&mut rest)?;
        headers.push((name, text(&mut rest)?));
    }
    let reply = RawReply { status: u16::from_be_bytes(*status), headers, body: Zeroizing::new(rest.to_vec()) };
    Some(KeptReply { reply, received })
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (text, after) = after.split_at_checked(length)?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_kept_reply_comes_back_as_it_was(
            status in 100u16..600,
            headers in proptest::collection::vec(("[a-z-]{1,12}", ".{0,20}"), 0..6),
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let reply = RawReply { status, headers, body: Zeroizing::new(body) };
            let kept = KeptReply { reply, received: Timestamp::from_second(1_700_000_000).unwrap() };
            prop_assert_eq!(decode(&encode(&kept)), Some(kept));
        }

        #[test]
        fn no_frame_panics(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&frame);
        }
    }
}
