//! Refusals that are told one by one, and those that are counted: a flood of wrong keys must not fill the disk.

use crate::model::{Action, Actor, AuditEntry, Timestamp};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use uuid::Uuid;

/// Different refusals that are told one by one in a minute, of strangers and of each key; what comes on top is counted, and the count written
/// once a minute. A flood of wrong keys must not fill the disk, and nobody can hide what is done with another's key, or without one.
const MOST_REFUSALS: u32 = 120;

/// The same in a day: some 600 kB.
const MOST_REFUSALS_A_DAY: u32 = 2000;

/// Keys whose refusals are counted each by itself; those of further ones are counted with the strangers'.
const MOST_REFUSED: usize = 256;

/// How many refusals were told one by one, and those that were not: of strangers, and of each key. Each has a count of its own: nobody can
/// hide what is done with another's key, or without one.
#[derive(Default)]
pub(super) struct Told {
    of: HashMap<Option<Uuid>, Count>,
    /// What is counted, until it is written.
    over: HashMap<(Option<Uuid>, Action), AuditEntry>,
    /// The minute since the epoch in which `over` began.
    since: i64,
}

/// How many were told in a minute and in a day since the epoch.
#[derive(Default)]
struct Count {
    minute: (i64, u32),
    day: (i64, u32),
}

impl Count {
    /// Whether one more may be told by itself.
    fn one_more(&mut self, at: Timestamp) -> bool {
        let count = |of: &mut (i64, u32), now: i64| {
            if of.0 != now {
                *of = (now, 0);
            }
            of.1 = of.1.saturating_add(1);
            of.1
        };
        let a_minute = count(&mut self.minute, minute(at));
        // What is only counted is no part of the day's.
        a_minute <= MOST_REFUSALS && count(&mut self.day, at.as_second().div_euclid(86_400)) <= MOST_REFUSALS_A_DAY
    }
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

impl Told {
    /// A refusal that may be told by itself; one that may not is counted.
    pub(super) fn or_counted(&mut self, entry: AuditEntry) -> Option<AuditEntry> {
        let key = match &entry.actor {
            Actor::Key { id, .. } if self.of.contains_key(&Some(*id)) || self.of.len() < MOST_REFUSED => Some(*id),
            _ => None,
        };
        if self.of.entry(key).or_default().one_more(entry.at) {
            return Some(entry);
        }
        if self.over.is_empty() {
            self.since = minute(entry.at);
        }
        match self.over.entry((key, entry.action)) {
            Entry::Occupied(mut counted) => {
                let counted = counted.get_mut();
                counted.times = counted.times.saturating_add(entry.times);
            }
            Entry::Vacant(vacant) => {
                let detail = Some("more than are told one by one".to_owned());
                vacant.insert(AuditEntry { remote: None, request: None, code: None, target: None, detail, ..entry });
            }
        }
        None
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Acting;
    use crate::model::Outcome;

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
        assert_eq!(told(&mut all, MOST_REFUSALS + 7, 59, None), MOST_REFUSALS);
        assert_eq!(all.due(), Some(refusal(60, None).at));
        assert_eq!(told(&mut all, 5, 60, None), 5, "the next minute has its own");
        let counted = all.counted();
        assert_eq!(counted.iter().map(|entry| entry.times).collect::<Vec<_>>(), [7]);
        assert_eq!((all.due(), all.counted().len()), (None, 0));
    }

    #[test]
    fn in_a_day_there_is_an_end_too_and_what_is_only_counted_is_no_part_of_it() {
        let mut all = Told::default();
        let minutes = MOST_REFUSALS_A_DAY / MOST_REFUSALS;
        let mut one_by_one = 0;
        for minute in 0..=minutes + 3 {
            one_by_one += told(&mut all, MOST_REFUSALS * 3, i64::from(minute) * 60, None);
        }
        assert_eq!(one_by_one, MOST_REFUSALS_A_DAY);
        assert_eq!(told(&mut all, 1, DAY, None), 1, "the next day has its own");
    }

    #[test]
    fn a_key_hides_neither_another_key_nor_a_stranger() {
        let mut all = Told::default();
        told(&mut all, MOST_REFUSALS * 2, 0, Some(1));
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
        for key in 0..MOST_REFUSED as u128 {
            assert_eq!(told(&mut all, 1, 0, Some(key)), 1);
        }
        // One by one, each of another key: they hold no memory of their own, and fill no disk.
        let further =
            (0..2 * u128::from(MOST_REFUSALS)).map(|key| told(&mut all, 1, 0, Some(1 << 64 | key))).sum::<u32>();
        assert_eq!((further, all.of.len()), (MOST_REFUSALS, MOST_REFUSED + 1));
    }
}
