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
