//! `script try`: a recorded reply through a script, and what came of it.

use super::context::Context;
use super::error::Error;
use super::script_new::read_reply;
use super::time;
use crate::api::TriedDocument;
use crate::connector;
use crate::exchange::{masked, shown};
use crate::model::{
    Application, ApplicationName, Clock as _, ExpirySource, Failure, GrantType, ScriptName, SystemClock,
};
use crate::oauth::{Params, TokenReply};
use crate::recording::{Outcome, Trial, try_reply};
use crate::script::Scripts;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A script's name, or its file anywhere
    #[arg(value_name = "NAME|FILE")]
    script: String,
    /// The recorded reply: a body, or what `curl -i` prints; `-` is standard input
    #[arg(long, value_name = "FILE")]
    reply: PathBuf,
    /// An application whose settings count: how replies are read, lifespans
    #[arg(long, value_name = "NAME")]
    application: Option<ApplicationName>,
    /// The grant that the script is told
    #[arg(long, default_value = "authorization_code", value_parser = grant)]
    grant: GrantType,
    /// The HTTP status, where it is not the file's, or 200
    #[arg(long, value_parser = clap::value_parser!(u16).range(100..1000))]
    status: Option<u16>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    let (scripts, name) = open(context, &args.script)?;
    let mut reply = read_reply(&args.reply)?;
    reply.status = args.status.unwrap_or(reply.status);
    let application = match &args.application {
        Some(name) => Some(context.with(async |desk| desk.application(name).await).await?.into_application()),
        None => None,
    };
    let script = scripts.get(Some(&name))?;
    let now = SystemClock.now();
    let begun = begin();
    let trial = try_reply(&script, application.as_ref(), args.grant, &reply, now).await?;
    let took = begun.elapsed();
    let document = TriedDocument::of(&name, &trial, took);
    context.output.result(&document, || told(context, &name, application.as_ref(), &trial, took.as_micros()))?;
    match trial.outcome {
        Outcome::Broke(error) => Err((*error).into()),
        Outcome::Token(..) | Outcome::Failed(_) => Ok(()),
    }
}

/// The scripts that a name is looked up in: those of the home where there is one, or of the folder that a file lies in.
fn open(context: &Context, script: &str) -> Result<(Scripts, ScriptName), Error> {
    let home = context.home()?;
    let settings = home.settings();
    let limits = settings.as_ref().map_or_else(|_| Default::default(), |settings| settings.script);
    let (folder, name) = match script.parse::<ScriptName>() {
        Ok(name) => (settings.is_ok().then(|| home.scripts()), name),
        Err(refused) => {
            let path = Path::new(script);
            if !path.is_file() {
                return Err(Error::Missing(format!("{refused}, and there is no such file")));
            }
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let name = stem.parse::<ScriptName>().map_err(|refused| Error::Input(refused.to_string()))?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            (Some(folder.to_owned()), name)
        }
    };
    match settings {
        // A broken settings file is not passed over.
        Err(error) if !matches!(error, connector::Error::NoHome(_)) => Err(error.into()),
        _ => Ok((Scripts::open(folder.as_deref(), limits)?, name)),
    }
}

#[allow(clippy::disallowed_methods)] // how long it took is told to a person, and decides nothing
fn begin() -> Instant {
    Instant::now()
}

fn grant(word: &str) -> Result<GrantType, String> {
    serde_json::from_value(Value::from(word)).map_err(|_| {
        "it is one of authorization_code, refresh_token, client_credentials, password, jwt_bearer, device_code"
            .to_owned()
    })
}

fn told(
    context: &Context,
    name: &ScriptName,
    application: Option<&Application>,
    trial: &Trial,
    micros: u128,
) -> String {
    let mut text = String::new();
    let params = |title: &str, params: &Params| {
        let mut text = format!("{title}\n");
        for (name, value) in params.iter() {
            text.push_str(&format!("  {name:<26}{}\n", shown(name, value)));
        }
        if params.is_empty() {
            text.push_str("  none\n");
        }
        text
    };
    text.push_str(&params("Read without the script", &trial.before));
    text.push_str(&params("After the script", &trial.after));
    text.push_str("What came of it\n");
    match &trial.outcome {
        Outcome::Token(tokens, expires) => text.push_str(&told_token(context, tokens, *expires, application, trial)),
        Outcome::Failed(failure) => text.push_str(&told_failure(failure)),
        Outcome::Broke(_) => text.push_str("  the script broke\n"),
    }
    let hooks: Vec<String> = trial
        .hooks
        .iter()
        .map(|(hook, own)| if *own { (*hook).to_owned() } else { format!("{hook} (OAuthUtil's)") })
        .collect();
    text.push_str(&format!(
        "{name} ran {} in {}.{:01} ms, {} operations\n",
        hooks.join(" → "),
        micros / 1000,
        micros % 1000 / 100,
        trial.operations
    ));
    text
}

fn told_token(
    context: &Context,
    tokens: &TokenReply,
    expires: crate::model::Expiry,
    application: Option<&Application>,
    trial: &Trial,
) -> String {
    let mut rows = vec![("access token", masked(&tokens.access_token))];
    let source = match expires.source {
        ExpirySource::Stated => "the reply says so".to_owned(),
        ExpirySource::Setting => {
            format!("the application {} says so", application.map_or("", |application| application.name.as_str()))
        }
        ExpirySource::Default | ExpirySource::Learned | ExpirySource::Edited => "nobody says: the default".to_owned(),
    };
    rows.push(("ends", format!("{}; {source}", time::with_distance(expires.at, context.now(), &context.zone))));
    rows.extend(tokens.refresh_token.iter().map(|token| ("refresh token", masked(token))));
    rows.extend(tokens.refresh_expires_in.iter().map(|seconds| ("it ends after", format!("{seconds} s"))));
    rows.extend(tokens.id_token.iter().map(|token| ("id token", masked(token))));
    rows.push(("type", tokens.token_type.clone()));
    rows.push(("scopes", tokens.scopes.as_ref().map_or_else(|| "not stated".to_owned(), |scopes| scopes.join(" "))));
    let fields: Vec<&str> = tokens.extra.keys().chain(trial.kept.keys()).map(String::as_str).collect();
    rows.push(("kept fields", if fields.is_empty() { "none".to_owned() } else { fields.join(", ") }));
    rows.iter().map(|(what, value)| format!("  {what:<26}{value}\n")).collect()
}

fn told_failure(failure: &Failure) -> String {
    let mut text = format!("  {:<26}{}\n  {:<26}{}\n", "failure", failure.kind, "code", failure.code);
    if let Some(words) = &failure.words {
        text.push_str(&format!("  {:<26}\"{words}\"\n", "words"));
    }
    if let Some(seconds) = failure.retry_after {
        text.push_str(&format!("  {:<26}{seconds} s\n", "to wait"));
    }
    text
}
