//! What a person must fill in for a provider: a tenant, a subdomain, a region. An entry declares it; an application states
//! it; every text of the entry may hold it as `{variable.NAME}`.

use super::error::RegistryError;
use super::nearest::nearest;
use super::reader::{Found, Reader};
use std::collections::BTreeMap;

/// A variable of an entry.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Variable {
    /// What to fill in, in a sentence.
    pub about: String,
    /// What it is when nobody says it.
    pub default: Option<String>,
}

/// What an entry declares.
pub(super) fn declared(found: Found<'_>) -> Result<BTreeMap<String, Variable>, RegistryError> {
    let read = |(name, found): (String, Found<'_>)| {
        if !is_name(&name) {
            return Err(found.wrong("must be named with a-z, 0-9 and _"));
        }
        if found.is_text() {
            return Ok((name, Variable { about: found.some_text()?, default: None }));
        }
        let mut table: Reader<'_> = found.table()?;
        let about = table.need("about", "it says what to fill in, in a sentence")?.some_text()?;
        let default = table.take("default").map(|found| found.text_that(is_value)).transpose()?;
        table.finish()?;
        Ok((name, Variable { about, default }))
    };
    found.table()?.rest().map(read).collect()
}

/// What an application states.
pub(super) fn stated(found: Found<'_>) -> Result<BTreeMap<String, String>, RegistryError> {
    found.table()?.rest().map(|(name, found)| Ok((name, found.text_that(is_value)?))).collect()
}

/// Whether a text can be a variable's value: a word of hosts, tenants and paths. Whatever else would change what a URL of
/// the entry is.
pub fn is_value(text: &str) -> Result<(), String> {
    let fits = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        && !text.split('.').any(str::is_empty);
    if fits {
        Ok(())
    } else {
        Err("must be a word of letters, digits, dots, dashes and underscores, such as acme or acme.example".to_owned())
    }
}

/// The value of each declared variable, from what is stated.
pub(super) fn values(
    provider: &str,
    declared: &BTreeMap<String, Variable>,
    stated: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, RegistryError> {
    if let Some(unknown) = stated.keys().find(|name| !declared.contains_key(*name)) {
        let known: Vec<&str> = declared.keys().map(String::as_str).collect();
        return Err(RegistryError::UnknownVariable {
            provider: provider.to_owned(),
            name: unknown.chars().take(80).collect(),
            nearest: nearest(unknown, known.iter().copied()),
            known: known.join(", "),
        });
    }
    declared
        .iter()
        .map(|(name, variable)| {
            let value = stated.get(name).or(variable.default.as_ref()).cloned();
            let value = value.ok_or_else(|| RegistryError::MissingVariable {
                provider: provider.to_owned(),
                name: name.clone(),
                about: variable.about.clone(),
            })?;
            Ok((name.clone(), value))
        })
        .collect()
}

/// Values to show an entry with before anybody has stated any: a default, else the name itself.
pub(super) fn examples(declared: &BTreeMap<String, Variable>) -> BTreeMap<String, String> {
    let example =
        |(name, variable): (&String, &Variable)| variable.default.clone().unwrap_or_else(|| name.replace('_', "-"));
    declared.iter().map(|entry| (entry.0.clone(), example(entry))).collect()
}

/// A text with each `{variable.NAME}` replaced.
pub(super) fn fill(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{variable.") {
        filled.push_str(before);
        let (name, after) = after.split_once('}').ok_or("has a brace without its partner")?;
        let value = variables.get(name).ok_or_else(|| {
            let known: Vec<&str> = variables.keys().map(String::as_str).collect();
            format!("has the variable {:?}, which `variables` does not declare; it declares {}", name, known.join(", "))
        })?;
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
