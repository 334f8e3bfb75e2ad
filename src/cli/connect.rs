//! `connect`: makes a connection by whichever grant its profile says.

use super::consent::{self, Way};
use super::context::Context;
use super::error::Error;
use super::record::Record;
use super::{connections, device, secrets, time};
use crate::api::ConnectionDocument;
use crate::connector::{self, AuthorizeOptions, ConnectOptions, CredentialView, Proof};
use crate::model::{Connection, ConnectionName, GrantType, Labels, ProfileName, TokenKind, quoted};
use crate::recording::Asked;
use serde::Serialize;

/// Make a connection: send a person to consent, or prove ourselves.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The profile's grant decides what happens. authorization_code opens the browser and waits on a loopback port; device_code shows a code to type elsewhere; password asks for the password; client_credentials and jwt_bearer need nobody. While a person consents, other commands can use the store."
)]
pub(super) struct Args {
    /// What to call it: APPLICATION/NAME, e.g. google-drive/reports
    pub(super) connection: ConnectionName,
    /// The profile; the connection's own, or `default`, when not given
    #[arg(long)]
    profile: Option<ProfileName>,
    /// A label; may be given more than once
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = connections::label)]
    labels: Vec<(String, String)>,
    /// Print the URL instead of opening the browser
    #[arg(long)]
    no_browser: bool,
    /// Print the URL, and read the URL that the browser is sent back to from standard input
    #[arg(long, conflicts_with_all = ["no_browser", "port"])]
    paste: bool,
    /// Use the device grant (RFC 8628): show a code to type at another device
    #[arg(long, conflicts_with_all = ["no_browser", "paste", "port"])]
    device: bool,
    /// Listen on this loopback port instead of the usual one; 0 takes any that is free
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Take the grant also when it is another account's than the connection has been of
    #[arg(long)]
    other_account: bool,
    /// Read the password of the password grant from standard input
    #[arg(long, conflicts_with_all = ["no_browser", "paste", "device", "port"])]
    password_stdin: bool,
    /// Take over a refresh token that you have, from standard input
    #[arg(long, conflicts_with_all = ["no_browser", "paste", "device", "port", "password_stdin"])]
    refresh_token_stdin: bool,
    #[command(flatten)]
    record: Record,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    let name = &args.connection;
    let (profile, grant) = look(context, &args).await?;
    let labels: Labels = args.labels.iter().cloned().collect();
    let mut asked = Asked {
        connection: name.clone(),
        profile: Some(profile.clone()),
        grant: if args.device { GrantType::DeviceCode } else { grant },
        labels: labels.clone(),
        proof: None,
    };
    if args.refresh_token_stdin {
        asked.grant = GrantType::RefreshToken;
    }
    // Read before the work, which a recording has to know all of.
    let proof = match asked.grant {
        GrantType::RefreshToken if args.refresh_token_stdin => {
            Proof::RefreshToken(secrets::from_stdin("refresh token")?)
        }
        GrantType::RefreshToken => {
            refuse(&args, grant, &[("--no-browser", args.no_browser), ("--paste", args.paste)])?;
            Proof::RefreshToken(secrets::typed("refresh token")?)
        }
        GrantType::Password => {
            refuse(&args, grant, &[("--no-browser", args.no_browser), ("--paste", args.paste)])?;
            let what = "password";
            Proof::Password(if args.password_stdin { secrets::from_stdin(what)? } else { secrets::typed(what)? })
        }
        _ => Proof::None,
    };
    asked.proof = match &proof {
        Proof::Password(secret) | Proof::RefreshToken(secret) => Some(secret.clone()),
        Proof::None => None,
    };
    let record = args.record.clone();
    record
        .during(context, asked, async |context| Box::pin(make(context, &args, &profile, grant, labels, proof)).await)
        .await
}

/// Makes the connection by the profile's grant.
async fn make(
    context: &Context,
    args: &Args,
    profile: &ProfileName,
    grant: GrantType,
    labels: Labels,
    proof: Proof,
) -> Result<(), Error> {
    let name = &args.connection;
    let other_account = args.other_account;
    let options =
        |proof| ConnectOptions { profile: Some(profile.clone()), labels: labels.clone(), proof, other_account };
    if !matches!(proof, Proof::None) {
        return connect(context, name, options(proof)).await;
    }
    let connection = match grant {
        _ if args.device => device::run(context, name, profile, labels, args.other_account).await?,
        GrantType::DeviceCode => {
            refuse(args, grant, &[("--no-browser", args.no_browser), ("--paste", args.paste)])?;
            device::run(context, name, profile, labels, args.other_account).await?
        }
        GrantType::AuthorizationCode => {
            refuse(args, grant, &[])?;
            let way = match (args.paste, args.no_browser) {
                (true, _) => Way::Paste,
                (false, true) => Way::Listen { port: args.port, browser: false },
                (false, false) => Way::Listen { port: args.port, browser: true },
            };
            let options = AuthorizeOptions {
                profile: Some(profile.clone()),
                labels,
                other_account,
                ..AuthorizeOptions::default()
            };
            Box::pin(consent::run(context, name, options, way)).await?
        }
        // The two that need something from a person had it above.
        GrantType::ClientCredentials | GrantType::JwtBearer | GrantType::Password | GrantType::RefreshToken => {
            refuse(args, grant, &[("--no-browser", args.no_browser), ("--paste", args.paste)])?;
            return connect(context, name, options(Proof::None)).await;
        }
    };
    let credentials = context.with(async |desk| desk.credentials(None, Some(name)).await).await?;
    report(context, &connection, &credentials, true)
}

/// The profile that is meant, and its grant.
async fn look(context: &Context, args: &Args) -> Result<(ProfileName, GrantType), Error> {
    context
        .with(async |desk| {
            let application = desk.application(args.connection.application()).await?;
            let name = match (&args.profile, desk.connection(&args.connection).await) {
                (Some(name), _) => name.clone(),
                (None, Ok(connection)) => connection.profile,
                (None, Err(error)) if error.code() == "unknown_connection" => ProfileName::default(),
                (None, Err(error)) => return Err(error),
            };
            let missing =
                || connector::Error::NoProfile { application: application.name.clone(), profile: name.clone() };
            let grant = application.profiles.get(&name).ok_or_else(missing)?.grant;
            Ok((name, grant))
        })
        .await
}

/// Makes a connection that needs no browser.
async fn connect(context: &Context, name: &ConnectionName, options: ConnectOptions) -> Result<(), Error> {
    let (connection, credentials) = context
        .with(async |desk| {
            let connection = desk.connect(name, options).await?;
            Ok((connection, desk.credentials(None, Some(name)).await?))
        })
        .await?;
    report(context, &connection, &credentials, false)
}

/// Refuses options that mean nothing to the grant, instead of doing something else than was asked.
fn refuse(args: &Args, grant: GrantType, further: &[(&str, bool)]) -> Result<(), Error> {
    let browser = grant == GrantType::AuthorizationCode;
    let own = [
        ("--port", args.port.is_some() && !browser),
        ("--password-stdin", args.password_stdin && grant != GrantType::Password),
    ];
    match own.iter().chain(further).find(|(_, given)| *given) {
        Some((option, _)) => Err(Error::Usage(format!(
            "{option} means nothing to the {grant} grant, which the profile of {} uses",
            args.connection
        ))),
        None => Ok(()),
    }
}

/// What `connect --json` prints.
#[derive(Serialize)]
struct Connected {
    #[serde(flatten)]
    connection: ConnectionDocument,
    access_token_expires: Option<crate::model::Timestamp>,
    refresh_token_expires: Option<crate::model::Timestamp>,
}

/// Tells what came of it. `consented`: a person did, and would have to again.
fn report(
    context: &Context,
    connection: &Connection,
    credentials: &[CredentialView],
    consented: bool,
) -> Result<(), Error> {
    let expires = |kind| credentials.iter().find(|credential| credential.kind == kind).map(|c| c.expires.at);
    let document = Connected {
        connection: ConnectionDocument::of(connection),
        access_token_expires: expires(TokenKind::AccessToken),
        refresh_token_expires: expires(TokenKind::RefreshToken),
    };
    let name = &connection.name;
    context.output.result(&document, || {
        let until = |at| time::with_distance(at, context.now(), &context.zone);
        let mut text = format!("{name} is connected\n");
        if let Some(account) = &connection.account {
            text.push_str(&format!("account {}\n", quoted(&account.to_string())));
        }
        if let Some(at) = document.access_token_expires {
            text.push_str(&format!("access token until {}\n", until(at)));
        }
        if let Some(at) = document.refresh_token_expires {
            text.push_str(&format!("refresh token until {}\n", until(at)));
        }
        for further in connection.further() {
            text.push_str(&format!("further token {further}\n"));
        }
        text.push_str(&format!("\nNext: grantkeeper token {name}\n"));
        text
    })?;
    let missing: Vec<String> = connection.scopes.missing.iter().map(|scope| quoted(scope)).collect();
    if !missing.is_empty() {
        context.output.note(&format!(
            "warning: not all that was asked for was granted; missing: {}. Calls that need it will be refused; connect again and allow it",
            missing.join(", ")
        ));
    }
    if consented && document.refresh_token_expires.is_none() {
        context.output.note(&format!(
            "the provider gave no refresh token: when the access token ends, somebody must consent again. Some providers give one only when they are asked for it, as the script OAuthGoogleDrive does (`grantkeeper app show {}`)",
            name.application()
        ));
    }
    Ok(())
}
