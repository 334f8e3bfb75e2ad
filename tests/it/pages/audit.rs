//! The audit log as people look at it.

use super::stage::{Page, Stage};
use grantkeeper::access::Acting;
use grantkeeper::model::{Action, Actor, Clock as _, Outcome, RequestId, Target};
use grantkeeper::refresh::Want;
use std::time::Duration;
use uuid::Uuid;

/// Entries on one page.
const PAGE: usize = 100;

fn key(name: &str) -> Acting {
    let actor = Actor::Key { id: Uuid::from_u128(7), name: name.parse().unwrap() };
    Acting::by(actor).in_request(RequestId(Uuid::from_u128(0x0815)), Some("192.0.2.7".parse().unwrap()))
}

/// A stage with something in its log.
async fn told() -> Stage {
    let stage = Stage::new().await;
    tell(&stage).await;
    stage
}

/// Lets something of each kind happen.
pub(super) async fn tell(stage: &Stage) {
    let connector = &stage.desk.connector;
    connector.token_for(key("reporting"), &stage.desk.name, Want::Working).await.unwrap();
    let now = stage.desk.clock.now();
    let target = Target::of(&"drive/reports".parse().unwrap());
    let refused = key("other").entry(Action::AccessRefused, target, now).that(Outcome::Refused, "not_allowed");
    connector.audit_now(refused.with_detail("GET /v1/connections/{application}/{name}")).await.unwrap();
    let of_system = Acting::by(Actor::System).entry(Action::StoreBackup, None, now);
    connector.audit_now(of_system.that(Outcome::Failed, "store")).await.unwrap();
    let mut many = Acting::nobody().entry(Action::SignInRefused, None, now).that(Outcome::Refused, "password");
    many.times = 41;
    connector.audit_now(many).await.unwrap();
}

/// The rows' sequences, as they stand.
fn rows(page: &Page) -> Vec<u64> {
    let rows = page.body.split("<tr id=\"entry-").skip(1);
    rows.map(|row| row.split('"').next().unwrap().parse().unwrap()).collect()
}

/// Where a link of the pager leads.
fn older(page: &Page) -> Option<String> {
    let (before, _) = page.body.split_once("\" rel=\"next\"")?;
    before.rsplit_once("href=\"").map(|(_, path)| path.replace("&amp;", "&"))
}

#[tokio::test]
async fn the_log_is_told_in_words_and_its_newest_entry_first() {
    let stage = told().await;
    let me = stage.sign_in().await;
    let page = stage.see(&me, "/audit").await;
    assert_eq!(page.status, 200);
    for words in [
        "aria-current=\"page\">Audit",
        "Ask for a token",
        "href=\"/connections/drive/reports\"",
        "href=\"/audit?key=reporting\"",
        "192.0.2.7",
        "00000000-0000-0000-0000-000000000815",
        "not_allowed</code>",
        "Refused",
        "GET /v1/connections/{application}/{name}",
        "Failed",
        "by itself",
        "41 times",
        "Nobody known",
        "Administrator",
        "Sign in",
    ] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    let rows = rows(&page);
    assert!(rows.len() >= 5 && rows.is_sorted_by(|one, next| one > next), "{rows:?}");
}

#[tokio::test]
async fn the_log_is_filtered_by_what_who_and_when() {
    let stage = told().await;
    let me = stage.sign_in().await;
    let found = async |query: &str| rows(&stage.see(&me, &format!("/audit?{query}")).await).len();
    assert_eq!(found("of=drive/reports").await, found("of=drive").await);
    assert!(found("of=drive").await >= 2);
    assert_eq!(found("of=slack").await, 0);
    assert_eq!(found("key=reporting").await, 1);
    assert_eq!(found("key=reporting&action=token.read&of=drive/reports").await, 1);
    assert_eq!(found("key=reporting&action=revoke").await, 0);
    assert_eq!(found("since=2026-11-23").await, found("").await);
    assert_eq!(found("since=2026-11-24").await, 0);
    for (query, words) in [
        ("of=a+b", "the name of no connection and of no application"),
        ("key=a/b", "the name of no API key"),
        ("since=yesterday", "Write it as 2030-01-31"),
        ("of=slack", "Nothing is kept that fits"),
    ] {
        let page = stage.see(&me, &format!("/audit?{query}")).await;
        assert!(page.status == 200 && page.body.contains(words), "{query}: {}", page.body);
        assert!(page.body.contains("href=\"/audit\">Clear"), "{query}");
    }
}

#[tokio::test]
async fn older_entries_are_reached_page_by_page_and_none_is_shown_twice() {
    let stage = told().await;
    let connector = &stage.desk.connector;
    for _ in 0..250 {
        let entry = key("reporting").entry(Action::TokenRead, None, stage.desk.clock.now());
        connector.audit_now(entry).await.unwrap();
    }
    let me = stage.sign_in().await;
    let (mut next, mut seen) = (Some("/audit?key=reporting".to_owned()), Vec::new());
    while let Some(path) = next {
        let page = stage.see(&me, &path).await;
        assert_eq!(
            page.body.contains("data-live-from"),
            !path.contains("before"),
            "only the newest page moves: {path}"
        );
        assert!(rows(&page).len() <= PAGE);
        seen.extend(rows(&page));
        next = older(&page);
        assert!(next.as_ref().is_none_or(|next| next.contains("key=reporting")), "{next:?}");
    }
    assert_eq!(seen.len(), 251);
    assert!(seen.is_sorted_by(|one, next| one > next));
}

#[tokio::test]
async fn the_log_is_verified_and_shows_the_head_to_note() {
    let stage = told().await;
    let me = stage.sign_in().await;
    let head = stage.desk.connector.verify_audit(None).await.unwrap().head.unwrap().to_string();
    assert_eq!(stage.see(&me, "/audit/verify").await.status, 200);
    let whole = stage.act(&me, "/audit/verify", &[]).await;
    assert!(whole.status == 200 && whole.body.contains("The audit log is whole"), "{}", whole.body);
    assert!(whole.body.contains(&format!("<code id=\"head\">{head}</code>")), "{}", whole.body);
    let noted = stage.act(&me, "/audit/verify", &[("head", &head)]).await;
    assert!(noted.body.contains("is in it as it was"), "{}", noted.body);
    let (sequence, hash) = head.split_once(':').unwrap();
    let other = format!("{sequence}:{}", hash.chars().rev().collect::<String>());
    let broken = stage.act(&me, "/audit/verify", &[("head", &other)]).await;
    assert!(broken.body.contains("The audit log is not whole"), "{}", broken.body);
    assert!(broken.body.contains("it is not what was noted"), "{}", broken.body);
    let typed = stage.act(&me, "/audit/verify", &[("head", "<b>")]).await;
    assert!(typed.status == 422 && typed.body.contains("This is no head"), "{}", typed.body);
    assert!(typed.body.contains("value=\"&lt;b&gt;\""), "{}", typed.body);
}

#[tokio::test]
async fn an_open_page_is_told_when_something_is_written_and_no_stranger_is() {
    let stage = told().await;
    assert_eq!(stage.get("/live/audit", &[]).await.status, 401);
    let me = stage.sign_in().await;
    let mut stream = stage.stream(&me, "/live/audit").await;
    assert!(stream.chunk().await.unwrap().unwrap().starts_with(b"retry"));
    let entry = key("reporting").entry(Action::Refresh, None, stage.desk.clock.now());
    stage.desk.connector.audit_now(entry).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(10), stream.chunk()).await.unwrap().unwrap().unwrap();
    let told = String::from_utf8(told.to_vec()).unwrap();
    assert!(told.starts_with("event: news") && !told.contains("reporting"), "{told}");
    // Who signs out is told nothing more.
    assert_eq!(stage.act(&me, "/sign-out", &[]).await.status, 303);
    let rest = tokio::time::timeout(Duration::from_secs(10), stream.chunk()).await.unwrap().unwrap();
    assert!(rest.is_none(), "{rest:?}");
}

#[tokio::test]
async fn connect_links_and_signing_out_are_in_the_log() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let fields = [("application", "drive"), ("name", "ann"), ("whom", "Ann, finance")];
    let made = stage.act(&me, "/connect", &fields).await;
    let link = made.body.split_once("<code id=\"link\">").unwrap().1.split('<').next().unwrap();
    let opens = link.split_once("key=").unwrap().1;
    let page = stage.see(&me, "/connect").await;
    let id = page.body.split_once("name=\"id\" value=\"").unwrap().1.split('"').next().unwrap();
    assert_eq!(stage.act(&me, "/connect/withdraw", &[("id", id)]).await.status, 303);
    assert_eq!(stage.act(&me, "/connect/withdraw", &[("id", id)]).await.status, 303, "one that is gone");
    assert_eq!(stage.act(&me, "/sign-out", &[]).await.status, 303);
    let list = stage.desk.connector.audit(&Default::default(), None, 100).await.unwrap();
    let of = |action: Action| {
        let entries: Vec<_> = list.entries.iter().map(|it| &it.entry).filter(|it| it.action == action).collect();
        let whose: Vec<String> = entries.iter().map(|entry| entry.actor.to_string()).collect();
        assert!(whose.iter().all(|who| who == "session administrator"), "{action}: {whose:?}");
        entries
    };
    for action in [Action::InviteCreate, Action::InviteWithdraw] {
        let [entry] = of(action)[..] else { panic!("{action}: {:?}", of(action)) };
        assert_eq!(entry.target, Target::of(&"drive/ann".parse().unwrap()), "{action}");
        let detail = entry.detail.as_deref().unwrap();
        assert!(detail.contains(id) && detail.contains("for Ann, finance") && !detail.contains(opens), "{detail}");
    }
    assert_eq!((of(Action::SignIn).len(), of(Action::SignOut).len()), (1, 1));
}
