//! Writing.

use super::broken::Broken;
use super::*;
use std::pin::pin;
use std::sync::atomic::Ordering;

impl Place {
    /// Lets the writer's time come, and waits until it has written.
    async fn a_moment_later(&self) {
        let mut news = self.vault.audit_news();
        self.clock.advance(Duration::from_secs(1));
        news.changed().await.unwrap();
    }
}

#[tokio::test]
async fn what_somebody_waits_for_is_durable_when_it_returns() {
    let place = Place::new();
    place.write(&["a/1", "a/2"]).await;
    let expected = [(1, "a/1".to_owned()), (2, "a/2".to_owned())];
    assert_eq!(place.logged().await, expected);
    let rows = place.store.audit(0, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.first, row.last, row.before)).collect::<Vec<_>>(), [(1, 1, 0), (2, 2, 1)]);
    let text = serde_json::to_string(&rows).unwrap();
    assert!(!text.contains("a/1") && !text.contains("admin"), "it lies sealed: {text}");
}

#[tokio::test]
async fn hand_outs_are_written_together_within_a_moment() {
    let place = Place::new();
    for number in 0..600 {
        place.log.hand_in(place.entry(&format!("a/{number}"))).await.unwrap();
    }
    // The task has had every chance, and the time has not come.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(place.store.last_audit().await.unwrap(), 0);
    place.a_moment_later().await;
    let logged = place.logged().await;
    assert!(logged.iter().map(|(sequence, _)| *sequence).eq(1..=600));
    assert!(logged.iter().enumerate().all(|(at, (_, name))| *name == format!("a/{at}")), "in their order");
    assert_eq!(place.store.audit(0, 99).await.unwrap().len(), 3, "pages of 256");
    assert_eq!(place.findings().await, NOTHING);
}

#[tokio::test]
async fn what_somebody_waits_for_takes_along_what_waits() {
    let place = Place::new();
    place.log.hand_in(place.entry("a/first")).await.unwrap();
    place.write(&["a/second"]).await;
    assert_eq!(place.logged().await, [(1, "a/first".to_owned()), (2, "a/second".to_owned())]);
    place.log.hand_in(place.entry("a/third")).await.unwrap();
    place.log.flush().await.unwrap();
    assert_eq!(place.logged().await.len(), 3);
}

#[tokio::test]
async fn whoever_hands_in_waits_when_the_queue_is_full_and_nothing_goes_unaudited() {
    let place = Place::new();
    for number in 0..MOST_UNWRITTEN {
        let entry = place.entry(&format!("a/{number}"));
        assert!(is_ready(pin!(place.log.hand_in(entry))).await, "{number}");
    }
    let mut one_more = pin!(place.log.hand_in(place.entry("a/last")));
    assert!(!is_ready(one_more.as_mut()).await);
    place.a_moment_later().await;
    one_more.await.unwrap();
    place.log.flush().await.unwrap();
    let logged = place.logged().await;
    assert_eq!(logged.len(), MOST_UNWRITTEN + 1);
    assert!(logged.iter().zip(1..).all(|((sequence, _), expected)| *sequence == expected));
}

#[tokio::test]
async fn the_log_writes_what_waits_when_it_is_closed_and_when_it_is_dropped() {
    let place = Place::new();
    place.log.hand_in(place.entry("a/1")).await.unwrap();
    place.log.close().await;
    assert_eq!(place.logged().await.len(), 1);
    // It may be used again, and closed when it was not.
    place.write(&["a/2"]).await;
    place.log.close().await;
    place.log.close().await;
    let other = place.another();
    let mut news = place.vault.audit_news();
    other.log.hand_in(place.entry("a/3")).await.unwrap();
    drop(other);
    news.changed().await.unwrap();
    assert_eq!(place.logged().await.len(), 3);
    assert_eq!(place.findings().await, NOTHING);
}

#[tokio::test]
async fn a_change_and_its_entry_are_there_together_or_not_at_all() {
    let place = Place::new();
    let key = |name: &str| {
        let secret = KeySecret::generate(new_id()).unwrap();
        let key = ApiKey {
            id: secret.id(),
            name: name.parse().unwrap(),
            allowances: Vec::new(),
            created: place.clock.now(),
            expires: None,
            revoked: None,
            last_used: None,
        };
        place.vault.put_api_key(&KeyRecord { key, hash: secret.hash() }, None).unwrap()
    };
    place.log.commit(vec![place.entry("a/1")], vec![key("reporting")]).await.unwrap();
    let refused = place.log.commit(vec![place.entry("a/2")], vec![key("other"), key("reporting")]).await;
    assert!(matches!(refused, Err(VaultError::Store(crate::store::StoreError::Conflict))), "{refused:?}");
    assert_eq!((place.logged().await.len(), place.store.access().await.unwrap().len()), (1, 1));
    place.write(&["a/3"]).await;
    assert_eq!(place.logged().await, [(1, "a/1".to_owned()), (2, "a/3".to_owned())]);
}

#[tokio::test]
async fn two_processes_write_one_chain() {
    let (place, mut writing) = (Place::new(), Vec::new());
    let other = place.another();
    for number in 0..40 {
        let (log, entry) = match number % 2 {
            0 => (place.log.clone(), place.entry(&format!("a/{number}"))),
            _ => (other.log.clone(), place.entry(&format!("b/{number}"))),
        };
        writing.push(tokio::spawn(async move { log.write(vec![entry]).await }));
    }
    for written in writing {
        written.await.unwrap().unwrap();
    }
    assert_eq!(place.logged().await.len(), 40);
    assert_eq!(place.findings().await, NOTHING);
}

fn on_a_bad_disk() -> (Place, Broken) {
    let broken = Broken::default();
    let keyring = Arc::new(Keyring::generate(Timestamp::UNIX_EPOCH).unwrap());
    (Place::over(broken.inner.clone(), Vault::new(Arc::new(broken.clone()), keyring)), broken)
}

/// Lets other tasks do what they can without time passing.
async fn others() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_told_to_who_waits_and_loses_no_hand_out() {
    let (place, broken) = on_a_bad_disk();
    place.write(&["a/1"]).await;
    broken.takes_nothing.store(true, Ordering::SeqCst);
    place.log.hand_in(place.entry("a/2")).await.unwrap();
    let refused = place.log.write(vec![place.entry("a/lost")]).await;
    assert!(refused.unwrap_err().to_string().contains("the disk is full"));
    assert!(place.log.flush().await.is_err());
    broken.takes_nothing.store(false, Ordering::SeqCst);
    place.a_moment_later().await;
    // What was said not to be there is not there later either.
    assert_eq!(place.logged().await, [(1, "a/1".to_owned()), (2, "a/2".to_owned())]);
    place.write(&["a/3"]).await;
    assert_eq!(place.findings().await, NOTHING);
}

#[tokio::test]
async fn a_writing_that_came_half_way_loses_nothing_and_goes_on() {
    let (place, broken) = on_a_bad_disk();
    // More than one commit takes.
    for number in 0..6000 {
        place.log.hand_in(place.entry(&format!("a/{number}"))).await.unwrap();
    }
    broken.takes_one_more.store(true, Ordering::SeqCst);
    others().await; // the task waits for its time
    place.a_moment_later().await;
    others().await;
    let written = place.store.last_audit().await.unwrap();
    assert!(0 < written && written < 6000, "{written}");
    // The same once more: where it lay in what was to be written is no longer so.
    place.log.hand_in(place.entry("a/5999")).await.unwrap();
    broken.takes_nothing.store(false, Ordering::SeqCst);
    place.log.flush().await.unwrap();
    let logged = place.logged().await;
    assert_eq!((logged.len(), logged[5999].1.as_str(), logged[6000].1.as_str()), (6001, "a/5999", "a/5999"));
    assert_eq!(place.findings().await, NOTHING);
}

#[tokio::test]
async fn while_a_store_takes_nothing_the_same_is_counted_and_does_not_grow() {
    let (place, broken) = on_a_bad_disk();
    broken.takes_nothing.store(true, Ordering::SeqCst);
    for number in 0..500 {
        place.log.hand_in(place.entry("a/busy")).await.unwrap();
        if number % 10 == 0 {
            assert!(place.log.flush().await.is_err(), "each is another try");
        }
    }
    broken.takes_nothing.store(false, Ordering::SeqCst);
    place.log.flush().await.unwrap();
    let entries = after(&place.vault, 0, 10_000).await.unwrap();
    let times: u32 = entries.iter().map(|recorded| recorded.entry.times).sum();
    assert_eq!((entries.len(), times), (usize::try_from(MOST_ALIKE).unwrap(), 500));
}

#[tokio::test]
async fn what_somebody_waits_for_is_there_whole_or_not_at_all() {
    let (place, broken) = on_a_bad_disk();
    let many =
        |name: &str, count: usize| (0..count).map(|at| place.entry(&format!("a/{name}-{at}"))).collect::<Vec<_>>();
    // Both in one writing, and more than one commit takes.
    place.log.hand_in(place.entry("a/soon")).await.unwrap();
    broken.takes_one_more.store(true, Ordering::SeqCst);
    let (first, second) = tokio::join!(place.log.write(many("first", 2500)), place.log.write(many("second", 2500)));
    assert!(first.is_ok() && second.is_err(), "{first:?} {second:?}");
    broken.takes_nothing.store(false, Ordering::SeqCst);
    let logged = place.logged().await;
    assert_eq!(logged.len(), 2501, "what came before is in the same commit");
    assert!(logged[0].1 == "a/soon" && logged[1..].iter().all(|(_, name)| name.starts_with("a/first-")));
    // One by itself that is larger than a commit mostly is.
    broken.takes_one_more.store(true, Ordering::SeqCst);
    place.log.write(many("large", 9000)).await.unwrap();
    assert_eq!(place.logged().await.len(), 11_501);
    assert_eq!(place.findings().await, NOTHING);
}

#[tokio::test]
async fn what_was_handed_in_before_stands_before_also_when_it_is_more_than_is_written_at_once() {
    let (place, broken) = on_a_bad_disk();
    broken.takes_nothing.store(true, Ordering::SeqCst);
    for number in 0..MOST_UNWRITTEN {
        place.log.hand_in(place.entry(&format!("a/{number}"))).await.unwrap();
    }
    assert!(place.log.flush().await.is_err(), "all of them were tried");
    for number in 0..100 {
        place.log.hand_in(place.entry(&format!("b/{number}"))).await.unwrap();
    }
    broken.takes_nothing.store(false, Ordering::SeqCst);
    place.write(&["c/last"]).await;
    let logged = place.logged().await;
    assert_eq!((logged.len(), logged.last().unwrap().1.as_str()), (MOST_UNWRITTEN + 101, "c/last"));
    assert_eq!(place.findings().await, NOTHING);
}

#[test]
fn whoever_hands_in_after_the_end_of_the_runtime_is_told_and_does_not_wait_for_ever() {
    let place = Place::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(place.log.hand_in(place.entry("a/1"))).unwrap();
    let handle = runtime.handle().clone();
    runtime.shutdown_timeout(Duration::from_secs(30)); // not in the background: its writer could still live, and take the next one
    let (told, outcome) = std::sync::mpsc::channel();
    let (log, entry) = (place.log.clone(), place.entry("a/2"));
    std::thread::spawn(move || told.send(handle.block_on(log.hand_in(entry))));
    let outcome = outcome.recv_timeout(Duration::from_secs(30)).expect("it comes back");
    assert!(outcome.unwrap_err().to_string().contains("audit log"));
}

fn id(number: u128) -> RequestId {
    RequestId(Uuid::from_u128(number))
}

#[tokio::test]
async fn one_who_asks_for_the_same_token_all_the_time_is_counted_and_nobody_else_with_it() {
    let place = Place::new();
    let key = |name: &str| Acting::by(Actor::Key { id: Uuid::nil(), name: name.parse().unwrap() });
    let asks = async |name: &str, connection: &str, request: usize| {
        let acting = key(name).in_request(id(request as u128), Some("192.0.2.7".parse().unwrap()));
        place.log.hand_in(acting.entry(Action::TokenRead, Some(target(connection)), place.clock.now())).await.unwrap();
    };
    for request in 0..1_000 {
        asks("busy", "a/1", request).await;
        if request % 100 == 0 {
            asks("busy", "a/2", request).await;
            asks("other", "a/1", request).await;
        }
    }
    place.log.flush().await.unwrap();
    let entries = after(&place.vault, 0, 10_000).await.unwrap();
    let of = |name: &str, connection: &str| -> (usize, u32) {
        let actor = key(name).actor;
        let alike = entries.iter().map(|recorded| &recorded.entry);
        let alike = alike.filter(|entry| entry.actor == actor && entry.target == Some(target(connection)));
        (alike.clone().count(), alike.map(|entry| entry.times).sum())
    };
    let each = usize::try_from(MOST_ALIKE).unwrap();
    assert_eq!((of("busy", "a/1"), of("busy", "a/2"), of("other", "a/1")), ((each, 1_000), (each, 10), (each, 10)));
    // The next moment is told anew.
    asks("busy", "a/1", 7).await;
    place.log.flush().await.unwrap();
    let last = after(&place.vault, 0, 10_000).await.unwrap().pop().unwrap().entry;
    assert_eq!((last.times, last.request), (1, Some(id(7))));
}

#[tokio::test]
async fn a_flood_with_a_key_that_may_not_is_counted_and_hides_no_stranger() {
    let place = Place::new();
    let refusal = |acting: Acting, number: u32| {
        let target = Some(Target::Connection(format!("a/{number}").parse().unwrap()));
        acting.entry(Action::AccessRefused, target, place.clock.now()).that(Outcome::Refused, "not_allowed")
    };
    let key = Acting::by(Actor::Key { id: Uuid::nil(), name: "reporting".parse().unwrap() });
    for number in 0..2_000 {
        place.log.hand_in(refusal(key.clone(), number)).await.unwrap();
    }
    place.log.hand_in(refusal(Acting::nobody(), 0)).await.unwrap();
    place.log.flush().await.unwrap();
    let entries = after(&place.vault, 0, 10_000).await.unwrap();
    let of_key = entries.iter().filter(|recorded| recorded.entry.actor == key.actor);
    assert_eq!(of_key.clone().map(|recorded| recorded.entry.times).sum::<u32>(), 2_000, "none goes uncounted");
    assert!(of_key.count() <= 121, "{}", entries.len());
    let stranger = entries.iter().find(|recorded| recorded.entry.actor == Actor::Nobody).unwrap();
    assert!(stranger.entry.target.is_some(), "{stranger:?}");
}

#[tokio::test]
async fn a_flood_of_strangers_is_counted_and_does_not_fill_the_log() {
    let place = Place::new();
    let refusal = |number: u32, code: &str| {
        let remote = std::net::Ipv4Addr::from(number).into();
        let stranger = Acting::nobody().in_request(id(u128::from(number)), Some(remote));
        stranger.entry(Action::AccessRefused, None, place.clock.now()).that(Outcome::Refused, code)
    };
    for _ in 0..1_000 {
        place.log.hand_in(refusal(1, "no_key")).await.unwrap();
    }
    for number in 0..2_000 {
        place.log.hand_in(refusal(number, "unknown_key")).await.unwrap();
    }
    // Who is known is told one by one.
    for _ in 0..3 {
        let known = place.entry("a/b").that(Outcome::Refused, "forbidden");
        place.log.hand_in(known).await.unwrap();
    }
    place.log.flush().await.unwrap();
    let entries = after(&place.vault, 0, 10_000).await.unwrap();
    let strangers = entries.iter().filter(|recorded| recorded.entry.actor == Actor::Nobody);
    assert_eq!(strangers.clone().map(|recorded| recorded.entry.times).sum::<u32>(), 3_000, "none goes uncounted");
    assert!(strangers.count() <= 121, "{}", entries.len());
    assert_eq!(entries.iter().filter(|recorded| recorded.entry.actor != Actor::Nobody).count(), 3);
    assert_eq!(entries[0].entry.times, 1_000);
    assert_eq!(entries[0].entry.remote, Some("0.0.0.1".parse().unwrap()));
}
