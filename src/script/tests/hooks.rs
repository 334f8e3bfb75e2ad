//! Hooks: when each runs, what it sees, what its changes do.

use super::*;
use crate::model::{FailureKind, Fields, RequestFormat};

fn query() -> Params {
    [("response_type", "code"), ("client_id", "cid"), ("state", "s")].into_iter().collect()
}

#[tokio::test]
async fn the_body_of_the_originals_example_runs_unchanged() {
    let script = script(
        "fn preprocessAuthCode(requestParamMap) {
            requestParamMap.put('access_type', 'offline');
            requestParamMap.put('response_type', 'code');
            requestParamMap.put('prompt', 'consent');
        }",
    );
    let query = script.authorization(&context(), query()).await.unwrap();
    assert_eq!(query.to_form(), "response_type=code&client_id=cid&state=s&access_type=offline&prompt=consent");
}

#[tokio::test]
async fn the_shipped_google_drive_script_asks_for_a_refresh_token() {
    let scripts = Scripts::open(None, Settings::default()).unwrap();
    let script = scripts.get(Some(&"OAuthGoogleDrive".parse().unwrap())).unwrap();
    let query = script.authorization(&context(), query()).await.unwrap();
    assert_eq!(query.text("access_type"), Some("offline"));
    assert_eq!(query.text("prompt"), Some("consent"));
    assert_eq!(query.text("response_type"), Some("code"));
}

#[tokio::test]
async fn without_a_script_the_shipped_base_runs_and_changes_nothing() {
    let scripts = Scripts::open(None, Settings::default()).unwrap();
    let base = scripts.get(None).unwrap();
    assert_eq!(base.name().as_str(), "OAuthUtil");
    assert_eq!(base.authorization(&context(), query()).await.unwrap(), query());
    assert_eq!(base.request(&context(), token_request()).await.unwrap().value.params, token_request().params);
    let reply = json(r#"{"access_token":"at","expires_in":3600}"#);
    assert_eq!(token(&base, &reply).await.to_form(), "access_token=at&expires_in=3600");
    assert_eq!(scripts.list().unwrap().iter().find(|info| info.name.as_str() == "OAuthUtil").unwrap().hooks.len(), 8);
}

#[tokio::test]
async fn the_bases_hooks_call_those_of_the_script_that_overrides_them() {
    let script = script(
        "fn preprocessAccessToken(requestParamMap) { requestParamMap.put('audience', 'x'); }
         fn postprocessAccessToken(accessTokenResponse) { accessTokenResponse.getparameters().put('scope', 'all'); }",
    );
    let made = request(&script).await.unwrap();
    assert_eq!(made.value.params.text("audience"), Some("x"));
    assert_eq!(token(&script, &json(r#"{"access_token":"at"}"#)).await.text("scope"), Some("all"));
}

/// Where nothing but the shipped base has a hook it is not run at all. That it need not be is held here: run, it changes nothing.
#[tokio::test]
async fn the_shipped_base_changes_nothing_also_where_it_is_run() {
    let source = include_str!("../../../scripts/OAuthUtil.rhai");
    let home = Home::with(&[("OAuthCopy", source)]);
    let (copy, base) = (home.get("OAuthCopy"), Scripts::open(None, Settings::default()).unwrap().get(None).unwrap());
    assert!(base.leaves_requests() && !copy.leaves_requests());
    assert_eq!(copy.authorization(&context(), query()).await.unwrap(), query());
    assert_eq!(copy.callback(&context(), query()).await.unwrap(), base.callback(&context(), query()).await.unwrap());
    let unchanged = token_request();
    for script in [&copy, &base] {
        let made = script.request(&context(), token_request()).await.unwrap();
        assert_eq!(format!("{:?}", made.value), format!("{unchanged:?}"));
        assert_eq!((made.value.params, made.fields), (token_request().params, Fields::new()));
    }
    let bodies = [
        (
            200,
            "application/json",
            r#"{"access_token":"at","expires_in":3600,"scope":["a","b"],"deep":{"more":[1,2.5,null,true]}}"#,
        ),
        (200, "text/plain", "access_token=at&expires=60"),
        (200, "text/html", "<html>no token</html>"),
        (400, "application/json", r#"{"error":"invalid_grant","error_description":"gone"}"#),
        (503, "", ""),
    ];
    for (status, content_type, body) in bodies {
        let reply = reply(status, content_type, body);
        assert!(base.reads_at_once(&reply) && !copy.reads_at_once(&reply));
        assert_eq!(
            copy.reply(&context(), &reply).await.unwrap(),
            base.reply(&context(), &reply).await.unwrap(),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_renamed_copy_of_the_base_works() {
    let source = include_str!("../../../scripts/OAuthUtil.rhai").replace(
        "fn preprocessAccessToken(requestParamMap) {",
        "fn preprocessAccessToken(requestParamMap) { requestParamMap.put('a', 'b');",
    );
    let script = Home::with(&[("OAuthCopy", &source)]).get("OAuthCopy");
    assert_eq!(script.request(&context(), token_request()).await.unwrap().value.params.text("a"), Some("b"));
}

#[tokio::test]
async fn a_hook_can_call_the_bases_own_and_other_hooks_of_its_script() {
    let script = script(
        "fn parseTokenResponse(accessTokenResponse) {
            let map = accessTokenResponse.getparameters();
            map.put('order', 'parse');
            this.base('parseTokenResponse', accessTokenResponse);
         }
         fn postprocessAccessToken(accessTokenResponse) {
            let map = accessTokenResponse.getparameters();
            map.put('order', map.get('order') + ' post');
            helper(map);
         }
         fn helper(map) { map.put('order', map.get('order') + ' ' + this.oauthContext.getConnection().getName()); }",
    );
    let params = token(&script, &json(r#"{"access_token":"at"}"#)).await;
    assert_eq!(params.text("order"), Some("parse post drive/reports"));
}

#[tokio::test]
async fn the_map_has_the_methods_that_servicenow_has_and_a_missing_key_is_unit() {
    let made = out("var seen = [];
         for key in requestParamMap.keySet() { seen.push(key); }
         if (requestParamMap.get('nothing') === null) { seen.push('missing is null'); }
         if (requestParamMap.containsKey('code')) { seen.push('has code'); }
         requestParamMap.remove('redirect_uri');
         seen.push(requestParamMap.size());
         requestParamMap.put('a', 'x');
         requestParamMap.put(\"out\", seen);")
    .await;
    assert_eq!(made, serde_json::json!(["grant_type", "code", "redirect_uri", "missing is null", "has code", 2]));
}

#[tokio::test]
async fn a_callback_says_what_is_kept_and_where_the_code_is() {
    let script = script(
        "fn postprocessAuthCode(callbackParamMap) {
            callbackParamMap.put('code', callbackParamMap.get('auth_code'));
            let connection = this.oauthContext.getConnection();
            connection.put('realmId', callbackParamMap.get('realmId'));
            connection.put('seen', connection.get('shop') + connection.get('realmId') + connection.getLabel('team'));
         }",
    );
    let params = [("auth_code", "c1"), ("state", "s"), ("realmId", "r9")].into_iter().collect();
    let kept = script.callback(&context(), params).await.unwrap();
    assert_eq!(kept.value.text("code"), Some("c1"));
    assert_eq!(serde_json::Value::Object(kept.fields), serde_json::json!({"realmId": "r9", "seen": "acmer9sales"}));
}

#[tokio::test]
async fn a_request_can_be_turned_as_providers_want_it() {
    let script = request_script(
        "let context = this.oauthContext;
         context.setEndpoint('https://eu.provider.example/token?v=2');
         context.setMethod('GET');
         context.setBodyFormat('json');
         context.setHeader('X-Correlation', uuid());
         context.setQueryParameter('v', '2');
         context.setClientAuthentication('none');
         requestParamMap.put('app_id', context.getClientId());
         requestParamMap.put('grant', context.getGrantType());
         requestParamMap.put('profile', context.getOAuthProfile().getName());
         requestParamMap.put('scopes', context.getOAuthProfile().getScopes().join(','));
         requestParamMap.put('audience', context.getOAuthProfile().getAudience());",
    );
    let made = request(&script).await.unwrap().value;
    assert_eq!(made.endpoint.as_str(), "https://eu.provider.example/token?v=2");
    assert_eq!((made.method, made.format), (http::Method::GET, RequestFormat::Json));
    assert_eq!(made.headers.len(), 1);
    assert_eq!(made.headers[0].0, "x-correlation");
    assert_eq!(made.query, [("v".to_owned(), "2".to_owned())]);
    assert_eq!(made.client_authentication, ClientAuthentication::None);
    let form = made.params.to_form();
    assert!(form.ends_with("app_id=cid&grant=authorization_code&profile=default&scopes=read%2Cwrite&audience=https%3A%2F%2Fapi.provider.example"), "{form}");
}

#[tokio::test]
async fn a_secret_reaches_the_request_and_never_the_script() {
    let script = request_script(
        "requestParamMap.put('app_secret', secret('client_secret'));
         requestParamMap.put('type', type_of(requestParamMap.get('app_secret')));
         this.oauthContext.setHeader('X-Key', ['Key ', secret('api')]);",
    );
    let made = request(&script).await.unwrap().value;
    assert_eq!(made.params.text("app_secret"), Some("the-client-secret-1"));
    assert_eq!(made.params.text("type"), Some("Secret"));
    assert_eq!(made.headers, [("x-key".to_owned(), "Key key-of-the-api".to_owned())]);
    for leak in [
        "requestParamMap.put('a', '' + secret('api'));",
        "requestParamMap.put('a', `${secret('api')}`);",
        "requestParamMap.put('a', secret('api').to_string());",
        "requestParamMap.put('a', to_json(#{ s: secret('api') }));",
        "requestParamMap.put('a', base64(secret('api')));",
        "requestParamMap.put('a', base64([secret('api')]));",
        "requestParamMap.put('a', hex(secret('api')));",
        "requestParamMap.put('a', [secret('api')].to_string());",
        "requestParamMap.put('a', [1, secret('api')].join(''));",
        "requestParamMap.put('s', secret('api')); requestParamMap.put('a', to_form(requestParamMap));",
        "requestParamMap.put('s', secret('api')); requestParamMap.put('a', sorted_pairs(requestParamMap));",
        "requestParamMap.put('a', path(#{ s: secret('api') }, 's') + '');",
        "throw secret('api');",
        "fail('transient', `${secret('api')}`);",
        "this.oauthContext.getConnection().put('a', secret('api'));",
    ] {
        match request(&request_script(leak)).await {
            Ok(made) => assert!(!made.value.params.text("a").unwrap_or_default().contains("key-of"), "{leak}"),
            Err(error) => assert!(!format!("{error} {error:?}").contains("key-of"), "{leak}"),
        }
    }
    let in_url = "fn preprocessAuthCode(requestParamMap) { requestParamMap.put('s', secret('api')); }";
    assert!(super::script(in_url).authorization(&context(), query()).await.is_err());
}

#[tokio::test]
async fn a_reply_shows_its_status_type_headers_and_body() {
    let script = script(
        "fn parseTokenResponse(accessTokenResponse) {
            let r = accessTokenResponse;
            r.getParameters().put('seen', `${r.getStatusCode()} ${r.getContentType()} ${r.getHeader('X-REQUEST')} ${r.getHeader('none') == ()} ${r.getBody()}`);
            r.getparameters().put('access_token', r.getBody());
         }",
    );
    let params = token(&script, &reply(201, "text/plain", "bare")).await;
    assert_eq!(params.text("seen"), Some("201 text/plain r1 true bare"));
    assert_eq!(params.text("access_token"), Some("bare"));
}

#[tokio::test]
async fn the_shipped_example_scripts_read_what_they_are_for() {
    let scripts = Scripts::open(None, Settings::default()).unwrap();
    let slack = scripts.get(Some(&"OAuthSlackV2".parse().unwrap())).unwrap();
    let params = token(&slack, &json(r#"{"ok":true,"app_id":"A","authed_user":{"id":"U1","access_token":"xoxp-1","scope":"chat:write","token_type":"user"}}"#)).await;
    assert_eq!(params.text("access_token"), Some("xoxp-1"));
    assert_eq!(params.text("scope"), Some("chat:write"));
    let failed = failure(&slack, &json(r#"{"ok":false,"error":"invalid_code"}"#)).await;
    assert_eq!((failed.kind, failed.code.as_str()), (FailureKind::ReauthorizationRequired, "invalid_code"));
    let failed = failure(&slack, &json(r#"{"ok":false,"error":"bad_client_secret"}"#)).await;
    assert_eq!(failed.kind, FailureKind::ClientRejected);

    let xml = scripts.get(Some(&"OAuthXmlReply".parse().unwrap())).unwrap();
    let body = "<?xml version=\"1.0\"?><OAuth><access_token>at</access_token><expires_in>60</expires_in></OAuth>";
    let params = token(&xml, &reply(200, "text/xml", body)).await;
    assert_eq!((params.text("access_token"), params.text("expires_in")), (Some("at"), Some("60")));
    let failed = failure(&xml, &reply(400, "text/xml", "<OAuth><error>invalid_grant</error></OAuth>")).await;
    assert_eq!(failed.kind, FailureKind::ReauthorizationRequired);
}

#[tokio::test]
async fn a_script_can_declare_a_failure_and_classify_one() {
    let script = script(
        "fn postprocessAccessToken(accessTokenResponse) {
            let reply = parse_json(accessTokenResponse.getBody());
            if reply?.data?.error_code == 10007 { fail('reauthorization_required', reply.data.error_code, reply.data.description); }
         }
         fn classifyError(accessTokenResponse) {
            if accessTokenResponse.getStatusCode() == 402 { return 'client_rejected'; }
         }",
    );
    let said = failure(&script, &json(r#"{"data":{"error_code":10007,"description":"code expired"}}"#)).await;
    assert_eq!(said.to_string(), "10007 (\"code expired\")");
    assert_eq!((said.kind, said.status), (FailureKind::ReauthorizationRequired, Some(200)));
    assert_eq!(failure(&script, &reply(402, "text/plain", "{}")).await.kind, FailureKind::ClientRejected);
    assert_eq!(
        failure(&script, &reply(400, "text/plain", r#"{"error":"invalid_grant"}"#)).await.kind,
        FailureKind::ReauthorizationRequired
    );
}

#[tokio::test]
async fn fail_before_a_request_is_told_with_its_kind() {
    let error = request(&request_script("fail('rate_limited', 'slow down');")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "OAuthTest: preprocessAccessToken ended with rate_limited: rate_limited (\"slow down\")"
    );
    assert!(error.is_retryable());
    let error = request(&request_script("fail('fatal', 'x');")).await.unwrap_err();
    assert!(error.to_string().contains("fail takes one of transient, rate_limited"), "{error}");
}

#[tokio::test]
async fn a_kind_that_is_none_is_refused_by_name() {
    let script = script("fn classifyError(accessTokenResponse) { 'fatal' }");
    let error = script.reply(&context(), &reply(500, "", "{}")).await.unwrap_err().to_string();
    assert!(error.starts_with("OAuthTest: classifyError failed: it must return one of transient, "), "{error}");
}

#[tokio::test]
async fn an_error_names_the_script_the_hook_the_line_and_what_was_given_without_values() {
    let broke = broke(&request_script("let x = 1;\nthrow 'no ' + requestParamMap.get('code');")).await;
    assert_eq!(
        broke.to_string(),
        "OAuthTest: preprocessAccessToken failed at line 3: no [redacted] (it had been given grant_type, code, redirect_uri)"
    );
    let missing = super::broke(&request_script("let x = #{}; x.data.token;")).await.what;
    assert!(missing.starts_with("Unknown property 'token'"), "{missing}");
    let parsed = super::broke(&request_script("parse_int(requestParamMap.get('code'));")).await.to_string();
    assert!(!parsed.contains("code-secret-1"), "{parsed}");
}

#[tokio::test]
async fn other_oauth_scripts_can_be_imported_and_nothing_else() {
    let common = "const SUFFIX = '!';\nfn twice(text) { text + text + global::SUFFIX }";
    let user = "import 'OAuthShared' as common;\nfn preprocessAccessToken(requestParamMap) { requestParamMap.put('out', common::twice('ab')); }";
    let home = Home::with(&[("OAuthShared", common), ("OAuthUser", user)]);
    let made = home.get("OAuthUser").request(&context(), token_request()).await.unwrap();
    assert_eq!(made.value.params.text("out"), Some("abab!"));
}

#[tokio::test]
async fn constants_stand_outside_functions_and_can_be_read_within() {
    let script = script(
        "const HOST = 'eu';\nfn preprocessAccessToken(requestParamMap) { let a = 'x'; requestParamMap.put('out', global::HOST + a); }",
    );
    assert_eq!(request(&script).await.unwrap().value.params.text("out"), Some("eux"));
}

/// Scripts whose only thread is taken until the second value is dropped.
fn without_a_free_thread(files: &[(&str, &str)]) -> (Home, crossbeam_channel::Sender<()>) {
    let home = Home::limited(files, Settings { threads: 1, deadline_ms: 50, ..Settings::default() });
    let (release, hang) = crossbeam_channel::bounded::<()>(0);
    let (scripts, minute) = (home.scripts.clone(), std::time::Duration::from_secs(60));
    tokio::spawn(async move {
        let name = "OAuthHangs".parse().unwrap();
        scripts.pool().run(&name, "hook", minute, move |_| hang.recv().is_ok()).await
    });
    (home, release)
}

#[tokio::test]
async fn what_only_the_base_has_a_say_in_needs_no_thread_and_what_a_script_has_always_does() {
    let (home, release) = without_a_free_thread(&[
        ("OAuthAsks", "fn preprocessAccessToken(requestParamMap) { }"),
        ("OAuthReads", "fn postprocessAccessToken(accessTokenResponse) { }"),
        ("OAuthJudges", "fn classifyError(accessTokenResponse) { 'transient' }"),
    ]);
    tokio::task::yield_now().await;
    let reply = json(r#"{"access_token":"at"}"#);
    let base = home.scripts.get(None).unwrap();
    assert_eq!(request(&base).await.unwrap().value.params, token_request().params);
    assert_eq!(token(&base, &reply).await.text("access_token"), Some("at"));
    for (name, asks, reads) in [("OAuthAsks", true, false), ("OAuthReads", false, true), ("OAuthJudges", false, true)] {
        let script = home.get(name);
        let asked = matches!(request(&script).await, Err(ScriptError::Busy { .. }));
        let read = matches!(script.reply(&context(), &reply).await, Err(ScriptError::Busy { .. }));
        assert_eq!((asked, read), (asks, reads), "{name}");
    }
    // A long reply is read by a thread of the scripts in any case: their own stack and deadline are for that.
    let long = json(&format!(r#"{{"access_token":"at","padding":"{}"}}"#, "x".repeat(20_000)));
    assert!(matches!(base.reply(&context(), &long).await, Err(ScriptError::Busy { .. })));
    drop(release);
}

#[tokio::test]
async fn a_short_reply_that_is_nested_deeply_ends_no_thread() {
    let base = Scripts::open(None, Settings::default()).unwrap().get(None).unwrap();
    for (opening, closing) in [("[", "]"), ("{\"a\":", "}"), ("<a>", "</a>")] {
        let times = 16_000 / (opening.len() + closing.len());
        let body = format!("{}1{}", opening.repeat(times), closing.repeat(times));
        // On a thread with the stack that the runtime's have; one that runs out of it ends the process.
        for reply in [json(&body), reply(200, "text/xml", &body)] {
            let read = base.reply(&context(), &reply).await.unwrap().value;
            assert!(!matches!(read, Reading::Token(params) if params.text("access_token").is_some()));
        }
    }
}
