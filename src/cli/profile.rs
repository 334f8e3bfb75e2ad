//! `profile`: named grant types with their scopes.

use super::context::Context;
use super::error::Error;
use super::output::Field;
use crate::model::{ApplicationName, GrantType, Profile, ProfileName, quoted};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Add a profile to an application
    Add(Box<Add>),
    /// List an application's profiles
    List {
        /// The application
        application: ApplicationName,
    },
    /// Remove a profile that no connection uses
    Remove {
        /// The application
        application: ApplicationName,
        /// The profile
        name: ProfileName,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The application
    application: ApplicationName,
    /// What to call the profile
    name: ProfileName,
    /// How tokens are asked for
    #[arg(long, value_parser = grant_parser(), default_value = "authorization_code")]
    grant: GrantType,
    /// A scope to ask for; may be given more than once
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// `audience` of the request
    #[arg(long)]
    audience: Option<String>,
    /// `resource` of the request (RFC 8707)
    #[arg(long)]
    resource: Option<String>,
    /// The user of the password grant
    #[arg(long)]
    username: Option<String>,
    /// The `sub` of a JWT bearer assertion; the client id when not given
    #[arg(long)]
    subject: Option<String>,
    /// The `aud` of a JWT bearer assertion; the token endpoint when not given
    #[arg(long)]
    assertion_audience: Option<String>,
    /// Put it in the place of the profile of that name
    #[arg(long)]
    replace: bool,
}

/// Reads a grant type, and offers the words to completions and help.
pub(super) fn grant_parser() -> impl TypedValueParser<Value = GrantType> {
    PossibleValuesParser::new(GRANTS.map(GrantType::as_str))
        .map(|word| GRANTS.into_iter().find(|grant| grant.as_str() == word).unwrap_or_default())
}

const GRANTS: [GrantType; 6] = [
    GrantType::AuthorizationCode,
    GrantType::DeviceCode,
    GrantType::ClientCredentials,
    GrantType::Password,
    GrantType::JwtBearer,
    GrantType::RefreshToken,
];

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Add(add) => self::add(context, *add).await,
        Command::List { application } => list(context, &application).await,
        Command::Remove { application, name } => {
            context.with(async |desk| desk.remove_profile(&application, &name).await).await?;
            let document = json!({ "application": application, "profile": name, "removed": true });
            context.output.result(&document, || format!("the profile {name} of {application} was removed\n"))
        }
    }
}

async fn add(context: &Context, add: Add) -> Result<(), Error> {
    let Add { application, name, .. } = &add;
    let profile = Profile {
        grant: add.grant,
        scopes: add.scopes.clone(),
        audience: add.audience.clone(),
        resource: add.resource.clone(),
        username: add.username.clone(),
        subject: add.subject.clone(),
        assertion_audience: add.assertion_audience.clone(),
    };
    context
        .with(async |desk| {
            if !add.replace && desk.application(application).await?.profiles.contains_key(name) {
                return Err(Error::Exists(format!(
                    "{application} has a profile {name} already; put this one in its place with --replace"
                )));
            }
            desk.put_profile(application, name.clone(), profile.clone()).await
        })
        .await?;
    let document = json!({ "application": application, "profile": name, "settings": profile });
    context.output.result(&document, || {
        format!(
            "{application} has the profile {name}\n\nNext: grantkeeper connect {application}/NAME --profile {name}\n"
        )
    })
}

async fn list(context: &Context, application: &ApplicationName) -> Result<(), Error> {
    let application = context.with(async |desk| desk.application(application).await).await?;
    let rows = application.profiles.iter().map(|(name, profile)| -> [Field; 5] {
        [
            name.to_string().into(),
            profile.grant.as_str().into(),
            quoted(&profile.scopes.join(" ")).into(),
            quoted(profile.audience.as_deref().or(profile.resource.as_deref()).unwrap_or_default()).into(),
            quoted(profile.username.as_deref().or(profile.subject.as_deref()).unwrap_or_default()).into(),
        ]
    });
    let header = ["PROFILE", "GRANT", "SCOPES", "AUDIENCE/RESOURCE", "USER/SUBJECT"];
    context.output.table(&application.profiles, header, rows.collect(), "there are no profiles")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_can_be_named() {
        for grant in GRANTS {
            let word: GrantType = serde_json::from_value(json!(grant.as_str())).unwrap();
            assert_eq!(word, grant, "the command line's word is the file's");
        }
    }
}
