//! As a program has it that embeds the library.

use super::{actions, code, days, key, later, log, somebody};
use crate::support::desk::Desk;
use grantkeeper::access::{Acting, AuditFilter, Caller, Need};
use grantkeeper::connector::{
    AuthorizeOptions, Error, Grant, HeldToken, ImportOptions, NewKey, Outcome as Imported, Tokens,
};
use grantkeeper::demo::{Browser, Door, Fault, Gate, Habits};
use grantkeeper::model::{
    Action, Actor, Clock as _, ConnectionState, KeyState, Outcome, RequestId, Secret, Target, TokenKind,
};
use grantkeeper::refresh::Want;
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn what_is_done_in_somebodys_name_is_written_down_and_nothing_else_is() {
    let desk = Desk::new(Habits::default()).await;
    // A library that answers to nobody.
    Box::pin(desk.consent()).await.unwrap();
    desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(actions(&desk.connector).await, []);

    let connector = desk.connector.acting(somebody());
    let desk = Desk { connector, ..desk };
    let connector = &desk.connector;
    Box::pin(desk.apply("script = \"OAuthGoogleDrive\"\nkeep_password = true", "")).await;
    Box::pin(desk.consent()).await.unwrap();
    let held = connector.token(&desk.name).await.unwrap();
    Box::pin(connector.token_rejected(&desk.name, &held)).await.unwrap();
    Box::pin(connector.refresh(&desk.name)).await.unwrap();
    connector.set_labels(&desk.name, [("team".to_owned(), "x".to_owned())].into()).await.unwrap();
    let access = desk.credential(TokenKind::AccessToken).await;
    connector.set_expires(access.id, later(desk.clock.now(), 1)).await.unwrap();
    connector.introspect(access.id).await.unwrap();
    connector.revoke_credential(access.id).await.unwrap();
    let begun = connector.authorize(&desk.name, AuthorizeOptions::default()).await.unwrap();
    connector.abandon(&begun).await.unwrap();
    Box::pin(connector.remove_connection(&desk.name)).await.unwrap();
    let profile = connector.application(desk.name.application()).await.unwrap().profiles.into_iter().next().unwrap().1;
    connector.put_profile(desk.name.application(), "more".parse().unwrap(), profile).await.unwrap();
    connector.remove_profile(desk.name.application(), &"more".parse().unwrap()).await.unwrap();
    connector.remove_application(desk.name.application()).await.unwrap();
    let expected = [
        Action::ApplicationEdit,
        Action::Authorize,
        Action::Complete,
        Action::TokenRead,
        Action::TokenRejected,
        Action::Refresh,
        Action::LabelsEdit,
        Action::ExpiresEdit,
        Action::Introspect,
        Action::Revoke,
        Action::Authorize,
        Action::Abandon,
        Action::ConnectionRemove,
        Action::ProfileEdit,
        Action::ProfileRemove,
        Action::ApplicationRemove,
    ];
    assert_eq!(actions(connector).await, expected);
    let log = log(connector).await;
    assert!(log.iter().all(|it| it.entry.outcome == Outcome::Done && it.entry.actor == somebody().actor), "{log:#?}");
    let of_connection = log[1..13].iter().all(|it| it.entry.target == Some(Target::Connection(desk.name.clone())));
    assert!(of_connection, "{log:#?}");
    // Values of labels are the person's own; states, tokens and secrets are in none of it.
    let text = serde_json::to_string(&log).unwrap();
    for secret in [held.secret().expose(), begun.state.expose(), "marked-"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!(connector.verify_audit(None).await.unwrap().findings, []);
}

#[tokio::test]
async fn what_does_not_come_about_is_written_down_with_its_code() {
    let desk = Desk::new(Habits::default()).await;
    let request = RequestId(Uuid::from_u128(1));
    let connector = desk.connector.acting(somebody().in_request(request, Some("192.0.2.7".parse().unwrap())));
    connector.token(&desk.name).await.unwrap_err();
    connector.revoke(&desk.name).await.unwrap_err();
    connector.complete("http://127.0.0.1:8765/oauth/callback/drive?state=forged").await.unwrap_err();
    let log = log(&connector).await;
    let told: Vec<_> = log.iter().map(|it| (it.entry.action, it.entry.outcome, it.entry.code.as_deref())).collect();
    let failed = |action, code| (action, Outcome::Failed, Some(code));
    let expected = [
        failed(Action::TokenRead, "unknown_connection"),
        failed(Action::Revoke, "unknown_connection"),
        (Action::Complete, Outcome::Refused, Some("bad_callback")),
    ];
    assert_eq!(told, expected);
    assert!(log.iter().all(|it| it.entry.request == Some(request)));
    assert_eq!(log[0].entry.remote, Some("192.0.2.7".parse().unwrap()));
    assert!(!serde_json::to_string(&log).unwrap().contains("forged"));
}

#[tokio::test]
async fn a_token_for_somebody_is_handed_out_at_once_and_written_down_within_a_moment() {
    let desk = Desk::new(Habits::default()).await;
    Box::pin(desk.consent()).await.unwrap();
    let made = key(&desk.connector, "reporting", "token:drive/*").await;
    let caller = desk.connector.let_in(made.secret.expose()).await.unwrap();
    assert!(caller.may(&Need::Token(&desk.name)) && !caller.may(&Need::Manage(&desk.name)));
    let acting = Acting::of(&caller);
    let mut follow = desk.connector.follow_audit(0);
    for _ in 0..3 {
        desk.connector.token_for(acting.clone(), &desk.name, Want::Working).await.unwrap();
    }
    // Whoever writes has begun to wait for the others.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    desk.clock.advance(std::time::Duration::from_secs(1));
    for sequence in 1..=3 {
        let recorded = follow.next().await.unwrap();
        assert_eq!((recorded.sequence, recorded.entry.action), (sequence, Action::TokenRead));
        let actor = Actor::Key { id: made.key.id, name: made.key.name.clone() };
        assert_eq!(recorded.entry.actor, actor);
    }
    let by_key = AuditFilter { key: Some(made.key.name.clone()), ..AuditFilter::default() };
    assert_eq!(desk.connector.audit(&by_key, None, 2).await.unwrap().next, Some(2));
}

#[tokio::test]
async fn a_key_lets_in_until_it_is_revoked_and_its_name_can_be_given_anew_then() {
    let desk = Desk::new(Habits::default()).await;
    let connector = desk.connector.acting(somebody());
    let made = key(&connector, "reporting", "token:*").await;
    let shown = made.secret.expose();
    assert_eq!(code(&connector, shown).await, "in");
    let Ok(Caller::Key(let_in)) = connector.let_in(shown).await else { panic!() };
    assert_eq!(*let_in, made.key);
    let again =
        NewKey { name: "reporting".parse().unwrap(), allowances: vec!["administer".parse().unwrap()], expires: None };
    assert!(matches!(connector.create_key(again.clone()).await, Err(Error::KeyExists(_))));
    let revoked = connector.revoke_key(&again.name).await.unwrap();
    assert_eq!(revoked.state(desk.clock.now()), KeyState::Revoked);
    assert_eq!(code(&connector, shown).await, "revoked_key");
    // A second time is the same, and no news.
    assert_eq!(connector.revoke_key(&again.name).await.unwrap(), revoked);
    let other = connector.create_key(again).await.unwrap();
    assert_eq!((code(&connector, shown).await, code(&connector, other.secret.expose()).await), ("unknown_key", "in"));
    assert_eq!(connector.api_keys().await.unwrap().len(), 1);
    assert_eq!(actions(&connector).await, [Action::KeyCreate, Action::KeyRevoke, Action::KeyCreate]);
    let text = serde_json::to_string(&log(&connector).await).unwrap();
    assert!(!text.contains(&shown[3..]) && text.contains("token:*"), "{text}");
    assert!(matches!(connector.revoke_key(&"none".parse().unwrap()).await, Err(Error::NoKey(_))));
}

#[tokio::test]
async fn a_key_that_may_nothing_or_has_ended_already_is_not_made() {
    let desk = Desk::new(Habits::default()).await;
    let new = |may: &[&str], expires| NewKey {
        name: "k".parse().unwrap(),
        allowances: may.iter().map(|text| text.parse().unwrap()).collect(),
        expires,
    };
    let now = desk.clock.now();
    assert!(matches!(desk.connector.create_key(new(&[], None)).await, Err(Error::KeyMayNothing(_))));
    assert!(matches!(desk.connector.create_key(new(&["token:*"], Some(now))).await, Err(Error::KeyEnded(_))));
    let twice = new(&["token:*", "administer", "token:*"], Some(later(now, 1)));
    let made = desk.connector.create_key(twice).await.unwrap();
    assert_eq!(made.key.allowances.len(), 2);
    assert_eq!(code(&desk.connector, made.secret.expose()).await, "in");
    desk.clock.advance(days(1));
    assert_eq!(code(&desk.connector, made.secret.expose()).await, "expired_key");
}

#[tokio::test]
async fn the_administrator_is_known_by_the_password_that_was_set_last() {
    let desk = Desk::new(Habits::default()).await;
    let connector = desk.connector.acting(somebody());
    let [first, second] = ["correct horse battery", "staple correct horse"].map(|text| text.to_owned().into());
    let right = async |password| connector.check_password(password).await.unwrap();
    assert!(!right(&first).await, "there is none");
    assert_eq!(connector.administrator_password_set().await.unwrap(), None);
    connector.set_administrator_password(&first).await.unwrap();
    let empty = String::new().into();
    assert!(right(&first).await && !right(&second).await && !right(&empty).await);
    connector.set_administrator_password(&second).await.unwrap();
    assert!(right(&second).await && !right(&first).await);
    assert_eq!(connector.administrator_password_set().await.unwrap(), Some(desk.clock.now()));
    assert!(matches!(connector.set_administrator_password(&"short".to_owned().into()).await, Err(Error::Password(_))));
    assert!(right(&second).await);
    assert_eq!(actions(&connector).await, [Action::PasswordSet, Action::PasswordSet]);
}

#[tokio::test]
async fn old_entries_go_when_their_time_has_come_and_the_log_stays_whole() {
    let desk = Desk::new(Habits::default()).await;
    let connector = desk.connector.acting(somebody());
    for number in 0..3 {
        key(&connector, &format!("k{number}"), "token:*").await;
    }
    desk.clock.advance(days(200));
    key(&connector, "later", "token:*").await;
    let head = connector.verify_audit(None).await.unwrap().head;
    desk.clock.advance(days(202));
    Box::pin(connector.refresh_due()).await.unwrap();
    assert_eq!(actions(&connector).await, [Action::KeyCreate, Action::AuditPurge, Action::Refresh]);
    let verified = connector.verify_audit(head).await.unwrap();
    assert_eq!((verified.first, verified.findings), (Some(4), vec![]));
}

#[tokio::test]
async fn what_a_key_makes_up_is_counted_and_does_not_fill_the_log() {
    let desk = Desk::new(Habits::default()).await;
    let made = key(&desk.connector, "reporting", "manage:drive/*").await;
    let acting = Acting::of(&desk.connector.let_in(made.secret.expose()).await.unwrap());
    let connector = desk.connector.acting(acting.clone());
    for number in 0..500 {
        let name = format!("drive/made-up-{number}").parse().unwrap();
        desk.connector.token_for(acting.clone(), &name, Want::Working).await.unwrap_err();
        connector.revoke(&name).await.unwrap_err();
    }
    let log = log(&desk.connector).await;
    assert!(log.len() <= 130, "{}", log.len());
    for action in [Action::TokenRead, Action::Revoke] {
        let of_it = log.iter().filter(|it| it.entry.action == action && it.entry.outcome == Outcome::Failed);
        assert_eq!(of_it.map(|it| it.entry.times).sum::<u32>(), 500, "{action}: none goes uncounted");
    }
    // What does something and fails is not hidden behind that.
    Box::pin(desk.consent()).await.unwrap();
    desk.provider.kill_family(0);
    connector.refresh(&desk.name).await.unwrap_err();
    let log = self::log(&desk.connector).await;
    let last = &log.last().unwrap().entry;
    assert_eq!((last.action, last.outcome, last.times), (Action::Refresh, Outcome::Failed, 1));
    assert_eq!(last.target, Some(Target::Connection(desk.name.clone())));
}

#[tokio::test]
async fn whoever_has_a_link_and_another_browser_does_not_fill_the_log_and_the_right_browser_goes_on() {
    let desk = Desk::new(Habits::default()).await;
    let (right, wrong) = (Secret::new("the-right-browser"), Secret::new("another-browser"));
    let options = AuthorizeOptions { browser: Some(right.clone()), ..AuthorizeOptions::default() };
    let begun = desk.connector.authorize(&desk.name, options).await.unwrap();
    let callback = Browser::of("alice").unwrap().consent(&begun.url).await.unwrap();
    for number in 0..500_u32 {
        let remote = std::net::Ipv4Addr::from(0xc000_0200 + number).into();
        let stranger = Acting::nobody().in_request(RequestId(Uuid::from_u128(number.into())), Some(remote));
        let stranger = desk.connector.acting(stranger);
        let error = stranger.complete_from(callback.as_str(), Some(&wrong)).await.unwrap_err();
        assert!(matches!(error, Error::OtherBrowser(_)), "{error}");
    }
    let nobody = desk.connector.acting(Acting::nobody());
    nobody.complete_from(callback.as_str(), Some(&right)).await.unwrap();
    let log = log(&desk.connector).await;
    assert!(log.len() <= 125, "{}", log.len());
    let times = |outcome| log.iter().filter(|it| it.entry.outcome == outcome).map(|it| it.entry.times).sum::<u32>();
    assert_eq!((times(Outcome::Refused), times(Outcome::Done)), (500, 1));
}

fn grant(name: &str, refresh: &str) -> Grant {
    let refresh = Some(HeldToken::new(Secret::new(refresh)));
    Grant::new(name.parse().unwrap(), Tokens { refresh, ..Tokens::default() })
}

#[tokio::test]
async fn an_imported_grant_is_in_the_log_from_its_commit_on_whatever_becomes_of_the_rest() {
    let desk = Desk::new(Habits::default()).await;
    let made = key(&desk.connector, "mover", "administer").await;
    let connector = desk.connector.acting(Acting::of(&desk.connector.let_in(made.secret.expose()).await.unwrap()));
    // While the proofs go on: who stops the daemon now finds all of them.
    let gate = Gate::new();
    desk.provider.next_all(Door::Token, 2, &Fault::Hold(gate.clone()));
    let importing = {
        let connector = connector.clone();
        let prove = ImportOptions { refresh: true, ..ImportOptions::default() };
        let grants = vec![grant("drive/one", "r-1"), grant("drive/two", "r-2")];
        tokio::spawn(async move { connector.import(grants, &prove).await.unwrap() })
    };
    gate.reached_by(2).await;
    let imported = |log: Vec<grantkeeper::model::RecordedAudit>| -> Vec<String> {
        let of_it = log.into_iter().filter(|it| it.entry.action == Action::Import);
        of_it.map(|it| format!("{:?} {:?}", it.entry.target, it.entry.outcome)).collect()
    };
    let of = |name: &str| format!("{:?} Done", Some(Target::Connection(name.parse().unwrap())));
    assert_eq!(imported(log(&desk.connector).await), [of("drive/one"), of("drive/two")]);
    gate.open();
    importing.await.unwrap();
    // One that no store takes in a commit is refused by itself.
    let mut giant = grant("drive/giant", "r-3");
    giant.requested = Some(vec!["x".repeat(17 << 20)]);
    let grants = vec![grant("drive/three", "r-4"), giant, grant("drive/four", "r-5")];
    let outcomes = connector.import(grants, &ImportOptions::default()).await.unwrap();
    assert_eq!((&outcomes[0], &outcomes[2]), (&Imported::Adopted, &Imported::Adopted));
    assert!(outcomes[1].reason().unwrap().contains("larger than 4 MiB"), "{outcomes:?}");
    let all = ["drive/one", "drive/two", "drive/three", "drive/four"].map(of);
    assert_eq!(imported(log(&desk.connector).await), all);
    // Nothing new is a call all the same.
    connector.import(vec![grant("drive/four", "r-5")], &ImportOptions::default()).await.unwrap();
    assert_eq!(imported(log(&desk.connector).await)[4..], ["None Done"]);
    // As many as several commits take.
    let many = (0..600).map(|number| grant(&format!("drive/n{number}"), "r")).collect();
    connector.import(many, &ImportOptions::default()).await.unwrap();
    assert_eq!(imported(log(&desk.connector).await).len(), 5 + 600);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_done_and_in_the_log_all_the_same() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let connector = desk.connector.acting(somebody());
    let gate = Gate::new();
    desk.provider.next(Door::Revocation, Fault::Hold(gate.clone()));
    let revoking = {
        let (connector, name) = (connector.clone(), desk.name.clone());
        tokio::spawn(async move { connector.revoke(&name).await.map(|_| ()) })
    };
    gate.reached_by(1).await;
    revoking.abort();
    assert!(revoking.await.unwrap_err().is_cancelled());
    assert_eq!(actions(&desk.connector).await, []);
    assert!(connector.under_way() > 0);
    gate.open();
    let ended = async {
        while connector.under_way() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends");
    assert_eq!(actions(&desk.connector).await, [Action::Revoke]);
    assert_eq!(desk.connection().await.state, ConnectionState::Revoked);
}
