//! Use 2: a provider whose token replies are not JSON. A short script of your own reads them.
//!
//! `cargo run --example non_json_provider` runs offline: the built-in provider answers in XML here.

#![allow(clippy::print_stdout)] // an example tells what it does

use grantkeeper::connector::{AuthorizeOptions, Connector};
use grantkeeper::demo::{Browser, Client, DRIVE_SCOPE, DemoProvider, Habits, ReplyStyle};
use grantkeeper::model::{Clock, ConnectionName, Secret, SystemClock};
use grantkeeper::registry::parse_application;
use grantkeeper::seal::Keyring;
use grantkeeper::store::MemoryStore;
use std::path::Path;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = SystemClock;
    let habits = Habits { reply_style: ReplyStyle::Xml, ..Habits::default() };
    let provider = DemoProvider::start(Arc::new(clock), habits).await?;

    // Scripts of one's own lie in a folder: `scripts/` of the home, or any other for a builder. The file is
    // examples/scripts/OAuthAcmeXml.rhai: read it beside this.
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join("scripts");
    let keyring = Keyring::generate(clock.now())?;
    let connector = Connector::builder(Arc::new(MemoryStore::new()), keyring).scripts(scripts).build()?;
    let name: ConnectionName = "acme/reports".parse()?;

    // Without the script the reply fits no reading, and the error says what it looked like.
    apply(&connector, &provider, "").await?;
    let refused = authorize(&connector, &name).await;
    println!("without the script: {}", refused.err().map(|error| error.to_string()).unwrap_or_default());

    // With it the same reply is a token.
    apply(&connector, &provider, "script = \"OAuthAcmeXml\"").await?;
    authorize(&connector, &name).await?;
    let token = connector.token(&name).await?;
    println!(
        "with the script: a {} token until {}, scopes {:?}",
        token.token_type(),
        token.expires().at,
        token.scopes()
    );
    assert_eq!(Browser::of("alice")?.api(&provider.files_url(), token.secret()).await?, 200);
    provider.stop().await;
    Ok(())
}

async fn apply(connector: &Connector, provider: &DemoProvider, script: &str) -> Result<(), Box<dyn std::error::Error>> {
    let file = format!(
        r#"
        name = "acme"
        client_id = "my-client"
        client_secret = {{ env = "ACME_CLIENT_SECRET" }}
        {script}

        [endpoints]
        authorization = "{issuer}/authorize"
        token = "{issuer}/token"

        [profiles.default]
        scopes = ["{DRIVE_SCOPE}"]
        "#,
        issuer = provider.issuer()
    );
    let draft = parse_application(&file, "acme.toml", false)?;
    let (application, _) = connector.apply(draft, &mut |_| Ok(Secret::new("my-secret"))).await?;
    let redirect_url = connector.settings().callback.redirect_url(&application.name);
    provider.register(Client::new("my-client", "my-secret".to_owned()).redirecting_to(redirect_url));
    Ok(())
}

async fn authorize(connector: &Connector, name: &ConnectionName) -> Result<(), Box<dyn std::error::Error>> {
    let authorization = connector.authorize(name, AuthorizeOptions::default()).await?;
    let callback = Browser::of("alice")?.consent(&authorization.url).await?;
    connector.complete(callback.as_str()).await?;
    Ok(())
}
