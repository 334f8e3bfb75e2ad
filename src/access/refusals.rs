//! What is told one by one, and what is only counted: nobody fills the disk with what they can vary at will. Those are refusals and failures (wrong keys,
//! names that are not there), and the paths of requests through the proxy.

use super::inbox::Lost;
use crate::model::{Action, Actor, AuditEntry, Outcome, Timestamp};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use uuid::Uuid;

/// Different refusals that are told one by one in a minute and in a day (some 600 kB), of strangers and of each key, and as many failures; what
/// comes on top is counted, and the count written once a minute.
const REFUSALS: Most = Most { a_minute: 120, a_day: 2000 };

/// Requests through the proxy that are told with their paths, of each key; of those on top the host is told, and those to one host are the same.
const PATHS: Most = Most { a_minute: 6000, a_day: 100_000 };

/// Counts that are kept at once; further keys share the strangers'.
const MOST_COUNTS: usize = 512;

/// Whether an entry tells of what came to nothing before anything was done, by somebody who could have as many of those as they like: whoever asks
/// chooses freely what they are about. Such are written soon, and counted where they are many. What failed half-way is told whole.
pub(crate) fn comes_to_nothing(entry: &AuditEntry) -> bool {
    let is_hand_out = matches!(entry.action, Action::TokenRead | Action::TokenRejected | Action::Proxy);
    let code = entry.code.as_deref().unwrap_or_default();
    matches!(entry.actor, Actor::Nobody | Actor::Key { .. })
        && match entry.outcome {
            Outcome::Done => false,
            Outcome::Refused => true,
            Outcome::Failed => is_hand_out || BEFORE_ANYTHING.contains(&code),
        }
}

/// Codes of what fails before anything is done: what it is about is not there, or the request is wrong in itself.
const BEFORE_ANYTHING: [&str; 9] = [
    "unknown_connection",
    "unknown_application",
    "unknown_profile",
    "unknown_credential",
    "not_authorized",
    "inactive",
    "bad_request",
    "wrong_grant",
    "further_token",
];

/// How many were told one by one, and those that were not: of strangers, and of each key. Each has a count of its own: nobody can
/// hide what is done with another's key, or without one.
#[derive(Default)]
pub(super) struct Told {
    of: HashMap<Whose, Count>,
    /// What is counted, until it is written.
    over: HashMap<(Whose, Action), AuditEntry>,
    /// The minute since the epoch in which `over` began.
    since: i64,
}

/// What is counted together: of a key, or of strangers and others, by what it came to.
type Whose = (Option<Uuid>, Outcome);

/// How many are told one by one.
struct Most {
    a_minute: u32,
    a_day: u32,
}

/// How many were told in a minute and in a day since the epoch.
#[derive(Default)]
struct Count {
    minute: (i64, u32),
    day: (i64, u32),
}

impl Count {
    /// Whether one more may be told by itself.
    fn one_more(&mut self, at: Timestamp, most: &Most) -> bool {
        let count = |of: &mut (i64, u32), now: i64| {
            // Entries come a little out of their order; a clock that was put back further begins anew.
            if of.0 < now || of.0 > now + 1 {
                *of = (now, 0);
            }
            of.1 = of.1.saturating_add(1);
            of.1
        };
        let a_minute = count(&mut self.minute, minute(at));
        // What is only counted is no part of the day's.
        a_minute <= most.a_minute && count(&mut self.day, day(at)) <= most.a_day
    }
}

fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

impl Told {
    /// What came to nothing, where it may be told by itself; what may not is counted.
    pub(super) fn or_counted(&mut self, entry: AuditEntry) -> Option<AuditEntry> {
        let whose = self.whose(&entry);
        if self.of.entry(whose).or_default().one_more(entry.at, &REFUSALS) {
            return Some(entry);
        }
        if self.over.is_empty() {
            self.since = minute(entry.at);
        }
        match self.over.entry((whose, entry.action)) {
            Entry::Occupied(mut counted) => {
                let counted = counted.get_mut();
                counted.times = counted.times.saturating_add(entry.times);
            }
            Entry::Vacant(vacant) => {
                let (actor, detail) = match whose.0 {
                    Some(_) => (entry.actor, "more than are told one by one"),
                    None => (
                        Actor::Nobody,
                        "more than are told one by one, of strangers or of keys without a count of their own",
                    ),
                };
                let detail = Some(detail.to_owned());
                vacant.insert(AuditEntry {
                    actor,
                    remote: None,
                    request: None,
                    code: None,
                    target: None,
                    detail,
                    ..entry
                });
            }
        }
        None
    }

    /// Takes the path off a request through the proxy, where it is not to be told.
    pub(super) fn with_path(&mut self, entry: &mut AuditEntry) {
        let whose = self.whose(entry);
        if !self.of.entry(whose).or_default().one_more(entry.at, &PATHS)
            && let Some((before, _)) = entry.detail.as_ref().and_then(|detail| detail.split_once('/'))
        {
            entry.detail = Some(format!("{before}/…"));
        }
    }

    /// With what an entry is counted. Counts of another day go when there are too many: nobody shares the strangers' for ever.
    fn whose(&mut self, entry: &AuditEntry) -> Whose {
        let Actor::Key { id, .. } = &entry.actor else { return (None, entry.outcome) };
        let own = (Some(*id), entry.outcome);
        if !self.of.contains_key(&own) && self.of.len() >= MOST_COUNTS {
            let today = day(entry.at);
            self.of.retain(|_, count| count.minute.0.div_euclid(1440) >= today);
            if self.of.len() >= MOST_COUNTS {
                return (None, entry.outcome);
            }
        }
        own
    }

    /// When what was counted is to be written: with the next minute.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let next = self.since.saturating_add(1).saturating_mul(60);
        (!self.over.is_empty()).then(|| Timestamp::from_second(next).unwrap_or(Timestamp::MAX))
    }

    /// What was counted.
    pub(super) fn counted(&mut self) -> Vec<AuditEntry> {
        let mut counted: Vec<AuditEntry> = self.over.drain().map(|(_, entry)| entry).collect();
        counted.sort_by_key(|entry| entry.at);
        counted
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        drop(Lost::of(self.over.values()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Acting;

    const DAY: i64 = 86_400;

    fn refusal(second: i64, key: Option<u128>) -> AuditEntry {
        let actor = key.map_or(Actor::Nobody, |id| Actor::Key { id: Uuid::from_u128(id), name: "k".parse().unwrap() });
        let at = Timestamp::from_second(DAY * 20_000 + second).unwrap();
        Acting::by(actor).entry(Action::AccessRefused, None, at).that(Outcome::Refused, "unknown_key")
    }

    /// How many of so many refusals in a second are told one by one.
    fn told(of: &mut Told, count: u32, second: i64, key: Option<u128>) -> u32 {
        (0..count).filter(|_| of.or_counted(refusal(second, key)).is_some()).count() as u32
    }

    #[test]
    fn in_a_minute_some_are_told_and_the_rest_is_one_entry_with_its_count() {
        let mut all = Told::default();
        assert_eq!(told(&mut all, REFUSALS.a_minute + 7, 59, None), REFUSALS.a_minute);
        assert_eq!(all.due(), Some(refusal(60, None).at));
        assert_eq!(told(&mut all, 5, 60, None), 5, "the next minute has its own");
        let counted = all.counted();
        assert_eq!(counted.iter().map(|entry| entry.times).collect::<Vec<_>>(), [7]);
        assert_eq!((all.due(), all.counted().len()), (None, 0));
    }

    #[test]
    fn in_a_day_there_is_an_end_too_and_what_is_only_counted_is_no_part_of_it() {
        let mut all = Told::default();
        let minutes = REFUSALS.a_day / REFUSALS.a_minute;
        let mut one_by_one = 0;
        for minute in 0..=minutes + 3 {
            one_by_one += told(&mut all, REFUSALS.a_minute * 3, i64::from(minute) * 60, None);
        }
        assert_eq!(one_by_one, REFUSALS.a_day);
        assert_eq!(told(&mut all, 1, DAY, None), 1, "the next day has its own");
    }

    #[test]
    fn a_key_hides_neither_another_key_nor_a_stranger() {
        let mut all = Told::default();
        told(&mut all, REFUSALS.a_minute * 2, 0, Some(1));
        assert_eq!(told(&mut all, 1, 0, Some(1)), 0);
        assert_eq!(told(&mut all, 1, 0, Some(2)), 1);
        assert_eq!(told(&mut all, 1, 0, None), 1);
        let counted = all.counted();
        assert!(
            matches!(&counted[..], [entry] if matches!(entry.actor, Actor::Key { id, .. } if id == Uuid::from_u128(1)))
        );
    }

    #[test]
    fn more_keys_than_are_counted_each_share_the_strangers_count() {
        let mut all = Told::default();
        for key in 0..MOST_COUNTS as u128 {
            assert_eq!(told(&mut all, 1, 0, Some(key)), 1);
        }
        // One by one, each of another key: they hold no memory of their own, and fill no disk.
        let further =
            (0..2 * u128::from(REFUSALS.a_minute)).map(|key| told(&mut all, 1, 0, Some(1 << 64 | key))).sum::<u32>();
        assert_eq!((further, all.of.len()), (REFUSALS.a_minute, MOST_COUNTS + 1));
        // In nobody's name: it is not one's alone.
        let counted = all.counted();
        assert!(matches!(&counted[..], [entry] if entry.actor == Actor::Nobody && entry.times == REFUSALS.a_minute));
        // The next day there is room again.
        assert_eq!(told(&mut all, 1, DAY, Some(1 << 65)), 1);
        assert_eq!(all.of.len(), 1);
    }

    #[test]
    fn failures_hide_no_refusals() {
        let mut all = Told::default();
        for _ in 0..2 * REFUSALS.a_minute {
            all.or_counted(AuditEntry { outcome: Outcome::Failed, ..refusal(0, Some(1)) });
        }
        assert_eq!(told(&mut all, 1, 0, Some(1)), 1);
        let counted = all.counted();
        assert!(
            matches!(&counted[..], [entry] if entry.outcome == Outcome::Failed && entry.times == REFUSALS.a_minute)
        );
    }

    #[test]
    fn of_more_requests_than_are_told_with_their_paths_the_host_is_told() {
        let mut all = Told::default();
        let mut last = None;
        for number in 0..=PATHS.a_minute {
            let detail = format!("GET api.example.com/files/{number}?");
            let mut entry = refusal(0, Some(1)).with_detail(&detail);
            (entry.action, entry.outcome, entry.code) = (Action::Proxy, Outcome::Done, None);
            all.with_path(&mut entry);
            assert_eq!(entry.detail.as_ref() == Some(&detail), number < PATHS.a_minute, "{entry:?}");
            last = entry.detail;
        }
        assert_eq!(last.as_deref(), Some("GET api.example.com/…"));
    }
}
