//! Providers of the catalog.

use crate::model::{Endpoints, ScriptName};
use crate::registry::{Provider, Variable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderDocument {
    /// What an application names it by, in `provider`.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What to do on the provider's side first.
    pub setup: String,
    /// The provider's pages that the entry was made from, and the day on which each was read.
    pub pages: Vec<PageDocument>,
    /// What has to be filled in, by name.
    pub variables: BTreeMap<String, Variable>,
    /// Scopes that people ask for, with a sentence each. Not all that there are.
    pub scopes: BTreeMap<String, String>,
    /// The OAuth API script that it comes with.
    pub script: Option<ScriptName>,
    /// Its endpoints; where the entry has variables, with examples in their places.
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub endpoints: Endpoints,
}

/// A page of a provider's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageDocument {
    /// Its address.
    pub page: String,
    /// The day on which it was read.
    pub read: String,
}

impl ProviderDocument {
    /// What is told of an entry.
    #[must_use]
    pub fn of(provider: &Provider) -> Self {
        let pages = provider.sources.iter();
        Self {
            name: provider.name.clone(),
            title: provider.title.clone(),
            setup: provider.setup.clone(),
            pages: pages.map(|page| PageDocument { page: page.page.clone(), read: page.read.to_string() }).collect(),
            variables: provider.variables.clone(),
            scopes: provider.scopes.clone(),
            script: provider.settings.script.clone(),
            endpoints: provider.settings.endpoints.clone(),
        }
    }
}
