//! The guided tour: the project's main job from consent to revocation, against the provider with habits, with what was
//! done and what was checked at each step.

use super::{Browser, BrowserError, Client, DRIVE_SCOPE, DemoProvider, Habits};
use crate::connector::{AuthorizeOptions, Connector, Home, ProviderSaid};
use crate::model::{Clock, ConnectionName, ConnectionState, Secret, SystemClock, TestClock, TokenKind};
use crate::registry::parse_application;
use crate::store::{SledOptions, SledStore};
use serde::Serialize;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Why the tour ended early.
#[derive(Debug, thiserror::Error)]
pub enum TourError {
    /// A check did not hold.
    #[error("step {step} failed: {what}")]
    Check {
        /// The step's number.
        step: usize,
        /// What should have held.
        what: String,
    },
    /// A call failed.
    #[error("step {step} failed: {error}")]
    Call {
        /// The step's number.
        step: usize,
        /// Why.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The name of the application and connection that the tour makes.
const CONNECTION: &str = "drive/reports";
/// The client secret; the tour shows that the store's files do not hold it.
const CLIENT_SECRET: &str = "demo-client-secret-9f2c";
/// How long the provider's access tokens live, in seconds.
const TOKEN_SECONDS: u64 = 3600;

/// One step of the tour: what was done, and what was checked and held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it shows.
    pub title: String,
    /// What was done.
    pub did: Vec<String>,
    /// What was checked.
    pub checked: Vec<String>,
}

/// Walks the tour, writes what happens to `out` as it happens, and returns its steps. Everything it makes lies in one temporary folder, which is removed
/// whether or not it comes to its end.
pub async fn tour(out: &mut (dyn Write + Send)) -> Result<Vec<Step>, TourError> {
    let mut guide = Guide { out, steps: Vec::new() };
    let folder = Temporary::new();
    let mut kept = None;
    let result = Box::pin(walk(&mut guide, &folder.0, &mut kept)).await;
    // A task of the last refresh may hold it for a moment more, and writes while its folder is removed.
    if let Some(store) = kept {
        let _ = store.close().await; // it goes with its folder
    }
    drop(folder);
    result?;
    guide.line("\nDone. Nothing is left behind: the temporary home and its keys are gone.");
    Ok(guide.steps)
}

async fn walk(guide: &mut Guide<'_>, folder: &Path, kept: &mut Option<Arc<SledStore>>) -> Result<(), TourError> {
    let name: ConnectionName = guide.call(CONNECTION.parse())?;
    // Both sides go by a clock that the tour moves, so that an hour passes at once.
    let clock = TestClock::new(SystemClock.now());

    guide.step("A Google-Drive-style provider starts on a loopback port");
    let habits = Habits { access_token_seconds: TOKEN_SECONDS, ..Habits::default() };
    let provider = guide.call(DemoProvider::start(Arc::new(clock.clone()), habits).await)?;
    guide.did(&format!("it listens at {}", provider.issuer()));
    guide.did("it gives a refresh token only to access_type=offline with prompt=consent, and rotates it at each use");

    guide.step("A home folder, a key file beside it, and an application");
    let home = Home::new(folder.join("home"), folder.join("config").join("keys"));
    guide.call(home.init(clock.now()))?;
    let store = Arc::new(guide.call(SledStore::open(&home.store(), &SledOptions::default()))?);
    *kept = Some(Arc::clone(&store));
    let keyring = guide.call(home.keyring())?;
    let built = Connector::builder(store, keyring)
        .clock(Arc::new(clock.clone()))
        .settings(guide.call(home.settings())?)
        .scripts(home.scripts())
        .build();
    let connector = guide.call(built)?;
    apply(guide, &connector, &provider, None).await?;
    let application = guide.call(connector.application(name.application()).await)?;
    let redirect_url = connector.settings().callback.redirect_url(name.application());
    provider.register(Client::new(&application.client_id, CLIENT_SECRET.to_owned()).redirecting_to(redirect_url));
    guide.did(&format!(
        "registered {} with PKCE {:?} and client authentication {}",
        application.name,
        application.pkce,
        application.client_authentication.as_str()
    ));

    guide.step("Consent without a script: a token, and no refresh token");
    consent(guide, &connector, &name).await?;
    guide.check(
        "an access token was received",
        kinds(guide, &connector, &name).await?.contains(&TokenKind::AccessToken),
    )?;
    guide.check("no refresh token came", !kinds(guide, &connector, &name).await?.contains(&TokenKind::RefreshToken))?;

    guide.step("Consent with the script OAuthGoogleDrive: a refresh token too");
    apply(guide, &connector, &provider, Some("OAuthGoogleDrive")).await?;
    let url = consent(guide, &connector, &name).await?;
    guide.check(
        "the authorization URL carries access_type=offline and prompt=consent",
        url.contains("access_type=offline") && url.contains("prompt=consent"),
    )?;
    guide.check(
        "it carries a PKCE challenge (S256) and a state",
        url.contains("code_challenge_method=S256") && url.contains("state="),
    )?;
    guide.check("a refresh token came", kinds(guide, &connector, &name).await?.contains(&TokenKind::RefreshToken))?;

    guide.step("What lies in the store is sealed");
    let token = guide.call(connector.token(&name).await)?;
    let sealed = guide.call(connector.sealed_credential(token.credential_id()).await)?;
    guide.did(&format!("the token, as it prints:  {:?}", token.secret()));
    guide.did(&format!("the record, as it lies:   {}… ({} bytes)", hex(&sealed[..sealed.len().min(24)]), sealed.len()));
    let refresh = provider.current_refresh_token(provider.families().len() - 1);
    let refresh = refresh.unwrap_or_default();
    let secrets = [token.secret().clone(), refresh.clone(), Secret::new(CLIENT_SECRET)];
    let found = guide.call(search(&home.store(), &secrets))?;
    guide.check(
        "no file of the store holds the access token, the refresh token or the client secret",
        found.is_empty(),
    )?;

    guide.step("The token works at the provider's API");
    let status = guide.call(files(&provider, token.secret()).await)?;
    guide.check(&format!("GET /drive/v3/files answered {status}"), status == 200)?;

    guide.step("An hour passes: the token ends, and is refreshed when it is next asked for");
    clock.advance(Duration::from_secs(TOKEN_SECONDS));
    let status = guide.call(files(&provider, token.secret()).await)?;
    guide.check(&format!("the old token is refused with {status}"), status == 401)?;
    let fresh = guide.call(connector.token(&name).await)?;
    guide
        .check("a new token came", fresh.secret() != token.secret() && fresh.generation() == token.generation() + 1)?;
    let rotated = provider.current_refresh_token(provider.families().len() - 1).unwrap_or_default();
    guide.check("the refresh token was rotated, and the old one is gone here", rotated != refresh)?;
    guide.check("one refresh request was made", provider.token_requests("refresh_token") == 1)?;
    let status = guide.call(files(&provider, fresh.secret()).await)?;
    guide.check(&format!("the new token works: {status}"), status == 200)?;

    guide.step("Revoke access");
    let revocation = guide.call(connector.revoke(&name).await)?;
    for (kind, said) in &revocation.said {
        guide.check(&format!("the provider revoked the {kind}"), *said == ProviderSaid::Revoked)?;
    }
    let status = guide.call(files(&provider, fresh.secret()).await)?;
    guide.check(&format!("the API refuses the token with {status}"), status == 401)?;
    let state = guide.call(connector.connection(&name).await)?.state;
    guide.check(&format!("the connection is {state}"), state == ConnectionState::Revoked)?;
    let refused = connector.token(&name).await;
    guide.check("no token is handed out any more", refused.is_err())?;
    provider.stop().await;
    Ok(())
}

async fn apply(
    guide: &mut Guide<'_>,
    connector: &Connector,
    provider: &DemoProvider,
    script: Option<&str>,
) -> Result<(), TourError> {
    let script = script.map_or_else(String::new, |script| format!("script = {script:?}\n"));
    let file = format!(
        "name = \"drive\"\nclient_id = \"demo-client\"\nclient_secret = {{ stdin = true }}\n{script}\n\
         [endpoints]\nissuer = {:?}\nauthorization = {:?}\ntoken = {:?}\nrevocation = {:?}\n\n\
         [profiles.default]\nscopes = [{DRIVE_SCOPE:?}]\n",
        provider.issuer(),
        provider.authorization_endpoint().as_str(),
        provider.token_endpoint().as_str(),
        provider.revocation_endpoint().as_str(),
    );
    let draft = guide.call(parse_application(&file, "drive.toml", false))?;
    guide.call(connector.apply(draft, &mut |_| Ok(Secret::new(CLIENT_SECRET))).await)?;
    Ok(())
}

/// Through consent with the scripted browser; returns the authorization URL.
async fn consent(guide: &mut Guide<'_>, connector: &Connector, name: &ConnectionName) -> Result<String, TourError> {
    let authorization = guide.call(connector.authorize(name, AuthorizeOptions::default()).await)?;
    let browser: Result<Browser, BrowserError> = Browser::of("alice");
    let callback = guide.call(guide.call(browser)?.consent(&authorization.url).await)?;
    let connection = guide.call(connector.complete(callback.as_str()).await)?;
    guide.did(&format!("alice consented; {} is {}", connection.name, connection.state));
    Ok(authorization.url.into())
}

async fn kinds(guide: &Guide<'_>, connector: &Connector, name: &ConnectionName) -> Result<Vec<TokenKind>, TourError> {
    let credentials = guide.call(connector.credentials(None, Some(name)).await)?;
    Ok(credentials.into_iter().map(|credential| credential.kind).collect())
}

/// The status that the API answers a token with.
async fn files(provider: &DemoProvider, token: &Secret) -> Result<u16, BrowserError> {
    Browser::of("alice")?.api(&provider.files_url(), token).await
}

/// The files of a folder that hold one of the secrets in clear.
fn search(folder: &Path, secrets: &[Secret]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(search(&path, secrets)?);
            continue;
        }
        let bytes = std::fs::read(&path)?;
        let holds = |secret: &Secret| {
            let secret = secret.expose().as_bytes();
            !secret.is_empty() && bytes.windows(secret.len()).any(|window| window == secret)
        };
        if secrets.iter().any(holds) {
            found.push(path);
        }
    }
    Ok(found)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tells what happens, and counts the steps.
struct Guide<'a> {
    out: &'a mut (dyn Write + Send),
    steps: Vec<Step>,
}

impl Guide<'_> {
    fn line(&mut self, text: &str) {
        // A closed pipe must not stop the tour half-way: what it made is still to be removed.
        let _ = writeln!(self.out, "{text}");
    }

    fn step(&mut self, title: &str) {
        self.steps.push(Step { title: title.to_owned(), did: Vec::new(), checked: Vec::new() });
        let number = self.steps.len();
        self.line(&format!("{}{number}. {title}", if number > 1 { "\n" } else { "" }));
    }

    fn did(&mut self, what: &str) {
        self.line(&format!("   · {what}"));
        if let Some(step) = self.steps.last_mut() {
            step.did.push(what.to_owned());
        }
    }

    fn check(&mut self, what: &str, holds: bool) -> Result<(), TourError> {
        self.line(&format!("   {} {what}", if holds { "✓" } else { "✗" }));
        if !holds {
            return Err(TourError::Check { step: self.steps.len(), what: what.to_owned() });
        }
        if let Some(step) = self.steps.last_mut() {
            step.checked.push(what.to_owned());
        }
        Ok(())
    }

    fn call<T, E: std::error::Error + Send + Sync + 'static>(&self, result: Result<T, E>) -> Result<T, TourError> {
        result.map_err(|error| TourError::Call { step: self.steps.len(), error: Box::new(error) })
    }
}

/// A folder that goes when this does.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("grantkeeper-demo-{}", Uuid::new_v4())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Not there when the first step failed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
