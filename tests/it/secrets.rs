//! Marked secrets: everything is run with them, and then they are looked for in every log line, message, `Debug` text and
//! file.

use crate::support::desk::{CLIENT_SECRET, Desk};
use grantkeeper::connector::{AuthorizeOptions, ConnectOptions, Proof};
use grantkeeper::demo::{Browser, Door, Fault, Habits, PASSWORD};
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
