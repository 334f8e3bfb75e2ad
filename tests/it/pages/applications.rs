//! The application registry.

use super::stage::{MARKED, Page, Stage};
use grantkeeper::model::ApplicationName;
use serde_json::json;

const HAND: &[(&str, &str)] = &[
    ("provider", "hand"),
    ("name", "acme"),
    ("client_id", "acme-client"),
    ("client_secret", "marked-acme-secret"),
    ("endpoints.authorization", "https://acme.example/authorize"),
    ("endpoints.token", "https://acme.example/token"),
    ("client_authentication", "post"),
    ("profiles.default.grant", "authorization_code"),
    ("profiles.default.scopes", "read\nwrite"),
];

/// The same fields with one of them changed.
fn but(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut fields: Vec<_> = HAND.iter().copied().filter(|(field, _)| *field != name).collect();
    fields.push((name, value));
    fields
}

/// What is said at a field.
fn said_at(page: &Page, field: &str) -> String {
    let id = format!("id=\"{field}-wrong\"");
    let rest = page.body.split_once(&id).map_or("", |(_, rest)| rest);
    rest.split_once('>').map_or("", |(_, rest)| rest).split('<').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_application_is_made_from_the_catalog_and_its_secret_is_never_shown() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let choice = stage.see(&me, "/new-application?q=google+drive").await;
    assert!(
        choice.body.contains("provider=google-drive") && !choice.body.contains("provider=slack"),
        "{}",
        choice.body
    );
    let form = stage.see(&me, "/new-application?provider=google-drive").await;
    for word in
        ["Google Cloud console", "http://127.0.0.1:8765/oauth/callback/google-drive", "drive.file", "See and download"]
    {
        assert!(form.body.contains(word), "{word}: {}", form.body);
    }
    let fields = [
        ("provider", "google-drive"),
        ("name", "files"),
        ("client_id", "id-1"),
        ("client_secret", "marked-google-secret"),
        ("profiles.default.scopes", "https://www.googleapis.com/auth/drive.readonly"),
    ];
    let made = stage.act(&me, "/new-application", &fields).await;
    assert_eq!((made.status, made.header("location")), (303, "/applications/files?did=created"), "{made:?}");
    let application = stage.desk.connector.application(&"files".parse().unwrap()).await.unwrap();
    assert_eq!(application.provider.as_deref(), Some("google-drive"));
    assert_eq!(application.client_secret.as_ref().unwrap().expose(), "marked-google-secret");
    for path in ["/applications/files?did=created", "/applications/files/edit", "/applications"] {
        let page = stage.see(&me, path).await;
        assert!(
            page.status == 200 && page.body.contains("files") && !page.body.contains(MARKED),
            "{path}: {}",
            page.body
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_application_is_said_at_its_field_and_nothing_is_made() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    for (fields, field, words) in [
        (but("name", "Not A Name"), "name", "a-z"),
        (but("name", "drive"), "name", "is taken"),
        (but("client_id", ""), "client_id", "is missing"),
        (but("client_secret", ""), "client_secret", "no client_secret"),
        (but("endpoints.token", "http://acme.example/token"), "endpoints.token", "https"),
        (but("endpoints.token", ""), "endpoints.token", "no endpoints.token"),
        (but("script", "Evil"), "script", "OAuth"),
        (but("script", "OAuthNotThere"), "script", "OAuthNotThere"),
        (but("client_authentication", "magic"), "client_authentication", "basic"),
    ] {
        let page = stage.act(&me, "/new-application", &fields).await;
        assert_eq!(page.status, 422, "{field}: {page:?}");
        assert!(said_at(&page, field).contains(words), "{field}: {:?}\n{}", said_at(&page, field), page.body);
        assert!(page.body.contains("value=\"https://acme.example/authorize\""), "what was typed is still there");
        assert!(!page.body.contains("marked-acme-secret"));
    }
    let variable = [("provider", "okta"), ("name", "staff"), ("client_id", "x"), ("client_secret", "y")];
    let page = stage.act(&me, "/new-application", &variable).await;
    assert!(page.status == 422 && page.body.contains("is needed:"), "{}", page.body);
    assert_eq!(stage.desk.connector.applications().await.unwrap().len(), 1);
    assert_eq!(stage.act(&me, "/new-application", HAND).await.status, 303, "and these are right");
}

#[tokio::test]
async fn an_issuer_on_this_machine_or_in_a_private_network_is_not_asked() {
    let stage = Stage::new().await;
    let me = stage.sign_in().await;
    let issuer = stage.desk.provider.issuer().to_owned();
    let asked = || stage.desk.provider.requests(grantkeeper::demo::Door::Metadata).len();
    let before = asked();
    for issuer in [
        issuer.as_str(),
        &issuer.replace("127.0.0.1", "localhost"),
        "https://169.254.169.254",
        "https://10.0.0.1/realms/a",
    ] {
        let fields = [
            ("provider", "hand"),
            ("name", "acme"),
            ("client_id", "x"),
            ("client_secret", "y"),
            ("endpoints.issuer", issuer),
        ];
        let page = stage.act(&me, "/new-application", &fields).await;
        assert_eq!(page.status, 422);
        let said = said_at(&page, "endpoints.issuer");
        assert!(said.contains("on this machine or in a private network"), "{issuer}: {said:?}");
    }
    assert_eq!(asked(), before, "nothing went out");
    assert_eq!(stage.desk.connector.applications().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_application_is_edited_as_its_file_and_keeps_its_secrets() {
    let stage = Stage::new().await;
    stage.application("acme", "").await;
    let me = stage.sign_in().await;
    let name: ApplicationName = "acme".parse().unwrap();
    let page = stage.see(&me, "/applications/acme/edit").await;
    let file = page
        .body
        .split_once("<textarea id=\"file\"")
        .unwrap()
        .1
        .split_once('>')
        .unwrap()
        .1
        .split_once("</textarea>")
        .unwrap()
        .0;
    let file = file.replace("&quot;", "\"").replace("&amp;", "&");
    assert!(file.contains("client_id = \"client\"") && !file.contains("secret"), "{file}");
    let edited =
        stage.act(&me, "/applications/acme/edit", &[("file", &file.replace("files.write", "files.delete"))]).await;
    assert_eq!(edited.header("location"), "/applications/acme?did=updated", "{edited:?}");
    let application = stage.desk.connector.application(&name).await.unwrap();
    assert!(application.profiles.values().next().unwrap().scopes.contains(&"files.delete".to_owned()));
    assert_eq!(application.client_secret.as_ref().unwrap().expose(), "marked-client-secret");
    let same =
        stage.act(&me, "/applications/acme/edit", &[("file", &file.replace("files.write", "files.delete"))]).await;
    assert_eq!(same.header("location"), "/applications/acme?did=unchanged");
    // Elsewhere with the kept secret: no.
    let moved = file.replace("http://127.0.0.1", "https://evil.example");
    let refused = stage.act(&me, "/applications/acme/edit", &[("file", &moved)]).await;
    assert!(refused.status == 422 && refused.body.contains("was not given for"), "{}", refused.body);
    let broken = stage.act(&me, "/applications/acme/edit", &[("file", &file.replace("pkce =", "pkcee ="))]).await;
    assert!(
        broken.status == 422 && broken.body.contains("pkcee") && broken.body.contains("did you mean"),
        "{}",
        broken.body
    );
    assert!(broken.body.contains("^"), "its place is shown");
    let given = [("file", file.as_str()), ("client_secret", "marked-new-secret")];
    assert_eq!(stage.act(&me, "/applications/acme/edit", &given).await.status, 303);
    let application = stage.desk.connector.application(&name).await.unwrap();
    assert_eq!(application.client_secret.as_ref().unwrap().expose(), "marked-new-secret");
    // The daemon reads no variable and no file for who asks.
    let sly = format!("client_secret = {{ file = \"/etc/hostname\" }}\n{file}");
    assert_eq!(stage.act(&me, "/applications/acme/edit", &[("file", &sly)]).await.status, 303);
    let application = stage.desk.connector.application(&name).await.unwrap();
    assert_eq!(application.client_secret.as_ref().unwrap().expose(), "marked-new-secret");
}

#[tokio::test]
async fn a_test_tells_whether_the_provider_takes_the_client() {
    let stage = Stage::new().await;
    stage.application("acme", "").await;
    let me = stage.sign_in().await;
    for (status, error, words) in [
        (400, "invalid_grant", "The provider takes the client"),
        (401, "invalid_client", "The provider refuses the client"),
        (500, "server_error", "does not tell whether it takes the client"),
    ] {
        stage.answers("acme", status, json!({ "error": error, "error_description": "As it says." }));
        let page = stage.act(&me, "/applications/acme/test", &[]).await;
        assert!(page.status == 200 && page.body.contains(words), "{error}: {}", page.body);
    }
    let page = stage.act(&me, "/applications/drive/test", &[]).await;
    assert!(page.body.contains("The provider takes the client"), "as a real one answers: {}", page.body);
    assert!(stage.desk.connector.application(&"acme".parse().unwrap()).await.unwrap().rejected.is_none());
}

#[tokio::test]
async fn an_application_is_switched_off_and_removed_only_when_nobody_uses_it() {
    let stage = Stage::new().await;
    stage.application("acme", "").await;
    let me = stage.sign_in().await;
    assert_eq!(stage.act(&me, "/applications/acme/switch", &[]).await.status, 303);
    let application = stage.desk.connector.application(&"acme".parse().unwrap()).await.unwrap();
    assert!(!application.active && application.client_secret.is_some());
    assert!(stage.see(&me, "/applications/acme").await.body.contains("Switch on"));
    let used = stage.act(&me, "/applications/drive/remove", &[]).await;
    assert!(used.status == 409 && used.body.contains("drive/reports"), "{}", used.body);
    assert!(stage.see(&me, "/applications/acme/remove").await.body.contains("Remove acme?"));
    assert_eq!(stage.act(&me, "/applications/acme/remove", &[]).await.header("location"), "/applications");
    assert_eq!(stage.desk.connector.applications().await.unwrap().len(), 1);
}
