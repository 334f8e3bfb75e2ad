//! A store from a backup: what is known of it, and what is not.

use crate::support::house::House;
use grantkeeper::connector::{Connector, Error, Home, Recent, RestoreOptions};
use grantkeeper::demo::Habits;
use grantkeeper::model::{Clock, ConnectionState, ReauthorizationReason};
use grantkeeper::refresh::RefreshError;
use grantkeeper::seal::Keyring;
use grantkeeper::store::StoreError;
use std::time::Duration;

#[tokio::test]
async fn a_restored_grant_that_is_still_good_loses_its_mark_at_the_next_refresh() {
    let house = House::new(Habits::default(), 2).await;
    house.back_up().await;
    let made = house.desk.clock.now();
    let (house, restored) = house.restored(true).await;
    assert_eq!((restored.connections, restored.in_doubt, restored.made), (2, 2, made));
    let name = house.names[0].clone();
    let connection = house.desk.connector.connection(&name).await.unwrap();
    assert_eq!((connection.state, connection.restored), (ConnectionState::Active, Some(made)));
    // An access token that was good is good.
    house.all_work().await;
    assert_eq!(house.desk.refreshes(), 0);
    house.desk.pass_an_hour();
    house.all_work().await;
    let connection = house.desk.connector.connection(&name).await.unwrap();
    assert_eq!((connection.state, connection.restored, connection.generation), (ConnectionState::Active, None, 2));
    house.desk.pass_an_hour();
    house.all_work().await;
}

#[tokio::test]
async fn a_restored_grant_whose_refresh_token_was_rotated_since_is_rotation_lost_and_not_refused() {
    let house = House::new(Habits::default(), 2).await;
    house.back_up().await;
    house.desk.pass_an_hour();
    let rotated = house.names[0].clone();
    house.desk.connector.token(&rotated).await.unwrap();
    let (house, _) = house.restored(true).await;
    let error = house.desk.connector.token(&rotated).await.unwrap_err();
    let lost = ReauthorizationReason::RotationLost;
    assert!(
        matches!(&error, Error::Refresh(RefreshError::ReauthorizationRequired { reason, .. }) if *reason == lost),
        "{error}"
    );
    let connection = house.desk.connector.connection(&rotated).await.unwrap();
    assert_eq!(connection.state, ConnectionState::ReauthorizationRequired(lost));
    // The one that nobody refreshed meanwhile goes on.
    house.desk.connector.token(&house.names[1]).await.unwrap();
}

#[tokio::test]
async fn a_backup_that_nobody_waits_for_any_more_is_made_to_its_end() {
    let house = House::new(Habits::default(), 1).await;
    let connector = house.desk.connector.clone();
    let to = house.path("backup");
    tokio::select! {
        biased;
        made = connector.back_up(&to) => panic!("at once: {made:?}"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(connector.under_way(), 1);
    let ended = async {
        while connector.under_way() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends");
    drop(connector); // it holds the store
    assert!(house.restored(true).await.1.connections == 1);
}

#[tokio::test]
async fn a_consent_takes_the_mark_away_too() {
    let house = House::new(Habits::default(), 1).await;
    house.back_up().await;
    let (house, _) = house.restored(true).await;
    assert!(house.desk.connection().await.restored.is_some());
    assert_eq!(house.desk.consent().await.unwrap().restored, None);
    assert_eq!(house.desk.connection().await.restored, None);
}

#[tokio::test]
async fn what_is_overdue_is_spread_and_what_is_not_keeps_its_time() {
    let house = House::new(Habits::default(), 8).await;
    let due = house.desk.connection().await.due.unwrap();
    house.back_up().await;
    let (house, _) = house.restored(true).await;
    assert_eq!(house.desk.connection().await.due, Some(due));
    house.desk.clock.advance(Duration::from_secs(7_200));
    let (house, _) = house.restored(true).await;
    let now = house.desk.clock.now();
    let mut times = Vec::new();
    for name in &house.names {
        times.push(house.desk.connector.connection(name).await.unwrap().due.unwrap());
    }
    assert!(times.iter().all(|due| *due >= now && due.duration_since(now).as_secs() <= 60), "{times:?}");
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 4, "{times:?}");
    // A caller does not wait for that.
    house.all_work().await;
}

#[tokio::test]
async fn a_consent_that_was_begun_before_a_backup_is_not_completed_after_a_restore() {
    let house = House::new(Habits::default(), 1).await;
    let callback = house.desk.callback().await;
    house.back_up().await;
    let (house, _) = house.restored(true).await;
    assert!(matches!(house.desk.connector.complete(&callback).await, Err(Error::UnknownState)));
}

/// Whoever follows events had read some that came after the backup: those that come now are none of them.
#[tokio::test]
async fn events_after_a_restore_have_numbers_that_nobody_has_read() {
    let house = House::new(Habits::default(), 1).await;
    house.desk.connector.refresh(&house.names[0]).await.unwrap();
    house.back_up().await;
    for _ in 0..5 {
        house.desk.pass_an_hour();
        house.desk.connector.token(&house.names[0]).await.unwrap();
    }
    let read = house.desk.connector.events(0, 99).await.unwrap().last().unwrap().sequence;
    let (house, _) = house.restored(true).await;
    house.desk.consent().await.unwrap();
    let next = house.desk.connector.events(read, 99).await.unwrap();
    assert!(next.iter().any(|told| told.event.kind.as_str() == "authorized"), "{next:?}");
    // Who looks back goes over the numbers that were left out.
    let recent = Recent { limit: 99, ..Recent::default() };
    let looked = house.desk.connector.recent_events(&recent).await.unwrap();
    assert_eq!(looked.events.last().map(|oldest| oldest.sequence), Some(1), "{looked:?}");
    assert!(looked.events.len() > next.len() && looked.before.is_none(), "{looked:?}");
}

#[tokio::test]
async fn a_used_store_is_refused_and_with_force_moved_aside() {
    let house = House::new(Habits::default(), 1).await;
    house.back_up().await;
    house.desk.pass_an_hour();
    house.all_work().await; // the backup is older than that
    let house = house.closed().await;
    let error = house.restore(false).await.unwrap_err();
    assert!(matches!(error, Error::StoreUsed(_)) && error.to_string().contains("--force"), "{error}");
    let house = house.reopened().await;
    assert_eq!(house.desk.connection().await.generation, 2, "nothing was changed");
    let (house, restored) = house.restored(true).await;
    assert_eq!(house.desk.connection().await.generation, 1);
    // What was moved aside is whole: it can take the place again.
    let aside = restored.moved_aside.unwrap();
    let house = house.closed().await;
    std::fs::remove_dir_all(house.store()).unwrap();
    std::fs::rename(aside, house.store()).unwrap();
    let house = house.reopened().await;
    assert_eq!(house.desk.connection().await.generation, 2);
    house.desk.pass_an_hour();
    house.all_work().await;
}

#[tokio::test]
async fn an_empty_home_takes_a_backup_as_it_is() {
    let house = House::new(Habits::default(), 1).await;
    house.back_up().await;
    let other = Home::new(house.path("other"), house.keys()).with_keys(house.keys());
    other.init(house.desk.clock.now()).unwrap();
    let restored = other.restore(&house.path("backup"), RestoreOptions::default(), &house.desk.clock).await.unwrap();
    assert_eq!((restored.connections, restored.moved_aside), (1, None));
    let connector = Connector::open(&other).await.unwrap();
    assert!(connector.connection(&house.names[0]).await.unwrap().restored.is_some());
    connector.close().await;
    let left: Vec<_> = std::fs::read_dir(other.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("store.")), "{left:?}");
}

#[tokio::test]
async fn a_backup_that_the_keys_do_not_open_is_refused_and_nothing_is_touched() {
    let house = House::new(Habits::default(), 1).await;
    house.back_up().await;
    let keys = std::fs::read(house.keys()).unwrap();
    let house = house.closed().await;
    Keyring::generate(house.desk.clock.now()).unwrap().write_file(&house.keys()).unwrap();
    let error = house.restore(true).await.unwrap_err().to_string();
    assert!(error.contains("use the key file that belongs to this store"), "{error}");
    std::fs::write(house.keys(), keys).unwrap();
    let house = house.reopened().await;
    house.all_work().await;
    assert!(!house.path("store.restoring").exists());
}

#[tokio::test]
async fn a_store_that_somebody_has_is_not_restored() {
    let house = House::new(Habits::default(), 1).await;
    house.back_up().await;
    let error = house.restore(true).await.unwrap_err();
    assert!(matches!(error, Error::Store(StoreError::Held { .. })), "{error}");
    house.all_work().await;
}

/// Killed when the store was moved aside and the restored one not yet in its place, a command must not begin an empty one.
#[tokio::test]
async fn a_restore_that_was_killed_before_its_end_is_finished_or_made_anew() {
    let house = House::new(Habits::default(), 1).await;
    house.back_up().await;
    let (house, _) = house.restored(true).await;
    let house = house.closed().await;
    std::fs::rename(house.store(), house.path("store.restored")).unwrap();
    let connector = Connector::open(&house.home()).await.unwrap();
    assert!(connector.connection(&house.names[0]).await.unwrap().restored.is_some());
    connector.close().await;
    // The same, and what ran next was `init`, or a restore of something that is no backup.
    std::fs::rename(house.store(), house.path("store.restored")).unwrap();
    house.home().init(house.desk.clock.now()).unwrap();
    let connector = Connector::open(&house.home()).await.unwrap();
    assert!(connector.connection(&house.names[0]).await.is_ok());
    connector.close().await;
    std::fs::rename(house.store(), house.path("store.restored")).unwrap();
    std::fs::create_dir(house.store()).unwrap();
    house
        .home()
        .restore(&house.path("nowhere"), RestoreOptions { force: true, ..RestoreOptions::default() }, &house.desk.clock)
        .await
        .unwrap_err();
    let connector = Connector::open(&house.home()).await.unwrap();
    assert!(connector.connection(&house.names[0]).await.is_ok());
    connector.close().await;
    // Killed while it was being made.
    std::fs::create_dir(house.path("store.restoring")).unwrap();
    std::fs::write(house.path("store.restoring/journal-00000001"), "half").unwrap();
    let restored = house.restore(true).await.unwrap();
    assert_eq!(restored.connections, 1);
    assert!(!house.path("store.restoring").exists());
}
