//! Use 1: a Google-Drive-style provider. Consent with `OAuthGoogleDrive`, a call to the API, a refresh when the token
//! has ended, and the end of the grant.
//!
//! `cargo run --example google_drive` runs offline, against the provider that is built in for demos. For the real
//! Google Drive, take `provider = "google-drive"` in place of the endpoints, your own client id and secret, and send a
//! person to the URL where this sends a scripted browser.

#![allow(clippy::print_stdout)] // an example tells what it does

use grantkeeper::connector::{AuthorizeOptions, Connector};
use grantkeeper::demo::{Browser, Client, DRIVE_SCOPE, DemoProvider, Habits};
use grantkeeper::model::{Clock, ConnectionName, Secret, SystemClock, TestClock};
use grantkeeper::registry::parse_application;
use grantkeeper::seal::Keyring;
use grantkeeper::store::MemoryStore;
use std::sync::Arc;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A clock that the example moves, so that an hour passes at once. Leave it out, and the system's is taken.
    let clock = TestClock::new(SystemClock.now());
    let provider = DemoProvider::start(Arc::new(clock.clone()), Habits::default()).await?;

    // With a home folder it is one line: `Connector::open(&Home::new("…", "…")).await?`.
    let keyring = Keyring::generate(clock.now())?;
    let connector = Connector::builder(Arc::new(MemoryStore::new()), keyring).clock(Arc::new(clock.clone())).build()?;

    // The application, as in a file: the script is what makes the provider give a refresh token.
    let file = format!(
        r#"
        name = "drive"
        client_id = "my-client"
        client_secret = {{ env = "DRIVE_CLIENT_SECRET" }}
        script = "OAuthGoogleDrive"

        [endpoints]
        issuer = "{issuer}"
        authorization = "{issuer}/authorize"
        token = "{issuer}/token"
        revocation = "{issuer}/revoke"

        [profiles.default]
        scopes = ["{DRIVE_SCOPE}"]
        "#,
        issuer = provider.issuer()
    );
    let draft = parse_application(&file, "drive.toml", false)?;
    let (application, _) = connector.apply(draft, &mut |_| Ok(Secret::new("my-secret"))).await?;
    let redirect_url = connector.settings().callback.redirect_url(&application.name);
    provider.register(Client::new("my-client", "my-secret".to_owned()).redirecting_to(redirect_url));

    // Consent. `authorization.url` is where the person goes; the URL that they come back to completes it.
    let name: ConnectionName = "drive/reports".parse()?;
    let authorization = connector.authorize(&name, AuthorizeOptions::default()).await?;
    let callback = Browser::of("alice")?.consent(&authorization.url).await?;
    let connection = connector.complete(callback.as_str()).await?;
    println!("{} is {}", connection.name, connection.state);

    // A token that works. Ask for it each time; it comes from memory while it is good.
    let token = connector.token(&name).await?;
    println!("a token until {}; the API answers {}", token.expires().at, call(&provider, token.secret()).await?);

    // An hour later the same call brings another one: it was refreshed on the way.
    clock.advance(Duration::from_secs(3600));
    let fresh = connector.token(&name).await?;
    println!("a token until {}; the API answers {}", fresh.expires().at, call(&provider, fresh.secret()).await?);
    assert_ne!(token.secret(), fresh.secret());

    let revocation = connector.revoke(&name).await?;
    println!("revoked: {:?}; the API answers {}", revocation.said, call(&provider, fresh.secret()).await?);
    assert!(connector.token(&name).await.is_err());
    provider.stop().await;
    Ok(())
}

async fn call(provider: &DemoProvider, token: &Secret) -> Result<u16, Box<dyn std::error::Error>> {
    Ok(Browser::of("alice")?.api(&provider.files_url(), token).await?)
}
