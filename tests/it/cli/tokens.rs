//! `token`, and Manage Tokens.

use crate::support::shop::{Consenting, NAME, Shop, alice};
use grantkeeper::demo::{Door, Fault, Habits};
use grantkeeper::store::{SledOptions, SledStore};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_printed_as_it_is_wanted() {
    let shop = Shop::connected(Habits::default()).await;
    let token = shop.machine.run(&["token", NAME]).done();
    assert_eq!(shop.machine.run(&["token", NAME, "--header"]).done(), format!("Authorization: Bearer {token}"));
    let json = shop.machine.run(&["token", NAME, "--json"]).json();
    assert_eq!(json["access_token"], token.trim());
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["expires_source"], "stated");
    assert!(json["expires_in"].as_u64().unwrap() > 3000, "{json}");
    assert!(json["expires"].as_str().unwrap().ends_with('Z'), "{json}");
    for (kind, found) in [("access_token", 1), ("refresh_token", 1)] {
        let listed = shop.machine.run(&["tokens", "--kind", kind, "--json"]).json();
        assert!(listed.as_array().unwrap().iter().all(|it| it["type"] == kind), "{listed}");
        assert_eq!(listed.as_array().unwrap().len(), found);
    }
    // It lives for an hour: half an hour is left, and no request was made.
    assert_eq!(shop.machine.run(&["token", NAME, "--min-ttl", "30m"]).done(), token);
    assert_eq!(shop.provider.token_requests("refresh_token"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_too_soon_is_refreshed() {
    let shop = Shop::connected(Habits::default()).await;
    let first = shop.machine.run(&["token", NAME]).done();
    shop.machine.run(&["tokens", "expire", &shop.credential("access_token"), "--at", "+2m"]).done();
    assert_eq!(shop.machine.run(&["token", NAME, "--min-ttl", "1m"]).done(), first);
    let second = shop.machine.run(&["token", NAME, "--min-ttl", "5m"]).done();
    assert_ne!(second, first);
    assert_eq!(shop.call(&second).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_began_behind_a_token_is_finished_before_the_process_ends() {
    let shop = Shop::connected(Habits::default()).await;
    let first = shop.machine.run(&["token", NAME]).done();
    shop.provider.next(Door::Token, Fault::Status(503));
    shop.machine.run(&["refresh", NAME]).failed(5);
    // A mended application makes its failing connections due; their tokens are still good.
    shop.apply("script = \"OAuthGoogleDrive\"\nextend_refresh_token_expiry = true", "").done();
    assert_eq!(shop.machine.run(&["token", NAME]).done(), first);
    let connection = shop.machine.run(&["connections", "show", NAME, "--json"]).json();
    assert_eq!((&connection["generation"], &connection["state"]), (&2.into(), &"active".into()), "{connection}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_credential_has_a_row_and_a_short_id() {
    let shop = Shop::connected(Habits::default()).await;
    let table = shop.machine.run(&["tokens"]).done();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    for column in ["ID", "NAME", "TYPE", "EXPIRES", "RECEIVED/ISSUED", "APPLICATION", "CONNECTION", "SCOPES", "STATE"] {
        assert!(rows[0].contains(column), "{column}: {table}");
    }
    assert!(rows[1].contains("min)") && rows[1].contains("drive.readonly") && rows[1].contains("good"), "{table}");
    let json = shop.machine.run(&["tokens", "--json"]).json();
    for (row, credential) in rows[1..].iter().zip(json.as_array().unwrap()) {
        let short = row.split_whitespace().next().unwrap();
        let shown = shop.machine.run(&["tokens", "show", short, "--json"]).json();
        assert_eq!(shown["id"], credential["id"]);
        assert!(short.len() <= 12, "{short}");
    }
    assert_eq!(shop.machine.run(&["tokens", "--app", "drive", "--json"]).json().as_array().unwrap().len(), 2);
    let ids = |list: &serde_json::Value| {
        list.as_array().unwrap().iter().map(|credential| credential["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&shop.machine.run(&["tokens", "list", "--json"]).json()), ids(&json));
}

#[tokio::test(flavor = "multi_thread")]
async fn expires_can_be_edited_to_any_time() {
    let shop = Shop::connected(Habits::default()).await;
    let id = shop.credential("access_token");
    let expire = |at| shop.machine.run(&["tokens", "expire", &id, "--at", at, "--json"]).json();
    assert_eq!(expire("2030-01-01T00:00:00Z")["expires"], "2030-01-01T00:00:00Z");
    assert_eq!(expire("2030-01-01 10:00")["expires"], "2030-01-01T10:00:00Z");
    assert!(expire("9999-12-31T23:59:59Z")["expires"].as_str().unwrap().starts_with("9999-12-"));
    let past = expire("2001-01-01");
    assert_eq!((&past["state"], &past["expires_source"]), (&"expired".into(), &"edited".into()));
    assert_eq!(expire("-1h")["state"], "expired");
    shop.machine.run(&["token", NAME]).done();
    assert_eq!(shop.provider.token_requests("refresh_token"), 1, "an edit is no reason not to refresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshing_brings_a_new_token() {
    let shop = Shop::connected(Habits::default()).await;
    let first = shop.machine.run(&["token", NAME]).done();
    shop.machine.run(&["refresh", NAME]).done();
    let second = shop.machine.run(&["token", NAME]).done();
    assert_ne!(first, second);
    assert!(shop.machine.run(&["refresh", "--due"]).done().contains("nothing is due"));
    shop.machine.run(&["tokens", "expire", &shop.credential("access_token"), "--at", "-1h"]).done();
    assert_eq!(shop.machine.run(&["refresh", "--due", "--json"]).json()["refreshed"], 1);
    assert_ne!(shop.machine.run(&["token", NAME]).done(), second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_passing_trouble() {
    let shop = Shop::connected(Habits::default()).await;
    shop.provider.next(Door::Token, Fault::Status(503));
    let sentence = shop.machine.run(&["refresh", NAME]).failed(5);
    assert!(sentence.contains("next try at"), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "no log lines unless they are asked for: {sentence}");
    shop.machine.run(&["refresh", NAME]).done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_grant_needs_a_person() {
    let shop = Shop::connected(Habits::default()).await;
    shop.provider.kill_family(0);
    shop.machine.run(&["refresh", NAME]).failed(4);
    let sentence = shop.machine.run(&["token", NAME, "--json"]).failed(4);
    let error: serde_json::Value = serde_json::from_str(&sentence).unwrap();
    assert_eq!(error["error"]["code"], "reauthorization_required");
    let table = shop.machine.run(&["connections", "list"]).done();
    assert!(table.contains("reauthorization_required (refused)"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_secret_is_the_applications_trouble() {
    let shop = Shop::connected(Habits::default()).await;
    shop.provider.set_habits(Habits { refuses: Some("invalid_client".to_owned()), ..Habits::default() });
    shop.machine.run(&["refresh", NAME]).failed(6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_access_token_is_replaced_and_a_revoked_refresh_token_ends_the_grant() {
    let shop = Shop::connected(Habits::default()).await;
    let first = shop.machine.run(&["token", NAME]).done();
    let out = shop.machine.run(&["tokens", "revoke", &shop.credential("access_token")]).done();
    assert!(out.contains("the provider revoked it"), "{out}");
    assert_eq!(shop.call(&first).await, 401);
    let second = shop.machine.run(&["token", NAME]).done();
    assert_eq!(shop.call(&second).await, 200);
    shop.machine.run(&["tokens", "revoke", &shop.credential("refresh_token")]).done();
    assert_eq!(shop.call(&second).await, 401);
    shop.machine.run(&["token", NAME]).failed(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_the_provider_was_not_told_of_says_so_and_can_be_repeated() {
    let shop = Shop::connected(Habits::default()).await;
    for _ in 0..2 {
        shop.provider.next(Door::Revocation, Fault::Status(503));
    }
    let ran = shop.machine.run(&["revoke", NAME]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.out.contains("was revoked") && ran.err.contains("was not told"), "{ran:?}");
    shop.machine.run(&["token", NAME]).failed(4);
    assert!(shop.machine.run(&["revoke", NAME]).done().contains("the provider revoked it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_connection_is_gone_here_and_there() {
    let shop = Shop::connected(Habits::default()).await;
    let token = shop.machine.run(&["token", NAME]).done();
    shop.machine.run(&["app", "remove", "drive"]).failed(1);
    shop.machine.run(&["connections", "remove", NAME]).done();
    assert_eq!(shop.call(&token).await, 401);
    shop.machine.run(&["connections", "show", NAME]).failed(3);
    assert_eq!(shop.machine.run(&["tokens", "--json"]).json(), serde_json::json!([]));
    shop.machine.run(&["app", "remove", "drive"]).done();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_asked_what_it_knows_of_a_token() {
    let shop = Shop::connected(Habits::default()).await;
    let id = shop.credential("access_token");
    let said = shop.machine.run(&["tokens", "introspect", &id, "--json"]).json();
    assert_eq!((&said["active"], &said["client_id"]), (&true.into(), &"drive-client".into()), "{said}");
    assert!(shop.machine.run(&["tokens", "introspect", &id]).done().contains("active"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_at_once_share_one_refresh() {
    let shop = Shop::connected(Habits::default()).await;
    shop.machine.run(&["tokens", "expire", &shop.credential("access_token"), "--at", "-1h"]).done();
    let line = "for i in 1 2 3 4 5 6; do $GRANTKEEPER token drive/reports & done; wait";
    let ran = shop.machine.shell(line);
    let tokens: std::collections::BTreeSet<&str> = ran.out.lines().collect();
    assert_eq!((ran.out.lines().count(), tokens.len()), (6, 1), "{ran:?}");
    assert_eq!(shop.provider.token_requests("refresh_token"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_another_process_holds_is_passing_trouble() {
    let shop = Shop::connected(Habits::default()).await;
    let held = SledStore::open(&shop.machine.home().join("store"), &SledOptions::default()).unwrap();
    let error: serde_json::Value =
        serde_json::from_str(&shop.machine.run(&["token", NAME, "--json"]).failed(5)).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["retryable"]),
        (&"store_held".into(), &true.into()),
        "{error}"
    );
    drop(held);
    shop.machine.run(&["token", NAME]).done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_the_store_is_told_and_not_obeyed() {
    let shop = Shop::connected(Habits::default()).await;
    let mut flipped = 0;
    for entry in walk(&shop.machine.home().join("store")) {
        let mut bytes = std::fs::read(&entry).unwrap();
        if bytes.len() > 2000 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&entry, bytes).unwrap();
            flipped += 1;
        }
    }
    assert!(flipped > 0);
    let ran = shop.machine.run(&["token", NAME]);
    assert!(matches!(ran.code, Some(0 | 7)), "healed, or refused by name: {ran:?}");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_token_has_a_name_of_its_own() {
    let shop = Shop::new(Habits { further_token: true, ..Habits::default() }).await;
    shop.apply("tokens.user.root = \"authed_user\"\nscript = \"OAuthGoogleDrive\"", "").done();
    let mut consenting = Consenting::start(&shop.machine, &["connect", NAME, "--paste"]);
    consenting.paste(alice().consent(&consenting.url).await.unwrap().as_str());
    consenting.ended().done();
    let user = format!("{NAME}~user");
    let (main, further) = (shop.machine.run(&["token", NAME]).done(), shop.machine.run(&["token", &user]).done());
    assert_ne!(main, further);
    let shown = shop.machine.run(&["connections", "show", NAME]).done();
    assert!(shown.lines().any(|line| line.starts_with("further token ") && line.ends_with(&user)), "{shown}");
    assert_eq!(shop.machine.run(&["tokens", "--json"]).json().as_array().unwrap().len(), 4);
    shop.machine.run(&["refresh", &user]).done();
    assert_eq!(shop.machine.run(&["token", NAME]).done(), main, "each is refreshed by itself");
    let sentence = shop.machine.run(&["connect", &user, "--paste"]).failed(1);
    assert!(sentence.contains("is a further token of"), "{sentence}");
    shop.machine.run(&["connections", "remove", NAME]).done();
    assert_eq!(shop.machine.run(&["tokens", "--json"]).json(), serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_token_is_reported_by_itself_its_generation_or_as_the_one_that_is_held() {
    let shop = Shop::connected(Habits::default()).await;
    let first = shop.machine.run(&["token", NAME]).done();
    let second = shop.machine.run_with(&["token", NAME, "--rejected=-"], &first).done();
    assert_ne!(second, first);
    // The same report again: another token is held by now, and it is the answer.
    assert_eq!(shop.machine.run_with(&["token", NAME, "--rejected=-"], &first).done(), second);
    assert_eq!(shop.machine.run(&["token", NAME, "--rejected=1"]).done(), second);
    assert_eq!(shop.provider.token_requests("refresh_token"), 1);
    let third = shop.machine.run(&["token", NAME, "--rejected=2", "--header"]).done();
    assert_eq!(third.trim().strip_prefix("Authorization: Bearer ").map(str::len), Some(second.trim().len()));
    // A report that names none does not mean a token that is seconds old: several who report at once mean the one before.
    let same = shop.machine.run(&["token", NAME, "--rejected", "--header"]).done();
    assert_eq!((same, shop.provider.token_requests("refresh_token")), (third, 2));
    let usage = shop.machine.run(&["token", NAME, "--rejected=latest"]).failed(2);
    assert!(usage.contains("generation"), "{usage}");
    let none = shop.machine.run_with(&["token", NAME, "--rejected=-"], "").failed(1);
    assert!(none.contains("rejected token"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_says_what_will_happen_next_and_when() {
    let shop = Shop::connected(Habits::default()).await;
    let next = |shop: &Shop| shop.machine.run(&["connections", "show", NAME, "--json"]).json()["outlook"].clone();
    assert_eq!(next(&shop)["next"], "refresh");
    let lines = shop.machine.run(&["connections", "show", NAME]).done();
    assert!(lines.contains("\nnext ") && lines.contains("by the background job or earlier by who needs it"), "{lines}");
    shop.provider.next(Door::Token, Fault::Status(503));
    shop.machine.run(&["refresh", NAME]).failed(5);
    assert_eq!((next(&shop)["next"].as_str(), next(&shop)["failures"].as_u64()), (Some("resolve"), None));
    let lines = shop.machine.run(&["connections", "show", NAME]).done();
    assert!(lines.contains("in doubt") && lines.contains("rotation_lost"), "{lines}");
    shop.machine.run(&["refresh", NAME]).done();
    shop.provider.next(Door::Token, Fault::TooManyRequests { retry_after: "120".to_owned() });
    shop.machine.run(&["refresh", NAME]).failed(5);
    assert_eq!((next(&shop)["next"].as_str(), next(&shop)["failures"].as_u64()), (Some("retry"), Some(1)));
    shop.machine.run(&["revoke", NAME]).done();
    assert_eq!(next(&shop)["next"], "nothing");
    assert!(shop.machine.run(&["connections", "show", NAME]).done().contains("it was revoked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_person_is_found_at_the_command_line() {
    let shop = Shop::connected(Habits::default()).await;
    let run =
        |arguments: &[&str]| shop.machine.run(&[arguments, &["--json"]].concat()).json().as_array().unwrap().len();
    assert_eq!(run(&["connections", "list", "--state", "active"]), 1);
    assert_eq!(run(&["connections", "list", "--state", "reauthorization_required"]), 0);
    assert!(
        shop.machine.run(&["connections", "list", "--state", "dying"]).failed(2).contains("reauthorization_required")
    );
    assert_eq!((run(&["tokens", "--expires-within", "2h"]), run(&["tokens"])), (1, 2));
    assert!(shop.machine.run(&["tokens", "--expires-within", "soon"]).failed(2).contains("7d or 12h"));
}
