//! Scripts and their playground.

use super::stage::Stage;
use crate::support::desk::Desk;
use grantkeeper::demo::Habits;
use grantkeeper::store::MemoryStore;
use std::sync::Arc;

/// With scripts of one's own: one that works, one that does not compile, one that breaks.
async fn stage(folder: &std::path::Path) -> Stage {
    for (name, text) in [
        (
            "OAuthOwn",
            "fn postprocessAccessToken(accessTokenResponse) {\n    let p = accessTokenResponse.getparameters();\n    p.put(\"expires_in\", 120);\n    p.remove(\"noise\");\n}\n",
        ),
        ("OAuthBroken", "fn preprocessAccessToken(requestParamMap) {\n    let x = ;\n}\n"),
        ("OAuthThrows", "fn parseTokenResponse(accessTokenResponse) {\n    let list = [];\n    list[7]\n}\n"),
    ] {
        std::fs::write(folder.join(format!("{name}.rhai")), text).unwrap();
    }
    let store = Arc::new(MemoryStore::new());
    Stage::of(Desk::with(Habits::default(), store, Some(folder), "script = \"OAuthGoogleDrive\"").await).await
}

#[tokio::test]
async fn every_script_is_listed_and_a_problem_is_marked_at_its_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let stage = stage(folder.path()).await;
    let me = stage.sign_in().await;
    let list = stage.see(&me, "/scripts").await;
    for word in
        ["OAuthUtil", "OAuthOwn", "postprocessAccessToken", "Does not compile", "line 2, column 13", "let x = ;"]
    {
        assert!(list.body.contains(word), "{word}: {}", list.body);
    }
    assert!(list.body.contains("/applications/drive"), "who uses which");
    let page = stage.see(&me, "/scripts/OAuthBroken").await;
    assert!(page.body.contains("class=\"line is-wrong\"") && page.body.contains("<strong>^</strong>"), "{}", page.body);
    assert_eq!(stage.see(&me, "/scripts/OAuthNotThere").await.status, 404);
    assert_eq!(stage.see(&me, "/scripts/Evil").await.status, 404);
}

#[tokio::test]
async fn a_reply_is_tried_and_shows_the_parameters_before_and_after_and_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let stage = stage(folder.path()).await;
    let me = stage.sign_in().await;
    let reply = r#"{"access_token":"marked-access-0123456789","refresh_token":"marked-refresh","expires_in":3600,"noise":1,"code":"marked-9"}"#;
    let tried = stage.act(&me, "/scripts/OAuthOwn/try", &[("reply", reply), ("grant", "refresh_token")]).await;
    assert_eq!(tried.status, 200);
    let came = tried.body.split_once("What came of it").unwrap().1.split_once("id=\"text\"").unwrap().0.to_owned();
    for word in [
        "A token.",
        "mark… (24 characters)",
        "120 s",
        "postprocessAccessToken",
        "operations",
        "(gone)",
        "(new)",
        ">3600<",
        ">120<",
    ] {
        assert!(came.contains(word), "{word}: {came}");
    }
    assert!(!came.contains("marked-"), "{came}");
    let refused = stage
        .act(&me, "/scripts/OAuthUtil/try", &[("reply", "HTTP/1.1 400 Bad\n\n{\"error\":\"invalid_grant\"}")])
        .await;
    assert!(refused.body.contains("A failure, as the reply is read.") && refused.body.contains("invalid_grant"));
    let broke = stage.act(&me, "/scripts/OAuthThrows/try", &[("reply", "{}")]).await;
    assert!(
        broke.status == 200 && broke.body.contains("The script broke.") && broke.body.contains("line 3"),
        "{}",
        broke.body
    );
    for reply in ["", "HTTP/1.1 none"] {
        assert_eq!(stage.act(&me, "/scripts/OAuthUtil/try", &[("reply", reply)]).await.status, 422);
    }
    let broken = stage.act(&me, "/scripts/OAuthBroken/try", &[("reply", "{}")]).await;
    assert!(broken.status >= 400 && broken.body.contains("OAuthBroken"), "{}", broken.body);
}

#[tokio::test]
async fn a_fixtures_reply_is_taken_into_the_playground() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let page = stage.see(&me, "/scripts/OAuthGoogleDrive?fixture=google-drive/code").await;
    for word in ["ya29.made-up", "HTTP/1.1 200", "The first consent", "selected"] {
        assert!(page.body.contains(word), "{word}: {}", page.body);
    }
    let none = stage.see(&me, "/scripts/OAuthGoogleDrive?fixture=../../Cargo").await;
    assert!(none.body.contains("has no reply that is text") && !none.body.contains("[package]"));
}
