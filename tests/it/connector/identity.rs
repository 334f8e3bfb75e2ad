//! Whose account a grant is for, and which scopes it has.

use crate::support::desk::{CLIENT_SECRET, Desk};
use grantkeeper::connector::{AuthorizeOptions, ConnectOptions, DevicePoll, Error, Proof};
use grantkeeper::demo::{Browser, Client, Door, Fault, Habits, IdTokens, Rotation, SigningKey};
use grantkeeper::model::{
    ClientAuthentication, Connection, ConnectionState, EventKind, Fields, Labels, ReauthorizationReason, Secret,
    TokenKind,
};
use grantkeeper::registry::parse_application;
use grantkeeper::store::MemoryStore;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Asks the provider for id tokens, and knows how to check them.
const OPENID: &str = "openid drive.readonly";

/// A desk whose application asks for scopes, with lines at its head and endpoints beside the usual ones.
async fn desk(habits: Habits, scopes: &str, head: &str, endpoints: &str) -> Desk {
    let desk = Desk::with(habits, Arc::new(MemoryStore::new()), None, "script = \"OAuthGoogleDrive\"").await;
    apply(&desk, scopes, head, endpoints).await;
    desk
}

async fn apply(desk: &Desk, scopes: &str, head: &str, endpoints: &str) {
    let issuer = desk.provider.issuer();
    let head =
        if head.contains("script =") { head.to_owned() } else { format!("script = \"OAuthGoogleDrive\"\n{head}") };
    let scopes: Vec<String> = scopes.split(' ').map(|scope| format!("{scope:?}")).collect();
    let file = format!(
        r#"
        name = "drive"
        client_id = "drive-client"
        client_secret = {{ env = "ANY" }}
        {head}
        [endpoints]
        authorization = "{issuer}/authorize"
        token = "{issuer}/token"
        revocation = "{issuer}/revoke"
        device_authorization = "{issuer}/device/code"
        {endpoints}
        [profiles.default]
        scopes = [{}]
        [profiles.device]
        grant = "device_code"
        scopes = [{}]
        "#,
        scopes.join(", "),
        scopes.join(", ")
    );
    let draft = parse_application(&file, "drive.toml", false).unwrap();
    desk.connector.apply(draft, &mut |_| Ok(Secret::new(CLIENT_SECRET))).await.unwrap();
}

/// An OpenID provider whose keys are known.
async fn openid(habits: Habits) -> Desk {
    let desk = desk(habits, OPENID, "", "").await;
    let keys = keys(&desk);
    apply(&desk, OPENID, "", &keys).await;
    desk
}

fn keys(desk: &Desk) -> String {
    format!("issuer = {0:?}\njwks = \"{0}/jwks\"", desk.provider.issuer())
}

fn userinfo(desk: &Desk) -> String {
    format!("userinfo = \"{}/userinfo\"", desk.provider.issuer())
}

fn fields(value: Value) -> Fields {
    let Value::Object(fields) = value else { panic!("an object") };
    fields
}

async fn consent_of(desk: &Desk, user: &str, other_account: bool) -> Result<Connection, Error> {
    let options = AuthorizeOptions { other_account, ..AuthorizeOptions::default() };
    let url = desk.connector.authorize(&desk.name, options).await?.url;
    let callback = Browser::of(user).unwrap().consent(&url).await.unwrap();
    desk.connector.complete(callback.as_str()).await
}

/// What a connection says of its account.
fn known(connection: &Connection) -> Option<(&str, Option<&str>)> {
    connection.account.as_ref().map(|account| (account.id.as_str(), account.name.as_deref()))
}

#[tokio::test]
async fn an_id_token_says_whose_account_it_is() {
    let desk = openid(Habits::default()).await;
    let connection = desk.consent().await.unwrap();
    assert_eq!(known(&connection), Some(("alice", Some("alice@demo.example"))));
    let subject = connection.account.clone().unwrap().subject.unwrap();
    assert_eq!((subject.issuer.as_str(), subject.sub.as_str()), (desk.provider.issuer(), "alice"));
    assert!(desk.provider.requests(Door::Api).is_empty(), "userinfo is not asked for what is known");
    desk.pass_an_hour();
    desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.connection().await.account, connection.account);
}

#[tokio::test]
async fn a_nonce_is_sent_with_openid_and_must_come_back() {
    let desk = openid(Habits::default()).await;
    let nonce =
        |url: &url::Url| url.query_pairs().find(|(name, _)| name == "nonce").map(|(_, nonce)| nonce.into_owned());
    let authorize = async || desk.connector.authorize(&desk.name, AuthorizeOptions::default()).await.unwrap().url;
    let (one, other) = (nonce(&authorize().await).unwrap(), nonce(&authorize().await).unwrap());
    assert!(one.len() >= 43 && one != other);
    for claims in [json!({ "nonce": "another" }), json!({ "nonce": null }), json!({ "nonce": one })] {
        let habits = Habits { id_token_claims: fields(claims), ..Habits::default() };
        desk.provider.set_habits(habits);
        refused(&desk, "nonce").await;
    }
    // Without `openid` a provider may not know the parameter.
    apply(&desk, "drive.readonly", "", &keys(&desk)).await;
    assert_eq!(nonce(&authorize().await), None);
    // One that does not repeat it can be asked without.
    apply(&desk, OPENID, "authorization.drop = [\"nonce\"]", &keys(&desk)).await;
    assert_eq!(nonce(&authorize().await), None);
    desk.provider.set_habits(Habits { id_token_claims: fields(json!({ "nonce": null })), ..Habits::default() });
    assert!(desk.consent().await.is_ok());
}

/// A consent that fails for its id token, with a word of why, and leaves no grant.
async fn refused(desk: &Desk, word: &str) {
    let error = desk.consent().await.unwrap_err();
    assert!(matches!(error, Error::NotAuthorized { .. }), "{error:?}");
    assert!(error.to_string().contains(word), "{error}");
    assert!(!error.retryable());
    assert_eq!(desk.connection().await.state, ConnectionState::Unauthorized);
    assert!(desk.connector.credentials(None, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_id_token_that_does_not_hold_fails_the_consent() {
    let desk = openid(Habits { id_tokens: IdTokens::Forged, ..Habits::default() }).await;
    refused(&desk, "signature").await;
    for (claims, word) in [
        (json!({ "iss": "https://evil.example" }), "https://evil.example"),
        (json!({ "aud": "another-client" }), "another-client"),
        (json!({ "aud": ["drive-client", "b"], "azp": "b" }), "azp"),
        (json!({ "exp": 1_700_000_000 }), "ended"),
        (json!({ "iat": 4_000_000_000_u64 }), "clock"),
        (json!({ "sub": null }), "sub"),
    ] {
        desk.provider.set_habits(Habits { id_token_claims: fields(claims), ..Habits::default() });
        refused(&desk, word).await;
    }
}

#[tokio::test]
async fn a_forged_id_token_leaves_the_grant_that_is_there_alone() {
    let desk = openid(Habits::default()).await;
    desk.consent().await.unwrap();
    let token = desk.connector.token(&desk.name).await.unwrap();
    desk.provider.set_habits(Habits { id_tokens: IdTokens::Forged, ..Habits::default() });
    assert!(desk.consent().await.is_err());
    assert_eq!(desk.connector.token(&desk.name).await.unwrap().secret(), token.secret());
    assert_eq!(desk.connection().await.state, ConnectionState::Active);
}

#[tokio::test]
async fn without_known_keys_an_id_token_is_believed_as_it_came_from_the_token_endpoint() {
    let desk = desk(Habits { id_tokens: IdTokens::Forged, ..Habits::default() }, OPENID, "", "").await;
    assert_eq!(known(&desk.consent().await.unwrap()), Some(("alice", Some("alice@demo.example"))));
    assert!(desk.provider.requests(Door::Keys).is_empty());
    // One that answers another request is another's all the same.
    desk.provider.set_habits(Habits { id_token_claims: fields(json!({ "nonce": "another" })), ..Habits::default() });
    assert!(desk.consent().await.unwrap_err().to_string().contains("nonce"));
}

#[tokio::test]
async fn keys_are_fetched_once_an_hour_and_again_for_a_new_one() {
    let desk = openid(Habits::default()).await;
    let fetched = || desk.provider.requests(Door::Keys).len();
    desk.consent().await.unwrap();
    desk.consent().await.unwrap();
    assert_eq!(fetched(), 1);
    desk.provider.change_signing_key().unwrap();
    desk.consent().await.unwrap();
    assert_eq!(fetched(), 2, "an unknown key: once more");
    desk.provider.set_habits(Habits { id_tokens: IdTokens::Forged, ..Habits::default() });
    desk.consent().await.unwrap_err();
    assert_eq!(fetched(), 2, "a forgery under a known key is not worth a question");
    desk.provider.set_habits(Habits::default());
    desk.clock.advance(Duration::from_secs(3600));
    desk.consent().await.unwrap();
    assert_eq!(fetched(), 3, "a key that was withdrawn is not believed for ever");
    let seen = desk.provider.requests(Door::Keys).pop().unwrap();
    assert_eq!(seen.header("authorization"), None);
}

#[tokio::test]
async fn without_the_keys_that_it_names_nothing_is_believed() {
    let desk = openid(Habits::default()).await;
    desk.provider.next(Door::Keys, Fault::Status(503));
    refused(&desk, "503").await;
    assert!(desk.consent().await.is_ok());
}

#[tokio::test]
async fn userinfo_says_whose_account_it_is() {
    let desk = desk(Habits::default(), "drive.readonly", "", "").await;
    let head = "account = { id = \"userinfo.sub\", name = [\"userinfo.nick\", \"userinfo.name\"], method = \"POST\", headers = { \"X-Version\" = \"{client_id}-1\" } }";
    apply(&desk, "drive.readonly", head, &userinfo(&desk)).await;
    let connection = desk.consent().await.unwrap();
    assert_eq!(known(&connection), Some(("alice", Some("alice"))));
    let asked = desk.provider.requests(Door::Api).pop().unwrap();
    assert_eq!((asked.method.as_str(), asked.header("x-version")), ("POST", Some("drive-client-1")));
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(asked.header("authorization"), Some(token.authorization().expose()));
}

#[tokio::test]
async fn userinfo_that_does_not_answer_does_not_fail_a_first_consent() {
    let desk = desk(Habits::default(), "drive.readonly", "", "").await;
    apply(&desk, "drive.readonly", "account.id = \"userinfo.sub\"", &userinfo(&desk)).await;
    desk.provider.next(Door::Api, Fault::Status(500));
    assert_eq!(known(&desk.consent().await.unwrap()), None);
    assert_eq!(known(&desk.consent().await.unwrap()), Some(("alice", None)));
    // Now there is somebody whom it could be taken from.
    let token = desk.connector.token(&desk.name).await.unwrap();
    desk.provider.next(Door::Api, Fault::Status(500));
    let error = consent_of(&desk, "bob", false).await.unwrap_err();
    assert!(
        matches!(&error, Error::UnknownAccount { held, why, .. } if held == "alice" && why.contains("500")),
        "{error}"
    );
    assert_eq!(desk.connector.token(&desk.name).await.unwrap().secret(), token.secret());
    desk.provider.next(Door::Api, Fault::Status(500));
    assert_eq!(known(&consent_of(&desk, "bob", true).await.unwrap()), None);
}

#[tokio::test]
async fn userinfo_of_another_subject_than_the_id_token_is_not_used() {
    let habits =
        Habits { userinfo_claims: fields(json!({ "sub": "mallory", "name": "Mallory" })), ..Habits::default() };
    let desk = desk(habits, OPENID, "", "").await;
    let endpoints = format!("{}\n{}", keys(&desk), userinfo(&desk));
    apply(&desk, OPENID, "account = { id = \"id_token.sub\", name = \"userinfo.name\" }", &endpoints).await;
    assert_eq!(known(&desk.consent().await.unwrap()), Some(("alice", None)));
}

#[tokio::test]
async fn a_field_of_the_reply_or_of_the_callback_says_whose_account_it_is() {
    let desk =
        desk(Habits::default(), "drive.readonly", "account.id = [\"reply.team.id\", \"callback.iss\"]", "").await;
    let connection = desk.consent().await.unwrap();
    assert_eq!(known(&connection), Some((desk.provider.issuer(), None)));
    apply(
        &desk,
        "drive.readonly",
        "account = { id = \"reply.scope_owner\", name = \"callback.iss\" }\nreply.keep = { scope_owner = \"scope\" }",
        "",
    )
    .await;
    let connection = consent_of(&desk, "alice", true).await.unwrap();
    assert_eq!(known(&connection), Some(("drive.readonly", Some(desk.provider.issuer()))));
}

#[tokio::test]
async fn a_consent_of_another_account_is_refused_unless_it_is_asked_for() {
    let desk = openid(Habits::default()).await;
    let alice = desk.consent().await.unwrap();
    let error = consent_of(&desk, "bob", false).await.unwrap_err();
    let Error::OtherAccount { held, given, .. } = &error else { panic!("{error:?}") };
    assert_eq!((held.as_str(), given.as_str()), ("alice@demo.example (id alice)", "bob@demo.example (id bob)"));
    assert_eq!(error.code(), "other_account");
    let now = desk.connection().await;
    assert_eq!((now.account.clone(), now.generation), (alice.account, 1));
    desk.pass_an_hour();
    let token = desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.call(token.secret()).await, 200, "the old grant goes on working");
    let bobs = &desk.provider.families()[1];
    assert_eq!((bobs.subject.as_str(), bobs.ended), ("bob", None), "it may be another connection's");
    assert!(desk.provider.requests(Door::Revocation).is_empty());

    let bob = consent_of(&desk, "bob", true).await.unwrap();
    assert_eq!(known(&bob), Some(("bob", Some("bob@demo.example"))));
    assert!(consent_of(&desk, "alice", false).await.is_err());
}

#[tokio::test]
async fn another_account_does_not_inherit_the_fields_of_the_one_before() {
    let desk = openid(Habits::default()).await;
    apply(&desk, OPENID, "callback.keep = [\"iss\"]", &keys(&desk)).await;
    assert!(desk.consent().await.unwrap().fields.contains_key("iss"));
    apply(&desk, OPENID, "", &keys(&desk)).await;
    assert!(desk.consent().await.unwrap().fields.contains_key("iss"), "the same account");
    assert!(!consent_of(&desk, "bob", true).await.unwrap().fields.contains_key("iss"));
}

#[tokio::test]
async fn a_consent_that_does_not_say_whose_it_is_does_not_take_an_accounts_place() {
    let desk = openid(Habits::default()).await;
    desk.consent().await.unwrap();
    // By a profile without `openid`, say.
    apply(&desk, "drive.readonly", "", &keys(&desk)).await;
    let error = consent_of(&desk, "bob", false).await.unwrap_err();
    assert!(matches!(&error, Error::UnknownAccount { why, .. } if why.contains("no id token")), "{error}");
    assert_eq!(known(&desk.connection().await).unwrap().0, "alice");
    assert_eq!(known(&consent_of(&desk, "bob", true).await.unwrap()), None);
}

#[tokio::test]
async fn the_same_subject_of_another_issuer_is_another_account() {
    let desk = desk(Habits::default(), OPENID, "", "").await;
    desk.consent().await.unwrap();
    let other = fields(json!({ "iss": "https://other.example" }));
    desk.provider.set_habits(Habits { id_token_claims: other, ..Habits::default() });
    assert!(matches!(desk.consent().await, Err(Error::OtherAccount { .. })));
}

#[tokio::test]
async fn a_tenant_of_many_is_checked_with_its_own_issuer_and_key() {
    const TENANT: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
    let desk = openid(Habits::default()).await;
    let issuer = |tenant: &str| format!("{}/{tenant}/v2.0", desk.provider.issuer());
    let endpoints = format!("issuer = {:?}\njwks = \"{}/jwks\"", issuer("{tid}"), desk.provider.issuer());
    // Its callbacks carry no `iss` of a tenant; the provider here sends its own.
    apply(&desk, OPENID, "", &endpoints).await;
    let application = desk.connector.application(desk.name.application()).await.unwrap();
    assert_eq!(application.endpoints.issuer.unwrap().to_string(), issuer("{tid}"));
    let try_it = async |tid: &str, key_issuer: &str| {
        let claims = fields(json!({ "iss": issuer(TENANT), "tid": tid }));
        let habits = Habits { id_token_claims: claims, key_issuer: Some(issuer(key_issuer)), ..Habits::default() };
        desk.provider.set_habits(habits);
        // Another set each time: the one before may be kept.
        desk.clock.advance(Duration::from_secs(3600));
        let url = desk.connector.authorize(&desk.name, AuthorizeOptions::default()).await.unwrap().url;
        let callback = Browser::of("alice").unwrap().consent(&url).await.unwrap();
        desk.connector.complete(&callback.as_str().replace("&iss=", "&not_iss=")).await
    };
    let connection = try_it(TENANT, "{tenantid}").await.unwrap();
    assert_eq!(connection.account.unwrap().subject.unwrap().issuer, issuer(TENANT));
    let other = "9188040d-6c67-4c5b-b112-36a304b66dad";
    for (tid, key_issuer) in [(TENANT, other), (other, "{tenantid}"), ("common", "{tenantid}")] {
        let refused = try_it(tid, key_issuer).await;
        assert!(matches!(refused, Err(Error::NotAuthorized { .. })), "{tid} {key_issuer}: {refused:?}");
    }
}

#[tokio::test]
async fn a_refresh_of_another_account_ends_in_asking_for_consent() {
    let desk = openid(Habits::default()).await;
    desk.consent().await.unwrap();
    for (claims, changed) in [
        (json!({ "name": "Alice B", "email": "b@demo.example" }), false),
        (json!({ "iss": null }), false),
        (json!({ "sub": "mallory" }), true),
    ] {
        desk.provider.set_habits(Habits { id_token_claims: fields(claims.clone()), ..Habits::default() });
        desk.pass_an_hour();
        let token = desk.connector.token(&desk.name).await;
        assert_eq!(token.is_err(), changed, "{claims}");
    }
    let connection = desk.connection().await;
    let changed = ConnectionState::ReauthorizationRequired(ReauthorizationReason::AccountChanged);
    assert_eq!(connection.state, changed);
    let failure = connection.failure.unwrap();
    assert_eq!(failure.code, "account_changed");
    assert!(failure.words.unwrap().contains("mallory"));
    let refreshes = desk.refreshes();
    assert!(desk.connector.token(&desk.name).await.is_err(), "nothing is handed out");
    assert_eq!(desk.refreshes(), refreshes, "and nothing is asked again");
    desk.provider.set_habits(Habits::default());
    assert_eq!(desk.consent().await.unwrap().state, ConnectionState::Active);
}

#[tokio::test]
async fn a_refresh_token_from_elsewhere_tells_its_account_with_the_first_refresh() {
    let desk = openid(Habits::default()).await;
    desk.consent().await.unwrap();
    let token = desk.provider.current_refresh_token(0).unwrap();
    let twin = "drive/twin".parse().unwrap();
    let options = ConnectOptions { proof: Proof::RefreshToken(token), ..ConnectOptions::default() };
    let connection = desk.connector.connect(&twin, options).await.unwrap();
    assert_eq!(known(&connection), Some(("alice", Some("alice@demo.example"))));
}

#[tokio::test]
async fn a_refresh_token_of_another_account_is_taken_over_only_where_that_is_asked_for() {
    for other_account in [false, true] {
        let desk = openid(Habits::default()).await;
        desk.consent().await.unwrap();
        consent_of(&desk, "bob", false).await.unwrap_err();
        let proof = Proof::RefreshToken(desk.provider.current_refresh_token(1).unwrap());
        let options = ConnectOptions { proof, other_account, ..ConnectOptions::default() };
        let connected = desk.connector.connect(&desk.name, options).await;
        assert_eq!(connected.is_ok(), other_account, "{connected:?}");
        let connection = desk.connection().await;
        assert_eq!(known(&connection).unwrap().0, if other_account { "bob" } else { "alice" });
        assert_eq!(connection.state == ConnectionState::Active, other_account);
    }
}

#[tokio::test]
async fn a_device_says_whose_account_it_is_too() {
    let desk = openid(Habits::default()).await;
    let profile = "device".parse().unwrap();
    for (user, other_account) in [("alice", false), ("bob", false), ("bob", true)] {
        let start = desk.connector.start_device(&desk.name, Some(&profile), Labels::new(), other_account).await;
        let mut start = start.unwrap();
        let page = start.verification_uri.parse().unwrap();
        Browser::of(user).unwrap().allow_device(&page, Some(&start.user_code)).await.unwrap();
        let polled = desk.connector.poll_device(&mut start).await;
        match (user, other_account) {
            ("bob", false) => assert!(matches!(polled, Err(Error::OtherAccount { .. })), "{polled:?}"),
            _ => {
                let Ok(DevicePoll::Done(connection)) = polled else { panic!("{polled:?}") };
                assert_eq!(known(&connection).unwrap().0, user);
            }
        }
    }
}

#[tokio::test]
async fn what_was_asked_for_and_what_was_granted_are_kept_apart() {
    let desk = openid(Habits { withheld_scopes: vec!["drive.readonly".to_owned()], ..Habits::default() }).await;
    let connection = desk.consent().await.unwrap();
    let scopes = &connection.scopes;
    assert_eq!(scopes.requested, ["openid", "drive.readonly"]);
    assert_eq!(
        (&scopes.granted[..], &scopes.missing[..]),
        (&["openid".to_owned()][..], &["drive.readonly".to_owned()][..])
    );
    assert_eq!(desk.credential(TokenKind::AccessToken).await.scopes, ["openid"]);
    desk.pass_an_hour();
    desk.connector.token(&desk.name).await.unwrap();
    assert_eq!(desk.connection().await.scopes, *scopes, "a refresh changes nothing of it");
    // Allowed now: nothing is missing.
    desk.provider.set_habits(Habits::default());
    let scopes = desk.consent().await.unwrap().scopes;
    assert_eq!((scopes.missing.len(), scopes.granted.len()), (0, 2));
    // The profile asks for more from now on: the grant that is there was not asked for that.
    apply(&desk, "openid drive.readonly calendar", "", &keys(&desk)).await;
    assert_eq!(desk.connection().await.scopes.requested.len(), 2);
}

#[tokio::test]
async fn scopes_that_show_in_what_comes_are_granted_whatever_the_list_says() {
    // Its list of granted scopes leaves two of them out, as Microsoft's does.
    let listed = "reply.scope = \"token_type\"";
    let desk = desk(Habits::default(), OPENID, "", "").await;
    let missing = |connection: &Connection| connection.scopes.missing.clone();
    apply(&desk, "openid offline_access Bearer", listed, &keys(&desk)).await;
    assert!(missing(&desk.consent().await.unwrap()).is_empty());
    desk.provider.set_habits(Habits { rotation: Rotation::Omit, id_tokens: IdTokens::Absent, ..Habits::default() });
    desk.pass_an_hour();
    desk.connector.token(&desk.name).await.unwrap();
    let connection = desk.connection().await;
    assert_eq!((missing(&connection).len(), connection.generation), (0, 2), "a refresh repeats neither");
    // A new grant that brings neither lacks both.
    apply(&desk, "openid offline_access Bearer", &format!("{listed}\nscript = \"OAuthUtil\""), &keys(&desk)).await;
    desk.connector.remove_connection(&desk.name).await.unwrap();
    assert_eq!(missing(&desk.consent().await.unwrap()), ["openid", "offline_access"]);
}

#[tokio::test]
async fn an_assertion_is_never_for_an_issuer_that_stands_for_many() {
    let desk = Desk::new(Habits::default()).await;
    let key = SigningKey::generate().unwrap();
    let client = Client::public("robot").authenticating(ClientAuthentication::PrivateKeyJwt).with_key(&key);
    desk.provider.register(client);
    let file = format!(
        "name = \"robot\"\nclient_id = \"robot\"\nclient_authentication = \"private_key_jwt\"\nsecrets.private_key = {{ env = \"ANY\" }}\n\
         [endpoints]\nissuer = \"{0}/{{tid}}\"\ntoken = \"{0}/token\"\n[profiles.default]\ngrant = \"client_credentials\"\n",
        desk.provider.issuer()
    );
    let draft = parse_application(&file, "robot.toml", false).unwrap();
    desk.connector.apply(draft, &mut |_| Ok(key.pem().clone())).await.unwrap();
    let connected = desk.connector.connect(&"robot/one".parse().unwrap(), ConnectOptions::default()).await;
    assert_eq!(connected.unwrap().state, ConnectionState::Active);
}

/// The kinds of all events, and the details of the last of one kind.
async fn told(desk: &Desk, kind: EventKind) -> (Vec<&'static str>, Value) {
    let all = desk.connector.events(0, 100).await.unwrap();
    let kinds = all.iter().map(|recorded| recorded.event.kind.as_str()).collect();
    let last = all.into_iter().rfind(|recorded| recorded.event.kind == kind);
    (kinds, last.map_or(Value::Null, |recorded| Value::Object(recorded.event.details)))
}

#[tokio::test]
async fn missing_scopes_are_an_event_of_the_consent_and_not_of_each_refresh() {
    let withheld = |scope: &str| Habits { withheld_scopes: vec![scope.to_owned()], ..Habits::default() };
    let desk = desk(Habits::default(), "drive.readonly profile email", "", "").await;
    desk.consent().await.unwrap();
    assert_eq!(told(&desk, EventKind::ScopesMissing).await, (vec!["authorized"], Value::Null));
    desk.provider.set_habits(withheld("email"));
    desk.consent().await.unwrap();
    let (kinds, details) = told(&desk, EventKind::ScopesMissing).await;
    assert_eq!(kinds, ["authorized", "authorized", "scopes_missing"]);
    assert_eq!(details["missing"], json!(["email"]));
    assert_eq!(details["requested"], json!(["drive.readonly", "profile", "email"]));
    assert_eq!(details["granted"], json!(["drive.readonly", "profile"]));
    desk.connector.refresh(&desk.name).await.unwrap();
    desk.connector.refresh(&desk.name).await.unwrap();
    assert_eq!(told(&desk, EventKind::ScopesMissing).await.0.len(), 5, "it has been told");
}

#[tokio::test]
async fn another_account_is_an_event_of_the_consent_that_brought_it() {
    let desk = openid(Habits::default()).await;
    desk.consent().await.unwrap();
    let (kinds, details) = told(&desk, EventKind::Authorized).await;
    assert_eq!((kinds, &details["account"]["name"]), (vec!["authorized"], &json!("alice@demo.example")));
    consent_of(&desk, "bob", false).await.unwrap_err();
    assert_eq!(told(&desk, EventKind::AccountChanged).await, (vec!["authorized"], Value::Null), "it was not taken");
    consent_of(&desk, "bob", true).await.unwrap();
    consent_of(&desk, "bob", true).await.unwrap();
    let (kinds, details) = told(&desk, EventKind::AccountChanged).await;
    assert_eq!(kinds, ["authorized", "authorized", "account_changed", "authorized"]);
    assert_eq!((&details["held"]["id"], &details["given"]["id"]), (&json!("alice"), &json!("bob")));
}

#[tokio::test]
async fn a_refresh_of_another_account_is_told_once_and_as_a_consent_that_is_needed() {
    let desk = openid(Habits::default()).await;
    desk.consent().await.unwrap();
    desk.provider.set_habits(Habits { id_token_claims: fields(json!({ "sub": "bob" })), ..Habits::default() });
    desk.connector.refresh(&desk.name).await.unwrap_err();
    desk.connector.refresh(&desk.name).await.unwrap_err();
    let (kinds, details) = told(&desk, EventKind::AccountChanged).await;
    assert_eq!(kinds, ["authorized", "account_changed", "reauthorization_required"]);
    assert_eq!(details["held"]["id"], "alice");
    assert_eq!(told(&desk, EventKind::ReauthorizationRequired).await.1["reason"], "account_changed");
}
