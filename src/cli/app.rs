//! `app`: our client registrations at providers.

use super::app_file;
use super::context::Context;
use super::desk::Desk;
use super::error::Error;
use super::output::{Field, Tone};
use super::profile::grant_parser;
use super::secrets::{self, ClientSecret};
use super::view::Lines;
use crate::api::{ApplicationDocument, AppliedDocument};
use crate::connector::Applied;
use crate::model::{ApplicationName, ClientAuthentication, Endpoint, GrantType, ProfileName, ScriptName, quoted};
use crate::registry::{Catalog, Draft, SecretSource, Settings, is_value, parse_application};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add an application of a provider in the catalog, or of an issuer that publishes its metadata
    Add(Box<Add>),
    /// Make or edit an application as a TOML file says
    Apply {
        /// The file; `-` is standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Take secrets that stand in the file in clear
        #[arg(long)]
        secrets_in_file: bool,
    },
    /// List applications
    List,
    /// Show one application
    Show {
        /// The application
        application: ApplicationName,
    },
    /// Remove an application that no connection uses
    Remove {
        /// The application
        application: ApplicationName,
    },
    /// Print an application as the TOML that `app apply` reads; secrets are left out
    Export {
        /// The application
        application: ApplicationName,
    },
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  grantkeeper app add google-drive --provider google-drive --client-id ID --client-secret-stdin < secret\nThe secret is never given on the command line: every process of the machine can read that."
)]
#[group(id = "whose", required = true, multiple = true, args = ["provider", "issuer"])]
pub(super) struct Add {
    /// What to call it
    pub(super) name: ApplicationName,
    /// The catalog entry that it is made from; see `grantkeeper provider list`
    #[arg(long)]
    pub(super) provider: Option<String>,
    /// What the provider's entry asks for (a subdomain, a tenant, a region); see `grantkeeper provider show`
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = variable, requires = "provider")]
    pub(super) variables: Vec<(String, String)>,
    /// The issuer whose metadata names the endpoints (RFC 8414, OpenID Connect Discovery)
    #[arg(long, value_name = "URL")]
    pub(super) issuer: Option<Endpoint>,
    /// Our client id at the provider
    #[arg(long, value_name = "ID")]
    pub(super) client_id: String,
    #[command(flatten)]
    pub(super) client_secret: ClientSecret,
    /// A scope to ask for; may be given more than once
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(super) scopes: Vec<String>,
    /// The OAuth API script
    #[arg(long, value_name = "OAuthNAME")]
    pub(super) script: Option<ScriptName>,
    /// Where the provider sends the browser back to; a loopback address of the application's own when not given
    #[arg(long, value_name = "URL")]
    pub(super) redirect_url: Option<Endpoint>,
    /// How tokens are asked for; authorization_code, or what the provider's entry says, when not given
    #[arg(long, value_parser = grant_parser())]
    pub(super) grant: Option<GrantType>,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Add(add) => Box::pin(self::add(context, *add)).await,
        Command::Apply { file, secrets_in_file } => Box::pin(apply_file(context, &file, secrets_in_file)).await,
        Command::List => list(context).await,
        Command::Show { application } => {
            let application = context.with(async |desk| desk.application(&application).await).await?;
            show(context, &application)
        }
        Command::Remove { application } => {
            context.with(async |desk| desk.remove_application(&application).await).await?;
            let document = json!({ "name": application, "removed": true });
            context.output.result(&document, || format!("{application} was removed\n"))
        }
        Command::Export { application } => {
            let toml = context.with(async |desk| desk.export_application(&application).await).await?;
            context.output.result(&json!({ "name": application, "toml": toml }), || toml.clone())
        }
    }
}

async fn add(context: &Context, add: Add) -> Result<(), Error> {
    let file = app_file::of_options(&add);
    apply(context, draft_of(add)?, file, Path::new(""), true).await
}

/// The application that the options say.
pub(super) fn draft_of(add: Add) -> Result<Draft, Error> {
    let mut draft = match &add.provider {
        Some(provider) => {
            let variables = add.variables.into_iter().collect();
            Draft::from_provider(add.name, Catalog::find(provider)?, &variables, add.client_id)?
        }
        None => Draft {
            name: add.name,
            provider: None,
            active: None,
            client_id: add.client_id,
            client_secret: None,
            secrets: BTreeMap::new(),
            settings: Settings::default(),
        },
    };
    draft.client_secret = add.client_secret.source();
    let settings = &mut draft.settings;
    if add.client_secret.public {
        settings.client_authentication = Some(ClientAuthentication::None);
    }
    settings.endpoints.issuer = add.issuer.or(settings.endpoints.issuer.take());
    settings.script = add.script.or(settings.script.take());
    settings.redirect_url = add.redirect_url.map(|url| url.url().clone()).or(settings.redirect_url.take());
    let default = settings.profiles.entry(ProfileName::default()).or_default();
    if let Some(grant) = add.grant {
        settings.default_grant = Some(grant);
        default.grant = Some(grant);
    }
    if !add.scopes.is_empty() {
        default.scopes = Some(add.scopes);
    }
    Ok(draft)
}

async fn apply_file(context: &Context, file: &Path, secrets_in_file: bool) -> Result<(), Error> {
    let from_stdin = file == Path::new("-");
    let text =
        if from_stdin { read_text(std::io::stdin().lock()) } else { std::fs::File::open(file).and_then(read_text) };
    let shown = if from_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let text = text.map_err(|error| Error::Input(format!("{shown} cannot be read: {error}")))?;
    let draft = parse_application(&text, &shown, secrets_in_file)?;
    let takes_stdin =
        draft.client_secret.iter().chain(draft.secrets.values()).any(|source| *source == SecretSource::Stdin);
    if from_stdin && takes_stdin {
        return Err(Error::Usage(
            "standard input holds the file itself and cannot hold a secret too; give the file by name, or the secret by env or file".to_owned(),
        ));
    }
    // As in any file that names others: what it names starts from where it lies.
    let base = file.parent().filter(|_| !from_stdin).unwrap_or(Path::new(""));
    apply(context, draft, app_file::of_text(&text)?, base, false).await
}

/// Applies a draft, and tells what to do next. `new`: there must be no application of that name.
async fn apply(context: &Context, mut draft: Draft, file: toml::Table, base: &Path, new: bool) -> Result<(), Error> {
    // Before the store is opened: a person may be typing, and others wait for the store. Here and not in the daemon: they are
    // this process's variables, files and input.
    let mut secrets = secrets::read_ahead(&draft, base);
    draft.read_secrets(&mut secrets)?;
    let file = app_file::with_secrets(file, &draft)?;
    let AppliedDocument { applied, application } = context
        .with(async |desk| {
            if new {
                must_be_free(desk, &draft.name).await?;
            }
            desk.apply(draft, &file).await
        })
        .await?;
    let redirect_url = &application.redirect_url;
    let word = match applied {
        Applied::Created => "created",
        Applied::Updated => "updated",
        Applied::Unchanged => "unchanged",
    };
    let setup = application.provider.as_deref().and_then(|name| Catalog::find(name).ok()).map(|entry| &entry.setup);
    let asks_a_browser = application.profiles.values().any(|profile| profile.grant == GrantType::AuthorizationCode);
    let document = json!({
        "applied": word,
        "application": application,
        "register": { "redirect_url": asks_a_browser.then_some(redirect_url), "setup": setup },
    });
    context.output.result(&document, || {
        let name = &application.name;
        let mut text = match applied {
            Applied::Unchanged => format!("{name} is as it was\n"),
            _ => format!("{name} was {word}\n"),
        };
        if applied == Applied::Created {
            if asks_a_browser {
                text.push_str(&format!(
                    "\nRegister this redirect URL at the provider, letter by letter:\n  {redirect_url}\n"
                ));
            }
            if let Some(setup) = setup {
                text.push_str(&format!("\n{setup}\n"));
            }
            text.push_str(&format!("\nNext: grantkeeper connect {name}/NAME\n"));
        }
        text
    })
}

async fn must_be_free(desk: &Desk, name: &ApplicationName) -> Result<(), Error> {
    match desk.application(name).await {
        Ok(_) => Err(Error::Exists(format!(
            "there is an application {name} already; edit it with `grantkeeper app export {name}` and `grantkeeper app apply`, or take another name"
        ))),
        Err(error) if error.code() == "unknown_application" => Ok(()),
        Err(error) => Err(error),
    }
}

async fn list(context: &Context) -> Result<(), Error> {
    let all = context.with(async |desk| desk.applications().await).await?;
    let rows = all.iter().map(|application| {
        let active = match application.active {
            true => Field::toned("active", Tone::Good),
            false => Field::toned("inactive", Tone::Warning),
        };
        let profiles: Vec<&str> = application.profiles.keys().map(ProfileName::as_str).collect();
        [
            application.name.to_string().into(),
            application.provider.clone().unwrap_or_default().into(),
            quoted(&application.client_id).into(),
            application.script.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            profiles.join(" ").into(),
            active,
        ]
    });
    let header = ["APPLICATION", "PROVIDER", "CLIENT ID", "SCRIPT", "PROFILES", "STATE"];
    context.output.table(&all, header, rows.collect(), "there are no applications; grantkeeper app add makes one")
}

fn show(context: &Context, application: &ApplicationDocument) -> Result<(), Error> {
    context.output.result(application, || {
        let mut lines = Lines::default();
        lines
            .put("application", application.name.as_str())
            .maybe("provider", application.provider.as_ref())
            .put("state", if application.active { "active" } else { "inactive" })
            .put("client id", &application.client_id)
            .put("client secret", if application.has_client_secret { "kept, sealed" } else { "none" })
            .put("client authentication", application.client_authentication.as_str());
        for name in &application.secrets {
            lines.put(&format!("secret {name}"), "kept, sealed");
        }
        lines
            .maybe("script", application.script.as_ref().map(ScriptName::as_str))
            .put("redirect URL", application.redirect_url.as_str());
        lines.endpoints(&application.endpoints);
        for host in &application.hosts {
            lines.put("host", host.as_str());
        }
        for (name, profile) in &application.profiles {
            lines.put(&format!("profile {name}"), format!("{} {}", profile.grant, profile.scopes.join(" ")));
        }
        lines.text()
    })
}

/// Longest application file that is read, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

fn read_text(input: impl std::io::Read) -> std::io::Result<String> {
    let mut text = String::new();
    input.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(std::io::Error::other(format!("it is longer than {MOST_BYTES} bytes")));
    }
    Ok(text)
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no NAME=VALUE"))?;
    is_value(value).map_err(|reason| format!("the value of {name} {reason}"))?;
    Ok((name.to_owned(), value.to_owned()))
}
