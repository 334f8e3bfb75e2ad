//! The grants that need no browser.

use crate::support::desk::Desk;
use grantkeeper::connector::{ConnectOptions, DevicePoll, Error, Proof};
use grantkeeper::demo::{Browser, Client, Habits, PASSWORD, SigningKey};
use grantkeeper::model::{ClientAuthentication, ConnectionState, Labels, ReauthorizationReason, Secret};
use grantkeeper::store::MemoryStore;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

#[tokio::test]
async fn client_credentials_renew_by_asking_again() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply("", "grant = \"client_credentials\"").await;
    desk.connector.connect(&desk.name, ConnectOptions::default()).await.unwrap();
    let first = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(first.secret()).await, 200);
    desk.pass_an_hour();
    let second = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(second.secret()).await, 200);
    assert_eq!(desk.provider.token_requests("client_credentials"), 2);
}

#[tokio::test]
async fn a_label_that_is_given_when_connecting_is_there_for_the_first_request() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply("token.parameters = { tenant = \"{label.tenant}\" }", "grant = \"client_credentials\"").await;
    let missing = desk.connector.connect(&desk.name, ConnectOptions::default()).await.unwrap_err().to_string();
    assert!(missing.contains("--label tenant=VALUE"), "{missing}");
    let labels = [("tenant".to_owned(), "acme".to_owned())].into();
    desk.connector.connect(&desk.name, ConnectOptions { labels, ..ConnectOptions::default() }).await.unwrap();
    assert!(desk.connector.refresh(&desk.name).await.is_ok());
}

#[tokio::test]
async fn a_password_is_kept_only_where_the_application_says_so() {
    // The provider gives a refresh token with every password: the script drops it, as if it did not.
    let scripts = tempfile::tempdir().unwrap();
    let drops = "fn postprocessAccessToken(reply) { reply.getparameters().remove('refresh_token'); }";
    std::fs::write(scripts.path().join("OAuthDrops.rhai"), drops).unwrap();
    let desk = Desk::with(Habits::default(), Arc::new(MemoryStore::new()), Some(scripts.path()), "").await;
    let grant = "grant = \"password\"\nusername = \"alice\"";
    let options = || ConnectOptions { proof: Proof::Password(Secret::new(PASSWORD)), ..ConnectOptions::default() };
    desk.apply("script = \"OAuthDrops\"", grant).await;
    desk.connector.connect(&desk.name, options()).await.unwrap();
    desk.pass_an_hour();
    assert!(desk.connector.token(&desk.name).await.is_err());
    let state = desk.connection().await.state;
    assert_eq!(state, ConnectionState::ReauthorizationRequired(ReauthorizationReason::NoRefreshToken));
    desk.apply("script = \"OAuthDrops\"\nkeep_password = true", grant).await;
    desk.connector.connect(&desk.name, options()).await.unwrap();
    desk.pass_an_hour();
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(token.secret()).await, 200);
}

#[tokio::test]
async fn a_wrong_password_leaves_nothing_behind() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply("", "grant = \"password\"\nusername = \"alice\"").await;
    let proof = Proof::Password(Secret::new("marked-wrong-password"));
    let refused = desk.connector.connect(&desk.name, ConnectOptions { proof, ..ConnectOptions::default() }).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::NotAuthorized { .. }), "{refused}");
    assert!(!refused.to_string().contains("marked-"));
    assert!(desk.connector.connections(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_jwt_bearer_assertion_is_signed_with_the_private_key() {
    let desk = Desk::new(Habits::default()).await;
    let key = SigningKey::generate().unwrap();
    desk.provider.register(Client::new("drive-client", crate::support::desk::CLIENT_SECRET.to_owned()).with_key(&key));
    let file = format!(
        "name = \"drive\"\nclient_id = \"drive-client\"\nclient_secret = {{ env = \"S\" }}\nsecrets.private_key = {{ file = \"K\" }}\n\
         [endpoints]\ntoken = \"{}\"\n[profiles.default]\ngrant = \"jwt_bearer\"\nsubject = \"alice\"\nscopes = [\"drive.readonly\"]\n",
        desk.provider.token_endpoint()
    );
    let draft = grantkeeper::registry::parse_application(&file, "drive.toml", false).unwrap();
    let pem = key.pem().clone();
    desk.connector
        .apply(draft, &mut |source| {
            let key = matches!(source, grantkeeper::registry::SecretSource::File(_));
            Ok(if key { pem.clone() } else { Secret::new(crate::support::desk::CLIENT_SECRET) })
        })
        .await
        .unwrap();
    desk.connector.connect(&desk.name, ConnectOptions::default()).await.unwrap();
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(token.secret()).await, 200);
}

#[tokio::test]
async fn an_adopted_refresh_token_is_rotated_and_kept() {
    let desk = Desk::new(Habits::default()).await;
    desk.consent().await.unwrap();
    let token = desk.provider.current_refresh_token(0).unwrap();
    let moved: grantkeeper::model::ConnectionName = "drive/moved".parse().unwrap();
    let proof = Proof::RefreshToken(token.clone());
    let labels = Labels::from([("team".to_owned(), "a".to_owned())]);
    let options = ConnectOptions { proof, labels, ..ConnectOptions::default() };
    let connection = desk.connector.connect(&moved, options).await.unwrap();
    assert_eq!(connection.labels["team"], "a");
    assert_ne!(desk.provider.current_refresh_token(0).unwrap(), token);
    desk.pass_an_hour();
    assert!(desk.connector.token(&moved).await.is_ok());
}

#[tokio::test]
async fn a_device_waits_for_the_person_and_then_has_a_grant() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply("", "grant = \"device_code\"").await;
    let mut start = desk.connector.start_device(&desk.name, None, Labels::new(), false).await.unwrap();
    assert!(matches!(desk.connector.poll_device(&mut start).await.unwrap(), DevicePoll::Waiting));
    let page = Url::parse(&start.verification_uri).unwrap();
    Browser::of("alice").unwrap().allow_device(&page, Some(&start.user_code)).await.unwrap();
    desk.clock.advance(start.interval);
    let DevicePoll::Done(connection) = desk.connector.poll_device(&mut start).await.unwrap() else {
        panic!("still waiting")
    };
    assert_eq!(connection.state, ConnectionState::Active);
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(token.secret()).await, 200);
}

#[tokio::test]
async fn a_device_that_asks_too_often_slows_down_and_one_that_is_refused_ends() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply("", "grant = \"device_code\"").await;
    let mut start = desk.connector.start_device(&desk.name, None, Labels::new(), false).await.unwrap();
    desk.connector.poll_device(&mut start).await.unwrap();
    desk.connector.poll_device(&mut start).await.unwrap();
    assert_eq!(start.interval, Duration::from_secs(10));
    let page = Url::parse(&start.verification_uri).unwrap();
    Browser::of("alice").unwrap().deny_device(&page, Some(&start.user_code)).await.unwrap();
    desk.clock.advance(start.interval);
    let denied = desk.connector.poll_device(&mut start).await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    assert_eq!(desk.connection().await.state, ConnectionState::Unauthorized);
}

#[tokio::test]
async fn a_device_code_that_nobody_typed_ends() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply("", "grant = \"device_code\"").await;
    let mut start = desk.connector.start_device(&desk.name, None, Labels::new(), false).await.unwrap();
    desk.clock.set(start.expires);
    let ended = desk.connector.poll_device(&mut start).await;
    assert!(matches!(ended, Err(Error::Expired(_))), "{ended:?}");
}

#[tokio::test]
async fn clients_authenticate_as_their_application_says() {
    for how in [ClientAuthentication::Basic, ClientAuthentication::Post] {
        let desk = Desk::new(Habits::default()).await;
        let secret = "p%s:e/c+r e=t&é";
        desk.provider.register(Client::new("odd:client +id", secret.to_owned()).authenticating(how));
        let file = format!(
            "name = \"drive\"\nclient_id = \"odd:client +id\"\nclient_secret = {{ env = \"S\" }}\nclient_authentication = {:?}\n\
             [endpoints]\ntoken = \"{}\"\n[profiles.default]\ngrant = \"client_credentials\"\n",
            how.as_str(),
            desk.provider.token_endpoint()
        );
        let draft = grantkeeper::registry::parse_application(&file, "drive.toml", false).unwrap();
        desk.connector.apply(draft, &mut |_| Ok(Secret::new(secret))).await.unwrap();
        desk.connector.connect(&desk.name, ConnectOptions::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_client_secret_is_told_as_that() {
    let desk = Desk::new(Habits::default()).await;
    desk.apply("", "grant = \"client_credentials\"").await;
    desk.provider.register(Client::new("drive-client", "another".to_owned()));
    let refused = desk.connector.connect(&desk.name, ConnectOptions::default()).await.unwrap_err();
    assert_eq!(refused.code(), "client_rejected", "{refused}");
    assert!(refused.to_string().contains("client id, secret"), "{refused}");
    assert_eq!(desk.connector.credentials(None, None).await.unwrap().len(), 0);
}
