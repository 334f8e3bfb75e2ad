//! Keys are rotated beside everything else, and the old one is gone for good.

use crate::support::house::{House, bytes_of, holding};
use grantkeeper::connector::Connector;
use grantkeeper::demo::{Door, Fault, Gate, Habits};
use grantkeeper::model::ConnectionState;
use grantkeeper::vault::{RotateOptions, Rotated, RotationStage};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

async fn rotate(connector: &Connector, batch: usize) -> Rotated {
    connector.rotate_keys(&RotateOptions { batch }, &mut |_| ControlFlow::Continue(())).await.unwrap()
}

#[tokio::test]
async fn after_a_rotation_no_file_of_the_store_names_the_old_key_and_the_new_one_opens_all() {
    let mut house = House::new(Habits::default(), 4).await;
    // A consent that nobody came back for is sealed as well, and so is all that happened.
    house.desk.consent_to(&"drive/waiting".parse().unwrap()).await.unwrap();
    house.desk.pass_an_hour();
    house.all_work().await;
    house = house.reopened().await; // sled writes when it is closed
    let (old, mut stages) = (house.key(), BTreeSet::new());
    let needle = bytes_of(&old.to_string());
    assert!(holding(&house.store(), &needle).len() > 1, "the journal and the index name it");
    let mut each = |progress: grantkeeper::vault::RotationProgress| {
        assert!(progress.done <= progress.total, "{progress:?}");
        stages.insert(progress.stage == RotationStage::Sealing);
        ControlFlow::Continue(())
    };
    let rotated = house.desk.connector.rotate_keys(&RotateOptions { batch: 7 }, &mut each).await.unwrap();
    assert_eq!(stages.len(), 2, "both are told of");
    assert_eq!((rotated.retired, rotated.key), (vec![old], house.key()));
    assert_eq!(holding(&house.store(), &needle), Vec::<std::path::PathBuf>::new(), "while it is open");
    let text = std::fs::read_to_string(house.keys()).unwrap();
    assert!(!text.contains(&old.to_string()) && text.contains(" current "), "{text}");
    house = house.reopened().await;
    assert_eq!(holding(&house.store(), &needle), Vec::<std::path::PathBuf>::new());
    assert_eq!(house.desk.connector.keys().len(), 1);
    house.all_work().await;
    house.desk.pass_an_hour();
    house.all_work().await;
    assert!(!house.desk.connector.events(0, 99).await.unwrap().is_empty());
    let counts = house.desk.connector.key_counts().await.unwrap();
    assert_eq!(counts.into_keys().collect::<Vec<_>>(), [house.key()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_go_on_while_keys_are_rotated() {
    let mut house = House::new(Habits::default(), 6).await;
    let stop = Arc::new(AtomicBool::new(false));
    let refreshing: Vec<_> = house
        .names
        .iter()
        .map(|name| {
            let (connector, name, stop) = (house.desk.connector.clone(), name.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut generation = 1;
                while !stop.load(Ordering::SeqCst) {
                    generation = connector.refresh(&name).await.unwrap().generation();
                }
                generation
            })
        })
        .collect();
    let mut retired = Vec::new();
    for _ in 0..4 {
        retired.extend(rotate(&house.desk.connector, 1).await.retired);
    }
    stop.store(true, Ordering::SeqCst);
    let mut refreshed = Vec::new();
    for task in refreshing {
        refreshed.push(task.await.unwrap());
    }
    assert!(refreshed.iter().all(|generation| *generation > 1), "{refreshed:?}");
    assert_eq!(retired.len(), 4);
    house = house.reopened().await;
    for (name, generation) in house.names.iter().zip(refreshed) {
        let connection = house.desk.connector.connection(name).await.unwrap();
        assert_eq!((connection.generation, connection.state), (generation, ConnectionState::Active));
        assert_eq!(house.desk.connector.refresh(name).await.unwrap().generation(), generation + 1, "{name}");
    }
    for key in retired {
        assert_eq!(holding(&house.store(), &bytes_of(&key.to_string())), Vec::<std::path::PathBuf>::new());
    }
}

/// Its request is on its way when the rotation begins, and its reply comes when the old key is gone.
#[tokio::test]
async fn a_refresh_in_flight_during_a_whole_rotation_loses_nothing() {
    let mut house = House::new(Habits::default(), 1).await;
    house.desk.pass_an_hour();
    let gate = Gate::new();
    house.desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let caller = {
        let (connector, name) = (house.desk.connector.clone(), house.names[0].clone());
        tokio::spawn(async move { connector.token(&name).await })
    };
    gate.reached_by(1).await;
    assert_eq!(rotate(&house.desk.connector, 2).await.retired.len(), 1);
    gate.open();
    assert_eq!(caller.await.unwrap().unwrap().generation(), 2);
    house = house.reopened().await;
    house.desk.pass_an_hour();
    house.all_work().await;
    assert_eq!(house.desk.connector.connection(&house.names[0]).await.unwrap().generation, 3);
}

/// A reply that no script could read is kept, sealed; it is read under the new key.
#[tokio::test]
async fn a_kept_reply_is_sealed_anew_and_read_later() {
    let mut house = House::new(Habits::default(), 1).await;
    let name = house.names[0].clone();
    house.desk.pass_an_hour();
    let script = "fn postprocessAccessToken(accessTokenResponse) { throw \"a mistake\"; }";
    std::fs::write(house.path("scripts/OAuthMine.rhai"), script).unwrap();
    house.desk.apply("script = \"OAuthMine\"", "").await;
    house.desk.connector.token(&name).await.unwrap_err();
    assert_eq!(rotate(&house.desk.connector, 2).await.retired.len(), 1);
    house = house.reopened().await;
    house.desk.apply("script = \"OAuthGoogleDrive\"", "").await;
    let token = house.desk.connector.refresh(&name).await.unwrap();
    assert_eq!((token.generation(), house.desk.refreshes()), (2, 1), "the provider was asked once");
    assert_eq!(house.desk.call(token.secret()).await, 200);
}

#[tokio::test]
async fn a_rotation_stopped_behind_any_batch_leaves_all_in_use_and_goes_on() {
    let mut house = House::new(Habits::default(), 2).await;
    for stop_behind in 1.. {
        let (old, mut batches) = (house.key(), 0);
        let mut each = |_| {
            batches += 1;
            if batches == stop_behind { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = RotateOptions { batch: 4 };
        let rotated = house.desk.connector.rotate_keys(&options, &mut each).await.unwrap();
        // With the key file as it lies.
        house = house.reopened().await;
        house.desk.pass_an_hour();
        house.all_work().await;
        if !rotated.stopped {
            assert!(stop_behind > 5, "{stop_behind}");
            return;
        }
        assert_eq!((rotated.retired.len(), rotated.kept), (0, vec![old]));
        let rotated = rotate(&house.desk.connector, 4).await;
        assert!(rotated.resumed && rotated.left == 0, "{rotated:?}");
        assert_eq!((rotated.retired, rotated.key), (vec![old], house.key()));
        assert_eq!(holding(&house.store(), &bytes_of(&old.to_string())), Vec::<std::path::PathBuf>::new());
    }
}
