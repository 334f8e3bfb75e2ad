//! What tokens can do, and how they end.

use super::*;

#[tokio::test]
async fn rotation_replaces_the_refresh_token_and_reuse_ends_the_family() {
    let site = site(Habits::default()).await;
    let (_, first) = site.granted().await;
    let reply = site.refresh(&first).await;
    let (access, second) = (reply.text("access_token"), reply.text("refresh_token"));
    assert_ne!(first, second);
    assert_eq!(site.provider.current_refresh_token(0).unwrap().expose(), second);
    assert_eq!(site.refresh(&first).await.error(), "invalid_grant");
    assert_eq!(site.refresh(&second).await.error(), "invalid_grant");
    assert_eq!(site.files(&access).await.status, 401);
    let family = &site.provider.families()[0];
    assert_eq!((family.refresh_tokens.len(), family.ended), (2, Some(Ended::RefreshTokenReused)));
    assert!(site.provider.current_refresh_token(0).is_none());
}

#[tokio::test]
async fn within_the_grace_period_the_replaced_token_brings_its_successor() {
    let site = site(Habits { rotation: Rotation::Always { grace_seconds: 30 }, ..Habits::default() }).await;
    let (_, first) = site.granted().await;
    let second = site.refresh(&first).await.text("refresh_token");
    site.clock.advance(Duration::from_secs(29));
    assert_eq!(site.refresh(&first).await.text("refresh_token"), second);
    site.clock.advance(Duration::from_secs(1));
    assert_eq!(site.refresh(&first).await.error(), "invalid_grant");
    assert!(site.provider.families()[0].ended.is_some());
}

#[tokio::test]
async fn a_used_successor_ends_the_grace() {
    let site = site(Habits { rotation: Rotation::Always { grace_seconds: 30 }, ..Habits::default() }).await;
    let (_, first) = site.granted().await;
    let second = site.refresh(&first).await.text("refresh_token");
    site.refresh(&second).await;
    assert_eq!(site.refresh(&first).await.error(), "invalid_grant");
}

#[tokio::test]
async fn without_rotation_the_token_is_repeated_or_left_out() {
    let site = site(Habits { rotation: Rotation::Repeat, ..Habits::default() }).await;
    let (_, token) = site.granted().await;
    assert_eq!(site.refresh(&token).await.text("refresh_token"), token);
    site.provider.set_habits(Habits { rotation: Rotation::Omit, ..Habits::default() });
    for _ in 0..2 {
        let reply = site.refresh(&token).await;
        assert_eq!((reply.status, reply.json().get("refresh_token")), (200, None));
    }
}

#[tokio::test]
async fn lifetimes_follow_the_clock() {
    let habits = Habits { access_token_seconds: 10, refresh_token_seconds: Some(20), ..Habits::default() };
    let site = site(habits).await;
    let (access, refresh) = site.granted().await;
    site.clock.advance(Duration::from_secs(9));
    assert_eq!(site.files(&access).await.status, 200);
    site.clock.advance(Duration::from_secs(1));
    assert_eq!(site.files(&access).await.status, 401);
    site.clock.advance(Duration::from_secs(10));
    assert_eq!(site.refresh(&refresh).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_refresh_cannot_widen_the_scope_and_costs_nothing_when_it_tries() {
    let site = site(Habits::default()).await;
    let (_, refresh) = site.granted().await;
    let wide = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", "admin")];
    assert_eq!(site.token(&wide).await.error(), "invalid_scope");
    assert_eq!(site.refresh(&refresh).await.status, 200);
}

#[tokio::test]
async fn the_api_says_what_is_wrong_with_a_token() {
    let site = site(Habits { withheld_scopes: vec![DRIVE_SCOPE.to_owned()], ..Habits::default() }).await;
    let (access, _) = site.granted().await;
    let narrow = site.files(&access).await;
    assert_eq!((narrow.status, narrow.authenticate.contains("insufficient_scope")), (403, true));
    let unknown = site.files("nonsense").await;
    assert_eq!((unknown.status, unknown.authenticate.contains("invalid_token")), (401, true));
    let none = reply(site.http.get(site.provider.files_url())).await;
    assert_eq!((none.status, none.authenticate.as_str()), (401, "Bearer realm=\"demo\""));
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token() {
    let site = site(Habits::default()).await;
    let (_, refresh) = site.granted().await;
    assert_eq!(site.files(&refresh).await.status, 401);
}

#[tokio::test]
async fn revocation_reaches_what_rfc_7009_says() {
    let site = site(Habits::default()).await;
    site.provider.register(Client::new("other", "s3cret".to_owned()));
    let revoke = async |who: &str, token: &str| {
        site.post(site.provider.revocation_endpoint(), Some(who), &[("token", token)]).await.status
    };
    let (access, refresh) = site.granted().await;
    assert_eq!(revoke("other:s3cret", &access).await, 400);
    assert_eq!(revoke("web:wrong", &access).await, 401);
    assert_eq!(revoke("web:s3cret", "unknown").await, 200);
    assert_eq!(site.files(&access).await.status, 200);
    assert_eq!(revoke("web:s3cret", &access).await, 200);
    assert_eq!(site.files(&access).await.status, 401);
    let reply = site.refresh(&refresh).await;
    assert_eq!(reply.status, 200);
    assert_eq!(revoke("web:s3cret", &reply.text("refresh_token")).await, 200);
    assert_eq!(site.files(&reply.text("access_token")).await.status, 401);
}

#[tokio::test]
async fn introspection_tells_the_owner_only() {
    let site = site(Habits::default()).await;
    site.provider.register(Client::new("other", "s3cret".to_owned()));
    let (access, refresh) = site.granted().await;
    let about = async |who: &str, token: &str| {
        site.post(site.provider.introspection_endpoint(), Some(who), &[("token", token)]).await.json()
    };
    let known = about("web:s3cret", &access).await;
    assert_eq!(
        (&known["active"], &known["sub"], &known["scope"]),
        (&json!(true), &json!("alice"), &json!("drive.readonly profile"))
    );
    assert_eq!(known["exp"], json!(site.clock.now().as_second() + 3600));
    assert_eq!(about("web:s3cret", &refresh).await["active"], json!(true));
    assert_eq!(about("other:s3cret", &access).await, json!({ "active": false }));
    site.provider.expire_access_tokens();
    assert_eq!(about("web:s3cret", &access).await, json!({ "active": false }));
    site.provider.kill_family(0);
    assert_eq!(about("web:s3cret", &refresh).await, json!({ "active": false }));
}

#[tokio::test]
async fn userinfo_names_the_person_who_consented() {
    let site = site(Habits::default()).await;
    let callback = Browser::of("bob").unwrap().consent(&site.authorization_url(&[])).await.unwrap();
    let access = site.exchange(&query(&callback, "code")).await.text("access_token");
    let request = site.http.get(site.provider.userinfo_endpoint()).header("authorization", format!("Bearer {access}"));
    assert_eq!(reply(request).await.text("sub"), "bob");
}

#[tokio::test]
async fn the_metadata_names_what_is_there() {
    let site = site(Habits::default()).await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let metadata = reply(site.http.get(site.provider.base_url().join(path).unwrap())).await.json();
        assert_eq!(metadata["issuer"], json!(site.provider.issuer()));
        assert_eq!(metadata["token_endpoint"], json!(site.provider.token_endpoint().as_str()));
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], json!(true));
    }
}

#[tokio::test]
async fn another_client_cannot_use_a_refresh_token_and_does_no_harm() {
    let site = site(Habits::default()).await;
    site.provider.register(Client::new("other", "s3cret".to_owned()));
    let (_, refresh) = site.granted().await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let stolen = site.post(site.provider.token_endpoint(), Some("other:s3cret"), &form).await;
    assert_eq!(stolen.error(), "invalid_grant");
    assert_eq!(site.refresh(&refresh).await.status, 200);
}
