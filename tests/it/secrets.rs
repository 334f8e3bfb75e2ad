//! Marked secrets: everything is run with them, and then they are looked for in every log line, message, `Debug` text and
//! file.

use crate::pages::access::PAGES;
use crate::support::daemon::Answer;
use crate::support::desk::{CLIENT_SECRET, Desk};
use crate::support::outside::Outside;
use crate::support::shop::{self, NAME, Shop, alice};
use grantkeeper::connector::{AuthorizeOptions, ConnectOptions, Proof};
use grantkeeper::demo::{Browser, Client, Door, Fault, Habits, PASSWORD};
use grantkeeper::model::{Labels, Secret};
use grantkeeper::store::{SledOptions, SledStore};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

const ALONE: &str = "GRANTKEEPER_TEST_ALONE";

#[test]
fn no_secret_is_in_a_log_a_message_or_a_file() {
    // A logger is for a whole process: this runs in one of its own.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "secrets::everything_is_run_when_alone"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn say(&self, text: &str) {
        self.0.lock().unwrap().extend_from_slice(text.as_bytes());
    }
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_run_when_alone() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    let heard = Heard::default();
    let writer = heard.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let scripts = tempfile::tempdir().unwrap();
    let good = "fn preprocessAuthCode(m) { m.put('access_type', 'offline'); m.put('prompt', 'consent'); }";
    let file = scripts.path().join("OAuthLoud.rhai");
    std::fs::write(
        &file,
        format!("{good}\nfn postprocessAccessToken(r) {{ log(r.getBody()); log(r.getparameters()); }}"),
    )
    .unwrap();
    let store = Arc::new(SledStore::open(folder.path(), &SledOptions::default()).unwrap());
    let lines = "script = \"OAuthLoud\"\nsecrets.api_key = { env = \"ANY\" }\nkeep_password = true";
    let desk = Desk::with(Habits::default(), store, Some(scripts.path()), lines).await;
    let connector = &desk.connector;

    let authorization = connector.authorize(&desk.name, AuthorizeOptions::default()).await.unwrap();
    let callback = Browser::of("alice").unwrap().consent(&authorization.url).await.unwrap();
    heard.say(&format!("{:?}", connector.complete(callback.as_str()).await));
    heard.say(&format!("{:?}", connector.token(&desk.name).await));
    for fault in [Fault::Status(503), Fault::TooManyRequests { retry_after: "1".to_owned() }] {
        desk.provider.next(Door::Token, fault);
        heard.say(&format!("{0:?} {0}", connector.refresh(&desk.name).await.unwrap_err()));
    }
    heard.say(&format!("{:?}", connector.refresh(&desk.name).await));
    std::fs::write(&file, format!("{good}\nfn parseTokenResponse(r) {{ throw 'it said ' + r.getBody(); }}")).unwrap();
    heard.say(&format!("{0:?} {0}", connector.refresh(&desk.name).await.unwrap_err()));
    std::fs::write(&file, format!("{good} // mended")).unwrap();
    heard.say(&format!("{:?}", connector.refresh(&desk.name).await));
    desk.provider.expire_access_tokens();
    let drive = connector.client(&desk.name);
    heard.say(&format!("{:?} {:?}", drive, drive.get(desk.provider.files_url())));
    let reply = drive.get(desk.provider.files_url()).send().await;
    assert_eq!(reply.as_ref().unwrap().status(), 200, "after a 401 and a refresh");
    heard.say(&format!("{reply:?} {:?}", drive.get("http://127.0.0.1:1/").send().await));
    for credential in connector.credentials(None, None).await.unwrap() {
        heard.say(&format!("{credential:?} {:?}", connector.introspect(credential.id).await));
    }
    heard.say(&format!("{:?} {:?} {connector:?}", connector.applications().await, connector.connections(None).await));
    let openid = "[profiles.signed]\nscopes = [\"openid\"]\n[account]\nname = \"id_token.email\"";
    desk.apply(lines, openid).await;
    let signed = AuthorizeOptions { profile: Some("signed".parse().unwrap()), ..AuthorizeOptions::default() };
    for user in ["alice", "bob"] {
        let name = "drive/signed".parse().unwrap();
        let url = connector.authorize(&name, signed.clone()).await.unwrap().url;
        let callback = Browser::of(user).unwrap().consent(&url).await.unwrap();
        heard.say(&format!("{:?}", connector.complete(callback.as_str()).await));
        heard.say(&format!("{:?}", connector.refresh(&name).await));
    }
    desk.apply(lines, "grant = \"password\"\nusername = \"alice\"").await;
    let options = ConnectOptions { proof: Proof::Password(Secret::new(PASSWORD)), ..ConnectOptions::default() };
    heard.say(&format!(
        "{options:?} {:?}",
        connector.connect(&"drive/password".parse().unwrap(), options.clone()).await
    ));
    desk.apply(lines, "grant = \"device_code\"").await;
    let device = connector.start_device(&"drive/device".parse().unwrap(), None, Labels::new(), false).await;
    heard.say(&format!("{device:?}"));
    heard.say(&format!("{:?}", connector.revoke(&desk.name).await));
    heard.say(&format!("{:?}", connector.token(&desk.name).await));

    let code = callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let mut secrets = vec![CLIENT_SECRET.to_owned(), PASSWORD.to_owned(), code];
    for request in desk.provider.requests(Door::Token) {
        secrets.extend(request.params.text("code_verifier").map(str::to_owned));
    }
    for request in desk.provider.requests(Door::Authorization) {
        secrets.extend(request.params.text("nonce").map(str::to_owned));
    }
    assert_eq!(secrets.len(), 8, "two nonces among them");
    for family in desk.provider.families() {
        secrets.extend(family.id_tokens.iter().map(|token| token.expose().to_owned()));
        secrets
            .extend(family.access_tokens.iter().chain(&family.refresh_tokens).map(|token| token.expose().to_owned()));
    }
    assert!(secrets.len() >= 12, "{}", secrets.len());
    let heard = heard.0.lock().unwrap().clone();
    assert!(found(&heard, "OAuthLoud") && found(&heard, "hyper"), "the logs of scripts and of dependencies were heard");
    let files = files(folder.path());
    assert!(files.len() > 2 && found(&files.concat(), "drive/reports"), "the files were read");
    assert!(!files.iter().any(|file| found(file, "alice@demo.example")), "a file of the store holds an account's name");
    for secret in &secrets {
        assert!(!found(&heard, secret), "a log line or a message holds {secret}: {}", around(&heard, secret));
        assert!(!files.iter().any(|file| found(file, secret)), "a file of the store holds {secret}");
    }
    // The search itself can find.
    assert!(found(b"x marked y", "marked") && found(b"p%25s", "p%s"));
}

/// Answers, and the secrets that none of them may hold.
struct Search {
    secrets: Vec<(&'static str, String)>,
    answers: Vec<(String, String)>,
}

impl Search {
    fn knows(&mut self, what: &'static str, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() > 10, "{what} is too short to be looked for: {secret}");
        self.secrets.push((what, secret));
    }

    fn heard(&mut self, from: &str, answer: &Answer) {
        assert!(answer.status < 500 || answer.status == 502, "{from}: {answer:?}");
        self.answers.push((from.to_owned(), answer.whole()));
    }
}

/// The daemon with a connection whose secrets are known: what it answers to every GET route of its own document, on every page and to every
/// form, and what it logs, holds none of them but where a token is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_an_answer_a_page_or_the_daemons_log() {
    let shop = Shop::new(Habits::default()).await;
    shop.machine.run_with(&["admin-password"], "marked-password-of-the-administrator\n").done();
    let outside = Outside::start_with(&shop.machine, "", |command| {
        command.arg("-vvv");
    });
    let redirect_url = format!("http://{}/oauth/callback/drive", outside.address).parse().unwrap();
    shop.provider.register(Client::new("drive-client", shop::CLIENT_SECRET.to_owned()).redirecting_to(redirect_url));
    let mut search = Search { secrets: Vec::new(), answers: Vec::new() };
    search.knows("the client secret", shop::CLIENT_SECRET);
    search.knows("the administrator's password", "marked-password-of-the-administrator");
    let key = outside.key(&shop.machine, "administrator", &["administer"]);
    search.knows("an API key", key.clone());
    for (name, may) in [("reader", "token:drive/*"), ("ended", "manage:*")] {
        search.knows("another API key", outside.key(&shop.machine, name, &[may]));
    }
    shop.machine.run(&["api-key", "revoke", "ended"]).done();
    let post = |path: &str, body: &str| outside.ask(Some(&key), "POST", path, Some(body));

    // One consent that comes back, and one that is still waited for.
    let begin = |name: &str| {
        let begun = post(&format!("/v1/connections/{name}/authorize"), r#"{"browser":"marked-browser-cookie"}"#);
        begun.json(200)["url"].as_str().unwrap().parse::<url::Url>().unwrap()
    };
    let of = |url: &url::Url, name: &str| url.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
    search.knows("what binds a consent to its browser", "marked-browser-cookie");
    let (url, waiting) = (begin(NAME), begin("drive/waiting"));
    search.knows("the state of a consent that is waited for", of(&waiting, "state"));
    search.knows("its code challenge", of(&waiting, "code_challenge"));
    search.knows("the state of a consent that came", of(&url, "state"));
    let callback = alice().consent(&url).await.unwrap();
    search.knows("the code", of(&callback, "code"));
    let back = format!("{}?{}", callback.path(), callback.query().unwrap());
    let stranger = outside.ask(None, "GET", &back, None);
    search.heard("a callback in another browser", &stranger);
    let cookie = "cookie: __Host-grantkeeper-consent=marked-browser-cookie\r\n";
    let came = outside.ask_with("GET", &back, cookie, "");
    assert!(came.status == 200 && came.body.contains("is connected"), "{came:?}");
    search.heard("a callback", &came);
    search.heard("the same callback again", &outside.ask_with("GET", &back, cookie, ""));

    // A provider that repeats what it is sent.
    let echo = wiremock::MockServer::start().await;
    let told = Arc::new(Mutex::new(String::new()));
    let repeats = told.clone();
    let answer = move |request: &wiremock::Request| {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let is_first = std::mem::replace(&mut *repeats.lock().unwrap(), text.clone()).is_empty();
        let body = match is_first {
            true => {
                serde_json::json!({ "access_token": "marked-access-of-echo", "refresh_token": "marked-refresh-of-echo", "token_type": "Bearer", "expires_in": 3600, "note": "marked-access-of-echo" })
            }
            false => {
                serde_json::json!({ "error": "temporarily_unavailable", "error_description": format!("not now: {text}") })
            }
        };
        wiremock::ResponseTemplate::new(if is_first { 200 } else { 503 }).set_body_json(body)
    };
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&echo).await;
    let at = echo.uri();
    let file = format!(
        "name = \"echo\"\nclient_id = \"echo-client\"\nclient_secret = \"marked-secret-of-echo\"\nclient_authentication = \"post\"\n[endpoints]\nauthorization = \"{at}/a\"\ntoken = \"{at}/t\"\nrevocation = \"{at}/r\"\n"
    );
    shop.machine.run_with(&["app", "apply", "-f", "-", "--secrets-in-file"], &file).done();
    search.knows("the client secret of echo", "marked-secret-of-echo");
    search.knows("a refresh token that is brought along", "marked-refresh-token-brought");
    search.knows("the refresh token of echo", "marked-refresh-of-echo");
    search.knows("the access token of echo", "marked-access-of-echo");
    let connected = post("/v1/connections/echo/one/connect", r#"{"refresh_token":"marked-refresh-token-brought"}"#);
    connected.json(200);
    search.heard("connecting echo", &connected);
    let failed = post("/v1/connections/echo/one/refresh", "{}");
    assert!(failed.status == 503 && failed.body.contains("not now"), "{failed:?}");
    search.answers.push(("a refresh of echo".to_owned(), failed.whole()));
    assert!(told.lock().unwrap().contains("marked-refresh-of-echo"), "it was sent, and repeated");
    for path in ["refresh", "revoke"] {
        search.heard(path, &post(&format!("/v1/connections/{NAME}/{path}"), "{}"));
    }
    // Again, so that there is a grant that works.
    let url = begin(NAME);
    let callback = alice().consent(&url).await.unwrap();
    assert_eq!(
        outside.ask_with("GET", &format!("{}?{}", callback.path(), callback.query().unwrap()), cookie, "").status,
        200
    );

    for request in shop.provider.requests(Door::Token) {
        if let Some(verifier) = request.params.text("code_verifier") {
            search.knows("a PKCE verifier", verifier);
        }
    }
    for family in shop.provider.families() {
        for token in &family.access_tokens {
            search.knows("an access token", token.expose());
        }
        for token in family.refresh_tokens.iter().chain(&family.id_tokens) {
            search.knows("a refresh token", token.expose());
        }
    }
    let working = outside.ask(Some(&key), "GET", &format!("/v1/connections/{NAME}/token"), None).json(200);
    let working = working["access_token"].as_str().unwrap().to_owned();
    assert!(search.secrets.iter().any(|(_, secret)| *secret == working), "the access token is one that is looked for");

    let webhook =
        post("/v1/webhooks", r#"{"name":"ops","url":"https://hooks.example.com/marked-part-of-a-webhooks-path"}"#)
            .json(201);
    search.knows("a webhook's secret", webhook["secret"].as_str().unwrap());

    // Every GET route of the table, as the daemon's own document has it, for each thing that there is.
    let document = outside.ask(Some(&key), "GET", "/openapi.json", None).json(200);
    let credentials = outside.ask(Some(&key), "GET", "/v1/credentials", None).json(200);
    let ids: Vec<&str> = credentials.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert!(ids.len() >= 4, "{ids:?}");
    let files = shop.provider.files_url();
    let host = format!("{}:{}", files.host_str().unwrap(), files.port().unwrap());
    let mut asked = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods.get("get").is_none() {
            continue;
        }
        for (application, name) in [("drive", "reports"), ("drive", "waiting"), ("echo", "one"), ("nobody", "here")] {
            for id in if path.contains("{id}") { &ids[..] } else { &[""] } {
                let path = path.replace("{application}", application).replace("{name}", name).replace("{id}", id);
                let path = path.replace("{webhook}", "ops").replace("{script}", "OAuthUtil");
                let path = path
                    .replace("{provider}", "google")
                    .replace("{host}", &host)
                    .replace("{path}", files.path().trim_start_matches('/'));
                assert!(!path.contains('{'), "{path}");
                if !asked.contains(&path) {
                    asked.push(path);
                }
            }
        }
    }
    assert!(asked.len() > 35, "{asked:?}");
    for path in &asked {
        // Asked with, and told: a token that is asked for is in its answer, and no other secret.
        let answer = match path.ends_with("/stream") {
            true => outside.ask_stream(&key, &format!("{path}?after=0")),
            false => outside.ask(Some(&key), "GET", path, None),
        };
        if path.ends_with("/token") {
            let whole = answer.whole().replace(&working, "").replace("marked-access-of-echo", "");
            search.answers.push((path.clone(), whole));
        } else if path.contains("/proxy/") {
            search.answers.push((path.clone(), answer.whole()));
        } else {
            search.heard(path, &answer);
        }
    }

    // Every page, and what forms answer.
    let signed = outside.sign_in(&shop.machine);
    search.knows("a session's cookie", signed.cookie.split_once('=').unwrap().1);
    let pages = PAGES.iter().map(|path| (*path).to_owned());
    let connections = ["drive/reports", "drive/waiting", "echo/one"]
        .iter()
        .flat_map(|name| [format!("/connections/{name}"), format!("/connections/{name}/revoke")]);
    let of_ids = ids.iter().flat_map(|id| [format!("/credentials/{id}/expires"), format!("/credentials/{id}/revoke")]);
    let more = ["/applications/echo", "/applications/echo/edit", "/openapi.json", "/sign-in"].map(str::to_owned);
    let mut seen = 0;
    for path in pages.chain(connections).chain(of_ids).chain(more) {
        let page = signed.get(&path);
        seen += usize::from(page.status == 200);
        search.heard(&path, &page);
    }
    assert!(seen > 30, "{seen}");
    for (path, fields) in [
        ("/connections/drive/reports/refresh", ""),
        ("/applications/drive/test", ""),
        ("/applications/echo/test", ""),
        ("/applications/drive/switch", ""),
        ("/audit/verify", ""),
        ("/connections/drive/reports/revoke", ""),
        ("/connections/nobody/here/refresh", ""),
    ] {
        search.heard(path, &signed.post(path, fields));
    }
    search.answers.push(("a page's refresh".to_owned(), signed.post("/connections/echo/one/refresh", "").whole()));
    search.heard("echo's revocation", &signed.post("/connections/echo/one/revoke", ""));
    for path in ["/", "/tokens", "/events", "/audit", "/connections/echo/one"] {
        search.heard(path, &signed.get(path));
    }
    let audit = shop.machine.run(&["audit", "--json", "--limit", "500"]).done();
    search.answers.push(("the audit log".to_owned(), audit));
    let log = outside.daemon.stopped();
    assert!(log.err.contains("answered"), "the log says much: {log:?}");
    search.answers.push(("the log".to_owned(), format!("{}{}", log.err, log.out)));

    let mut wrong = Vec::new();
    for (from, text) in &search.answers {
        for (what, secret) in &search.secrets {
            if found(text.as_bytes(), secret) {
                wrong.push(format!("{from} holds {what}: …{}", around(text.as_bytes(), secret)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        search.secrets.len() > 20 && search.answers.len() > 100,
        "{} {}",
        search.secrets.len(),
        search.answers.len()
    );
}

/// Whether bytes hold a secret: as it is, percent-encoded, or in hexadecimal.
fn found(bytes: &[u8], secret: &str) -> bool {
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    [secret, &encoded, &hex].iter().any(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn around(bytes: &[u8], secret: &str) -> String {
    let at = bytes.windows(secret.len()).position(|window| window == secret.as_bytes()).unwrap_or(0);
    String::from_utf8_lossy(&bytes[at.saturating_sub(200)..at]).into_owned()
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(std::fs::read(path).unwrap());
        }
    }
    all
}
