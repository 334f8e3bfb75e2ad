//! An application's file as it travels to a daemon: the keys that it has, and in the places of its secrets the secrets
//! themselves, which only this process can read.

use super::app::Add;
use super::error::Error;
use crate::model::GrantType;
use crate::registry::{Draft, SecretSource};
use serde_json::Value;
use toml::Table;

/// Of a text that was read as an application already.
pub(super) fn of_text(text: &str) -> Result<Table, Error> {
    text.parse().map_err(|error: toml::de::Error| Error::Input(format!("the application cannot be read: {error}")))
}

/// The file that says what the options of `app add` say.
pub(super) fn of_options(add: &Add) -> Table {
    let mut file = Table::new();
    let text = |text: &str| toml::Value::from(text);
    file.insert("name".to_owned(), text(add.name.as_str()));
    file.insert("client_id".to_owned(), text(&add.client_id));
    let mut maybe = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            file.insert(key.to_owned(), text(value));
        }
    };
    maybe("provider", add.provider.as_deref());
    maybe("script", add.script.as_ref().map(crate::model::ScriptName::as_str));
    maybe("redirect_url", add.redirect_url.as_ref().map(crate::model::Endpoint::as_str));
    maybe("client_authentication", add.client_secret.public.then_some("none"));
    maybe("default_grant", add.grant.map(GrantType::as_str));
    let mut tables = Vec::new();
    if !add.variables.is_empty() {
        let stated = add.variables.iter().map(|(name, value)| (name.clone(), text(value)));
        tables.push(("variables", stated.collect()));
    }
    if let Some(issuer) = &add.issuer {
        tables.push(("endpoints", Table::from_iter([("issuer".to_owned(), text(issuer.as_str()))])));
    }
    let mut default = Table::new();
    if let Some(grant) = add.grant {
        default.insert("grant".to_owned(), text(grant.as_str()));
    }
    if !add.scopes.is_empty() {
        default.insert("scopes".to_owned(), add.scopes.clone().into());
    }
    tables.push(("profiles", Table::from_iter([("default".to_owned(), default.into())])));
    for (key, table) in tables {
        file.insert(key.to_owned(), table.into());
    }
    file
}

/// The file with the secrets of a draft that was made of it, whose secrets were read.
pub(super) fn with_secrets(mut file: Table, draft: &Draft) -> Result<Value, Error> {
    let put = |table: &mut Table, key: &str, source: &SecretSource| {
        if let SecretSource::Plain(secret) = source {
            table.insert(key.to_owned(), secret.expose().into());
        }
    };
    if let Some(source) = &draft.client_secret {
        put(&mut file, "client_secret", source);
    }
    let mut named = Table::new();
    for (key, source) in &draft.secrets {
        put(&mut named, key, source);
    }
    if !named.is_empty() {
        file.insert("secrets".to_owned(), named.into());
    }
    serde_json::to_value(file).map_err(|error| Error::System(format!("the application cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::super::app::draft_of;
    use super::*;
    use crate::registry::parse_application;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        add: Add,
    }

    fn add(line: &str) -> Add {
        Line::try_parse_from(line.split(' ')).unwrap().add
    }

    #[test]
    fn the_file_of_the_options_says_what_the_options_say() {
        for line in [
            "add drive --provider google-drive --client-id x --client-secret-env S",
            "add drive --provider google-drive --client-id x --public --scope a --scope b --script OAuthGoogleDrive",
            "add z --provider zendesk --client-id x --public --set subdomain=acme --grant client_credentials",
            "add i --issuer https://i.example --client-id x --public --redirect-url https://me.example/back",
            "add i --provider google-drive --issuer https://i.example --client-id x --public",
        ] {
            let mut draft = draft_of(add(line)).unwrap();
            draft.read_secrets(&mut |_| Ok("s".to_owned().into())).unwrap();
            let file = with_secrets(of_options(&add(line)), &draft).unwrap();
            // As the daemon reads it.
            let table: Table = serde_json::from_value(file).unwrap();
            let read = parse_application(&toml::to_string(&table).unwrap(), "x", true).unwrap();
            assert_eq!(read, draft, "{line}");
        }
    }

    #[test]
    fn secrets_take_the_places_of_their_sources() {
        let text = "name = \"a\"\nclient_id = \"x\"\nclient_secret = { env = \"A\" }\nsecrets.key = { file = \"k\" }\n[endpoints]\nauthorization = \"https://a.example/a\"\ntoken = \"https://a.example/t\"\n";
        let mut draft = parse_application(text, "x", false).unwrap();
        draft.read_secrets(&mut |source| Ok(format!("{source}\n").into())).unwrap();
        let file = with_secrets(of_text(text).unwrap(), &draft).unwrap();
        assert_eq!(file["client_secret"], "the environment variable A");
        assert_eq!(file["secrets"]["key"], "the file k");
        assert_eq!(file["endpoints"]["token"], "https://a.example/t");
    }
}
