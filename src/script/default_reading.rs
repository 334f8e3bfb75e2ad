//! The way that replies are read when no script says otherwise, which is `oauth`'s.

use crate::model::{Failure, Timestamp};
use crate::oauth::{self, Params, RawReply};

/// What stands in a body, judged by the body and never by its content type; nothing where no reading fits.
pub(super) fn read(reply: &RawReply) -> Params {
    oauth::read_reply(reply).unwrap_or_default()
}

/// The failure that a reply tells of, if it does.
pub(super) fn classify(reply: &RawReply, params: &Params, now: Timestamp) -> Option<Failure> {
    oauth::classify(reply, Some(params), now)
}
