//! Links that a person gets to connect an account.

use super::stage::{Me, Page, Stage};
use grantkeeper::demo::Browser;
use grantkeeper::model::{ConnectionName, ConnectionState, Secret};
use std::time::Duration;

/// Makes a link; the path and query of what is sent to a person.
async fn link(stage: &Stage, me: &Me, fields: &[(&str, &str)]) -> String {
    let made = stage.act(me, "/connect", fields).await;
    assert_eq!(made.status, 200, "{made:?}");
    let link = made.body.split_once("<code id=\"link\">").expect("a link").1.split('<').next().unwrap().to_owned();
    link.strip_prefix("http://127.0.0.1:8765").expect("the daemon's address").to_owned()
}

/// Follows a link to its end: where the browser is sent, and what it shows of itself there.
fn sent_on(page: &Page) -> (String, Secret) {
    assert_eq!(page.status, 200, "{page:?}");
    let url = page.body.split_once("content=\"0; url=").expect("a way on").1.split('"').next().unwrap();
    let cookie = page.cookie("__Host-grantkeeper-consent").expect("a cookie");
    (url.replace("&amp;", "&"), Secret::new(cookie.split_once('=').unwrap().1))
}

fn key_of(link: &str) -> &str {
    link.split_once("key=").unwrap().1
}

#[tokio::test]
async fn a_link_says_for_whom_it_is_before_consent_and_which_account_was_linked_after_it() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let fields = [("application", "drive"), ("name", "ann"), ("whom", "Ann, finance"), ("span", "3600")];
    let link = link(&stage, &me, &fields).await;
    // Nobody has to sign in, and looking does not use it up.
    for _ in 0..2 {
        let page = stage.get(&link, &[]).await;
        assert_eq!(page.status, 200);
        for word in ["This link is for", "Ann, finance", "drive/ann", "drive.readonly", "Go on to drive"] {
            assert!(page.body.contains(word), "{word}: {}", page.body);
        }
    }
    assert!(stage.see(&me, "/connect").await.body.contains("Waiting"));
    let (url, cookie) = sent_on(&stage.post("/invite", &[], &[("key", key_of(&link))]).await);
    assert!(stage.see(&me, "/connect").await.body.contains("Followed"));
    let callback = Browser::of("alice").unwrap().consent(&url.parse().unwrap()).await.unwrap();
    let stranger = stage.desk.connector.complete_from(callback.as_str(), Some(&Secret::new("another"))).await;
    assert!(stranger.is_err(), "another browser cannot finish it");
    stage.desk.connector.complete_from(callback.as_str(), Some(&cookie)).await.unwrap();
    let page = stage.see(&me, "/connect").await;
    assert!(page.body.contains("linked") && page.body.contains("Linked"), "{}", page.body);
    let name: ConnectionName = "drive/ann".parse().unwrap();
    assert_eq!(stage.desk.connector.connection(&name).await.unwrap().state, ConnectionState::Active);
}

#[tokio::test]
async fn a_link_that_nothing_came_of_is_not_told_as_linked_when_another_one_is() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let fields = [("application", "drive"), ("name", "ann"), ("span", "3600")];
    let lines = async || {
        let page = stage.see(&me, "/connect").await;
        (page.body.matches("linked").count(), page.body.matches("nothing came of it").count())
    };
    let follow = async |finish: bool| {
        let link = link(&stage, &me, &fields).await;
        stage.desk.clock.advance(Duration::from_secs(1));
        let (url, cookie) = sent_on(&stage.post("/invite", &[], &[("key", key_of(&link))]).await);
        stage.desk.clock.advance(Duration::from_secs(1));
        if finish {
            let callback = Browser::of("alice").unwrap().consent(&url.parse().unwrap()).await.unwrap();
            stage.desk.connector.complete_from(callback.as_str(), Some(&cookie)).await.unwrap();
        }
    };
    follow(false).await;
    assert_eq!(lines().await, (0, 0));
    follow(true).await;
    assert_eq!(lines().await, (1, 1));
    follow(false).await;
    assert_eq!(lines().await, (1, 1), "what was linked stays so, and who was sent on may still finish");
    follow(true).await;
    assert_eq!(lines().await, (2, 2));
}

#[tokio::test]
async fn a_link_is_good_once_for_a_while_and_until_it_is_taken_back() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let fields = [("application", "drive"), ("name", "ann"), ("span", "3600")];
    let used = link(&stage, &me, &fields).await;
    // A form from elsewhere does not use it up.
    let cross = stage.post("/invite", &[("sec-fetch-site", "cross-site")], &[("key", key_of(&used))]).await;
    assert_eq!(cross.status, 403);
    sent_on(&stage.post("/invite", &[], &[("key", key_of(&used))]).await);
    let withdrawn = link(&stage, &me, &fields).await;
    let page = stage.see(&me, "/connect").await.body;
    let id = page.split_once("name=\"id\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    assert_eq!(stage.act(&me, "/connect/withdraw", &[("id", &id)]).await.status, 303);
    let late = link(&stage, &me, &fields).await;
    assert_eq!(stage.get(&late, &[]).await.status, 200, "good until then");
    let before = stage.desk.connector.last_event().await.unwrap();
    let is_spent = async |link: &str| {
        let looked = stage.get(link, &[]).await;
        assert!(looked.status == 403 && looked.body.contains("no longer good"), "{link}: {looked:?}");
        assert!(!looked.body.contains("drive"), "{}", looked.body);
        let key = link.split_once("key=").map_or("", |(_, key)| key);
        let gone = stage.post("/invite", &[], &[("key", key)]).await;
        assert!(gone.status == 403 && gone.headers.get("set-cookie").is_none(), "{link}: {gone:?}");
    };
    for link in [&used, &withdrawn, "/invite?key=AAAA", "/invite"] {
        is_spent(link).await;
    }
    stage.desk.clock.advance(Duration::from_secs(3600));
    is_spent(&late).await;
    assert_eq!(stage.desk.connector.last_event().await.unwrap(), before);
}

#[tokio::test]
async fn a_link_is_shown_once_and_is_not_what_takes_it_back() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let link = link(&stage, &me, &[("application", "drive"), ("name", "ann")]).await;
    let page = stage.see(&me, "/connect").await;
    assert!(page.body.contains("drive/ann") && !page.body.contains(key_of(&link)), "{}", page.body);
}

#[tokio::test]
async fn a_connection_that_is_there_is_connected_again_by_the_same_account() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    stage.desk.provider.kill_family(0);
    assert!(stage.desk.connector.refresh(&stage.desk.name).await.is_err());
    let page = stage.see(&me, "/connections/drive/reports").await;
    let again =
        page.body.split("href=\"").find(|rest| rest.starts_with("/connect?")).unwrap().split('"').next().unwrap();
    let form = stage.see(&me, &again.replace("&amp;", "&")).await;
    assert!(form.body.contains("value=\"reports\""), "{}", form.body);
    let link = link(&stage, &me, &[("application", "drive"), ("name", "reports")]).await;
    let (url, cookie) = sent_on(&stage.post("/invite", &[], &[("key", key_of(&link))]).await);
    let callback = Browser::of("alice").unwrap().consent(&url.parse().unwrap()).await.unwrap();
    stage.desk.connector.complete_from(callback.as_str(), Some(&cookie)).await.unwrap();
    assert_eq!(stage.desk.connection().await.state, ConnectionState::Active);
}

#[tokio::test]
async fn what_is_wrong_with_a_link_is_said_at_its_field() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let right = [("application", "drive"), ("name", "ann"), ("profile", "default"), ("labels", "team = finance")];
    for (field, value) in [
        ("name", "a b"),
        ("name", ""),
        ("name", "team~user"),
        ("profile", "none"),
        ("profile", "No Name"),
        ("labels", "shop"),
    ] {
        let fields: Vec<_> =
            right.iter().map(|(name, old)| (*name, if *name == field { value } else { *old })).collect();
        let page = stage.act(&me, "/connect", &fields).await;
        assert_eq!(page.status, 422, "{field} {value}");
        assert!(page.body.contains(&format!("id=\"{field}-wrong\"")), "{field} {value}: {}", page.body);
    }
    assert_eq!(stage.act(&me, "/connect", &[("application", "nobody"), ("name", "ann")]).await.status, 404);
    assert_eq!(stage.act(&me, "/connect", &right).await.status, 200);
}

#[tokio::test]
async fn a_grant_that_needs_no_person_is_connected_at_once() {
    let stage = Stage::new().await;
    stage.desk.apply("", "grant = \"client_credentials\"").await;
    let me = stage.sign_in().await;
    let made = stage.act(&me, "/connect", &[("application", "drive"), ("name", "robot")]).await;
    assert_eq!((made.status, made.header("location")), (303, "/connections/drive/robot"), "{made:?}");
}
