//! `connect` by the grants that need no browser of ours.

use crate::support::machine::Ran;
use crate::support::shop::{Consenting, NAME, Shop, alice, ended};
use grantkeeper::demo::{Habits, PASSWORD};
use url::Url;

fn quick() -> Habits {
    Habits { device_interval_seconds: 1, ..Habits::default() }
}

/// The address of the code's page, which is on the second line.
fn page_of(out: &mut impl std::io::BufRead) -> Url {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line.rsplit(' ').next().unwrap().trim().parse().unwrap_or_else(|_| panic!("{line:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_code_is_shown_and_waited_for_with_the_store_free() {
    let shop = Shop::new(quick()).await;
    let (line, child, mut out) = Consenting::first_line(&shop.machine, &["connect", NAME, "--device"]);
    assert!(line.contains("type this code"), "{line}");
    let page = page_of(&mut out);
    assert_eq!(shop.machine.run(&["connections", "list", "--json"]).json()[0]["state"], "pending");
    alice().allow_device(&page, None).await.unwrap();
    ended(child, out).done();
    assert_eq!(shop.call(&shop.machine.run(&["token", NAME]).done()).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_refused_needs_a_person() {
    let shop = Shop::new(quick()).await;
    let (_, child, mut out) = Consenting::first_line(&shop.machine, &["connect", NAME, "--device"]);
    alice().deny_device(&page_of(&mut out), None).await.unwrap();
    assert!(ended(child, out).failed(4).contains("was not given"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_device_leaves_nothing_half_done() {
    let shop = Shop::new(quick()).await;
    let (_, child, out) = Consenting::first_line(&shop.machine, &["connect", NAME, "--device"]);
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(ended(child, out).code, Some(130));
    assert_eq!(shop.machine.run(&["connections", "show", NAME, "--json"]).json()["state"], "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_credentials_need_nobody() {
    let shop = Shop::new(quick()).await;
    let add = ["profile", "add", "drive", "batch", "--grant", "client_credentials", "--scope", "drive.readonly"];
    shop.machine.run(&add).done();
    let ran = shop.machine.run(&["connect", "drive/batch", "--profile", "batch"]);
    assert!(!ran.err.contains("no refresh token"), "nobody has to consent again: {ran:?}");
    ran.done();
    assert!(!shop.machine.run(&["token", "drive/batch"]).done().is_empty());
    shop.machine.run(&["connect", "drive/batch", "--paste"]).failed(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_comes_from_standard_input() {
    let shop = Shop::new(quick()).await;
    let add =
        ["profile", "add", "drive", "old", "--grant", "password", "--username", "alice", "--scope", "drive.readonly"];
    shop.machine.run(&add).done();
    let connect = ["connect", "drive/old", "--profile", "old", "--password-stdin"];
    shop.machine.run_with(&connect, "wrong\n").failed(4);
    shop.machine.run_with(&connect, "").failed(1);
    shop.machine.run_with(&connect, &format!("{PASSWORD}\n")).done();
    assert_eq!(shop.call(&shop.machine.run(&["token", "drive/old"]).done()).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_from_elsewhere_moves_in() {
    let shop = Shop::connected(quick()).await;
    let token = shop.provider.current_refresh_token(0).unwrap();
    let connect = ["connect", "drive/moved", "--refresh-token-stdin"];
    shop.machine.run_with(&connect, token.expose()).done();
    assert_eq!(shop.call(&shop.machine.run(&["token", "drive/moved"]).done()).await, 200);
    shop.machine.run_with(&["connect", "drive/none", "--refresh-token-stdin"], "not-a-token\n").failed(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_read_from_an_issuers_metadata() {
    let shop = Shop::new(quick()).await;
    let issuer = shop.provider.issuer().to_owned();
    let add = |name: &str, issuer: &str| -> Ran {
        let secret = crate::support::shop::CLIENT_SECRET;
        let add =
            ["app", "add", name, "--issuer", issuer, "--client-id", "drive-client", "--client-secret-stdin", "--json"];
        shop.machine.run_with(&add, secret)
    };
    let made = add("found", &issuer).json();
    assert_eq!(made["application"]["endpoints"]["token"], format!("{issuer}/token"));
    assert_eq!(made["applied"], "created");
    add("other", "http://example.org").failed(2);
    shop.provider.stop().await;
    add("gone", &issuer).failed(5);
    shop.machine.run(&["app", "show", "gone"]).failed(3);
}
