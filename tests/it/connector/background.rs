//! The job that refreshes what is due.

use crate::support::desk::Desk;
use crate::support::stalling::StallingStore;
use grantkeeper::connector::{Error, Grant, HeldToken, ImportOptions, Tokens};
use grantkeeper::demo::{Door, Fault, Gate, Habits};
use grantkeeper::model::{ConnectionName, Secret};
use grantkeeper::store::MemoryStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

#[tokio::test]
async fn a_job_refreshes_what_is_due_and_nothing_else() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    assert_eq!(desk.connector.refresh_due().await.unwrap().refreshed, 0);
    desk.clock.advance(Duration::from_secs(3550));
    assert_eq!(desk.connector.refresh_due().await.unwrap().refreshed, 1);
    assert_eq!(desk.connector.refresh_due().await.unwrap().refreshed, 0);
    assert_eq!(desk.refreshes(), 1);
}

/// The job, and what stops it when it is dropped.
fn in_the_background(desk: &Desk) -> (JoinHandle<Result<(), Error>>, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let connector = desk.connector.clone();
    (tokio::spawn(async move { connector.run_background(async { drop(stopped.await) }).await }), stop)
}

#[tokio::test]
async fn the_background_job_finishes_what_it_began_before_it_stops() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.clock.advance(Duration::from_secs(3550));
    let gate = Gate::new();
    desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let (job, stop) = in_the_background(&desk);
    gate.reached_by(1).await;
    drop(stop);
    gate.open();
    job.await.unwrap().unwrap();
    assert_eq!(desk.connection().await.generation, 2);
}

/// A grant that is due now.
async fn due_now(desk: &Desk, names: impl Iterator<Item = String>, refresh: &str) {
    let tokens = || Tokens { refresh: Some(HeldToken::new(Secret::new(refresh))), ..Tokens::default() };
    let grants = names.map(|name| Grant::new(name.parse().unwrap(), tokens())).collect();
    let options = ImportOptions { spread: Duration::ZERO, ..ImportOptions::default() };
    let outcomes = desk.connector.import(grants, &options).await.unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.reason().is_none()), "{outcomes:?}");
}

/// The refresh token of one consent more, for a keeper that is not this one.
async fn strangers_token(desk: &Desk) -> String {
    desk.consent().await.unwrap();
    let family = desk.provider.families().len() - 1;
    desk.provider.current_refresh_token(family).unwrap().expose().to_owned()
}

async fn is_refreshed(desk: &Desk, name: &str) {
    let name: ConnectionName = name.parse().unwrap();
    let refreshed = async {
        while desk.connector.connection(&name).await.unwrap().generation < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refreshed).await.expect("it is refreshed");
}

#[tokio::test]
async fn a_slow_provider_keeps_no_other_application_waiting_that_becomes_due_meanwhile() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply_as("other", "", "").await;
    let others = strangers_token(&desk).await;
    desk.consent().await.unwrap();
    desk.clock.advance(Duration::from_secs(3550));
    let gate = Gate::new();
    desk.provider.next(Door::Token, Fault::Hold(gate.clone()));
    let (job, stop) = in_the_background(&desk);
    gate.reached_by(1).await;
    due_now(&desk, ["other/late".to_owned()].into_iter(), &others).await;
    desk.clock.advance(Duration::from_secs(31));
    is_refreshed(&desk, "other/late").await;
    gate.open();
    is_refreshed(&desk, "drive/reports").await;
    drop(stop);
    job.await.unwrap().unwrap();
}

#[tokio::test]
async fn however_many_of_an_application_are_due_before_it_another_one_has_its_turn_and_none_is_left_out() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply_as("other", "", "").await;
    let others = strangers_token(&desk).await;
    due_now(&desk, (0..600).map(|number| format!("drive/n{number}")), "nonsense").await;
    due_now(&desk, ["other/last".to_owned()].into_iter(), &others).await;
    let gate = Gate::new();
    desk.provider.next_all(Door::Token, 16, &Fault::Hold(gate.clone()));
    let round = {
        let connector = desk.connector.clone();
        tokio::spawn(async move { connector.refresh_due().await.unwrap() })
    };
    gate.reached_by(16).await;
    is_refreshed(&desk, "other/last").await;
    assert_eq!(desk.refreshes(), 17, "of one application sixteen ask at once");
    gate.open();
    let round = round.await.unwrap();
    assert_eq!((round.refreshed, round.failed, round.put_off), (1, 600, 0));
}

#[tokio::test]
async fn a_place_is_free_when_the_reply_is_here_and_a_slow_store_fills_no_memory() {
    let store = Arc::new(StallingStore::over(MemoryStore::new()));
    let desk = Desk::with(Habits::default(), Arc::clone(&store) as _, None, "").await;
    due_now(&desk, (0..70).map(|number| format!("drive/n{number}")), "nonsense").await;
    store.hold_ends();
    let round = {
        let connector = desk.connector.clone();
        tokio::spawn(async move { connector.refresh_due().await.unwrap() })
    };
    // Sixteen may ask at once; the ends of twice as many wait for the store, and no more come.
    store.ends_held(32).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(desk.refreshes(), 32);
    store.let_ends_go();
    assert_eq!(round.await.unwrap().failed, 70);
    assert_eq!(desk.refreshes(), 70);
}
