//! The connector against `oidc-provider`, a certified server that nobody here wrote.

use crate::support::peer::Peer;
use grantkeeper::connector::{AuthorizeOptions, ConnectOptions, Connector, Error, ProviderSaid};
use grantkeeper::model::{Clock, ConnectionName, ConnectionState, Labels, Secret, SystemClock, TokenKind};
use grantkeeper::registry::{SecretSource, parse_application};
use grantkeeper::seal::Keyring;
use grantkeeper::store::MemoryStore;
use std::sync::Arc;
use url::Url;

/// A connector's own redirect URL, at a path of the application's own.
const REDIRECT: &str = "http://127.0.0.1:8765/oauth/callback/peer";

struct Desk {
    peer: Peer,
    connector: Connector,
    name: ConnectionName,
}

impl Desk {
    /// With the peer's client of a name; `None` when the peer is not installed.
    async fn new(client: &str, authentication: &str, profile: &str) -> Option<Self> {
        let peer = Peer::start(REDIRECT)?;
        let keyring = Keyring::generate(SystemClock.now()).unwrap();
        let connector = Connector::builder(Arc::new(MemoryStore::new()), keyring).build().unwrap();
        let registered = peer.client(client);
        let secret = match authentication {
            "none" => "",
            "private_key_jwt" => "secrets.private_key = { file = \"key\" }",
            _ => "client_secret = { env = \"SECRET\" }",
        };
        // Endpoints come from discovery, all of them.
        let file = format!(
            "name = \"peer\"\nclient_id = {:?}\nclient_authentication = {authentication:?}\n{secret}\n\
             authorization.parameters = {{ prompt = \"consent\" }}\n\
             [endpoints]\nissuer = {:?}\n\
             [profiles.default]\nscopes = [\"openid\", \"offline_access\", \"api:read\"]\n{profile}\n",
            registered.client_id,
            peer.issuer().as_str().trim_end_matches('/'),
        );
        let draft = parse_application(&file, "peer.toml", false).unwrap();
        let (key, secret) = (peer.private_key().to_owned(), registered.client_secret.clone().unwrap_or_default());
        let applied = connector
            .apply(draft, &mut |source| match source {
                SecretSource::File(_) => Ok(Secret::new(key.clone())),
                _ => Ok(Secret::new(secret.clone())),
            })
            .await;
        applied.unwrap();
        Some(Self { peer, connector, name: "peer/alice".parse().unwrap() })
    }

    async fn consent(&self) -> Result<(), Error> {
        let authorization = self.connector.authorize(&self.name, AuthorizeOptions::default()).await?;
        let callback = self.peer.consent(&authorization.url).await;
        self.connector.complete(callback.as_str()).await.map(|_| ())
    }

    async fn is_active(&self, kind: TokenKind) -> bool {
        let all = self.connector.credentials(None, Some(&self.name)).await.unwrap();
        let id = all.iter().find(|credential| credential.kind == kind).unwrap().id;
        self.connector.introspect(id).await.unwrap().unwrap().active
    }
}

#[tokio::test]
async fn code_pkce_rotation_introspection_and_revocation() {
    for (client, authentication) in [("basic", "basic"), ("post", "post"), ("odd", "basic"), ("public", "none")] {
        let Some(desk) = Desk::new(client, authentication, "").await else { return };
        desk.consent().await.unwrap();
        assert!(desk.is_active(TokenKind::AccessToken).await, "{client}");
        let first = desk.connector.token(&desk.name).await.unwrap();
        for generation in 2..4 {
            let refreshed = desk.connector.refresh(&desk.name).await.unwrap();
            assert_eq!(refreshed.generation(), generation, "{client}");
            assert_ne!(refreshed.secret(), first.secret());
        }
        assert!(
            desk.is_active(TokenKind::RefreshToken).await,
            "{client}: the rotated refresh token is the current one"
        );
        let revocation = desk.connector.revoke(&desk.name).await.unwrap();
        assert!(revocation.said.iter().all(|(_, said)| *said == ProviderSaid::Revoked), "{client}: {revocation:?}");
        assert_eq!(desk.connector.connection(&desk.name).await.unwrap().state, ConnectionState::Revoked);
    }
}

#[tokio::test]
async fn client_credentials_with_a_secret_and_with_a_signed_assertion() {
    for (client, authentication) in [("basic", "basic"), ("private_key_jwt", "private_key_jwt")] {
        let profile = "grant = \"client_credentials\"";
        let Some(desk) = Desk::new(client, authentication, profile).await else { return };
        desk.connector.connect(&desk.name, ConnectOptions::default()).await.unwrap();
        let narrow = grantkeeper::model::Profile {
            grant: grantkeeper::model::GrantType::ClientCredentials,
            scopes: vec!["api:read".to_owned()],
            resource: Some(desk.peer.resource().to_owned()),
            ..grantkeeper::model::Profile::default()
        };
        desk.connector.put_profile(desk.name.application(), "machine".parse().unwrap(), narrow).await.unwrap();
        let options = ConnectOptions { profile: Some("machine".parse().unwrap()), ..ConnectOptions::default() };
        desk.connector.connect(&desk.name, options).await.unwrap();
        assert_eq!(desk.connector.token(&desk.name).await.unwrap().scopes(), ["api:read"], "{client}");
    }
}

#[tokio::test]
async fn a_device_is_let_in() {
    let Some(desk) = Desk::new("public", "none", "grant = \"device_code\"").await else { return };
    let mut start = desk.connector.start_device(&desk.name, None, Labels::new(), false).await.unwrap();
    let page: Url = start.verification_uri_complete.clone().unwrap().parse().unwrap();
    desk.peer.allow_device(&page).await;
    let connection = desk.connector.finish_device(&mut start).await.unwrap();
    assert_eq!(connection.state, ConnectionState::Active);
    assert!(desk.connector.refresh(&desk.name).await.is_ok());
}

#[tokio::test]
async fn a_denied_consent_comes_back_with_the_peers_words() {
    let Some(desk) = Desk::new("basic", "basic", "").await else { return };
    let authorization = desk.connector.authorize(&desk.name, AuthorizeOptions::default()).await.unwrap();
    let callback = desk.peer.deny(&authorization.url).await;
    let denied = desk.connector.complete(callback.as_str()).await;
    assert!(matches!(&denied, Err(Error::Denied { failure, .. }) if failure.code == "access_denied"), "{denied:?}");
}

#[tokio::test]
async fn two_grants_of_one_person_do_not_touch_each_other() {
    let Some(desk) = Desk::new("basic", "basic", "").await else { return };
    desk.consent().await.unwrap();
    let twin: ConnectionName = "peer/twin".parse().unwrap();
    let authorization = desk.connector.authorize(&twin, AuthorizeOptions::default()).await.unwrap();
    let callback = desk.peer.consent(&authorization.url).await;
    desk.connector.complete(callback.as_str()).await.unwrap();
    for name in [&twin, &desk.name, &twin] {
        assert!(desk.connector.refresh(name).await.is_ok(), "{name}: each has a refresh token of its own");
    }
    desk.connector.revoke(&twin).await.unwrap();
    assert!(desk.connector.refresh(&desk.name).await.is_ok(), "the other grant goes on");
}

#[tokio::test]
async fn the_peers_id_token_says_whose_grant_it_is_and_a_refresh_brings_the_same() {
    let Some(desk) = Desk::new("basic", "basic", "").await else { return };
    desk.consent().await.unwrap();
    let connection = desk.connector.connection(&desk.name).await.unwrap();
    let account = connection.account.clone().expect("a checked id token");
    let subject = account.subject.clone().unwrap();
    assert_eq!(subject.issuer, desk.peer.issuer().as_str().trim_end_matches('/'));
    assert_eq!((account.id.as_str(), subject.sub.as_str()), ("alice", "alice"));
    assert_eq!(connection.scopes.missing, Vec::<String>::new());
    desk.connector.refresh(&desk.name).await.unwrap();
    let refreshed = desk.connector.connection(&desk.name).await.unwrap();
    assert_eq!((refreshed.account, refreshed.scopes.missing), (connection.account, Vec::new()));
}

#[tokio::test]
async fn the_peers_userinfo_gives_the_name() {
    let more = "[profiles.named]\nscopes = [\"openid\", \"profile\"]\n[account]\nname = \"userinfo.name\"";
    let Some(desk) = Desk::new("post", "post", more).await else { return };
    let options = AuthorizeOptions { profile: Some("named".parse().unwrap()), ..AuthorizeOptions::default() };
    let authorization = desk.connector.authorize(&desk.name, options).await.unwrap();
    let callback = desk.peer.consent(&authorization.url).await;
    let account = desk.connector.complete(callback.as_str()).await.unwrap().account.unwrap();
    assert_eq!((account.id.as_str(), account.name.as_deref()), ("alice", Some("alice of the peer")));
}
