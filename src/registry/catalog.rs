//! The provider catalog: `catalog/*.toml`, embedded in the binary. `docs/providers.md` tells how to add an entry.

use super::draft::Draft;
use super::error::RegistryError;
use super::nearest::nearest;
use super::reader::{Found, Reader};
use super::secrets::SecretSource;
use super::settings::Settings;
use super::variable::{self, Variable};
use crate::model::{ApplicationName, Secret, Timestamp};
use include_dir::{Dir, include_dir};
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What is known of a provider, from its own pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// What `provider = "…"` and `--provider` take; the entry's file has this name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What to do on the provider's side first, in a few sentences.
    pub setup: String,
    /// The pages that the entry was made from.
    pub sources: Vec<PageRead>,
    /// Scopes that people ask for, with a sentence each. Not all that there are.
    pub scopes: BTreeMap<String, String>,
    /// What a person must fill in, by name.
    pub variables: BTreeMap<String, Variable>,
    /// What lies beneath an application of this provider; where it has variables, with examples in their places.
    pub settings: Settings,
}

/// A provider's page, and when somebody compared the entry with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRead {
    /// Its address.
    pub page: String,
    /// The day.
    pub read: Date,
}

/// The entries that come with Grantkeeper.
#[derive(Debug, Clone, Copy)]
pub struct Catalog;

impl Catalog {
    /// All entries, ordered by name.
    #[must_use]
    pub fn list() -> &'static [Provider] {
        static PROVIDERS: OnceLock<Vec<Provider>> = OnceLock::new();
        #[expect(clippy::expect_used, reason = "the entries are embedded, and a test parses each of them")]
        PROVIDERS.get_or_init(|| {
            let mut providers: Vec<Provider> = embedded()
                .map(|(file, text)| Provider::parse(text, &file, None, None).expect("an embedded entry parses"))
                .collect();
            providers.sort_by(|a, b| a.name.cmp(&b.name));
            providers
        })
    }

    /// The entry of a name.
    ///
    /// # Errors
    /// When there is none, with the nearest name.
    pub fn find(name: &str) -> Result<&'static Provider, RegistryError> {
        Self::list().iter().find(|provider| provider.name == name).ok_or_else(|| RegistryError::UnknownProvider {
            name: name.chars().take(80).collect(),
            nearest: nearest(name, Self::list().iter().map(|provider| provider.name.as_str())),
        })
    }
}

impl Provider {
    /// Reads an entry that somebody is writing. `file` is its file's name, which must be its own.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place and what would be right.
    pub fn read(text: &str, file: &str) -> Result<Self, RegistryError> {
        Self::parse(text, file, None, None)
    }

    /// What is still missing of an entry that reads: what people would stumble over.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut draft = Draft {
            name: Self::example_name(),
            provider: Some(self.name.clone()),
            active: None,
            client_id: "id".to_owned(),
            client_secret: Some(SecretSource::Plain(Secret::new("secret"))),
            secrets: BTreeMap::new(),
            settings: self.settings.clone(),
        };
        // A key that only its user has.
        draft.secrets.insert("private_key".to_owned(), SecretSource::Plain(Secret::new("-----BEGIN PRIVATE KEY-----")));
        let made = draft.resolve(uuid::Uuid::nil(), Timestamp::UNIX_EPOCH, &mut |_| Err(String::new()), None);
        match made {
            Err(error) => complaints.push(error.to_string()),
            Ok(application) => {
                if let Some(plain) = application.endpoints.all().find(|endpoint| endpoint.url().scheme() != "https") {
                    complaints.push(format!("{plain} is not https, and no provider of others is on this machine"));
                }
                for scope in application.profiles.values().flat_map(|profile| &profile.scopes) {
                    if !self.scopes.contains_key(scope) {
                        complaints.push(format!("[scopes] has no sentence for {scope:?}, which a profile asks for"));
                    }
                }
            }
        }
        let sentences = self.scopes.values().chain(self.variables.values().map(|variable| &variable.about));
        for sentence in sentences.chain([&self.setup]) {
            if !sentence.ends_with('.') {
                complaints.push(format!("a sentence ends with a dot: {sentence:?}"));
            }
        }
        let account = &self.settings.habits.account;
        let from_userinfo = account.id.iter().chain(&account.name).any(|source| source.starts_with("userinfo."));
        if from_userinfo && !self.settings.endpoints.states("userinfo") {
            complaints.push("[account] reads userinfo, and endpoints.userinfo is not set".to_owned());
        }
        complaints
    }

    #[expect(clippy::expect_used, reason = "the text is fixed and fits")]
    fn example_name() -> ApplicationName {
        "example".parse().expect("a name")
    }

    /// What lies beneath an application that states these variables.
    ///
    /// # Errors
    /// When a variable is missing, or is none of the entry's.
    pub fn settings_with(&self, stated: &BTreeMap<String, String>) -> Result<Settings, RegistryError> {
        self.settings_without(stated, None)
    }

    /// The same with one key left out: a test of whether it does anything.
    pub(super) fn settings_without(
        &self,
        stated: &BTreeMap<String, String>,
        without: Option<&str>,
    ) -> Result<Settings, RegistryError> {
        let values = variable::values(&self.name, &self.variables, stated)?;
        if values.is_empty() && without.is_none() {
            return Ok(self.settings.clone());
        }
        let file = format!("{}.toml", self.name);
        let text = embedded().find(|(name, _)| *name == file).map_or("", |(_, text)| text);
        Ok(Self::parse(text, &file, Some(values), without)?.settings)
    }

    /// Reads an entry's TOML. Without values, its variables get examples.
    pub(super) fn parse(
        text: &str,
        file: &str,
        values: Option<BTreeMap<String, String>>,
        without: Option<&str>,
    ) -> Result<Self, RegistryError> {
        let mut reader = Reader::new(file, text)?;
        reader.leave_out(without);
        let variables = reader.take("variables").map(variable::declared).transpose()?.unwrap_or_default();
        reader.set_variables(values.unwrap_or_else(|| variable::examples(&variables)));
        let stem = file.strip_suffix(".toml").unwrap_or(file).to_owned();
        let is_stem = |name: &str| match name == stem {
            true => Ok(()),
            false => Err(format!("must be {stem:?}, as the file is called")),
        };
        let name = reader.need("name", "it is the file's name without .toml")?.text_that(is_stem)?;
        let title = reader.need("title", "what people call the provider")?.some_text()?;
        let setup = reader.need("setup", "what to do on the provider's side first")?.some_text()?;
        let sources = reader.need("sources", "the provider's pages that the entry was made from")?;
        let nowhere = sources.spot();
        let sources: Vec<PageRead> = sources.list()?.into_iter().map(read_source).collect::<Result<_, _>>()?;
        if sources.is_empty() {
            return Err(nowhere.wrong("must name one page of the provider's at least"));
        }
        let scopes = reader.take("scopes").map(read_scope_sentences).transpose()?.unwrap_or_default();
        let settings = Settings::read(&mut reader)?;
        reader.finish()?;
        Ok(Self { name, title, setup: setup.trim().to_owned(), sources, scopes, variables, settings })
    }
}

/// File name and text of each entry.
pub(super) fn embedded() -> impl Iterator<Item = (String, &'static str)> {
    static CATALOG: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/registry/catalog");
    CATALOG.files().filter_map(|file| Some((file.path().to_str()?.to_owned(), file.contents_utf8()?)))
}

fn read_source(found: Found<'_>) -> Result<PageRead, RegistryError> {
    let mut table = found.table()?;
    let is_https = |page: &str| match page.starts_with("https://") {
        true => Ok(()),
        false => Err("must be the https address of a page".to_owned()),
    };
    let page = table.need("page", "the address of the provider's page")?.text_that(is_https)?;
    let read = table.need("read", "the day on which the page was read, e.g. read = 2026-11-23")?.date()?;
    table.finish()?;
    Ok(PageRead { page, read })
}

fn read_scope_sentences(found: Found<'_>) -> Result<BTreeMap<String, String>, RegistryError> {
    found.table()?.rest().map(|(scope, sentence)| Ok((scope, sentence.some_text()?))).collect()
}
