//! Use 3: a background job keeps connections fresh, so that a token is there at once whenever somebody asks.
//!
//! `cargo run --example background_refresh` runs offline, against the built-in provider.

#![allow(clippy::print_stdout)] // an example tells what it does

use grantkeeper::connector::{AuthorizeOptions, Connector};
use grantkeeper::demo::{Browser, Client, DRIVE_SCOPE, DemoProvider, Habits};
use grantkeeper::model::{Clock, ConnectionName, Secret, SystemClock, TestClock};
use grantkeeper::registry::parse_application;
use grantkeeper::seal::Keyring;
use grantkeeper::store::MemoryStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A clock that the example moves, so that hours pass at once.
    let clock = TestClock::new(SystemClock.now());
    let provider = DemoProvider::start(Arc::new(clock.clone()), Habits::default()).await?;
    let keyring = Keyring::generate(clock.now())?;
    let connector = Connector::builder(Arc::new(MemoryStore::new()), keyring).clock(Arc::new(clock.clone())).build()?;
    let file = format!(
        r#"
        name = "drive"
        client_id = "my-client"
        client_secret = {{ env = "DRIVE_CLIENT_SECRET" }}
        script = "OAuthGoogleDrive"

        [endpoints]
        authorization = "{issuer}/authorize"
        token = "{issuer}/token"

        [profiles.default]
        scopes = ["{DRIVE_SCOPE}"]
        "#,
        issuer = provider.issuer()
    );
    let draft = parse_application(&file, "drive.toml", false)?;
    let (application, _) = connector.apply(draft, &mut |_| Ok(Secret::new("my-secret"))).await?;
    let redirect_url = connector.settings().callback.redirect_url(&application.name);
    provider.register(Client::new("my-client", "my-secret".to_owned()).redirecting_to(redirect_url));

    // Three connections of three people, as an application has them.
    let names: Vec<ConnectionName> =
        ["drive/ann", "drive/ben", "drive/cleo"].into_iter().map(str::parse).collect::<Result<_, _>>()?;
    for name in &names {
        let authorization = connector.authorize(name, AuthorizeOptions::default()).await?;
        let callback = Browser::of("alice")?.consent(&authorization.url).await?;
        connector.complete(callback.as_str()).await?;
    }

    // The job: give it whatever ends when your process should. On the command line it is `grantkeeper refresh --due`
    // from cron or a timer.
    let (stop, stopped) = oneshot::channel::<()>();
    let job = {
        let connector = connector.clone();
        tokio::spawn(async move {
            // A dropped sender is a wish to stop, too.
            connector.run_background(async { drop(stopped.await) }).await
        })
    };

    for hour in 1..=3 {
        clock.advance(Duration::from_secs(3590));
        for name in &names {
            // Nobody asks for a token here: the job refreshes ahead of the end, by its own clock.
            while connector.connection(name).await?.generation <= hour {
                tokio::task::yield_now().await;
            }
        }
        println!("after {hour} h: {} refreshes, every token fresh", provider.token_requests("refresh_token"));
    }
    assert_eq!(provider.token_requests("refresh_token"), 9);

    drop(stop);
    job.await??;
    provider.stop().await;
    println!("stopped cleanly");
    Ok(())
}
