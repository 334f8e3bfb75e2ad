//! The way that replies are read when no script says otherwise: `oauth`'s, with the provider's habits.

use super::Reading;
use crate::model::{Failure, ReplyHabits, Timestamp};
use crate::oauth::{self, Params, RawReply};

/// What stands in a body, judged by the body and never by its content type, under the standard names; nothing where no
/// reading fits.
pub(super) fn read(reply: &RawReply, habits: &ReplyHabits, now: Timestamp) -> Params {
    let mut params = oauth::read_reply_by(reply, habits).unwrap_or_default();
    oauth::map_reply(&mut params, habits, now);
    params
}

/// The failure that a reply tells of, if it does.
pub(super) fn classify(reply: &RawReply, params: &Params, habits: &ReplyHabits, now: Timestamp) -> Option<Failure> {
    oauth::classify_by(reply, Some(params), habits, now)
}

/// Both: what a reply comes to where no script has a say.
pub(super) fn reading(reply: &RawReply, habits: &ReplyHabits, now: Timestamp) -> Reading {
    let params = read(reply, habits, now);
    match classify(reply, &params, habits, now) {
        None => Reading::Token(params),
        Some(failure) => Reading::Failed(failure),
    }
}
